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

// replaceSandbox has a pod whose sandbox is not there made again: what runs in the old one has lost its network and is stopped, and once
// nothing runs and every end is on record, there is a new one. A pod that does not need one any more has ended before it comes here.
func (p *pod) replaceSandbox() {
	if p.anyRunning() {
		end := newEnding(p.in.Now, p.grace(nil))
		end.stopReason = ReasonSandboxChanged
		p.stopAll(end)
		return
	}
	if !p.allRecorded() {
		p.wake(p.in.Now)
		return
	}
	p.do(Action{Kind: ActionNewSandbox})
}

// sandboxEnding is the end of a pod that is never to run anything twice, and that has lost its sandbox after some of it had run: in another
// one its init containers would have to run again. As on a kubelet it gets none. What runs still is stopped first, with its grace.
func (p *pod) sandboxEnding() *ending {
	s := p.in.Sandbox
	if s.State != SandboxDead || p.in.Pod.Spec.RestartPolicy != corev1.RestartPolicyNever || p.anyRunning() {
		return nil
	}
	for _, c := range p.all {
		if c.role != roleSidecar && c.ended() {
			end := newEnding(p.known(s.EndedAt), 0)
			end.force(ReasonSandboxChanged, "The pod's sandbox ended before the pod had, and what has run is not run again"+because(s.Message))
			return end
		}
	}
	return nil
}

// allRecorded tells whether every end that can be seen is on record.
func (p *pod) allRecorded() bool {
	for _, c := range p.all {
		if c.ended() && !c.last.recorded {
			return false
		}
	}
	return true
}
