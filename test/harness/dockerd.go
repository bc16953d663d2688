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
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/moby/moby/client"
)

// Dockerd is a Docker engine that belongs to a test: in namespaces of its own, with its own storage, and with a registry of its own as
// its mirror of Docker Hub. It can be restarted.
type Dockerd struct {
	// Host is its address for clients and RemoteBackends.
	Host string
	// Client speaks to it.
	Client *client.Client
	// Registry is where it pulls from.
	Registry *Registry

	dir    string
	ns     *Namespaces
	outer  *Process
	inner  int
	events *Events
}

// StartDockerd starts an engine. Busybox is in it under the names that the tests use; nginx can be pulled from its registry.
func StartDockerd(ctx context.Context, image *Image, args ...string) (d *Dockerd, err error) {
	if err := NeedRoot(); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "rj-dockerd-")
	if err != nil {
		return nil, err
	}
	d = &Dockerd{dir: dir, Host: "unix://" + filepath.Join(dir, "docker.sock"), events: newEvents()}
	defer func(made *Dockerd) {
		if err != nil {
			made.Close()
		}
	}(d)
	if d.ns, err = NewNamespaces(dir); err != nil {
		return nil, err
	}
	l, err := d.ns.listen("127.0.0.1:5000")
	if err != nil {
		return nil, err
	}
	d.Registry = NewRegistry(l, image.Variant(), "library/nginx:latest", "library/pulled:1", "library/slow:1")
	for _, arg := range args {
		if user, ok := strings.CutPrefix(arg, "--userns-remap="); ok {
			if err := d.ns.subordinates(dir, user); err != nil {
				return nil, err
			}
			// They must be able to reach what the engine stores for them.
			if err := os.Chmod(dir, 0o711); err != nil {
				return nil, err
			}
		}
	}
	if d.Client, err = client.New(client.WithHost(d.Host)); err != nil {
		return nil, err
	}
	if err := d.Start(ctx, args...); err != nil {
		return nil, err
	}
	return d, image.Load(ctx, d.Client, testImages...)
}

// testImages are the names of the image that containers of tests run.
var testImages = []string{"busybox:1.36", "busybox:latest"}

// ForgetImages removes all images but the one that containers of tests run, as somebody does who makes room. None may be in use.
func (d *Dockerd) ForgetImages(ctx context.Context) error {
	list, err := d.Client.ImageList(ctx, client.ImageListOptions{})
	if err != nil {
		return err
	}
	for _, image := range list.Items {
		if slices.Contains(image.RepoTags, testImages[0]) {
			continue
		}
		if _, err := d.Client.ImageRemove(ctx, image.ID, client.ImageRemoveOptions{Force: true, PruneChildren: true}); err != nil {
			return fmt.Errorf("remove image %v: %w", image.RepoTags, err)
		}
	}
	return nil
}

// Start starts the engine, with what is in its storage, and waits until it answers.
func (d *Dockerd) Start(ctx context.Context, args ...string) error {
	argv, err := d.ns.Argv("dockerd", append([]string{
		"--data-root", filepath.Join(d.dir, "data"), "--exec-root", filepath.Join(d.dir, "exec"), "--pidfile", filepath.Join(d.dir, "pid"),
		"--host", d.Host, "--config-file", filepath.Join(d.dir, "daemon.json"), "--registry-mirror", "http://127.0.0.1:5000", "--log-level", "warn",
	}, args...)...)
	if err != nil {
		return err
	}
	// A pid file of an engine that was killed would stop this one, since process numbers start anew in its namespace.
	if err := os.Remove(filepath.Join(d.dir, "pid")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(filepath.Join(d.dir, "daemon.json"), []byte("{}"), 0o600); err != nil {
		return err
	}
	if d.outer, err = Start("dockerd", filepath.Join(d.dir, "dockerd.log"), nil, argv...); err != nil {
		return err
	}
	err = Poll(pollLong, func() error {
		if !d.outer.Alive() {
			return nil
		}
		_, err := d.Client.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
		return err
	})
	if err == nil && !d.outer.Alive() {
		err = errors.New("it ended")
	}
	if err != nil {
		return fmt.Errorf("start dockerd: %w\n%s", err, d.outer.Tail(20))
	}
	if d.inner, err = onlyChild(d.outer.Pid()); err != nil {
		return err
	}
	d.events.attach(d.Client)
	return nil
}

// Stop ends the engine as a service manager does. Containers go on where it runs with live-restore.
func (d *Dockerd) Stop() error { return d.end(syscall.SIGTERM) }

// Kill ends the engine by SIGKILL.
func (d *Dockerd) Kill() error { return d.end(syscall.SIGKILL) }

func (d *Dockerd) end(s syscall.Signal) error {
	if err := syscall.Kill(d.inner, s); err != nil {
		return fmt.Errorf("send %s to dockerd: %w", s, err)
	}
	return d.outer.Await(pollLong)
}

// Events are the starts of containers that the engine told of, over all its restarts.
func (d *Dockerd) Events() *Events { return d.events }

// Log returns the last lines of what the engine said.
func (d *Dockerd) Log() string { return d.outer.Tail(40) }

// Close ends the engine with all that it runs, and removes what it stored.
func (d *Dockerd) Close() {
	d.events.close()
	if d.outer != nil && d.outer.Alive() && d.inner != 0 {
		removeAll(d.Client)
		_ = d.Stop()
	}
	if d.ns != nil {
		d.ns.Close()
	}
	// Mounts vanish with the last process of the namespace, which the kernel may still be taking apart.
	_ = Poll(10*time.Second, func() error { return os.RemoveAll(d.dir) })
}

// removeAll removes the engine's containers, so that it also takes their cgroups away.
func removeAll(c *client.Client) {
	ctx, cancel := context.WithTimeout(context.Background(), pollLong)
	defer cancel()
	list, err := c.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return
	}
	for _, item := range list.Items {
		_, _ = c.ContainerRemove(ctx, item.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	}
}

func onlyChild(pid int) (int, error) {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}
