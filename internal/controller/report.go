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
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// follow writes down what the last observation says of a job whose pod is driven where it runs.
func (r *jobReconciler) follow(v *visit, live backend.Live) {
	if seen, there, _ := r.seen(live.Name, v.token); there {
		applyReport(v.job, &seen, r.clock.Now())
	}
}

// applyReport writes what a backend reports of a job into its status. A report that is older than what is recorded changes nothing: what
// was read on the far side may come from a cache there. An end is no such thing: whatever number its attempt has, none comes after it.
func applyReport(job *v1alpha1.RemoteJob, seen *backend.ObservedJob, now time.Time) {
	status := &job.Status
	if job.Finished() || !seen.Ends() && (seen.Requeues < status.Requeues || seen.Requeues == status.Requeues && older(status, seen)) {
		return
	}
	if seen.JobID != "" {
		status.JobID = seen.JobID
	}
	status.Requeues = max(status.Requeues, seen.Requeues)
	if word := seen.Word; word != nil && !word.Ended {
		if status.Phase == v1alpha1.PhaseRunning && job.Spec.Template.Spec.RestartPolicy == corev1.RestartPolicyNever {
			// Its containers have begun, and won't again: a container that waits would promise that. Its end will tell.
			return
		}
		status.NodeName = ""
		enqueue(job, word, now)
		return
	}
	if seen.NodeName != "" {
		status.NodeName = seen.NodeName
	}
	switch {
	case seen.Word != nil:
		fail(job, seen.Word.Reason, seen.Word.Message, seen.Word.ExitCode, now)
	case seen.Report != nil:
		applyDecision(job, seen.Report, now)
	}
}

// enqueue writes down that a job waits in its backend's queue: for the first time, or again, though its containers had run.
func enqueue(job *v1alpha1.RemoteJob, word *backend.Word, now time.Time) {
	status := &job.Status
	spec := &job.Spec.Template.Spec
	waiting := podlifecycle.Waiting{Reason: word.Reason, Message: cut(word.Message, maxMessage)}
	status.InitContainerStatuses = waitAll(spec.InitContainers, status.InitContainerStatuses, waiting)
	status.ContainerStatuses = waitAll(spec.Containers, status.ContainerStatuses, waiting)
	status.Phase, status.Reason, status.Message = v1alpha1.PhaseQueued, waiting.Reason, waiting.Message
	status.ObservedGeneration = job.Generation
	summarize(job)
	setCondition(&status.Conditions, job.Generation, now, v1alpha1.ConditionReady, false, waiting.Reason, reasonContainersUnready, waiting.Message)
}

func waitAll(containers []corev1.Container, known []corev1.ContainerStatus, waiting podlifecycle.Waiting) []corev1.ContainerStatus {
	var out []corev1.ContainerStatus
	for i := range containers {
		status := corev1.ContainerStatus{Name: containers[i].Name, Image: containers[i].Image}
		if at := slices.IndexFunc(known, func(s corev1.ContainerStatus) bool { return s.Name == status.Name }); at >= 0 {
			status.RestartCount, status.LastTerminationState = known[at].RestartCount, known[at].LastTerminationState
		}
		status.State.Waiting = &corev1.ContainerStateWaiting{Reason: waiting.Reason, Message: waiting.Message}
		out = append(out, status)
	}
	return out
}

// older tells whether an observation of the same attempt knows less than what is recorded.
func older(status *v1alpha1.RemoteJobStatus, seen *backend.ObservedJob) bool {
	switch {
	case seen.Word != nil:
		return status.Phase == v1alpha1.PhaseRunning
	case seen.Report != nil:
		return takesBack(status, seen.Report)
	}
	return false
}

// takesBack tells whether a decision knows less than what is recorded: fewer restarts of a container, or its run before that run's end
// or begin.
func takesBack(status *v1alpha1.RemoteJobStatus, d *podlifecycle.Decision) bool {
	return listTakesBack(status.InitContainerStatuses, d.InitContainers) || listTakesBack(status.ContainerStatuses, d.Containers)
}

func listTakesBack(recorded, reported []corev1.ContainerStatus) bool {
	for i := range recorded {
		was := &recorded[i]
		at := slices.IndexFunc(reported, func(s corev1.ContainerStatus) bool { return s.Name == was.Name })
		if at < 0 || statusTakesBack(was, &reported[at]) {
			return true
		}
	}
	return false
}

func statusTakesBack(was, is *corev1.ContainerStatus) bool {
	if is.RestartCount != was.RestartCount {
		return is.RestartCount < was.RestartCount
	}
	waitsAtFirst := is.State.Waiting != nil && is.LastTerminationState.Terminated == nil
	switch {
	case was.State.Terminated != nil:
		return is.State.Running != nil || waitsAtFirst
	case was.State.Running != nil:
		return waitsAtFirst
	}
	return false
}
