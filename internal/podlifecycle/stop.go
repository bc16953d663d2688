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

// minimumGrace is what a container gets at least between its stop signal and SIGKILL, as on a kubelet.
const minimumGrace = 2 * time.Second

// stopAll stops what runs: app containers and regular init containers at once, sidecars in their turn.
func (p *pod) stopAll(e *ending) {
	waiting := false
	for _, c := range p.all {
		if c.role == roleSidecar || !c.running() {
			continue
		}
		p.stop(c, c.last.n, e.deadline, e.preStop, e.stopReason)
		waiting = waiting || c.role == roleApp
	}
	p.stopSidecars(e, waiting)
	if p.anyRunning() && p.in.Now.Before(e.deadline) {
		p.wake(e.deadline)
	}
}

// stop asks for the end of a container's run. One that hears of it late, since nobody was there to tell it, still gets the least of grace
// periods. Asking again extends nothing: of all deadlines the earliest holds.
func (p *pod) stop(c *container, n int32, deadline time.Time, preStop bool, reason string) {
	if least := p.in.Now.Add(minimumGrace); deadline.Before(least) {
		deadline = least
	}
	p.do(Action{
		Kind:       ActionStop,
		Container:  c.spec.Name,
		N:          n,
		RunPreStop: preStop && hasPreStop(c),
		Deadline:   deadline,
		Reason:     reason,
	})
}

func hasPreStop(c *container) bool {
	return c.spec.Lifecycle != nil && c.spec.Lifecycle.PreStop != nil
}
