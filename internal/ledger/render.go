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

package ledger

import (
	"encoding/json"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// PodStatus is the answer about one pod, as interLink reads it.
type PodStatus struct {
	Name           string                   `json:"name"`
	UID            string                   `json:"UID"`
	Namespace      string                   `json:"namespace"`
	JobID          string                   `json:"JID"`
	Containers     []corev1.ContainerStatus `json:"containers"`
	InitContainers []corev1.ContainerStatus `json:"initContainers"`
}

// Exit codes of containers that did not end by themselves. interLink reads failure from the exit code alone.
const (
	// exitNeverRan is the code that runtimes use for a container that could not be started.
	exitNeverRan = 128
	// exitLost is the code that the kubelet uses for a container that nothing is known of any more.
	exitLost = 137
	// exitFailed stands for the failure of a pod whose containers all ended with 0, such as one that ran past its deadline.
	exitFailed = 1
)

const (
	reasonCreating     = "ContainerCreating"
	reasonInitializing = "PodInitializing"
	reasonRestarting   = "ContainerRestarting"
	reasonCompleted    = "Completed"
	reasonError        = "Error"
)

// StatusOf returns the answer about the pod of a RemoteJob, which must have one. interLink takes a pod for ended when every container
// that is listed has terminated, and crashes on a list that is only in part there, so: each container of the pod is in the answer, in the
// pod's order, in exactly one state; all of them have terminated if and only if the job has finished; and a job that failed has a
// container that failed.
func StatusOf(job *v1alpha1.RemoteJob) PodStatus {
	ref := job.Spec.PodRef
	out := PodStatus{Name: ref.Name, UID: string(ref.UID), Namespace: ref.Namespace, JobID: JobID(job), InitContainers: []corev1.ContainerStatus{}}
	spec := &job.Spec.Template.Spec
	initialized := true
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		sidecar := c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
		status := settle(job, c, job.Status.InitContainerStatuses, initialized)
		if sidecar && hasStarted(&status) {
			continue // one that is listed as running holds the pod at Init:n/m for ever
		}
		initialized = initialized && status.State.Terminated != nil && status.State.Terminated.ExitCode == 0
		out.InitContainers = append(out.InitContainers, status)
	}
	out.Containers = make([]corev1.ContainerStatus, 0, len(spec.Containers))
	for i := range spec.Containers {
		out.Containers = append(out.Containers, settle(job, &spec.Containers[i], job.Status.ContainerStatuses, initialized))
	}
	if job.Finished() {
		showFailure(job, out.Containers)
	} else {
		holdOpen(spec.RestartPolicy, out.Containers)
	}
	return out
}

// JobID returns the backend's name for the job, or the ledger's own while the backend has given none.
func JobID(job *v1alpha1.RemoteJob) string {
	if job.Status.JobID != "" {
		return job.Status.JobID
	}
	return job.Name
}

// settle returns the status of one container, in exactly one state. startable is false while an init container before it has not
// succeeded: then it can't have started.
func settle(job *v1alpha1.RemoteJob, c *corev1.Container, recorded []corev1.ContainerStatus, startable bool) corev1.ContainerStatus {
	status := corev1.ContainerStatus{Name: c.Name, Image: c.Image}
	for i := range recorded {
		if recorded[i].Name == c.Name {
			status = *recorded[i].DeepCopy()
			break
		}
	}
	if status.Image == "" {
		status.Image = c.Image
	}
	state := status.State
	switch {
	case state.Terminated != nil && (startable || job.Finished()):
		status.State = corev1.ContainerState{Terminated: state.Terminated}
		tell(job, state.Terminated)
	case job.Finished():
		status.State = corev1.ContainerState{Terminated: endOf(job, state.Running)}
		status.Ready, status.Started = false, nil
	case state.Running != nil && startable:
		status.State = corev1.ContainerState{Running: state.Running}
	default:
		waiting := state.Waiting
		if waiting == nil {
			waiting = waitingFor(job, startable)
		}
		status.State = corev1.ContainerState{Waiting: waiting}
		status.Ready, status.Started = false, nil
	}
	return status
}

func waitingFor(job *v1alpha1.RemoteJob, startable bool) *corev1.ContainerStateWaiting {
	waiting := &corev1.ContainerStateWaiting{Reason: reasonCreating}
	if !startable || len(job.Spec.Template.Spec.InitContainers) > 0 {
		waiting.Reason = reasonInitializing
	}
	if submitted := meta.FindStatusCondition(job.Status.Conditions, v1alpha1.ConditionSubmitted); submitted != nil && submitted.Status != metav1.ConditionTrue {
		waiting.Message = submitted.Message
	}
	return waiting
}

func hasStarted(status *corev1.ContainerStatus) bool {
	return status.State.Running != nil || (status.State.Terminated != nil && !status.State.Terminated.StartedAt.IsZero()) ||
		status.RestartCount > 0 || status.LastTerminationState.Terminated != nil || (status.Started != nil && *status.Started)
}

// endOf is the end of a container that the job ended without.
func endOf(job *v1alpha1.RemoteJob, running *corev1.ContainerStateRunning) *corev1.ContainerStateTerminated {
	end := &corev1.ContainerStateTerminated{Reason: job.Status.Reason, Message: words(job)}
	if job.Status.CompletionTime != nil {
		end.FinishedAt = *job.Status.CompletionTime
	}
	switch {
	case job.Status.Phase == v1alpha1.PhaseSucceeded:
		end.Reason, end.Message = reasonCompleted, ""
	case running != nil:
		end.StartedAt, end.ExitCode = running.StartedAt, exitLost
	default:
		end.ExitCode = exitNeverRan
	}
	if end.Reason == "" {
		end.Reason = reasonError
	}
	return end
}

// words says in words how a job ended.
func words(job *v1alpha1.RemoteJob) string {
	reason, message := job.Status.Reason, job.Status.Message
	switch {
	case message == "" && reason == "":
		return "the job ended before this container did"
	case message == "":
		return reason
	case reason == "" || reason == reasonError || strings.Contains(message, reason):
		return message
	}
	return reason + ": " + message
}

// tell makes sure that a failed end carries its reason in the message: interLink overwrites the reason.
func tell(job *v1alpha1.RemoteJob, end *corev1.ContainerStateTerminated) {
	if end.ExitCode == 0 {
		return
	}
	telling := end.Reason != "" && end.Reason != reasonError && end.Reason != reasonCompleted
	switch {
	case end.Message == "" && telling:
		end.Message = end.Reason
	case end.Message == "" && job.Finished():
		end.Message = words(job)
	case telling && !strings.Contains(end.Message, end.Reason):
		end.Message = end.Reason + ": " + end.Message
	}
}

// showFailure gives the containers of a failed job a failing code where none has one: a pod that ran past its deadline, say, whose
// containers all ended with 0 when they were told to.
func showFailure(job *v1alpha1.RemoteJob, containers []corev1.ContainerStatus) {
	if job.Status.Phase != v1alpha1.PhaseFailed {
		return
	}
	for i := range containers {
		if containers[i].State.Terminated.ExitCode != 0 {
			return
		}
	}
	for i := range containers {
		end := containers[i].State.Terminated
		end.ExitCode, end.Reason, end.Message = exitFailed, job.Status.Reason, words(job)
		if end.Reason == "" {
			end.Reason = reasonError
		}
	}
}

// holdOpen keeps the answer about a job that has not finished from reading like one that has: between the end of a container and its
// restart, or while sidecars are still stopping, all containers of the pod may have terminated.
func holdOpen(policy corev1.RestartPolicy, containers []corev1.ContainerStatus) {
	for i := range containers {
		if containers[i].State.Terminated == nil {
			return
		}
	}
	open := false
	for i := range containers {
		status := &containers[i]
		end := status.State.Terminated
		if policy == corev1.RestartPolicyNever || (policy == corev1.RestartPolicyOnFailure && end.ExitCode == 0) {
			continue
		}
		status.LastTerminationState = corev1.ContainerState{Terminated: end}
		status.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reasonRestarting, Message: "the container ended and is about to be started again"}}
		open = true
	}
	if open {
		return
	}
	if last := lastEnded(containers); last != nil {
		last.State = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: last.State.Terminated.StartedAt}}
	}
}

// lastEnded is the container that ended last, of those of one second the last in the list; nil where there is none. One that ended earlier may
// have been told of as ended while another one still ran, and must not be told of as running again.
func lastEnded(containers []corev1.ContainerStatus) (last *corev1.ContainerStatus) {
	for i := range containers {
		end := containers[i].State.Terminated
		if last == nil || !end.FinishedAt.Before(&last.State.Terminated.FinishedAt) {
			last = &containers[i]
		}
	}
	return last
}

// mustJSON encodes what always can be encoded.
func mustJSON(v any) []byte {
	out, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return out
}
