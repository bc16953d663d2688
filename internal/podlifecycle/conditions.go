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
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// conditions are the pod's, as the kubelet generates them from the statuses of its containers.
func conditions(spec *corev1.PodSpec, phase corev1.PodPhase, inits, apps []corev1.ContainerStatus) []corev1.PodCondition {
	containersReady := containersReadyCondition(spec, phase, inits, apps)
	ready := containersReady
	ready.Type = corev1.PodReady
	if ready.Status == corev1.ConditionTrue && len(spec.ReadinessGates) > 0 {
		// Nobody here can set the conditions that gates name.
		ready.Status, ready.Reason = corev1.ConditionFalse, "ReadinessGatesNotReady"
		ready.Message = fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", spec.ReadinessGates[0].ConditionType)
	}
	return []corev1.PodCondition{initializedCondition(spec, phase, inits, apps), containersReady, ready}
}

func initializedCondition(spec *corev1.PodSpec, phase corev1.PodPhase, inits, apps []corev1.ContainerStatus) corev1.PodCondition {
	yes := corev1.PodCondition{Type: corev1.PodInitialized, Status: corev1.ConditionTrue}
	if phase == corev1.PodSucceeded {
		yes.Reason = "PodCompleted"
		return yes
	}
	// App containers have begun, so sidecars that are started anew do not undo it. A code without a container is that of one that never ran.
	if slices.ContainsFunc(apps, func(s corev1.ContainerStatus) bool {
		return s.State.Running != nil || s.State.Terminated != nil && s.ContainerID != ""
	}) {
		return yes
	}
	var incomplete []string
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		s := statusOf(inits, c.Name)
		if s == nil || isSidecar(c) && (s.Started == nil || !*s.Started) || !isSidecar(c) && !s.Ready {
			incomplete = append(incomplete, c.Name)
		}
	}
	if len(incomplete) == 0 {
		return yes
	}
	return corev1.PodCondition{
		Type: corev1.PodInitialized, Status: corev1.ConditionFalse, Reason: "ContainersNotInitialized",
		Message: fmt.Sprintf("containers with incomplete status: [%s]", strings.Join(incomplete, " ")),
	}
}

func containersReadyCondition(spec *corev1.PodSpec, phase corev1.PodPhase, inits, apps []corev1.ContainerStatus) corev1.PodCondition {
	no := corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionFalse}
	switch phase {
	case corev1.PodSucceeded:
		no.Reason = "PodCompleted"
		return no
	case corev1.PodFailed:
		no.Reason = "PodFailed"
		return no
	}
	var unready []string
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		if s := statusOf(inits, c.Name); isSidecar(c) && (s == nil || !s.Ready) {
			unready = append(unready, c.Name)
		}
	}
	for i := range spec.Containers {
		if s := statusOf(apps, spec.Containers[i].Name); s == nil || !s.Ready {
			unready = append(unready, spec.Containers[i].Name)
		}
	}
	if len(unready) == 0 {
		return corev1.PodCondition{Type: corev1.ContainersReady, Status: corev1.ConditionTrue}
	}
	no.Reason = "ContainersNotReady"
	no.Message = fmt.Sprintf("containers with unready status: [%s]", strings.Join(unready, " "))
	return no
}

func statusOf(list []corev1.ContainerStatus, name string) *corev1.ContainerStatus {
	if i := slices.IndexFunc(list, func(s corev1.ContainerStatus) bool { return s.Name == name }); i >= 0 {
		return &list[i]
	}
	return nil
}
