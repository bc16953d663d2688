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
	"os"
	"reflect"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

const (
	// claimEvery is how often a run looks whether it still has the claim.
	claimEvery = 30 * time.Second
	// idle bounds how long nothing is looked at.
	idle = 30 * time.Second
)

// loop decides and acts until the pod has ended. A decision that is no end is one for nobody: the pod is not this job's any more.
func (r *runner) loop(ctx context.Context, terms <-chan told) podlifecycle.Decision {
	nextClaim := r.now().Add(claimEvery)
	for {
		if now := r.now(); now.After(nextClaim) || r.doubt.Swap(false) {
			nextClaim = now.Add(claimEvery)
			if r.overtaken() {
				r.log("the pod is not this job's any more: its containers are killed, and nothing more is said of it")
				return podlifecycle.Decision{}
			}
		}
		r.hear(terms)
		d := podlifecycle.Decide(r.input())
		if d.Finished() {
			// A start that is still under way would make it come back.
			r.cancelStarts()
			r.starts.Wait()
			if !r.stopped() {
				r.hearOut(terms)
			}
			if d = podlifecycle.Decide(r.input()); d.Finished() {
				return d
			}
		}
		if err := r.record(d, false); err != nil {
			r.log("%v", err)
		}
		again := r.remember(d)
		r.act(ctx, d.Actions)
		if again {
			continue
		}
		r.wait(terms, d.WakeAt)
	}
}

// remember takes the decision for what is recorded, and tells whether that was news: what was just recorded may be all that the rules
// wait for.
func (r *runner) remember(d podlifecycle.Decision) bool {
	before := r.recorded
	r.recorded.InitContainers, r.recorded.Containers = d.InitContainers, d.Containers
	r.recorded.Phase, r.recorded.Reason, r.recorded.Message = d.Phase, d.Reason, d.Message
	return !reflect.DeepEqual(before.InitContainers, d.InitContainers) || !reflect.DeepEqual(before.Containers, d.Containers)
}

// input is all that the rules look at.
func (r *runner) input() podlifecycle.Input {
	r.mu.Lock()
	defer r.mu.Unlock()
	in := podlifecycle.Input{
		Pod: r.pod, Now: r.now(), Recorded: r.recorded, Sandbox: r.sandbox, Stop: r.toldStop(),
		Instances: map[string][]podlifecycle.Instance{}, Waiting: map[string]podlifecycle.Waiting{},
	}
	for name, runs := range r.instances {
		for _, i := range runs {
			in.Instances[name] = append(in.Instances[name], r.seen(i))
		}
	}
	r.tryAt = time.Time{}
	for name, t := range r.troubles {
		in.Waiting[name] = t.Waiting
		// What is due is decided on now, and may then be under way for long.
		if t.retry.After(in.Now) && (r.tryAt.IsZero() || t.retry.Before(r.tryAt)) {
			r.tryAt = t.retry
		}
	}
	return in
}

// stopped tells whether the pod was asked to end.
func (r *runner) stopped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.stop != nil
}

// wait waits until there is a reason to decide again.
func (r *runner) wait(terms <-chan told, wakeAt time.Time) {
	wake := r.now().Add(idle)
	r.mu.Lock()
	stopAgain := r.stopAgain
	r.mu.Unlock()
	for _, at := range []time.Time{wakeAt, r.tryAt, stopAgain} {
		if !at.IsZero() && at.Before(wake) {
			wake = at
		}
	}
	if r.unsaid && r.retrySay.Before(wake) {
		wake = r.retrySay
	}
	timer := time.NewTimer(wake.Sub(r.now()))
	defer timer.Stop()
	select {
	case <-r.changed:
	case t := <-terms:
		r.heed(t)
	case <-timer.C:
		if !stopAgain.IsZero() && !r.now().Before(stopAgain) {
			r.readStop(false)
		}
	}
}

// stopPoll and stopPatience are how often, and how long, the words of a stop are looked for that are not there yet when the signal comes: a
// shared file system may take its time.
const (
	stopPoll     = 500 * time.Millisecond
	stopPatience = 20 * time.Second
)

// readStop takes the words of a stop that has begun, and looks again for them where there are none.
func (r *runner) readStop(signalled bool) {
	said, err := r.Dir.ReadStop()
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.log("%v", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if signalled {
		r.stopUntil = now.Add(stopPatience)
	}
	if err != nil {
		if now.After(r.stopUntil) {
			r.stopAgain = time.Time{}
			return
		}
		r.stopAgain = now.Add(stopPoll)
		return
	}
	r.stopAgain = time.Time{}
	r.takeStop(said)
	r.workers.End(r.spec.Token)
}

// takeStop takes the words of a stop. A grace period counts from when the pod was first asked to end.
func (r *runner) takeStop(said *jobdir.Stop) {
	if said.GracePeriod != nil {
		grace := max(0, said.GracePeriod.Duration)
		r.stop.GracePeriod = &grace
	}
	if said.Reason != "" {
		r.stop.Reason, r.stop.Message = said.Reason, said.Message
	}
}
