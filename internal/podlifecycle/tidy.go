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

// tidy stops and removes what should not be there.
func (p *pod) tidy() {
	p.stopStrays(false)
	p.removeOld()
}

// stopStrays stops running instances that are not the latest run of their container or were recorded as ended; all that run, if all is
// set. They can't come from these rules, but from an engine's user, or from a ledger that was restored.
func (p *pod) stopStrays(all bool) {
	for _, c := range p.all {
		for i := range c.seen {
			s := &c.seen[i]
			if s.State != InstanceRunning || !s.begun() || !all && c.running() && s.N == c.last.n {
				continue
			}
			grace := p.grace(nil)
			p.stop(c, s.N, p.in.Now.Add(grace), grace > 0, StopSuperseded)
		}
	}
}

// removeOld removes what neither the container's current logs nor its previous ones need: runs before the last two, which are on record
// by the runs that followed, and instances that were made and passed over.
func (p *pod) removeOld() {
	for _, c := range p.all {
		if c.last == nil {
			continue
		}
		for i := range c.seen {
			s := &c.seen[i]
			old := s.begun() && s.State != InstanceRunning && s.N < c.last.n-1
			passed := !s.begun() && (s.N <= c.last.n || c.created != nil && s.N < c.created.N)
			if (old || passed) && c.recorded != nil && c.recorded.RestartCount > s.N {
				p.do(Action{Kind: ActionRemove, Container: c.spec.Name, N: s.N})
			}
		}
	}
}
