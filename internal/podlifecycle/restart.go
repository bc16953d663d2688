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
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// restarts tells whether a container that ended with the code is to run again: by the first of its own rules that matches, else by its
// own policy, else by the pod's (KEP-5307).
func restarts(c *corev1.Container, pod corev1.RestartPolicy, code int32) bool {
	if c.RestartPolicy != nil {
		switch matchingRule(c, code) {
		case corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleActionRestartAllContainers:
			return true
		}
	}
	switch policy(c, pod) {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return code != 0
	default:
		return true
	}
}

// policy is the restart policy of a container, the pod's where it has none of its own.
func policy(c *corev1.Container, pod corev1.RestartPolicy) corev1.RestartPolicy {
	if c.RestartPolicy != nil {
		return corev1.RestartPolicy(*c.RestartPolicy)
	}
	return pod
}

// matchingRule is the action of the first rule that the exit code matches, empty for none.
func matchingRule(c *corev1.Container, code int32) corev1.ContainerRestartRuleAction {
	for _, rule := range c.RestartPolicyRules {
		if rule.ExitCodes == nil {
			continue
		}
		in := slices.Contains(rule.ExitCodes.Values, code)
		switch rule.ExitCodes.Operator {
		case corev1.ContainerRestartRuleOnExitCodesOpIn:
			if in {
				return rule.Action
			}
		case corev1.ContainerRestartRuleOnExitCodesOpNotIn:
			if !in {
				return rule.Action
			}
		}
	}
	return ""
}

// wantsRun tells whether a container that does not run is to, as far as that is its own affair.
func (p *pod) wantsRun(c *container) bool {
	if !c.ended() {
		return !c.running()
	}
	if c.markedForRestart() {
		return true
	}
	pod := p.in.Pod.Spec.RestartPolicy
	// A container that was stopped by a probe or a hook is to run again though it may have ended with 0 when it was asked to.
	if s := c.last.seen; s != nil && IsFailing(s.StopReason) && policy(c.spec, pod) != corev1.RestartPolicyNever {
		return true
	}
	return restarts(c.spec, pod, c.last.end.ExitCode)
}

// failedForGood tells whether an init container has failed and will not be tried again.
func (p *pod) failedForGood(c *container) bool {
	return c.role == roleInit && c.ended() && c.last.end.ExitCode != 0 && !p.wantsRun(c)
}

// willRun tells whether an ended container is to run again while the pod goes on.
func (p *pod) willRun(c *container) bool {
	switch c.role {
	case roleSidecar:
		return true
	case roleInit:
		return c.again || c.last.end.ExitCode != 0
	default:
		return p.wantsRun(c)
	}
}
