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

import (
	corev1 "k8s.io/api/core/v1"
)

// finish is the decision for a pod that has come to its end: nothing of it runs, and every container is terminated.
func (p *pod) finish(end *ending) Decision {
	d := Decision{Phase: end.phase, Reason: end.reason, Message: end.message}
	for _, c := range p.init {
		d.InitContainers = append(d.InitContainers, p.finalStatus(c, end))
	}
	for _, c := range p.apps {
		d.Containers = append(d.Containers, p.finalStatus(c, end))
	}
	d.Conditions = conditions(&p.in.Pod.Spec, d.Phase, d.InitContainers, d.Containers)
	return d
}

// finalStatus is a container's status in a pod that has ended. One that never ran is terminated too, with a code that is not 0, since
// whoever reads the pod takes it for ended only when all its containers are, and for failed only by their codes.
func (p *pod) finalStatus(c *container, end *ending) corev1.ContainerStatus {
	s := p.bareStatus(c)
	switch {
	case end.lost && !(c.ended() && c.recorded != nil && c.recorded.State.Terminated != nil):
		s.State.Terminated = p.lostState(c, end)
		s.LastTerminationState.Terminated = c.before
		if c.ended() && c.last.recorded {
			s.LastTerminationState.Terminated = c.last.end
		}
	case p.passed(c):
		s.State.Terminated, s.Ready = passedState(), true
	case c.last == nil:
		s.State.Terminated = &corev1.ContainerStateTerminated{
			ExitCode: exitUnknown, Reason: end.unstarted, Message: end.unstartedMessage, FinishedAt: seconds(end.since),
		}
	default:
		s.State.Terminated = endOf(c, end)
		s.LastTerminationState.Terminated = c.before
		s.Ready = c.role == roleInit && c.last.end.ExitCode == 0
	}
	return s
}

// lostState is the end of a container whose machine went away. What the engine says of its exit is the machine's doing, not its own.
func (p *pod) lostState(c *container, end *ending) *corev1.ContainerStateTerminated {
	t := &corev1.ContainerStateTerminated{ExitCode: exitUnknown, Reason: end.reason, Message: end.message, FinishedAt: seconds(p.in.Now)}
	if c.last == nil {
		return t
	}
	t.ContainerID = c.last.id
	if !c.last.recorded {
		t.StartedAt = seconds(c.last.startedAt)
		if !c.last.finishedAt.IsZero() {
			t.FinishedAt = seconds(c.last.finishedAt)
		}
	}
	return t
}
