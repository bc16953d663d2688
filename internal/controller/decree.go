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

package controller

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// Exit codes of containers whose own is not known. interLink reads failure from the code alone, so none of them is 0.
const (
	// exitNeverRan is the code that runtimes use for a container that could not be started.
	exitNeverRan = 128
	// exitUnknown is the code that the kubelet uses for a container that nothing is known of any more.
	exitUnknown = 137
)

// fail ends a job without its backend's word: it was refused, or it is lost. Every container that has not ended is reported as
// terminated, since a pod counts as ended only when all of them are; those that had ended keep what is known of them.
func fail(job *v1alpha1.RemoteJob, reason, message string, exitCode int32, now time.Time) {
	message = cut(message, maxMessage)
	status := &job.Status
	spec := &job.Spec.Template.Spec
	status.InitContainerStatuses = endAll(spec.InitContainers, status.InitContainerStatuses, reason, message, exitCode, now)
	status.ContainerStatuses = endAll(spec.Containers, status.ContainerStatuses, reason, message, exitCode, now)
	status.Phase, status.Reason, status.Message = v1alpha1.PhaseFailed, reason, message
	status.ObservedGeneration = job.Generation
	summarize(job)
	setCondition(&status.Conditions, job.Generation, now, v1alpha1.ConditionReady, false, "PodFailed", reasonContainersUnready, "")
	finish(job, now, now)
}

func endAll(containers []corev1.Container, known []corev1.ContainerStatus, reason, message string, exitCode int32, now time.Time) []corev1.ContainerStatus {
	byName := make(map[string]*corev1.ContainerStatus, len(known))
	for i := range known {
		byName[known[i].Name] = &known[i]
	}
	var out []corev1.ContainerStatus
	for i := range containers {
		status := corev1.ContainerStatus{Name: containers[i].Name, Image: containers[i].Image}
		if k := byName[containers[i].Name]; k != nil {
			status = *k.DeepCopy()
		}
		status.Ready, status.Started = false, nil
		if status.State.Terminated == nil {
			end := &corev1.ContainerStateTerminated{
				ExitCode: exitCode, Reason: reason, Message: message, FinishedAt: metav1.NewTime(now.Truncate(time.Second)),
				ContainerID: status.ContainerID,
			}
			if running := status.State.Running; running != nil {
				end.StartedAt = running.StartedAt
			}
			status.State = corev1.ContainerState{Terminated: end}
		}
		out = append(out, status)
	}
	return out
}
