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

// Package cluster runs a Kubernetes cluster of one node on this machine: a control plane, its controllers and its scheduler, and a kubelet
// with containerd. The node is in network, mount and process namespaces of its own, so that nothing of it is left when it ends, however
// that comes about, and nothing of the machine's own engines and networks is touched.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/controlplane"
)

// readyWithin is how long the node may take to become ready.
const readyWithin = 3 * time.Minute

// Node is the name of the cluster's node.
const Node = "node"

// Options say where a cluster lives.
type Options struct {
	// Kubeconfig is the file that gets an administrator's access; empty for one in the cluster's own directory.
	Kubeconfig string
	// Logs is the directory of the parts' logs, which stay there; empty for the cluster's own directory, which goes with it.
	Logs string
}

// Cluster is a cluster that runs.
type Cluster struct {
	*controlplane.ControlPlane
	Network

	dir, logs, binaries string

	namespaces *harness.Namespaces
	parts      []*harness.Process
	cgroups    cgroups
	made       []string
}

// programs are those of the cluster that are built from their modules.
var programs = []string{
	"containerd", "containerd-shim-runc-v2", "ctr", "kubelet", "kube-proxy", "kube-controller-manager", "kube-scheduler",
}

// Missing lists what this machine lacks for a cluster, in words.
func Missing() []string {
	var missing []string
	if os.Geteuid() != 0 {
		missing = append(missing, "root")
	}
	for program, from := range map[string]string{
		"runc": "Debian's package runc", "iptables": "Debian's package iptables", "ip": "Debian's package iproute2", "nsenter": "Debian's package util-linux",
	} {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, program+" ("+from+")")
		}
	}
	if _, err := os.Stat(filepath.Join(pluginDir, "bridge")); err != nil {
		missing = append(missing, "CNI plugins (Debian's package containernetworking-plugins)")
	}
	for _, program := range programs {
		if _, err := os.Stat(filepath.Join(binaries(), program)); err != nil {
			missing = append(missing, program+" (make cluster-programs)")
		}
	}
	return missing
}

// binaries is bin/cluster below the root of the module that the working directory is in.
func binaries() string {
	root, err := controlplane.ModuleRoot()
	if err != nil {
		root = "."
	}
	return filepath.Join(root, "bin", "cluster")
}

// Start brings a cluster up, and returns when its node is ready. It ends with this process at the latest.
func Start(ctx context.Context, opts Options) (_ *Cluster, err error) {
	if missing := Missing(); len(missing) > 0 {
		return nil, fmt.Errorf("a cluster needs %s", strings.Join(missing, ", "))
	}
	c := &Cluster{binaries: binaries(), logs: opts.Logs}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Stop(context.WithoutCancel(ctx)))
		}
	}()
	if c.dir, err = os.MkdirTemp("", "rj-cluster-"); err != nil {
		return nil, err
	}
	if c.logs == "" {
		c.logs = filepath.Join(c.dir, "logs")
	}
	if err := os.MkdirAll(c.logs, 0o700); err != nil {
		return nil, err
	}
	if c.namespaces, err = harness.NewNamespaces(c.dir); err != nil {
		return nil, err
	}
	if c.Network, err = connect(ctx, c.namespaces); err != nil {
		return nil, err
	}
	c.ControlPlane, err = controlplane.Start(ctx, controlplane.Options{
		Dir: filepath.Join(c.dir, "controlplane"), Kubeconfig: opts.Kubeconfig,
		Nodes: &controlplane.Nodes{Address: c.Host, Services: c.Services},
	})
	if err != nil {
		return nil, err
	}
	for _, step := range []func(context.Context) error{c.startControllers, c.startContainerd, c.startNode, c.waitForNode} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// run starts a program in the node's namespaces.
func (c *Cluster) run(program string, args ...string) error {
	argv, err := c.namespaces.Argv(filepath.Join(c.binaries, program), args...)
	if err != nil {
		return err
	}
	// The runtime's shim is looked for beside it.
	env := []string{"PATH=" + c.binaries + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	p, err := harness.Start(program, c.log(program), env, argv...)
	if err != nil {
		return err
	}
	c.parts = append(c.parts, p)
	return nil
}

func (c *Cluster) log(program string) string { return filepath.Join(c.logs, program+".log") }

// Broken returns an error when one of the parts has ended by itself.
func (c *Cluster) Broken() error {
	for _, p := range c.parts {
		if !p.Alive() {
			return fmt.Errorf("%s has ended; its last words: %s", p.Name, p.Tail(10))
		}
	}
	return nil
}

func (c *Cluster) waitForNode(ctx context.Context) error {
	client, err := kubernetes.NewForConfig(c.Config)
	if err != nil {
		return err
	}
	return c.await(ctx, "the node to become ready", func() error {
		node, err := client.CoreV1().Nodes().Get(ctx, Node, metav1.GetOptions{})
		if err != nil {
			return err
		}
		for _, condition := range node.Status.Conditions {
			if condition.Type == corev1.NodeReady && condition.Status != corev1.ConditionTrue {
				return fmt.Errorf("%s: %s", condition.Reason, condition.Message)
			} else if condition.Type == corev1.NodeReady {
				return nil
			}
		}
		return errors.New("the node has no condition Ready")
	})
}

// await waits while all parts live.
func (c *Cluster) await(ctx context.Context, what string, condition func() error) error {
	var last error
	err := harness.Poll(readyWithin, func() error {
		if over := errors.Join(c.Broken(), ctx.Err()); over != nil {
			last = over
			return nil //nolint:nilerr // there is nothing to wait for any more
		}
		last = condition()
		return last
	})
	if last != nil {
		err = last
	}
	if err != nil {
		return fmt.Errorf("wait for %s: %w", what, err)
	}
	return nil
}

// Stop ends the cluster with all that runs there, and removes what it stored.
func (c *Cluster) Stop(ctx context.Context) error {
	var errs []error
	if c.ControlPlane != nil {
		errs = append(errs, c.ControlPlane.Stop(ctx))
	}
	if c.namespaces != nil {
		c.namespaces.Close()
	}
	for _, p := range c.parts {
		errs = append(errs, p.Await(time.Minute))
	}
	// Mounts vanish with the last process of the namespace, which the kernel may still be taking apart.
	errs = append(errs, c.cgroups.remove(), harness.Poll(30*time.Second, func() error { return os.RemoveAll(c.dir) }))
	for _, dir := range c.made {
		_ = os.Remove(dir) // somebody else may have put something there meanwhile
	}
	return errors.Join(errs...)
}
