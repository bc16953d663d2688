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

import corev1 "k8s.io/api/core/v1"

// isSource tells whether a container's end, seen in this sandbox, asks for all containers of the pod to be run anew (KEP-5532).
func (c *container) isSource() bool {
	return c.spec.RestartPolicy != nil && c.ended() && c.last.seen != nil &&
		matchingRule(c.spec, c.last.end.ExitCode) == corev1.ContainerRestartRuleActionRestartAllContainers
}

// restartingAll tells whether the pod is being run anew. It lasts until the container that asked for it is removed, which is why that one
// goes last.
func (p *pod) restartingAll() bool {
	if p.in.Sandbox.State != SandboxReady {
		return false
	}
	for _, c := range p.all {
		if c.isSource() {
			return true
		}
	}
	return false
}

// markedForRestart tells whether the record says that the container is to run again because all containers are. It holds although
// nothing is left of its runs, and whatever its own policy says.
func (c *container) markedForRestart() bool {
	s := c.recorded
	return s != nil && c.last != nil && s.RestartCount == c.last.n && s.State.Waiting != nil && s.State.Waiting.Reason == ReasonRestartingAllContainers
}

// restartAll stops all containers, has their ends recorded, and removes them, so that the pod begins from its first init container.
func (p *pod) restartAll() {
	for _, c := range p.all {
		if c.isSource() && p.anyRunning() {
			end := newEnding(p.known(c.last.finishedAt), p.grace(nil))
			end.stopReason = ReasonRestartingAllContainers
			p.stopAll(end)
			return
		}
	}
	for _, c := range p.all {
		if c.ended() && !c.markedForRestart() {
			p.wake(p.in.Now)
			return
		}
	}
	for _, sources := range []bool{false, true} {
		found := false
		for _, c := range p.all {
			if c.isSource() != sources {
				continue
			}
			for i := range c.seen {
				p.do(Action{Kind: ActionRemove, Container: c.spec.Name, N: c.seen[i].N})
				found = true
			}
		}
		if found {
			return
		}
	}
}
