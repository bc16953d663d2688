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

package podlifecycle

import "time"

// The kubelet's crash loop: the first restart comes at once, the next after 10 s, twice that each time up to 5 minutes, and from the
// start again once a run has lasted 10 minutes.
const (
	backOffBase  = 10 * time.Second
	backOffMax   = 5 * time.Minute
	backOffReset = 10 * time.Minute
)

// backOffBefore is the wait before run n where no run has lasted long enough to start over.
func backOffBefore(n int32) time.Duration {
	if n < 2 {
		return 0
	}
	d := backOffBase
	for i := int32(2); i < n && d < backOffMax; i++ {
		d *= 2
	}
	return min(d, backOffMax)
}

// backOffAfter is the wait after a run that ended. Nothing but the last two runs is looked at, so that no counter has to outlive a crash: the
// wait before the last run is read off the gap between the two, bounded by what its number allows. A gap that was longer for another reason
// counts as a longer wait, never as one that the run's number could not have had.
func (c *container) backOffAfter() time.Duration {
	r := c.last
	started := r.startedAt
	if started.IsZero() {
		started = r.finishedAt
	}
	if r.n == 0 || r.finishedAt.Sub(started) > backOffReset {
		return 0
	}
	bound := backOffBefore(r.n)
	if c.before == nil || c.before.FinishedAt.IsZero() {
		return doubled(bound)
	}
	gap := started.Sub(c.before.FinishedAt.Time)
	wait := time.Duration(0)
	for n := int32(2); n <= r.n; n++ {
		// A clock that was ahead of the engine's made the wait shorter than it should have been. It still counts.
		step := backOffBefore(n)
		if gap < step*3/4 || step == wait {
			break
		}
		wait = step
	}
	return doubled(wait)
}

func doubled(wait time.Duration) time.Duration {
	if wait == 0 {
		return backOffBase
	}
	return min(2*wait, backOffMax)
}

// mayStart tells whether a container can be started now. Where a back-off is in the way it is remembered.
func (p *pod) mayStart(c *container) bool {
	if c.created != nil || !c.ended() {
		return true
	}
	wait := c.backOffAfter()
	until := c.last.finishedAt.Add(wait)
	// A clock that is ahead of ours must not stretch the wait.
	if latest := p.in.Now.Add(wait); until.After(latest) {
		until = latest
	}
	if !p.in.Now.Before(until) {
		return true
	}
	c.blockedUntil = until
	p.wake(until)
	return false
}
