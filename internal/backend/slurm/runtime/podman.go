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
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/agent"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/proc"
)

// podmanRuntime runs a pod's containers by rootless podman, in the namespaces of a container that is podrunner alone.
type podmanRuntime struct {
	Node
	spec     jobdir.Runtime
	settings podmanSpec

	mu      sync.Mutex
	program string
	store   podmanStore
	pod     Pod
	// network is the one that the pod got.
	network string
	limits  bool
	// infra is the agent in the container that holds the pod's namespaces, nil before there is one.
	infra *agent.Agent
}

var _ Runtime = (*podmanRuntime)(nil)

func newPodman(spec jobdir.Runtime, node Node) *podmanRuntime {
	return &podmanRuntime{Node: node, spec: spec, settings: podmanSpecOf(spec)}
}

// podmanInfo is what is wanted of `podman info`.
type podmanInfo struct {
	Host struct {
		CgroupVersion     string   `json:"cgroupVersion"`
		CgroupControllers []string `json:"cgroupControllers"`
	} `json:"host"`
	Store struct {
		GraphRoot       string `json:"graphRoot"`
		GraphDriverName string `json:"graphDriverName"`
	} `json:"store"`
}

// Prepare learns what podman is like here, and makes the container that holds the pod's namespaces.
func (r *podmanRuntime) Prepare(ctx context.Context, pod Pod) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.infra != nil {
		return nil
	}
	r.pod = pod
	program, err := r.Node.program(r.spec, "podman")
	if err != nil {
		return err
	}
	r.program = program
	out, err := r.call(ctx, r.account("info", "--format=json")...)
	if err != nil {
		return fmt.Errorf("learn about podman: %w", err)
	}
	var info podmanInfo
	if err := json.Unmarshal([]byte(out), &info); err != nil {
		return fmt.Errorf("learn about podman: %w", err)
	}
	r.store = podmanStore{Dir: filepath.Join(r.Scratch, "p"), Images: info.Store.GraphRoot, Driver: info.Store.GraphDriverName}
	r.limits = info.Host.CgroupVersion == "v2" && slices.Contains(info.Host.CgroupControllers, "memory")
	for _, dir := range []string{"", "x", "f", "i"} {
		if err := os.MkdirAll(filepath.Join(r.store.Dir, dir), 0o700); err != nil {
			return fmt.Errorf("make podman's directories: %w", err)
		}
	}
	if err := copyFile(filepath.Join(r.store.Dir, "f", "podrunner"), r.Self); err != nil {
		return fmt.Errorf("put podrunner beside the pod: %w", err)
	}
	return r.makeInfra(ctx)
}

// makeInfra makes the pod's container in the network that is asked for; where none is, in one of its own by podman's own choice, and where
// that can't be had, in one that is the loopback alone.
func (r *podmanRuntime) makeInfra(ctx context.Context) error {
	networks := []string{r.settings.network}
	switch {
	case r.pod.HostNetwork:
		networks = []string{"host"}
	case r.settings.network == "" && !tunnels():
		r.Log("the pod has no network but its own loopback: this node lets users have no tunnel device")
		networks = []string{"none"}
	case r.settings.network == "":
		networks = []string{"", "none"}
	}
	var errs []error
	for _, network := range networks {
		infra, err := r.startInfra(ctx, network)
		if err == nil {
			r.network, r.infra = network, infra
			if len(errs) > 0 {
				r.Log("the pod has no network but its own loopback: %v", errs[0])
			}
			return nil
		}
		errs = append(errs, err)
		if _, err := r.call(ctx, append(r.own(), "rm", "--force", "--time=0", "--ignore", r.pod.Token)...); err != nil {
			errs = append(errs, err)
		}
	}
	return fmt.Errorf("make the pod's sandbox: %w", errors.Join(errs...))
}

// infraPatience bounds how long the container that holds the namespaces may take to come up once podman has started it.
const infraPatience = time.Minute

// startInfra starts the container that holds the pod's namespaces, and waits for the agent in it.
func (r *podmanRuntime) startInfra(ctx context.Context, network string) (*agent.Agent, error) {
	listener, err := agent.Listen(filepath.Join(r.store.Dir, "i", "socket"))
	if err != nil {
		return nil, err
	}
	defer listener.Close()
	args := podmanInfraArgs(&r.pod, filepath.Join(r.store.Dir, "f"), filepath.Join(r.store.Dir, "i"), network)
	if _, err := r.call(ctx, append(r.own(), args...)...); err != nil {
		return nil, err
	}
	late := time.AfterFunc(infraPatience, listener.Close)
	defer late.Stop()
	return listener.Accept()
}

// tunnels tells whether users may have a network device, which every network of a rootless container needs.
func tunnels() bool {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return false
	}
	_ = f.Close()
	return true
}

// own is podman for the pod's store, account podman for the account's.
func (r *podmanRuntime) own() []string { return podmanCommand(r.program, r.store, r.settings.globals) }

func (r *podmanRuntime) account(args ...string) []string {
	return append(podmanCommand(r.program, podmanStore{}, r.settings.globals), args...)
}

// runtimeDir gives podman a directory of the job for what it keeps while it runs.
func (r *podmanRuntime) runtimeDir() []string {
	// The token is for those who look for what a job left behind.
	env := append(slices.Clone(r.Env), TokenVariable+"="+r.pod.Token)
	if r.store.Dir != "" {
		env = append(env, "XDG_RUNTIME_DIR="+filepath.Join(r.store.Dir, "x"))
	}
	if lookup(env, "HOME") == "" {
		env = append(env, "HOME="+r.Scratch)
	}
	return env
}

// call runs podman to its end and returns what it wrote.
func (r *podmanRuntime) call(ctx context.Context, args ...string) (string, error) {
	env := r.runtimeDir()
	if !slices.ContainsFunc(args, func(a string) bool { return strings.HasPrefix(a, "--root=") }) {
		env = r.Env
	}
	result, err := r.Table.Run(ctx, proc.Command{Path: args[0], Args: args, Env: env, Dir: "/"}, nil)
	if err != nil {
		return "", err
	}
	if result.Status.ExitStatus() != 0 {
		return "", errors.New(result.Words())
	}
	return result.Stdout, nil
}

// imageInspect is what is wanted of `podman image inspect`.
type imageInspect struct {
	ID          string   `json:"Id"`
	RepoDigests []string `json:"RepoDigests"`
	Config      struct {
		Entrypoint []string `json:"Entrypoint"`
		Cmd        []string `json:"Cmd"`
		StopSignal string   `json:"StopSignal"`
		User       string   `json:"User"`
	} `json:"Config"`
}

func (r *podmanRuntime) Image(ctx context.Context, name string, always, never bool) (Image, error) {
	scheme, rest := splitScheme(name)
	if scheme != "" && scheme != "docker" {
		return Image{}, &ImageError{Reason: ReasonInvalidImageName, Words: fmt.Sprintf("%s: images come from a registry or from podman's own store here", name)}
	}
	reference := registryName(rest)
	image, err := r.inspect(ctx, reference)
	if err == nil && !always {
		return image, nil
	}
	if never {
		return image, &ImageError{Reason: ReasonErrImageNeverPull, Words: fmt.Sprintf("the image %s is not in podman's store on this node, and imagePullPolicy is Never", reference)}
	}
	missing := err
	err = each(r.Credentials, func(credentials Credentials) error {
		args := r.account("pull", "--quiet")
		if credentials != nil {
			file := filepath.Join(r.Scratch, "auth.json")
			if err := os.WriteFile(file, credentials, jobdir.FileMode); err != nil {
				return fmt.Errorf("write credentials: %w", err)
			}
			args = append(args, "--authfile="+file)
		}
		if _, err := r.call(ctx, append(args, "docker://"+reference)...); err != nil {
			if ctx.Err() != nil {
				return err
			}
			return &ImageError{Reason: ReasonErrImagePull, Words: fmt.Sprintf("pull the image %s, which is not here (%v): %v", reference, missing, err)}
		}
		return nil
	})
	if err != nil {
		return image, err
	}
	if image, err = r.inspect(ctx, reference); err != nil {
		return image, &ImageError{Reason: ReasonErrImagePull, Words: fmt.Sprintf("look at the image %s after it was pulled: %v", reference, err)}
	}
	return image, nil
}

// inspect looks at an image in the store that containers are made from, which shows the account's too.
func (r *podmanRuntime) inspect(ctx context.Context, reference string) (Image, error) {
	out, err := r.call(ctx, append(r.own(), "image", "inspect", "--", reference)...)
	if err != nil {
		return Image{}, err
	}
	var list []imageInspect
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list) != 1 {
		return Image{}, errors.Join(fmt.Errorf("look at the image %s: %d answers", reference, len(list)), err)
	}
	i := list[0]
	// A status names an image by its registry's digest where it has one, as a kubelet's does.
	id := "sha256:" + strings.TrimPrefix(i.ID, "sha256:")
	if len(i.RepoDigests) > 0 {
		id = i.RepoDigests[0]
	}
	return Image{
		Reference: i.ID, ID: id, Entrypoint: i.Config.Entrypoint, Cmd: i.Config.Cmd, Known: true,
		StopSignal: i.Config.StopSignal, User: i.Config.User,
	}, nil
}

func (r *podmanRuntime) Start(_ context.Context, c Container) (*Running, error) {
	args, err := podmanRunArgs(&r.Node, &r.pod, &c, r.network, r.limits, r.settings.options)
	if err != nil {
		return nil, err
	}
	command := append(r.own(), args...)
	running, err := r.launch(proc.Command{Path: command[0], Args: command, Env: r.runtimeDir(), Dir: "/"})
	if err == nil {
		running.Detached = true
	}
	return running, err
}

// Killed tells whether a container was killed for its memory, where it has a limit of its own.
func (r *podmanRuntime) Killed(ctx context.Context, c Container) bool {
	if !r.limits || c.MemoryBytes == 0 {
		return false
	}
	out, err := r.call(ctx, append(r.own(), "container", "inspect", "--format={{.State.OOMKilled}}", "--", c.Name)...)
	return err == nil && strings.TrimSpace(out) == "true"
}

// Remove removes a container that has ended.
func (r *podmanRuntime) Remove(ctx context.Context, c Container) error {
	if _, err := r.call(ctx, append(r.own(), "rm", "--force", "--time=0", "--ignore", "--volumes", "--", c.Name)...); err != nil {
		return fmt.Errorf("remove the container %s: %w", c.Name, err)
	}
	return nil
}

// Close removes all containers of the pod and their store.
func (r *podmanRuntime) Close(ctx context.Context) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.store.Dir == "" {
		return nil
	}
	if r.infra != nil {
		r.infra.Close()
		r.infra = nil
	}
	var errs []error
	if _, err := r.call(ctx, append(r.own(), "rm", "--force", "--depend", "--time=0", "--volumes", "--ignore", "--", r.pod.Token)...); err != nil {
		errs = append(errs, fmt.Errorf("remove the pod's containers: %w", err))
	}
	// Files of other users than the job's own can be removed only from inside of the user namespace. What podman itself still uses goes
	// with the job's directory, after podman.
	if _, err := r.call(ctx, append(r.own(), "unshare", "rm", "-rf", filepath.Join(r.store.Dir, "s"), filepath.Join(r.store.Dir, "r"))...); err != nil {
		errs = append(errs, fmt.Errorf("remove the pod's images: %w", err))
	}
	return errors.Join(errs...)
}

func (r *podmanRuntime) Limits() bool { return r.limits }

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o755) //nolint:gosec // a program
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	return err
}
