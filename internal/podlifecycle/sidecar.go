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

import "slices"

// stopSidecars stops the restartable init containers: each once the app containers and the sidecars after it have ended, or at the
// deadline (KEP-753). Their preStop hooks all begin at once; who had to wait until the deadline still gets the least of grace periods.
func (p *pod) stopSidecars(e *ending, waiting bool) {
	for _, c := range slices.Backward(p.init) {
		if c.role != roleSidecar || !c.running() {
			continue
		}
		expired := !p.in.Now.Before(e.deadline)
		switch {
		case !waiting || expired:
			p.stop(c, c.last.n, e.deadline, e.preStop && !expired, e.stopReason)
		case e.preStop && hasPreStop(c):
			p.do(Action{Kind: ActionPreStop, Container: c.spec.Name, N: c.last.n, Deadline: e.deadline})
		}
		waiting = true
	}
}
