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

// advance brings a pod that goes on, in a sandbox that is ready, as far as it can get now.
func (p *pod) advance() {
	if !p.initialize() {
		return
	}
	for _, c := range p.apps {
		p.keep(c)
	}
}

// frontier is the index of the furthest init container that has begun in this sandbox, -1 for none, and the number of init containers when
// an app container has: then all of them are done, even if nothing is left of them.
func (p *pod) frontier() int {
	for _, c := range p.apps {
		if c.present() {
			return len(p.init)
		}
	}
	for i := len(p.init) - 1; i >= 0; i-- {
		if p.init[i].present() {
			return i
		}
	}
	return -1
}

// initialize takes the init containers in order and tells whether app containers may start. A regular one must have ended with 0, a sidecar
// must have started, before the next begins; sidecars that were passed are kept running.
func (p *pod) initialize() bool {
	frontier := p.frontier()
	for i, c := range p.init {
		switch {
		case c.role == roleSidecar && i < frontier:
			p.keep(c)
		case c.role == roleSidecar:
			p.keep(c)
			if !c.started() {
				return false
			}
		case i < frontier:
		case i == frontier && c.running():
			p.tend(c)
			return false
		case i == frontier && c.created == nil && c.last.end.ExitCode == 0:
		default:
			p.start(c)
			return false
		}
	}
	return true
}

// keep has a container run: it looks after one that does, and starts one that should.
func (p *pod) keep(c *container) {
	switch {
	case c.running():
		p.tend(c)
	case c.created != nil || p.wantsRun(c):
		p.start(c)
	}
}

// start asks for the next run of a container, unless a back-off or an older run that still goes on is in its way.
func (p *pod) start(c *container) {
	if c.anyRunning() || !p.mayStart(c) {
		return
	}
	p.do(Action{Kind: ActionStart, Container: c.spec.Name, N: c.nextN()})
}
