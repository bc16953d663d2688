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

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// What the log and the traces call the changes of a job.
const (
	toldGoesOn = "the job goes on"
	toldHeldUp = "the job is held up"
	toldEnded  = "the job has ended"
)

// told is a change of a job as its log and its trace have it. The zero value is none.
type told struct {
	what        string
	phase, was  v1alpha1.RemoteJobPhase
	jobID, node string
	reason      string
	// message has the words of the backend or the operator, and none of the job's own.
	message string
	// trouble is set for what is not as the job's owner wants it.
	trouble bool
}

// toldOf is what a write of a job's status brought: another phase, or another reason why it does not go on.
func toldOf(before, after *v1alpha1.RemoteJob) told {
	was, is := &before.Status, &after.Status
	t := told{
		phase: is.Phase, was: was.Phase, jobID: is.JobID, node: is.NodeName, reason: is.Reason, message: openMessage(is),
		trouble: is.Phase == v1alpha1.PhaseFailed || isTrouble(is.Reason) && is.Phase != v1alpha1.PhaseSucceeded,
	}
	switch {
	case after.Finished() && !before.Finished():
		t.what = toldEnded
	case was.Phase != is.Phase:
		t.what = toldGoesOn
	case t.trouble && turn(is.Reason) != turn(was.Reason):
		t.what = toldHeldUp
	default:
		return told{}
	}
	return t
}

// turn is the first of the reasons that a job takes turns between while nothing changes.
func turn(reason string) string {
	if is := family(reason); is != "" {
		return is
	}
	return reason
}

// isTrouble tells the reasons that a person may have to do something about from those that pass by themselves.
func isTrouble(reason string) bool {
	switch reason {
	case "", podlifecycle.ReasonContainerCreating, podlifecycle.ReasonPodInitializing, podlifecycle.ReasonCompleted, "Queued", "NodesStarting":
		return false
	}
	return true
}

// openReasons are those whose messages are the backend's or the operator's own words. In those of all others there may be words of the
// job's: what it wrote as its last, or what a hook of it printed. Those are in the RemoteJob, for who may read that, and not in a log.
var openReasons = map[string]bool{
	reasonBackendMissing: true, reasonBackendNotReady: true, reasonUnavailable: true, reasonWaitingForSlot: true, reasonCannotResolve: true,
	reasonRejected: true, reasonPayloadLost: true, reasonJobLost: true, reasonCancelled: true, reasonPodGone: true,

	"ErrImagePull": true, "ImagePullBackOff": true, "ErrImageNeverPull": true, "InvalidImageName": true,
	"CreateContainerConfigError": true, "CreateContainerError": true, "CreatePodSandboxError": true,
	podlifecycle.ReasonRunContainerError: true, podlifecycle.ReasonDeadlineExceeded: true,
	podlifecycle.ReasonNodeLost: true, podlifecycle.ReasonSandboxChanged: true, "Evicted": true,

	"Queued": true, "Held": true, "Requeued": true, "NodesStarting": true, "TimeLimitExceeded": true, "Preempted": true, "NodeBootFailed": true,
	"DeadlineMissed": true, "Revoked": true, "JobFailed": true, "JobLaunchFailed": true, "PodrunnerNotExecutable": true,
}

// openMessage is a status' message as far as it may go into a log.
func openMessage(status *v1alpha1.RemoteJobStatus) string {
	if openReasons[status.Reason] {
		return status.Message
	}
	for _, list := range [][]corev1.ContainerStatus{status.InitContainerStatuses, status.ContainerStatuses} {
		for i := range list {
			if end := list[i].State.Terminated; end != nil && end.ExitCode != 0 {
				words := fmt.Sprintf("container %q ended with exit code %d", list[i].Name, end.ExitCode)
				if end.Reason == podlifecycle.ReasonStartError {
					words += ": " + end.Message // it never ran, so these are not its own words
				}
				return words
			}
		}
	}
	return ""
}
