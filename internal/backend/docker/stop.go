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
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/grace"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// killAgain is how long to wait before a container that should be dead is killed again.
const killAgain = 10 * time.Second

// signalAgain is how long to wait before a signal is sent again to an engine that does not answer.
const signalAgain = time.Second

// stop is the end of a container under way.
type stop struct {
	cancel   context.CancelFunc
	reason   string
	deadline *grace.Deadline
	// killed is set when it is killed.
	killed bool
	// begun is set before the container can feel anything of it, and felt is closed when it is known whether it did: inVain says that it had
	// ended before.
	begun, inVain bool
	felt          chan struct{}
}

// stopContainer begins to end a run, or moves the end of one that is ending already: the earliest deadline holds.
func (b *Backend) stopContainer(j *job, w *workload.Workload, v *view, a podlifecycle.Action) {
	r := v.run(a.Container, a.N)
	if r == nil || !running(&r.InspectResponse) {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if s := j.stops[r.ID]; s != nil {
		s.deadline.Sooner(a.Deadline)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &stop{cancel: cancel, reason: a.Reason, deadline: grace.NewDeadline(a.Deadline, time.Now), felt: make(chan struct{})}
	j.stops[r.ID] = s
	signal := r.Config.StopSignal
	if signal == "" {
		signal = "SIGTERM"
	}
	go func() {
		defer cancel()
		defer j.told(s, false)
		if podlifecycle.IsFailing(a.Reason) && v.infra != nil {
			b.noteReason(ctx, j, v, a, r, s)
		}
		if !j.begin(ctx, s) {
			return
		}
		if a.RunPreStop {
			j.told(s, false) // a hook may have it end
			b.awaitPreStop(ctx, j, w, v, a, s)
		}
		b.signal(ctx, r.ID, signal, func(err error) { j.told(s, hasEnded(err)) })
		s.deadline.Signalled()
		for s.deadline.Wait(nil, ctx.Done()) {
			j.mu.Lock()
			s.killed = true
			j.mu.Unlock()
			b.signal(ctx, r.ID, "SIGKILL", func(error) {})
			s.deadline.Again(killAgain)
		}
	}()
}

// stopping is what is known of the end that a run was asked for. A reason of the container's own that it did not feel is none: it is taken
// back, also from the notes.
func (b *Backend) stopping(ctx context.Context, j *job, v *view, name string, r *seenRun, in *podlifecycle.Instance) error {
	j.mu.Lock()
	s := j.stops[r.ID]
	j.mu.Unlock()
	if s == nil {
		return nil
	}
	in.Stopping, in.StopReason = true, s.reason
	if in.State != podlifecycle.InstanceExited {
		return nil
	}
	if !podlifecycle.IsFailing(s.reason) {
		s.cancel()
		return nil
	}
	inVain, err := j.endedByItself(ctx, s)
	if err != nil || !inVain {
		return err
	}
	if v.infra != nil {
		if err := b.note(ctx, j, v, name, r, func(n *notes) { n.StopReason = "" }); isEngineAway(err) {
			return engineError("take back why a container was to end", err)
		}
	}
	in.Stopping, in.StopReason = false, ""
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.stops, r.ID)
	return nil
}

// begin is false where the container was seen to have ended before it felt anything of its stop.
func (j *job) begin(ctx context.Context, s *stop) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	s.begun = ctx.Err() == nil
	return s.begun
}

// told takes note, once, of whether the container felt its stop.
func (j *job) told(s *stop, inVain bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	select {
	case <-s.felt:
	default:
		s.inVain = inVain
		close(s.felt)
	}
}

// endedByItself tells whether a container that has ended was asked to in vain, and gives the stop up. The end of a container has its hooks
// and probes fail first, which is no reason to run it again then.
func (j *job) endedByItself(ctx context.Context, s *stop) (bool, error) {
	j.mu.Lock()
	if !s.begun {
		s.cancel()
		s.inVain = true
		j.mu.Unlock()
		return true, nil
	}
	j.mu.Unlock()
	select {
	case <-s.felt:
	case <-ctx.Done():
		return false, engineError("tell whether a container ended by itself", ctx.Err())
	}
	s.cancel()
	return s.inVain, nil
}

// noteReason writes down why a container alone is asked to end, again while that fails, until the stop's deadline or the container's end.
// Without it a manager that comes later would take the end that follows for the container's own, and one with code 0 for a success.
func (b *Backend) noteReason(ctx context.Context, j *job, v *view, a podlifecycle.Action, r *seenRun, s *stop) {
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, engineTimeout)
		err := b.note(attempt, j, v, a.Container, r, func(n *notes) {
			if ctx.Err() == nil { // else it was taken back
				n.StopReason = a.Reason
			}
		})
		cancel()
		if err == nil || errdefs.IsNotFound(err) {
			return
		}
		pause := make(chan struct{})
		timer := time.AfterFunc(signalAgain, func() { close(pause) })
		late := s.deadline.Wait(pause, ctx.Done())
		timer.Stop()
		if late {
			return
		}
	}
}

// awaitPreStop runs the container's hook and waits for it, at most until the deadline.
func (b *Backend) awaitPreStop(ctx context.Context, j *job, w *workload.Workload, v *view, a podlifecycle.Action, s *stop) {
	if done := b.preStop(ctx, j, w, v, a); done != nil {
		s.deadline.Wait(done, ctx.Done())
	}
}

// hasEnded tells whether the engine did not signal a container because it does not run.
func hasEnded(err error) bool { return errdefs.IsConflict(err) || errdefs.IsNotFound(err) }

// signal sends a container a signal, again while the engine does not answer, and tells each answer. One that has ended needs none.
func (b *Backend) signal(ctx context.Context, id, name string, answered func(error)) {
	for ctx.Err() == nil {
		attempt, cancel := context.WithTimeout(ctx, engineTimeout)
		_, err := b.engine.ContainerKill(attempt, id, client.ContainerKillOptions{Signal: name})
		cancel()
		answered(err)
		if err == nil || !isEngineAway(err) {
			return
		}
		select {
		case <-time.After(signalAgain):
		case <-ctx.Done():
		}
	}
}
