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

// started is the status field: the container runs, its postStart hook is done, and its startup probe, if it has one, has succeeded.
// Until then liveness and readiness do not count.
func (c *container) started() bool {
	if !c.running() || !c.hookDone() {
		return false
	}
	return c.spec.StartupProbe == nil || c.last.seen.Probes.Startup == Success
}

// ready is the status field: an init container is ready when it has succeeded, any other when it has started and its readiness probe, if it
// has one, succeeds.
func (c *container) ready() bool {
	if c.role == roleInit {
		return c.ended() && c.last.end.ExitCode == 0
	}
	return c.started() && (c.spec.ReadinessProbe == nil || c.last.seen.Probes.Readiness == Success)
}

// hookDone tells whether a running container has no postStart hook, or one that is done.
func (c *container) hookDone() bool {
	return c.spec.Lifecycle == nil || c.spec.Lifecycle.PostStart == nil || c.last.seen.PostStart == HookDone
}

// tend looks after a running container: its postStart hook, and the probes that tell that it has to be started anew.
func (p *pod) tend(c *container) {
	if !c.hookDone() && c.last.seen.PostStart == HookNone {
		p.do(Action{Kind: ActionPostStart, Container: c.spec.Name, N: c.last.n})
	}
	if reason, probe := c.failing(); reason != "" {
		grace := p.grace(probe)
		p.stop(c, c.last.n, p.in.Now.Add(grace), grace > 0, reason)
	}
}

// failing tells why a running container has to be stopped, and by which probe. What was begun is not given up when the probe changes its mind.
func (c *container) failing() (reason string, probe *corev1.Probe) {
	s := c.last.seen
	switch {
	case !c.hookDone() && s.PostStart == HookFailed, s.StopReason == StopPostStartHook:
		return StopPostStartHook, nil
	case s.StopReason == StopStartupProbe:
		return StopStartupProbe, c.spec.StartupProbe
	case s.StopReason == StopLivenessProbe:
		return StopLivenessProbe, c.spec.LivenessProbe
	case !c.hookDone():
		return "", nil
	case c.spec.StartupProbe != nil && s.Probes.Startup == Failure:
		return StopStartupProbe, c.spec.StartupProbe
	case c.started() && c.spec.LivenessProbe != nil && s.Probes.Liveness == Failure:
		return StopLivenessProbe, c.spec.LivenessProbe
	}
	return "", nil
}

// IsFailing tells whether a Stop was asked for because the container, not the pod, had to end.
func IsFailing(reason string) bool {
	return reason == StopStartupProbe || reason == StopLivenessProbe || reason == StopPostStartHook
}

// grace is how long a container has to end: as the probe says that stops it, else as the pod says (KEP-2238).
func (p *pod) grace(probe *corev1.Probe) time.Duration {
	if probe != nil && probe.TerminationGracePeriodSeconds != nil {
		return time.Duration(*probe.TerminationGracePeriodSeconds) * time.Second
	}
	if s := p.in.Pod.Spec.TerminationGracePeriodSeconds; s != nil {
		return time.Duration(*s) * time.Second
	}
	return corev1.DefaultTerminationGracePeriodSeconds * time.Second
}
