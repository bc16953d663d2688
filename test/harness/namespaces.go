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

package harness

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"

	"golang.org/x/sys/unix"
)

// Namespaces are a network, a mount and a PID namespace of their own. When they are closed, or this process ends, however that comes
// about, everything in them ends and is unmounted: nothing that an engine does in there is left behind.
type Namespaces struct {
	holder *Process
	pid    int
}

// NamespacesOf are those of a process that others have started.
func NamespacesOf(pid int) *Namespaces { return &Namespaces{pid: pid} }

// NewNamespaces makes them. They need a directory for files of theirs.
func NewNamespaces(dir string) (*Namespaces, error) {
	ready := filepath.Join(dir, "namespaces.ready")
	// The shell is process 1 in there, and reaps what is left to it.
	holder, err := Start("holder of the namespaces", filepath.Join(dir, "namespaces.log"), nil,
		"unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
		"sh", "-c", `ip link set lo up && touch "$0" && while :; do sleep 1000; done`, ready)
	if err != nil {
		return nil, err
	}
	n := &Namespaces{holder: holder, pid: holder.Pid()}
	if err := Poll(pollLong, func() error {
		_, err := os.Stat(ready)
		if err != nil && !holder.Alive() {
			return nil
		}
		return err
	}); err != nil {
		n.Close()
		return nil, err
	}
	if !holder.Alive() {
		return nil, fmt.Errorf("make namespaces for an engine: %s", holder.Tail(5))
	}
	return n, nil
}

func (n *Namespaces) path(kind string) string {
	return fmt.Sprintf("/proc/%d/ns/%s", n.pid, kind)
}

// Argv is the command line that runs a program inside the namespaces, as the only child of a process outside of them.
func (n *Namespaces) Argv(program string, args ...string) ([]string, error) {
	nsenter, err := exec.LookPath("nsenter")
	if err != nil {
		return nil, err
	}
	return append([]string{nsenter, "--net=" + n.path("net"), "--mount=" + n.path("mnt"), "--pid=" + n.path("pid_for_children"), program}, args...), nil
}

// subordinates gives a user subordinate IDs, as an engine that maps users wants them, without a change to the machine's own files.
func (n *Namespaces) subordinates(dir, user string) error {
	file := filepath.Join(dir, "subordinates")
	if err := os.WriteFile(file, []byte(user+":100000:65536\n"), 0o600); err != nil {
		return err
	}
	for _, target := range []string{"/etc/subuid", "/etc/subgid"} {
		argv, err := n.Argv("mount", "--bind", file, target)
		if err != nil {
			return err
		}
		if out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("put subordinate IDs at %s: %w: %s", target, err, out)
		}
	}
	return nil
}

// listen returns a listener inside the network namespace. A socket stays in the namespace in which it was made, whoever uses it.
func (n *Namespaces) listen(address string) (net.Listener, error) {
	type result struct {
		l   net.Listener
		err error
	}
	answer := make(chan result)
	go func() {
		// The thread is never unlocked: it ends with the goroutine, since it is in the wrong namespace for any other.
		runtime.LockOSThread()
		l, err := listenIn(n.path("net"), address)
		answer <- result{l, err}
	}()
	r := <-answer
	return r.l, r.err
}

func listenIn(path, address string) (net.Listener, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	if err := unix.Setns(int(f.Fd()), unix.CLONE_NEWNET); err != nil {
		return nil, fmt.Errorf("enter the network namespace: %w", err)
	}
	return net.Listen("tcp", address)
}

// Pid is that of process 1 in there, seen from outside.
func (n *Namespaces) Pid() int { return n.pid }

// Close ends all that is in them.
func (n *Namespaces) Close() { _ = n.holder.Kill() }
