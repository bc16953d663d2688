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
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Decide says what a pod's status is and what is to be done next. It has no memory and no effect: the same input gives the same decision.
func Decide(in Input) Decision {
	p := newPod(in)
	if in.Recorded.Finished {
		return p.finished()
	}
	end := p.ending()
	switch {
	case end != nil && !p.anyRunning():
		return p.finish(end)
	case end != nil:
		p.stopAll(end)
	case p.restartingAll():
		p.restartAll()
	case in.Sandbox.State != SandboxReady:
		p.replaceSandbox()
	default:
		p.advance()
	}
	p.tidy()
	return p.report(end)
}

// finished repeats the end that was recorded. Nothing of an ended pod may run, so what still does is stopped.
func (p *pod) finished() Decision {
	r := p.in.Recorded
	p.stopStrays(true)
	p.removeOld()
	return Decision{
		Phase:          r.Phase,
		Reason:         r.Reason,
		Message:        r.Message,
		InitContainers: r.InitContainers,
		Containers:     r.Containers,
		Conditions:     conditions(&p.in.Pod.Spec, r.Phase, r.InitContainers, r.Containers),
		Actions:        p.actions,
	}
}

// report is the decision for a pod that has not ended.
func (p *pod) report(end *ending) Decision {
	d := Decision{Phase: p.phase(), Actions: p.actions, WakeAt: p.wakeAt}
	for _, c := range p.init {
		d.InitContainers = append(d.InitContainers, p.status(c, end))
	}
	for _, c := range p.apps {
		d.Containers = append(d.Containers, p.status(c, end))
	}
	d.Reason, d.Message = trouble(d.InitContainers, d.Containers)
	d.Conditions = conditions(&p.in.Pod.Spec, d.Phase, d.InitContainers, d.Containers)
	return d
}

// trouble is the first of the reasons for which containers wait that a person may have to act on.
func trouble(lists ...[]corev1.ContainerStatus) (reason, message string) {
	for _, list := range lists {
		for i := range list {
			w := list[i].State.Waiting
			if w == nil {
				continue
			}
			switch w.Reason {
			case ReasonContainerCreating, ReasonPodInitializing, ReasonRestartingAllContainers:
				continue
			}
			return w.Reason, w.Message
		}
	}
	return "", ""
}

// do adds an action.
func (p *pod) do(a Action) {
	p.actions = append(p.actions, a)
}

// wake asks for another decision at t, unless an earlier one is asked for.
func (p *pod) wake(t time.Time) {
	if p.wakeAt.IsZero() || t.Before(p.wakeAt) {
		p.wakeAt = t
	}
}
