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
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

func TestAReportNeverTakesAStatusBack(t *testing.T) {
	decision := func(phase corev1.PodPhase, s corev1.ContainerStatus) *podlifecycle.Decision {
		return &podlifecycle.Decision{Phase: phase, Containers: []corev1.ContainerStatus{s}}
	}
	crashed := waitingFor("a", "CrashLoopBackOff", "")
	crashed.LastTerminationState = ended("a", 1, "Error", "", testNow).State
	tests := []struct {
		name     string
		recorded corev1.ContainerStatus
		seen     backend.ObservedJob
		taken    bool
		phase    v1alpha1.RemoteJobPhase
	}{
		{"a container that ran has ended", running("a", true), backend.ObservedJob{Report: decision(corev1.PodFailed, ended("a", 1, "Error", "", testNow))}, true, v1alpha1.PhaseFailed},
		{"a container that had ended waits for its next run", ended("a", 1, "Error", "", testNow), backend.ObservedJob{Report: decision(corev1.PodRunning, crashed)}, true, v1alpha1.PhaseRunning},
		{"a container that had ended runs again", ended("a", 1, "Error", "", testNow), backend.ObservedJob{Report: decision(corev1.PodRunning, restarted(running("a", true), 1))}, true, v1alpha1.PhaseRunning},
		{"its old run is seen after its end", ended("a", 1, "Error", "", testNow), backend.ObservedJob{Report: decision(corev1.PodRunning, running("a", true))}, false, v1alpha1.PhaseRunning},
		{"its begin is seen while it runs", running("a", true), backend.ObservedJob{Report: decision(corev1.PodPending, waitingFor("a", "ContainerCreating", ""))}, false, v1alpha1.PhaseRunning},
		{"fewer restarts are seen", restarted(running("a", true), 2), backend.ObservedJob{Report: decision(corev1.PodRunning, restarted(running("a", true), 1))}, false, v1alpha1.PhaseRunning},
		{"it is not listed", running("a", true), backend.ObservedJob{Report: &podlifecycle.Decision{Phase: corev1.PodRunning}}, false, v1alpha1.PhaseRunning},
		{"the queue is seen while it runs", running("a", true), backend.ObservedJob{Word: &backend.Word{Reason: "Priority"}}, false, v1alpha1.PhaseRunning},
		{"the pod begins anew", restarted(ended("a", 1, "Error", "", testNow), 4), backend.ObservedJob{Requeues: 2, Report: decision(corev1.PodRunning, running("a", true))}, true, v1alpha1.PhaseRunning},
		{"the pod is to begin anew", running("a", true), backend.ObservedJob{Requeues: 2, Word: &backend.Word{Reason: "Requeued"}}, true, v1alpha1.PhaseQueued},
		{"an earlier attempt is seen", running("a", true), backend.ObservedJob{Report: decision(corev1.PodRunning, restarted(running("a", true), 2)), Requeues: -1}, false, v1alpha1.PhaseRunning},
		{"an earlier attempt was the last", running("a", true), backend.ObservedJob{Report: decision(corev1.PodFailed, ended("a", 1, "Error", "", testNow)), Requeues: -1}, true, v1alpha1.PhaseFailed},
		{"an end that knows of no restarts is an end", restarted(running("a", true), 3), backend.ObservedJob{Report: decision(corev1.PodFailed, ended("a", 1, "Error", "", testNow))}, true, v1alpha1.PhaseFailed},
		{"the backend's word is an end", restarted(running("a", true), 3), backend.ObservedJob{Word: &backend.Word{Reason: "Timeout", Ended: true, ExitCode: 137}}, true, v1alpha1.PhaseFailed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			job := &v1alpha1.RemoteJob{}
			job.Spec.Template.Spec.Containers = []corev1.Container{{Name: "a"}}
			job.Status = v1alpha1.RemoteJobStatus{JobID: "1", Requeues: 1, Phase: v1alpha1.PhaseRunning, ContainerStatuses: []corev1.ContainerStatus{tt.recorded}}
			seen := tt.seen
			seen.JobID, seen.NodeName = "2", "n"
			seen.Requeues++
			if tt.seen.Requeues > 0 {
				seen.Requeues = tt.seen.Requeues
			}
			applyReport(job, &seen, testNow)
			if taken := job.Status.JobID == "2"; taken != tt.taken || job.Status.Phase != tt.phase {
				t.Errorf("taken %t, phase %s: %+v", taken, job.Status.Phase, job.Status)
			}
		})
	}
}

func TestAContainerThatRanDoesNotWaitAgainWhereItsPolicyIsNever(t *testing.T) {
	for policy, want := range map[corev1.RestartPolicy]v1alpha1.RemoteJobPhase{corev1.RestartPolicyNever: v1alpha1.PhaseRunning, corev1.RestartPolicyOnFailure: v1alpha1.PhaseQueued} {
		job := &v1alpha1.RemoteJob{}
		job.Spec.Template.Spec.RestartPolicy = policy
		job.Spec.Template.Spec.Containers = []corev1.Container{{Name: "a"}}
		job.Status = v1alpha1.RemoteJobStatus{JobID: "1", Phase: v1alpha1.PhaseRunning, ContainerStatuses: []corev1.ContainerStatus{running("a", true)}}
		applyReport(job, &backend.ObservedJob{JobID: "1", Requeues: 1, Word: &backend.Word{Reason: "Requeued"}}, testNow)
		if job.Status.Phase != want || job.Status.Requeues != 1 {
			t.Errorf("with restartPolicy %s its status is %+v", policy, job.Status)
		}
	}
}

func TestTheBackendsWordKeepsEndsThatAreKnown(t *testing.T) {
	job := &v1alpha1.RemoteJob{}
	job.Spec.Template.Spec.Containers = []corev1.Container{{Name: "a"}, {Name: "b"}}
	job.Status = v1alpha1.RemoteJobStatus{JobID: "1", Phase: v1alpha1.PhaseRunning, ContainerStatuses: []corev1.ContainerStatus{
		ended("a", 0, "Completed", "", testNow), running("b", true),
	}}
	applyReport(job, &backend.ObservedJob{Word: &backend.Word{Reason: "Preempted", Message: "by a job of higher priority", Ended: true, ExitCode: 137}}, testNow)
	a, b := job.Status.ContainerStatuses[0].State.Terminated, job.Status.ContainerStatuses[1].State.Terminated
	if a.ExitCode != 0 || b == nil || b.ExitCode != 137 || b.Reason != "Preempted" || job.Status.Phase != v1alpha1.PhaseFailed || job.Status.CompletionTime == nil {
		t.Errorf("status is %+v", job.Status)
	}
}
