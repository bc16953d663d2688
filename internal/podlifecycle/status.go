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
	"cmp"
	"fmt"

	corev1 "k8s.io/api/core/v1"
)

// status is a container's status while the pod goes on, or ends.
func (p *pod) status(c *container, end *ending) corev1.ContainerStatus {
	s := p.bareStatus(c)
	switch {
	case c.running():
		s.State.Running = &corev1.ContainerStateRunning{StartedAt: seconds(c.last.startedAt)}
		s.LastTerminationState.Terminated = c.before
		s.Started, s.Ready = new(c.started()), c.ready()
	case p.passed(c):
		s.State.Terminated, s.Ready = passedState(), true
	case c.last == nil:
		s.State.Waiting = p.waitingState(c)
	case end == nil && (p.restartingAll() || p.willRun(c)):
		s.State.Waiting = p.waitingState(c)
		s.LastTerminationState.Terminated = c.last.end
	default:
		s.State.Terminated = endOf(c, end)
		s.LastTerminationState.Terminated = c.before
		s.Ready = c.ready()
	}
	return s
}

// bareStatus is what a container's status says in whatever state. restartCount counts the runs that began after the first: an instance
// that is only made does not count, so that a status that waits always speaks of the run that ended last.
func (p *pod) bareStatus(c *container) corev1.ContainerStatus {
	s := corev1.ContainerStatus{Name: c.spec.Name, Image: c.spec.Image, Started: new(false)}
	if c.last != nil {
		s.RestartCount = c.last.n
		s.ContainerID, s.ImageID = c.last.id, c.last.imageID
	}
	if c.recorded != nil {
		s.ImageID = cmp.Or(s.ImageID, c.recorded.ImageID)
	}
	return s
}

// endOf is how a container's last run ended. Those that a forced end of the pod cut off say so, where they say nothing themselves.
func endOf(c *container, end *ending) *corev1.ContainerStateTerminated {
	t := c.last.end.DeepCopy()
	if end != nil && end.forced && !c.last.recorded && t.Message == "" && (c.stoppedBy(end) || c.last.finishedAt.After(end.since)) {
		t.Message = end.message
	}
	return t
}

// waitingState is why a container does not run though it will.
func (p *pod) waitingState(c *container) *corev1.ContainerStateWaiting {
	switch {
	case p.restartingAll() && c.ended() || c.markedForRestart():
		// This reason is also the memory that the container is to run again: nothing may take its place.
		w := &corev1.ContainerStateWaiting{Reason: ReasonRestartingAllContainers, Message: "All containers of the pod are run anew"}
		if c.waiting != nil {
			w.Message = c.waiting.Reason + ": " + c.waiting.Message
		}
		return w
	case c.waiting != nil && c.blockedUntil.IsZero():
		return &corev1.ContainerStateWaiting{Reason: c.waiting.Reason, Message: c.waiting.Message}
	case c.last == nil:
		return &corev1.ContainerStateWaiting{Reason: p.initialReason()}
	case c.again && c.blockedUntil.IsZero():
		return &corev1.ContainerStateWaiting{Reason: ReasonPodInitializing}
	case c.backOffAfter() > 0:
		// It stays until the container runs, though the back-off may be over: there is nothing better to say, and each change is a write.
		pod := p.in.Pod
		return &corev1.ContainerStateWaiting{
			Reason: ReasonCrashLoopBackOff,
			Message: fmt.Sprintf("back-off %s restarting failed container=%s pod=%s_%s(%s)",
				c.backOffAfter(), c.spec.Name, pod.Name, pod.Namespace, pod.UID),
		}
	case c.last.end.Reason == ReasonStartError:
		return &corev1.ContainerStateWaiting{Reason: ReasonRunContainerError, Message: c.last.end.Message}
	case c.last.seen != nil && c.last.seen.StopReason == StopPostStartHook:
		return &corev1.ContainerStateWaiting{Reason: ReasonPostStartHookError, Message: c.last.seen.PostStartMessage}
	default:
		return &corev1.ContainerStateWaiting{Reason: ReasonContainerCreating}
	}
}

// initialReason is why a container that has never run does not: the kubelet says PodInitializing for all of them where there are init
// containers.
func (p *pod) initialReason() string {
	if len(p.init) > 0 {
		return ReasonPodInitializing
	}
	return ReasonContainerCreating
}
