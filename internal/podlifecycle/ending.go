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
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// ending is why and how a pod ends.
type ending struct {
	// since is when it began to end; containers that run get until deadline, with their preStop hooks where preStop is set.
	since    time.Time
	deadline time.Time
	preStop  bool
	// phase, reason and message of the pod once nothing runs any more.
	phase           corev1.PodPhase
	reason, message string
	// stopReason is what Stop actions carry.
	stopReason string
	// unstarted is the reason, and unstartedMessage the message, of containers that never ran.
	unstarted, unstartedMessage string
	// forced is set where the pod did not come to its end by itself, and lost where its containers did not either.
	forced, lost bool
}

// newEnding is an ending that grants the grace period from since on.
func newEnding(since time.Time, grace time.Duration) *ending {
	return &ending{since: since, deadline: since.Add(grace), preStop: grace > 0}
}

// ending says whether the pod is to end. What came first decides how, but the shortest time that was granted holds.
func (p *pod) ending() *ending {
	if p.in.Sandbox.NodeLost {
		return p.lostEnding()
	}
	end := p.naturalEnding()
	if end == nil {
		end = p.sandboxEnding()
	}
	for _, forced := range []*ending{p.deadlineEnding(), p.stopEnding()} {
		switch {
		case forced == nil:
		case end == nil:
			end = forced
		case end.since.After(forced.since) || !end.forced && (len(p.apps) == 0 || p.stoppedBy(forced)):
			forced.limit(end)
			end = forced
		default:
			end.limit(forced)
		}
	}
	return end
}

// limit shortens what e grants to what other does.
func (e *ending) limit(other *ending) {
	if other.deadline.Before(e.deadline) {
		e.deadline = other.deadline
		e.preStop = e.preStop && other.preStop
	}
}

// stoppedBy tells whether an app container is known to have been asked to stop for that ending.
func (p *pod) stoppedBy(e *ending) bool {
	return slices.ContainsFunc(p.apps, func(c *container) bool { return c.stoppedBy(e) })
}

func (c *container) stoppedBy(e *ending) bool {
	return c.last != nil && c.last.seen != nil && c.last.seen.Stopping && c.last.seen.StopReason == e.stopReason
}

// naturalEnding is the end of a pod that came to it by itself: an init container has failed for good, or all app containers are done.
func (p *pod) naturalEnding() *ending {
	for _, c := range p.init {
		if !p.failedForGood(c) {
			continue
		}
		end := newEnding(p.known(c.last.finishedAt), p.grace(nil))
		end.phase, end.reason = corev1.PodFailed, c.last.end.Reason
		end.message = fmt.Sprintf("init container %q ended with exit code %d", c.spec.Name, c.last.end.ExitCode)
		end.stopReason = ReasonInitContainerFailed
		end.unstarted, end.unstartedMessage = ReasonInitContainerFailed, "not started: "+end.message
		return end
	}

	var since time.Time
	for _, c := range p.apps {
		if !c.ended() || c.created != nil || p.wantsRun(c) {
			return nil
		}
		if c.last.finishedAt.After(since) {
			since = c.last.finishedAt
		}
	}
	end := newEnding(p.known(since), p.grace(nil))
	end.phase, end.stopReason = corev1.PodSucceeded, StopPodCompleted
	end.unstarted, end.unstartedMessage = ReasonContainerStatusUnknown, "not started: the pod's containers were done"
	for _, c := range p.apps {
		if t := c.last.end; t.ExitCode != 0 {
			end.phase, end.reason = corev1.PodFailed, t.Reason
			end.message = fmt.Sprintf("container %q ended with exit code %d", c.spec.Name, t.ExitCode)
			break
		}
	}
	return end
}

// known is a time, or now where it is not known.
func (p *pod) known(t time.Time) time.Time {
	if t.IsZero() {
		return p.in.Now
	}
	return t
}

// deadlineEnding is the end of a pod that was active for longer than activeDeadlineSeconds, nil before that.
func (p *pod) deadlineEnding() *ending {
	seconds := p.in.Pod.Spec.ActiveDeadlineSeconds
	if seconds == nil {
		return nil
	}
	start := p.in.Recorded.StartTime
	if start.IsZero() {
		start = p.in.Now
	}
	at := start.Add(time.Duration(*seconds) * time.Second)
	if p.in.Now.Before(at) {
		p.wake(at)
		return nil
	}
	end := newEnding(at, p.grace(nil))
	end.force(ReasonDeadlineExceeded, "Pod was active on the node longer than the specified deadline")
	return end
}

// stopEnding is the end of a pod that is asked to end, nil where it is not.
func (p *pod) stopEnding() *ending {
	s := p.in.Stop
	if s == nil {
		return nil
	}
	grace := p.grace(nil)
	if s.GracePeriod != nil {
		grace = *s.GracePeriod
	}
	end := newEnding(s.Since, grace)
	end.force(s.Reason, s.Message)
	// A pod whose containers had all succeeded and were only waiting to be run again has not failed. One of which no containers are known
	// has not succeeded at anything.
	if len(p.apps) > 0 && !slices.ContainsFunc(p.apps, func(c *container) bool {
		return !c.ended() || c.last.end.ExitCode != 0 || c.last.finishedAt.After(s.Since) || c.created != nil
	}) && !p.stoppedBy(end) {
		end.phase, end.reason, end.message, end.forced = corev1.PodSucceeded, "", "", false
	}
	return end
}

// lostEnding is the end of a pod whose machine went away.
func (p *pod) lostEnding() *ending {
	message := p.in.Sandbox.Message
	if message == "" {
		message = "The machine that ran the pod went away"
	}
	end := newEnding(p.in.Now, 0)
	end.force(ReasonNodeLost, message)
	end.lost = true
	return end
}

// force makes it an end as Failed that the pod did not come to by itself.
func (e *ending) force(reason, message string) {
	e.forced = true
	e.phase, e.reason, e.message = corev1.PodFailed, reason, message
	e.stopReason = reason
	e.unstarted, e.unstartedMessage = reason, "not started: "+message
	if message == "" {
		e.unstartedMessage = "not started: the pod was stopped"
	}
}
