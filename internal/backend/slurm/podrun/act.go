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

package podrun

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/agent"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/runtime"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/probe"
)

// The reasons for which a container is not made, in the kubelet's words.
const (
	reasonCreateContainerConfigError = "CreateContainerConfigError"
	reasonCreateContainerError       = "CreateContainerError"
	reasonImagePullBackOff           = "ImagePullBackOff"
	reasonSandboxError               = "CreatePodSandboxError"
)

// trouble is why a container could not be made, when to try again, and how often it failed.
type trouble struct {
	podlifecycle.Waiting
	retry time.Time
	times int
}

// Between tries of what failed: the first and the longest wait.
const (
	retryFirst = 5 * time.Second
	retryMost  = 5 * time.Minute
)

// backOff is how long to wait after so many failures.
func backOff(times int) time.Duration {
	wait := retryFirst
	for range times - 1 {
		if wait *= 2; wait >= retryMost {
			return retryMost
		}
	}
	return wait
}

// act does what was decided. Nothing in it takes long.
func (r *runner) act(ctx context.Context, actions []podlifecycle.Action) {
	for _, a := range actions {
		switch a.Kind {
		case podlifecycle.ActionNewSandbox:
			r.newSandbox()
		case podlifecycle.ActionStart:
			r.startContainer(a.Container, a.N)
		case podlifecycle.ActionPostStart:
			r.hook(ctx, a, probe.PostStart)
		case podlifecycle.ActionPreStop:
			hookCtx, cancel := context.WithDeadline(ctx, a.Deadline)
			r.hook(hookCtx, a, probe.PreStop)
			cancel()
		case podlifecycle.ActionStop:
			r.stopContainer(a)
		case podlifecycle.ActionRemove:
			r.removeContainer(a.Container, a.N)
		}
	}
}

// hook begins a hook of a container that runs.
func (r *runner) hook(ctx context.Context, a podlifecycle.Action, kind probe.HookKind) <-chan struct{} {
	r.mu.Lock()
	i := r.find(a.Container, a.N)
	running := i != nil && i.state == podlifecycle.InstanceRunning
	r.mu.Unlock()
	if !running {
		closed := make(chan struct{})
		close(closed)
		return closed
	}
	return r.hooks.Begin(ctx, i.key(r.spec.Token), kind, r.probed(i))
}

func (r *runner) probed(i *instance) probe.Instance {
	return probe.Instance{Container: i.spec, StartedAt: i.started, Prober: i.agent}
}

// newSandbox makes what the containers share, in the background.
func (r *runner) newSandbox() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.making || r.now().Before(r.troubles[""].retry) {
		return
	}
	r.making = true
	r.starts.Go(func() {
		err := r.runtime.Prepare(r.startCtx, r.sharedPod())
		r.mu.Lock()
		defer r.poke()
		defer r.mu.Unlock()
		r.making = false
		if err == nil {
			r.sandbox.State = podlifecycle.SandboxReady
			r.settle("")
			return
		}
		r.log("make the pod's sandbox: %v", err)
		// The first container that is to run waits for it, with the words.
		name := ""
		for _, list := range [][]string{initNames(r.pod), appNames(r.pod)} {
			if len(list) > 0 {
				name = list[0]
				break
			}
		}
		r.fails("", reasonSandboxError, err.Error())
		r.troubles[name] = r.troubles[""]
	})
}

// fails notes why a container could not be made. The caller holds the lock.
func (r *runner) fails(name, reason, message string) {
	times := r.troubles[name].times + 1
	r.troubles[name] = trouble{podlifecycle.Waiting{Reason: reason, Message: message}, r.now().Add(backOff(times)), times}
}

// settle forgets what held a container up, and whoever waited for the same. The caller holds the lock.
func (r *runner) settle(name string) {
	if name != "" {
		delete(r.troubles, name)
		return
	}
	for other, t := range r.troubles {
		if t.Reason == reasonSandboxError {
			delete(r.troubles, other)
		}
	}
}

// startContainer begins a run of a container, unless it has begun or waits for another try.
func (r *runner) startContainer(name string, n int32) {
	spec := containerOf(r.pod, name)
	r.mu.Lock()
	defer r.mu.Unlock()
	if spec == nil || r.find(name, n) != nil || r.startCtx.Err() != nil {
		return
	}
	if t := r.troubles[name]; r.now().Before(t.retry) {
		if t.Reason == runtime.ReasonErrImagePull {
			t.Reason, t.Message = reasonImagePullBackOff, "Back-off pulling the image: "+t.Message
			r.troubles[name] = t
			r.poke()
		}
		return
	}
	i := &instance{name: name, n: n, spec: spec, state: podlifecycle.InstanceCreated, created: r.now(), copied: make(chan struct{})}
	r.instances[name] = append(r.instances[name], i)
	r.starts.Go(func() { r.launch(r.startCtx, i) })
}

// configError is an error of a container's configuration.
type configError struct{ error }

const lostMessage = "What ran the container was killed while it started its command"

// launch makes and starts a run of a container, and says how that went.
func (r *runner) launch(ctx context.Context, i *instance) {
	defer r.poke()
	r.brought(ctx, i, r.bring(ctx, i))
}

// brought takes down how a start went.
func (r *runner) brought(ctx context.Context, i *instance, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var start *agent.StartError
	var lost *agent.LostError
	var image *runtime.ImageError
	var config configError
	switch {
	case err == nil:
		i.state, i.started = podlifecycle.InstanceRunning, r.now()
		r.settle(i.name)
		r.awaits.Go(func() { r.await(i) })
		return
	case errors.As(err, &start):
		i.state, i.startError, i.finished = podlifecycle.InstanceExited, start.Words, r.now()
		r.settle(i.name)
		return
	case errors.As(err, &lost):
		// The command may have run, so this counts as a run, and the pod's restartPolicy says whether there is another.
		r.log("container %s: %v", i.name, err)
		now := r.now()
		i.state, i.started, i.finished = podlifecycle.InstanceExited, now, now
		i.exitCode, i.signal, i.message, i.oom = exitKilled, int32(syscall.SIGKILL), lostMessage, oomKills() > i.oomKills
		r.settle(i.name)
		return
	}
	r.drop(i)
	if i.made.Dir != "" {
		r.awaits.Go(func() { r.remove(i) })
	}
	switch {
	case ctx.Err() != nil:
	case errors.As(err, &image):
		r.fails(i.name, image.Reason, image.Words)
	case errors.As(err, &config):
		r.fails(i.name, reasonCreateContainerConfigError, err.Error())
	default:
		r.log("container %s: %v", i.name, err)
		r.fails(i.name, reasonCreateContainerError, err.Error())
	}
}

// removeContainer forgets a run that ended long ago, and its log.
func (r *runner) removeContainer(name string, n int32) {
	r.mu.Lock()
	i := r.find(name, n)
	if i == nil || i.state == podlifecycle.InstanceRunning {
		r.mu.Unlock()
		return
	}
	r.drop(i)
	r.mu.Unlock()
	r.poke() // what is decided next may wait for just that
	r.removeLog(name, n)
	r.awaits.Go(func() { r.remove(i) })
}
