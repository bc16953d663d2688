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

package docker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// maxRounds bounds how often Drive looks again after it has started something: a decision that shows the effect of its own actions
// saves the caller a turn and a write.
const maxRounds = 3

// Drive looks at the job's containers, has podlifecycle decide, and does what it says.
func (b *Backend) Drive(ctx context.Context, req backend.DriveRequest) (podlifecycle.Decision, error) {
	j := b.jobs.job(req.Workload.Token)
	j.driving.Lock()
	defer j.driving.Unlock()
	for round := 1; ; round++ {
		d, again, err := b.driveOnce(ctx, j, req)
		if err != nil || !again || round == maxRounds {
			return d, err
		}
	}
}

// driveOnce is one turn. again is set when it did something whose effect can be seen at once.
func (b *Backend) driveOnce(ctx context.Context, j *job, req backend.DriveRequest) (d podlifecycle.Decision, again bool, err error) {
	v, err := b.lookAtEnds(ctx, j)
	if err != nil {
		return d, false, err
	}
	if v.empty() {
		return d, false, backend.NotFound("the engine holds no container of the job")
	}
	if err := b.removeAside(ctx, v.aside); err != nil {
		return d, false, err
	}
	in, err := b.input(ctx, j, req, v)
	if err != nil {
		return d, false, err
	}
	d = podlifecycle.Decide(in)
	j.mu.Lock()
	j.wake = d.WakeAt
	j.mu.Unlock()
	again, err = b.act(ctx, j, req, v, d.Actions)
	j.mu.Lock()
	d.WakeAt = j.wake
	j.mu.Unlock()
	return d, again, err
}

// input is all that the rules look at.
func (b *Backend) input(ctx context.Context, j *job, req backend.DriveRequest, v *view) (podlifecycle.Input, error) {
	var engineStart time.Time
	if v.infra != nil && !running(v.infra) {
		var err error
		if engineStart, err = b.engineStart(ctx); err != nil {
			return podlifecycle.Input{}, err
		}
	}
	in := podlifecycle.Input{
		Pod: req.Workload.Pod, Now: time.Now(), Recorded: req.Recorded, Stop: req.Stop,
		Sandbox: sandboxState(v, engineStart), Instances: map[string][]podlifecycle.Instance{},
	}
	for name, runs := range v.runs {
		for i := range runs {
			one, err := b.instance(ctx, j, req, v, name, &runs[i])
			if err != nil {
				return podlifecycle.Input{}, err
			}
			in.Instances[name] = append(in.Instances[name], one)
		}
	}
	in.Waiting = j.waiting()
	if in.Stop == nil {
		evicted, err := b.eviction(ctx, j, req.Workload.Pod, v)
		if err != nil {
			return in, err
		}
		in.Stop = evicted
	}
	return in, nil
}

// engineStart is when the engine began: it makes its default bridge anew each time, but for live-restore with containers that run. Zero
// where the engine has no default bridge.
func (b *Backend) engineStart(ctx context.Context) (time.Time, error) {
	bridge, err := b.engine.NetworkInspect(ctx, "bridge", client.NetworkInspectOptions{})
	if errdefs.IsNotFound(err) {
		return time.Time{}, nil
	}
	return bridge.Network.Created, engineError("look at the engine's default network", err)
}

// codeUnknown is what containerd, and with it the engine, gives for the code of an end that was missed: of a container that ended while the
// engine was restarted under it. It is also what a program may end with.
const codeUnknown = 255

// endMessage is the message of a container's end: its own, or what is to be known of its exit code.
func endMessage(own string, code int32) string {
	if own == "" && code == codeUnknown {
		return "255 is also what an engine says that was restarted while the container ended, and does not know its exit code"
	}
	return own
}

// instance is what is known of one run: what the engine shows, and what is under way for it from here.
func (b *Backend) instance(ctx context.Context, j *job, req backend.DriveRequest, v *view, name string, r *seenRun) (podlifecycle.Instance, error) {
	in := instance(r, v.inhabited())
	if err := b.remember(ctx, j, req.Workload.Pod, name, r, &in); err != nil {
		return in, err
	}
	in.ImageID = b.imageID(ctx, r.Image)
	if err := b.stopping(ctx, j, v, name, r, &in); err != nil {
		return in, err
	}
	switch {
	case in.State == podlifecycle.InstanceRunning:
		err := b.attend(ctx, j, req, v, name, r, &in)
		return in, err
	case in.State == podlifecycle.InstanceExited && in.StartError == "":
		message, err := b.terminationMessage(ctx, j, req, v, name, r)
		if err != nil {
			return in, err
		}
		in.Message = endMessage(message, in.ExitCode)
		err = b.conclude(ctx, j, req, v, name, r, &in)
		return in, err
	}
	return in, nil
}

// act does what was decided: what concerns one container in order, different containers side by side.
func (b *Backend) act(ctx context.Context, j *job, req backend.DriveRequest, v *view, actions []podlifecycle.Action) (again bool, err error) {
	byContainer := map[string][]podlifecycle.Action{}
	for _, a := range actions {
		if a.Kind == podlifecycle.ActionNewSandbox {
			return true, b.renewSandbox(ctx, j, req, v)
		}
		byContainer[a.Container] = append(byContainer[a.Container], a)
	}
	if v.infra != nil && v.infra.State.Status == "created" {
		_, err := b.ensureSandbox(ctx, req.Workload)
		return err == nil, err
	}
	var mu sync.Mutex
	var wait sync.WaitGroup
	var errs []error
	for name := range maps.Keys(byContainer) {
		wait.Go(func() {
			for _, a := range byContainer[name] {
				did, err := b.do(ctx, j, req, v, a)
				mu.Lock()
				again = again || did
				errs = append(errs, err)
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wait.Wait()
	return again, errors.Join(errs...)
}

// do does one action. again is set when its effect can be seen at once.
func (b *Backend) do(ctx context.Context, j *job, req backend.DriveRequest, v *view, a podlifecycle.Action) (again bool, err error) {
	switch a.Kind {
	case podlifecycle.ActionStart:
		return b.startContainer(ctx, j, req.Workload, v, a.Container, a.N)
	case podlifecycle.ActionStop:
		b.stopContainer(j, req.Workload, v, a)
		return false, nil
	case podlifecycle.ActionPostStart:
		b.postStart(j, req.Workload, v, a)
		return false, nil
	case podlifecycle.ActionPreStop:
		b.preStop(ctx, j, req.Workload, v, a)
		return false, nil
	case podlifecycle.ActionRemove:
		if r := v.run(a.Container, a.N); r != nil {
			return false, b.removeContainer(ctx, r.ID)
		}
		return false, nil
	default:
		return false, fmt.Errorf("there is no action %q", a.Kind)
	}
}
