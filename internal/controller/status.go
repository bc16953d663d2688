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
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// recordedOf is what the ledger holds of a job, as the rules look at it.
func recordedOf(job *v1alpha1.RemoteJob) podlifecycle.Recorded {
	status := &job.Status
	recorded := podlifecycle.Recorded{
		InitContainers: status.InitContainerStatuses,
		Containers:     status.ContainerStatuses,
	}
	if status.StartTime != nil {
		recorded.StartTime = status.StartTime.Time
	}
	if job.Finished() {
		recorded.Finished = true
		recorded.Reason, recorded.Message = status.Reason, status.Message
		recorded.Phase = corev1.PodFailed
		if status.Phase == v1alpha1.PhaseSucceeded {
			recorded.Phase = corev1.PodSucceeded
		}
	}
	return recorded
}

// applyDecision writes a decision into a job's status. An end that is recorded is final and stays as it is.
func applyDecision(job *v1alpha1.RemoteJob, d *podlifecycle.Decision, now time.Time) {
	if job.Finished() {
		return
	}
	status := &job.Status
	status.InitContainerStatuses = d.InitContainers
	status.ContainerStatuses = d.Containers
	status.Phase = phaseOf(d)
	status.Reason, status.Message = explain(d)
	status.Message = cut(status.Message, maxMessage)
	status.ObservedGeneration = job.Generation
	summarize(job)

	ready, why := false, podlifecycle.Waiting{Reason: reasonContainersUnready}
	for _, c := range d.Conditions {
		if c.Type == corev1.PodReady {
			ready, why = c.Status == corev1.ConditionTrue, podlifecycle.Waiting{Reason: c.Reason, Message: c.Message}
		}
	}
	fallback := reasonContainersUnready
	if ready {
		fallback = reasonContainersReady
	}
	setCondition(&status.Conditions, job.Generation, now, v1alpha1.ConditionReady, ready, why.Reason, fallback, why.Message)
	if job.Finished() {
		finish(job, completedAt(status, now), now)
	}
}

// finish sets what goes with the end of a job.
func finish(job *v1alpha1.RemoteJob, completed, now time.Time) {
	status := &job.Status
	at := metav1.NewTime(completed.Truncate(time.Second))
	status.CompletionTime = &at
	setCondition(&status.Conditions, job.Generation, now, v1alpha1.ConditionFinished, true, status.Reason, string(status.Phase), status.Message)
}

// completedAt is when the last container ended, or now where none says.
func completedAt(status *v1alpha1.RemoteJobStatus, now time.Time) time.Time {
	var last time.Time
	for _, list := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses} {
		for i := range list {
			if end := list[i].State.Terminated; end != nil && end.FinishedAt.After(last) {
				last = end.FinishedAt.Time
			}
		}
	}
	if last.IsZero() || last.After(now) {
		return now
	}
	return last
}

// phaseOf is a job's phase: a pod that is Pending to the kubelet counts as Running here as soon as one of its containers has started.
func phaseOf(d *podlifecycle.Decision) v1alpha1.RemoteJobPhase {
	switch d.Phase {
	case corev1.PodSucceeded:
		return v1alpha1.PhaseSucceeded
	case corev1.PodFailed:
		return v1alpha1.PhaseFailed
	case corev1.PodRunning:
		return v1alpha1.PhaseRunning
	}
	for _, list := range [][]corev1.ContainerStatus{d.InitContainers, d.Containers} {
		for i := range list {
			s := &list[i]
			if s.State.Running != nil || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil || s.RestartCount > 0 {
				return v1alpha1.PhaseRunning
			}
		}
	}
	return v1alpha1.PhaseQueued
}

// explain is one word, and a sentence, for why a job is where it is: the decision's own, else those of the container that holds it up
// or made it fail.
func explain(d *podlifecycle.Decision) (reason, message string) {
	if d.Reason != "" {
		return d.Reason, d.Message
	}
	switch d.Phase {
	case corev1.PodSucceeded:
		return podlifecycle.ReasonCompleted, d.Message
	case corev1.PodFailed:
		return explainFailure(d)
	}
	return explainWaiting(d)
}

func explainFailure(d *podlifecycle.Decision) (reason, message string) {
	for _, list := range [][]corev1.ContainerStatus{d.InitContainers, d.Containers} {
		for i := range list {
			end := list[i].State.Terminated
			if end == nil || end.ExitCode == 0 {
				continue
			}
			reason, message = end.Reason, d.Message
			if reason == "" {
				reason = podlifecycle.ReasonError
			}
			if message == "" {
				message = fmt.Sprintf("container %s ended with exit code %d", list[i].Name, end.ExitCode)
				if end.Message != "" {
					message += ": " + end.Message
				}
			}
			return reason, message
		}
	}
	return podlifecycle.ReasonError, d.Message
}

// explainWaiting names the container that waits for the least usual reason.
func explainWaiting(d *podlifecycle.Decision) (reason, message string) {
	for _, list := range [][]corev1.ContainerStatus{d.InitContainers, d.Containers} {
		for i := range list {
			waiting := list[i].State.Waiting
			if waiting == nil || waiting.Reason == "" {
				continue
			}
			switch waiting.Reason {
			case podlifecycle.ReasonContainerCreating, podlifecycle.ReasonPodInitializing:
				if reason == "" {
					reason = waiting.Reason
				}
			default:
				message = "container " + list[i].Name
				if waiting.Message != "" {
					message += ": " + waiting.Message
				}
				return waiting.Reason, message
			}
		}
	}
	return reason, d.Message
}

// summarize fills in the columns that are counted from the containers.
func summarize(job *v1alpha1.RemoteJob) {
	restartable := map[string]bool{}
	for i := range job.Spec.Template.Spec.InitContainers {
		c := &job.Spec.Template.Spec.InitContainers[i]
		restartable[c.Name] = c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
	}
	var ready, total int
	var restarts int32
	count := func(s *corev1.ContainerStatus, counts bool) {
		restarts += s.RestartCount
		if !counts {
			return
		}
		total++
		if s.Ready {
			ready++
		}
	}
	for i := range job.Status.InitContainerStatuses {
		s := &job.Status.InitContainerStatuses[i]
		count(s, restartable[s.Name])
	}
	for i := range job.Status.ContainerStatuses {
		count(&job.Status.ContainerStatuses[i], true)
	}
	job.Status.Ready = fmt.Sprintf("%d/%d", ready, total)
	job.Status.Restarts = restarts
}
