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

// phase is that of a pod that has not ended: Running once every app container has run and no init container is still to get there,
// else Pending. It follows the kubelet's getPhase; a container that waits for its next run counts as stopped there.
func (p *pod) phase() corev1.PodPhase {
	initialized := false
	for _, c := range p.apps {
		initialized = initialized || c.present()
	}
	for _, c := range p.init {
		switch {
		case c.role == roleInit && !c.ended():
			if !p.passed(c) {
				return corev1.PodPending
			}
		case c.role == roleSidecar && (c.last == nil || c.running() && !c.started()):
			if !initialized {
				return corev1.PodPending
			}
		}
	}
	for _, c := range p.apps {
		if c.last == nil {
			return corev1.PodPending
		}
	}
	return corev1.PodRunning
}

// passed tells whether a regular init container of which nothing is known must have ended with 0, since later ones have begun.
func (p *pod) passed(c *container) bool {
	if c.role != roleInit || c.last != nil || c.created != nil || p.in.Sandbox.State != SandboxReady {
		return false
	}
	return p.frontier() > slices.Index(p.init, c)
}

// passedState is the state of such a container, as the kubelet gives it.
func passedState() *corev1.ContainerStateTerminated {
	return &corev1.ContainerStateTerminated{
		Reason:  ReasonCompleted,
		Message: "Unable to get init container status from container runtime and pod has been initialized, treat it as exited normally",
	}
}
