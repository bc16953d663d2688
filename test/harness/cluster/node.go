/*
Copyright 2026 The remotejob-operator Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package cluster

import (
	"context"
	"embed"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

const (
	// pluginDir is where Debian puts CNI plugins.
	pluginDir = "/usr/lib/cni"
	// stateDir and socket are containerd's, in the node's mount namespace.
	stateDir = "/run/containerd"
	socket   = stateDir + "/containerd.sock"
	// sandboxImage is what keeps a pod's namespaces.
	sandboxImage = "docker.io/library/remotejob-pause:1"
)

// private are directories at fixed places that the node's programs use. The node has its own there.
var private = []string{stateDir, "/var/lib/cni", "/var/lib/kubelet", "/var/log/containers"}

//go:embed files
var files embed.FS

// write makes a file of one of the templates, and returns its path.
func (c *Cluster) write(name string) (string, error) {
	text, err := template.ParseFS(files, "files/"+name)
	if err != nil {
		return "", err
	}
	path := filepath.Join(c.dir, "etc", name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	var out strings.Builder
	err = text.Execute(&out, map[string]string{
		"Dir": c.dir, "Plugins": pluginDir, "State": stateDir, "Socket": socket, "Sandbox": sandboxImage,
		"Pods": c.Pods.String(), "Node": Node, "Address": c.NodeAddress.String(), "Cgroup": c.cgroups.name,
	})
	if err != nil {
		return "", err
	}
	return path, os.WriteFile(path, []byte(out.String()), 0o600)
}

// access writes the kubeconfig of a part, and returns its path.
func (c *Cluster) access(user string, groups ...string) (string, error) {
	config, err := c.ConfigFor(user, groups...)
	if err != nil {
		return "", err
	}
	path := filepath.Join(c.dir, "etc", strings.ReplaceAll(user, ":", "-")+".kubeconfig")
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	return path, harness.WriteKubeconfig(config, path)
}

// startControllers starts what makes pods of Deployments, and finds nodes for them.
func (c *Cluster) startControllers(context.Context) error {
	key, err := c.TokenKeyFile()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(c.dir, "etc"), 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(c.authority(), c.Config.CAData, 0o600); err != nil {
		return err
	}
	controllers, err := c.access("system:kube-controller-manager")
	if err != nil {
		return err
	}
	err = c.run("kube-controller-manager", "--kubeconfig="+controllers, "--leader-elect=false", "--use-service-account-credentials",
		"--service-account-private-key-file="+key, "--root-ca-file="+c.authority(), "--bind-address=127.0.0.1",
		// A node that is this machine's is not to be given up because the machine is busy.
		"--node-monitor-grace-period=5m", "--concurrent-gc-syncs=5", "--kube-api-qps=100", "--kube-api-burst=200")
	if err != nil {
		return err
	}
	scheduler, err := c.access("system:kube-scheduler")
	if err != nil {
		return err
	}
	return c.run("kube-scheduler", "--kubeconfig="+scheduler, "--leader-elect=false", "--bind-address=127.0.0.1")
}

// authority is the file of the control plane's.
func (c *Cluster) authority() string { return filepath.Join(c.dir, "etc", "ca.crt") }

func (c *Cluster) startContainerd(ctx context.Context) error {
	for _, dir := range private {
		if _, err := os.Stat(dir); err == nil {
			continue
		}
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		c.made = append(c.made, dir)
	}
	if err := inside(ctx, c.namespaces, "for dir in "+strings.Join(private, " ")+`; do mount -t tmpfs -o mode=755 tmpfs "$dir" || exit; done`); err != nil {
		return err
	}
	if _, err := c.write("cni/pods.conflist"); err != nil {
		return err
	}
	config, err := c.write("containerd.toml")
	if err != nil {
		return err
	}
	if err := c.run("containerd", "--config="+config); err != nil {
		return err
	}
	if err := c.await(ctx, "containerd", func() error {
		cmd, err := ctr(ctx, c.Pid(), "version")
		if err != nil {
			return err
		}
		return quietly(cmd)
	}); err != nil {
		return err
	}
	busybox, err := harness.BusyboxImage()
	if err != nil {
		return err
	}
	sandbox, err := busybox.WithEntrypoint([]string{"sleep", "2147483647"}, nil)
	if err != nil {
		return err
	}
	return c.Load(ctx, sandbox, sandboxImage)
}

// startNode starts what runs pods, and what brings Services to them.
func (c *Cluster) startNode(context.Context) (err error) {
	if c.cgroups, err = makeCgroups(filepath.Base(c.dir)); err != nil {
		return err
	}
	kubelet, err := c.access("system:node:"+Node, "system:nodes")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(c.dir, "etc", "resolv.conf"), nil, 0o644); err != nil {
		return err
	}
	config, err := c.write("kubelet.yaml")
	if err != nil {
		return err
	}
	err = c.run("kubelet", "--config="+config, "--kubeconfig="+kubelet, "--root-dir=/var/lib/kubelet", "--cert-dir="+filepath.Join(c.dir, "kubelet"),
		"--hostname-override="+Node, "--node-ip="+c.NodeAddress.String())
	if err != nil {
		return err
	}
	if _, err := c.access("system:kube-proxy"); err != nil {
		return err
	}
	if config, err = c.write("kube-proxy.yaml"); err != nil {
		return err
	}
	return c.run("kube-proxy", "--config="+config)
}
