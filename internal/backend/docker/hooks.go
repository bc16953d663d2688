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

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/probe"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// postStart begins a container's postStart hook.
func (b *Backend) postStart(j *job, w *workload.Workload, v *view, a podlifecycle.Action) {
	r, run, ok := b.hooked(j, w, v, a)
	if !ok {
		return
	}
	// It has no deadline: it holds its container up for as long as it takes.
	key := probe.Key{Token: j.token, Container: a.Container, N: a.N}
	done := b.hooks.Begin(context.Background(), key, probe.PostStart, run)
	go func() {
		<-done
		if state, _ := b.hooks.State(key, probe.PostStart); state == podlifecycle.HookDone {
			ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
			defer cancel()
			_ = b.note(ctx, j, v, a.Container, r, func(n *notes) { n.PostStart = true }) // without it the hook may run twice, no more
		}
	}()
}

// preStop begins a container's preStop hook, and returns a channel that is closed when it has been run; nil where there is none to run.
func (b *Backend) preStop(ctx context.Context, j *job, w *workload.Workload, v *view, a podlifecycle.Action) <-chan struct{} {
	r, run, ok := b.hooked(j, w, v, a)
	if !ok {
		return nil
	}
	if known, err := b.notesOf(ctx, j, v, a.Container, r); err == nil && known.PreStop {
		return nil
	}
	bounded, cancel := context.WithDeadline(ctx, a.Deadline)
	defer cancel() // the hook takes the deadline over, and nothing else
	key := probe.Key{Token: j.token, Container: a.Container, N: a.N}
	done := b.hooks.Begin(bounded, key, probe.PreStop, run)
	noted := make(chan struct{})
	go func() { //nolint:gosec // the note outlives the call that began the hook
		defer close(noted)
		<-done
		// One that was cut off, since the manager ends, has not been run.
		if state, _ := b.hooks.State(key, probe.PreStop); state == podlifecycle.HookDone || state == podlifecycle.HookFailed {
			ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
			defer cancel()
			_ = b.note(ctx, j, v, a.Container, r, func(n *notes) { n.PreStop = true }) // without it the hook may run twice, no more
		}
	}()
	return noted
}

// hooked is what it takes to run a hook of a running container; false where it does not run.
func (b *Backend) hooked(j *job, w *workload.Workload, v *view, a podlifecycle.Action) (r *seenRun, run probe.Instance, ok bool) {
	c, r := containerOf(w.Pod, a.Container), v.run(a.Container, a.N)
	if c == nil || v.infra == nil || r == nil || !running(&r.InspectResponse) {
		return nil, run, false
	}
	return r, probe.Instance{
		Container: c, PodIP: podIP(v.infra), StartedAt: engineTime(r.State.StartedAt), Prober: b.reach(j, v, r),
	}, true
}
