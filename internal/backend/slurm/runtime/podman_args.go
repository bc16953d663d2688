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

package runtime

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
)

// podmanStore is where a pod's containers are kept, apart from the account's own store, from which images are taken. So a job does not
// need what another job of the account on this node set up, and takes nothing away from it when it ends.
type podmanStore struct {
	// Dir is a directory of the job on the node's own disk, of a short path.
	Dir string
	// Images is the account's own store, and Driver what it is kept by.
	Images, Driver string
}

// podmanGlobals are options of podman itself, which go before its commands.
var podmanGlobals = []string{
	"--cgroup-manager", "--conmon", "--events-backend", "--hooks-dir", "--log-level", "--module", "--network-cmd-path", "--network-config-dir",
	"--registries-conf", "--root", "--runroot", "--runtime", "--runtime-flag", "--ssh", "--storage-driver", "--storage-opt", "--tmpdir", "--transient-store",
	"--syslog",
}

// splitPodmanOptions parts the options of a backend: those of podman itself, the network of the pod, and those for each container.
func splitPodmanOptions(options []string) (globals []string, network string, rest []string) {
	for i := 0; i < len(options); i++ {
		name, value, joined := strings.Cut(options[i], "=")
		next := func() string {
			if !joined && i+1 < len(options) {
				i++
				return options[i]
			}
			return value
		}
		switch {
		case name == "--network" || name == "--net":
			network = next()
		case name == "--syslog" || name == "--transient-store":
			globals = append(globals, options[i])
		case slices.Contains(podmanGlobals, name):
			globals = append(globals, name+"="+next())
		default:
			rest = append(rest, options[i])
		}
	}
	return globals, network, rest
}

// podmanCommand is podman for the pod's own store.
func podmanCommand(program string, store podmanStore, globals []string) []string {
	command := []string{program, "--log-level=error", "--cgroup-manager=cgroupfs", "--events-backend=none"}
	has := func(name string) bool {
		return slices.ContainsFunc(globals, func(g string) bool { return strings.HasPrefix(g, name+"=") })
	}
	if store.Dir != "" && !has("--root") {
		command = append(command, "--root="+filepath.Join(store.Dir, "s"), "--runroot="+filepath.Join(store.Dir, "r"), "--tmpdir="+filepath.Join(store.Dir, "t"))
		if store.Driver != "" && !has("--storage-driver") {
			command = append(command, "--storage-driver="+store.Driver)
		}
		if store.Images != "" {
			command = append(command, "--storage-opt="+imageStoreOption(store.Driver)+"="+store.Images)
		}
	}
	return append(command, globals...)
}

// imageStoreOption is a driver's option for a store of images that is only read.
func imageStoreOption(driver string) string {
	if driver == "vfs" {
		return "vfs.imagestore"
	}
	return "additionalimagestore"
}

// podmanInfraArgs run the container that holds the pod's namespaces: podrunner alone, without any image. It is an agent without a command,
// so it ends when podrunner does.
func podmanInfraArgs(pod *Pod, rootfs, sockets, network string) []string {
	args := []string{
		"run", "--detach", "--name", pod.Token, "--label", "remotejob.dev/token=" + pod.Token, "--log-driver=none", "--read-only=false",
		"--cap-drop=ALL", "--security-opt=no-new-privileges", "--ipc=shareable", "--stop-signal=SIGKILL", "--image-volume=ignore",
	}
	if network != "" {
		args = append(args, "--network="+network)
	}
	if pod.Hostname != "" {
		args = append(args, "--hostname="+pod.Hostname)
	}
	for _, host := range pod.Hosts {
		for _, name := range host.Names {
			args = append(args, "--add-host="+name+":"+host.IP)
		}
	}
	// With no network there is nothing to resolve names by, and podman refuses to be told how.
	if network != "none" && network != "host" {
		for _, server := range pod.DNSServers {
			args = append(args, "--dns="+server)
		}
		for _, search := range pod.DNSSearches {
			args = append(args, "--dns-search="+search)
		}
		for _, option := range pod.DNSOptions {
			args = append(args, "--dns-option="+option)
		}
	}
	args = append(args, "--volume="+sockets+":"+AgentDir+":rw,rprivate,rbind", "--rootfs", rootfs)
	return append(args, "/podrunner", "agent", "--token="+pod.Token, AgentSocket)
}

// podmanRunArgs run the agent in a new container of the pod.
func podmanRunArgs(n *Node, pod *Pod, c *Container, network string, limits bool, options []string) ([]string, error) {
	args := []string{
		"run", "--detach", "--name", c.Name, "--label", "remotejob.dev/token=" + pod.Token, "--log-driver=none", "--pull=never",
		"--network=container:" + pod.Token, "--ipc=container:" + pod.Token, "--image-volume=ignore", "--no-healthcheck",
	}
	if network == "host" {
		args = slices.DeleteFunc(args, func(a string) bool { return strings.HasPrefix(a, "--network=") })
		args = append(args, "--network=host")
	}
	args = append(args, "--uts=container:"+pod.Token)
	if pod.ShareProcesses {
		args = append(args, "--pid=container:"+pod.Token)
	}
	args = append(args, podmanSecurityArgs(c)...)
	if limits && c.MemoryBytes > 0 {
		args = append(args, "--memory="+strconv.FormatInt(c.MemoryBytes, 10), "--memory-swap="+strconv.FormatInt(c.MemoryBytes, 10))
	}
	if limits && c.CPUMillis > 0 {
		args = append(args, "--cpus="+strconv.FormatFloat(float64(c.CPUMillis)/1000, 'f', 3, 64))
	}
	for _, m := range n.allMounts(c) {
		if strings.Contains(m.Source+m.Target, ":") {
			return nil, fmt.Errorf("mount at %s: a path with a colon can't be told to podman", m.Target)
		}
		mode := "rw"
		if m.ReadOnly {
			mode = "ro"
		}
		args = append(args, "--volume="+m.Source+":"+m.Target+":"+mode+",rprivate,rbind")
	}
	if c.Devices.Nvidia {
		args = append(args, "--device=nvidia.com/gpu=all")
	}
	if c.Devices.AMD {
		args = append(args, "--device=/dev/kfd", "--device=/dev/dri")
	}
	args = append(args, options...)
	args = append(args, c.ExtraOptions...)
	command := agentCommand(pod.Token)
	args = append(args, "--entrypoint="+command[0], c.Image.Reference)
	return append(args, command[1:]...), nil
}

func podmanSecurityArgs(c *Container) []string {
	var args []string
	if c.User != "" {
		args = append(args, "--user="+c.User)
	}
	for _, group := range c.Groups {
		args = append(args, "--group-add="+strconv.FormatInt(group, 10))
	}
	if c.ReadOnlyRoot {
		args = append(args, "--read-only", "--read-only-tmpfs=false")
	}
	if c.Privileged {
		return append(args, "--privileged")
	}
	// Dropping comes first: adding a capability to ALL that are dropped gives that one.
	for _, capability := range c.CapDrop {
		args = append(args, "--cap-drop="+capability)
	}
	for _, capability := range c.CapAdd {
		args = append(args, "--cap-add="+capability)
	}
	if c.NoNewPrivs {
		args = append(args, "--security-opt=no-new-privileges")
	}
	if c.Unconfined {
		args = append(args, "--security-opt=seccomp=unconfined")
	}
	return args
}

// podmanSpec parts what the backend says of podman.
type podmanSpec struct {
	globals, options []string
	network          string
}

func podmanSpecOf(spec jobdir.Runtime) podmanSpec {
	var p podmanSpec
	p.globals, p.network, p.options = splitPodmanOptions(spec.Options)
	return p
}
