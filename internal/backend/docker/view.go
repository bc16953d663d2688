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
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// view is what the engine holds of one job.
type view struct {
	// infra is the infra container, nil where there is none: see infra.go.
	infra *container.InspectResponse
	// aside are other infra containers, which have been set aside for it.
	aside []*container.InspectResponse
	// holders are the containers that keep later generations of the pod's files, by generation.
	holders map[int]container.InspectResponse
	// runs are the runs of the containers, by container in ascending order of N.
	runs map[string][]seenRun
}

// seenRun is one run of a container.
type seenRun struct {
	n int32
	container.InspectResponse
}

func (v *view) empty() bool { return v.infra == nil && len(v.runs) == 0 }

// run returns the n-th run of a container, nil where there is none.
func (v *view) run(name string, n int32) *seenRun {
	for i := range v.runs[name] {
		if v.runs[name][i].n == n {
			return &v.runs[name][i]
		}
	}
	return nil
}

// look inspects all of a job's containers. Those that have ended are inspected once.
func (b *Backend) look(ctx context.Context, j *job) (*view, error) {
	list, err := b.containers(ctx, j.token)
	if err != nil {
		return nil, err
	}
	present := map[string]bool{}
	seen := make([]*container.InspectResponse, len(list))
	errs := make([]error, len(list))
	var wait sync.WaitGroup
	for i, c := range list {
		present[c.ID] = true
		wait.Go(func() { seen[i], errs[i] = b.inspectOnce(ctx, j, c) })
	}
	wait.Wait()
	v := &view{holders: map[int]container.InspectResponse{}, runs: map[string][]seenRun{}}
	for i := range list {
		if errdefs.IsNotFound(errs[i]) {
			continue // it has been removed in between
		}
		if errs[i] != nil {
			return nil, errs[i]
		}
		v.add(seen[i])
	}
	for _, runs := range v.runs {
		sort.Slice(runs, func(a, c int) bool { return runs[a].n < runs[c].n })
	}
	v.chooseInfra()
	for _, gone := range j.forget(present) {
		b.leave(gone)
	}
	return v, nil
}

func (v *view) add(c *container.InspectResponse) {
	switch c.Config.Labels[labelRole] {
	case roleInfra:
		v.aside = append(v.aside, c) // until one is chosen
	case roleHolder:
		if k, ok := number(c.Config.Labels, labelGeneration); ok {
			v.holders[int(k)] = *c
		}
	case roleContainer:
		if n, ok := number(c.Config.Labels, labelN); ok {
			name := c.Config.Labels[labelContainer]
			v.runs[name] = append(v.runs[name], seenRun{n, *c})
		}
	}
}

// inspectOnce inspects a container, or takes what is known of it where it has ended.
func (b *Backend) inspectOnce(ctx context.Context, j *job, c container.Summary) (*container.InspectResponse, error) {
	over := c.State == container.StateExited
	j.mu.Lock()
	known, ok := j.ended[c.ID]
	j.mu.Unlock()
	if over && ok {
		return &known, nil
	}
	seen, err := b.inspect(ctx, c.ID)
	if err != nil {
		return nil, err
	}
	if seen.State.Status == container.StateExited && c.Labels[labelRole] == roleContainer {
		if seen.State.OOMKilled, err = b.ranOutOfMemory(ctx, j, &seenRun{InspectResponse: seen}); err != nil {
			return nil, err
		}
		j.mu.Lock()
		j.ended[c.ID] = seen
		j.mu.Unlock()
	}
	return &seen, nil
}

// instance is what the rules are told of a run: what the engine shows of it, and whether any of the pod's containers runs.
func instance(r *seenRun, inhabited bool) podlifecycle.Instance {
	state := r.State
	in := podlifecycle.Instance{
		N:          r.n,
		ID:         "docker://" + r.ID,
		CreatedAt:  engineTime(r.Created),
		StartedAt:  engineTime(state.StartedAt),
		FinishedAt: engineTime(state.FinishedAt),
	}
	switch state.Status {
	case container.StateCreated:
		in.State = podlifecycle.InstanceCreated
		if isOwnFailure(state.Error, inhabited) {
			in.State, in.StartError = podlifecycle.InstanceExited, state.Error
		}
	case container.StateRunning, container.StatePaused, container.StateRestarting:
		in.State = podlifecycle.InstanceRunning
		in.FinishedAt = time.Time{}
	default:
		in.State = podlifecycle.InstanceExited
		in.ExitCode, in.OOMKilled = int32(state.ExitCode), state.OOMKilled
		in.StartedAt = notAfter(in.StartedAt, in.FinishedAt)
	}
	return in
}

// notAfter is a begin that does not come after the end. An engine takes the time of a start when it hears that it went well, by when what was
// started may have ended.
func notAfter(begin, end time.Time) time.Time {
	if !end.IsZero() && begin.After(end) {
		return end
	}
	return begin
}

// inhabited tells whether any of the pod's containers runs.
func (v *view) inhabited() bool {
	for _, runs := range v.runs {
		for i := range runs {
			if s := runs[i].State; s.Running || s.Paused || s.Restarting {
				return true
			}
		}
	}
	return false
}

// isOwnFailure tells whether the engine's words about a container that it could not start are about that container. A sandbox that is hollow
// is made anew, but for one in which others run: it stays for them, and who can't join it has failed.
func isOwnFailure(words string, inhabited bool) bool {
	if isHollowSandbox(words) {
		return inhabited
	}
	return words != "" && !isSandboxError(words) && !isRuntimeAway(words) && !isCallerAway(words)
}

// isHollowSandbox tells whether a container could not be started since its infra container, which runs, has no shared memory to be joined. An
// engine that was ended while it started that one has forgotten where its shared memory is, and does not learn it any more.
func isHollowSandbox(words string) bool {
	return strings.Contains(words, "join IPC") && strings.Contains(words, "non-shareable")
}

// isRuntimeAway tells whether the engine could not start a container since it did not get through to its containerd, as one that is being
// restarted: nothing was asked for, so nothing has run.
func isRuntimeAway(words string) bool {
	return strings.Contains(strings.ToLower(words), "transport: error while dialing")
}

// isCallerAway tells whether the engine gave up a start since who had asked for it went away, as a manager that is killed: newer engines
// prepare a start within the call that asks for it. What they start then they start whoever is there, so nothing has run.
func isCallerAway(words string) bool {
	return strings.Contains(words, "context canceled") || strings.Contains(words, "context deadline exceeded")
}

// isSandboxError tells whether a container could not be started for want of the infra container: that is not its own failure.
func isSandboxError(words string) bool {
	return strings.Contains(words, "cannot join network of a non running container") || strings.Contains(words, "No such container") ||
		strings.Contains(words, "cannot join network namespace of a non running container") ||
		strings.Contains(words, "cannot join network namespace of container") || strings.Contains(words, "is not running: cannot join")
}
