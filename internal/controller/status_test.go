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
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

var testNow = time.Date(2026, 3, 1, 12, 0, 0, 500, time.UTC)

func running(name string, ready bool) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, Ready: ready, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(testNow)}}}
}

func waitingFor(name, reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}}}
}

func ended(name string, code int32, reason, message string, at time.Time) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: code, Reason: reason, Message: message, FinishedAt: metav1.NewTime(at),
	}}}
}

func restarted(s corev1.ContainerStatus, times int32) corev1.ContainerStatus {
	s.RestartCount = times
	return s
}

func TestADecisionBecomesAStatus(t *testing.T) {
	earlier := testNow.Add(-time.Hour)
	tests := []struct {
		name                        string
		decision                    podlifecycle.Decision
		restartable                 []string
		phase                       v1alpha1.RemoteJobPhase
		reason, message, ready      string
		restarts                    int32
		finished, conditionReady    bool
		completed                   time.Time
		conditionReason, finishedBy string
	}{
		{
			name:     "no container has started: queued, with what it waits for",
			decision: podlifecycle.Decision{Phase: corev1.PodPending, Containers: []corev1.ContainerStatus{waitingFor("a", "ContainerCreating", "")}},
			phase:    v1alpha1.PhaseQueued, reason: "ContainerCreating", ready: "0/1",
		},
		{
			name: "an image that can't be pulled is named before containers that only wait",
			decision: podlifecycle.Decision{Phase: corev1.PodPending, Containers: []corev1.ContainerStatus{
				waitingFor("a", "ContainerCreating", ""), waitingFor("b", "ImagePullBackOff", "no such image"),
			}},
			phase: v1alpha1.PhaseQueued, reason: "ImagePullBackOff", message: "container b: no such image", ready: "0/2",
		},
		{
			name: "an init container runs: the job does, though a kubelet calls the pod pending",
			decision: podlifecycle.Decision{Phase: corev1.PodPending,
				InitContainers: []corev1.ContainerStatus{running("i", false)},
				Containers:     []corev1.ContainerStatus{waitingFor("a", "PodInitializing", "")}},
			phase: v1alpha1.PhaseRunning, reason: "PodInitializing", ready: "0/1",
		},
		{
			name: "a sidecar counts as one of the containers, a plain init container does not",
			decision: podlifecycle.Decision{Phase: corev1.PodRunning,
				InitContainers: []corev1.ContainerStatus{ended("i", 0, "Completed", "", earlier), restarted(running("s", true), 2)},
				Containers:     []corev1.ContainerStatus{restarted(running("a", true), 1), running("b", false)},
				Conditions:     []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse, Reason: "ContainersNotReady", Message: "b"}}},
			restartable: []string{"s"},
			phase:       v1alpha1.PhaseRunning, ready: "2/3", restarts: 3, conditionReason: "ContainersNotReady",
		},
		{
			name: "all ready",
			decision: podlifecycle.Decision{Phase: corev1.PodRunning, Containers: []corev1.ContainerStatus{running("a", true)},
				Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}},
			phase: v1alpha1.PhaseRunning, ready: "1/1", conditionReady: true, conditionReason: "ContainersReady",
		},
		{
			name: "succeeded, at the time of its last container",
			decision: podlifecycle.Decision{Phase: corev1.PodSucceeded, Containers: []corev1.ContainerStatus{
				ended("a", 0, "Completed", "", earlier.Add(-time.Minute)), ended("b", 0, "Completed", "", earlier),
			}},
			phase: v1alpha1.PhaseSucceeded, reason: "Completed", ready: "0/2", finished: true, completed: earlier, finishedBy: "Completed",
		},
		{
			name: "failed: the container that failed says why",
			decision: podlifecycle.Decision{Phase: corev1.PodFailed, Containers: []corev1.ContainerStatus{
				ended("a", 0, "Completed", "", earlier), ended("b", 137, "OOMKilled", "out of memory", earlier),
			}},
			phase: v1alpha1.PhaseFailed, reason: "OOMKilled", message: "container b ended with exit code 137: out of memory", ready: "0/2",
			finished: true, completed: earlier, finishedBy: "OOMKilled",
		},
		{
			name: "failed by the pod's own deadline: the pod's word goes first",
			decision: podlifecycle.Decision{Phase: corev1.PodFailed, Reason: "DeadlineExceeded", Message: "too long",
				Containers: []corev1.ContainerStatus{ended("a", 137, "Error", "", testNow.Add(time.Hour))}},
			phase: v1alpha1.PhaseFailed, reason: "DeadlineExceeded", message: "too long", ready: "0/1",
			finished: true, completed: testNow, finishedBy: "DeadlineExceeded",
		},
		{
			name:     "a reason that is no valid one in a condition",
			decision: podlifecycle.Decision{Phase: corev1.PodFailed, Reason: "not a reason", Containers: []corev1.ContainerStatus{ended("a", 1, "", "", earlier)}},
			phase:    v1alpha1.PhaseFailed, reason: "not a reason", ready: "0/1", finished: true, completed: earlier, finishedBy: "Failed",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			job := &v1alpha1.RemoteJob{ObjectMeta: metav1.ObjectMeta{Generation: 3}}
			for _, name := range tt.restartable {
				job.Spec.Template.Spec.InitContainers = append(job.Spec.Template.Spec.InitContainers,
					corev1.Container{Name: name, RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways)})
			}
			applyDecision(job, &tt.decision, testNow)
			s := job.Status
			if s.Phase != tt.phase || s.Reason != tt.reason || s.Message != tt.message || s.Ready != tt.ready || s.Restarts != tt.restarts {
				t.Errorf("got %s %q %q %s %d, want %s %q %q %s %d", s.Phase, s.Reason, s.Message, s.Ready, s.Restarts, tt.phase, tt.reason, tt.message, tt.ready, tt.restarts)
			}
			if s.ObservedGeneration != 3 {
				t.Errorf("observedGeneration is %d", s.ObservedGeneration)
			}
			ready := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionReady)
			if ready == nil || (ready.Status == metav1.ConditionTrue) != tt.conditionReady {
				t.Errorf("condition Ready is %+v", ready)
			} else if tt.conditionReason != "" && ready.Reason != tt.conditionReason {
				t.Errorf("reason of Ready is %q, want %q", ready.Reason, tt.conditionReason)
			}
			finished := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionFinished)
			if (finished != nil) != tt.finished {
				t.Fatalf("condition Finished is %+v", finished)
			}
			if tt.finished && (finished.Reason != tt.finishedBy || !s.CompletionTime.Time.Equal(tt.completed.Truncate(time.Second))) {
				t.Errorf("finished by %q at %s, want %q at %s", finished.Reason, s.CompletionTime, tt.finishedBy, tt.completed)
			}
		})
	}
}

func TestAnEndThatIsRecordedIsFinal(t *testing.T) {
	job := &v1alpha1.RemoteJob{Status: v1alpha1.RemoteJobStatus{Phase: v1alpha1.PhaseFailed, Reason: "JobLost"}}
	applyDecision(job, &podlifecycle.Decision{Phase: corev1.PodRunning, Containers: []corev1.ContainerStatus{running("a", true)}}, testNow)
	if job.Status.Phase != v1alpha1.PhaseFailed || job.Status.Reason != "JobLost" || job.Status.ContainerStatuses != nil {
		t.Errorf("the end was covered by %+v", job.Status)
	}
}

func TestWhatIsRecordedGoesBackToTheRules(t *testing.T) {
	started := metav1.NewTime(testNow.Truncate(time.Second))
	job := &v1alpha1.RemoteJob{Status: v1alpha1.RemoteJobStatus{
		Phase: v1alpha1.PhaseRunning, StartTime: &started,
		InitContainerStatuses: []corev1.ContainerStatus{running("i", false)}, ContainerStatuses: []corev1.ContainerStatus{running("a", false)},
	}}
	got := recordedOf(job)
	if got.Finished || !got.StartTime.Equal(started.Time) || got.InitContainers[0].Name != "i" || got.Containers[0].Name != "a" {
		t.Errorf("got %+v", got)
	}
	job.Status.Phase, job.Status.Reason, job.Status.Message = v1alpha1.PhaseSucceeded, "Completed", "well"
	if got = recordedOf(job); !got.Finished || got.Phase != corev1.PodSucceeded || got.Reason != "Completed" || got.Message != "well" {
		t.Errorf("got %+v", got)
	}
}

func TestAJobThatFailsByDecreeEndsEveryContainer(t *testing.T) {
	job := &v1alpha1.RemoteJob{}
	job.Spec.Template.Spec.InitContainers = []corev1.Container{{Name: "i", Image: "one"}}
	job.Spec.Template.Spec.Containers = []corev1.Container{{Name: "a", Image: "two"}, {Name: "b", Image: "three"}, {Name: "c", Image: "four"}}
	job.Status.InitContainerStatuses = []corev1.ContainerStatus{ended("i", 0, "Completed", "", testNow.Add(-time.Hour))}
	job.Status.ContainerStatuses = []corev1.ContainerStatus{running("a", true), ended("b", 3, "Error", "own", testNow.Add(-time.Hour))}
	fail(job, reasonJobLost, "gone", exitUnknown, testNow)

	if init := job.Status.InitContainerStatuses; len(init) != 1 || init[0].State.Terminated.ExitCode != 0 {
		t.Errorf("an init container that had ended is %+v", init)
	}
	want := []struct {
		name, message string
		code          int32
	}{{"a", "gone", 137}, {"b", "own", 3}, {"c", "gone", 137}}
	for i, w := range want {
		s := job.Status.ContainerStatuses[i]
		end := s.State.Terminated
		if s.Name != w.name || end == nil || s.State.Running != nil || s.Ready || end.ExitCode != w.code || end.Message != w.message {
			t.Errorf("container %s is %+v", w.name, s)
		}
	}
	if a := job.Status.ContainerStatuses[0].State.Terminated; a.StartedAt.IsZero() || a.FinishedAt.Before(&a.StartedAt) && a.FinishedAt.Add(time.Second).Before(a.StartedAt.Time) {
		t.Errorf("times of a are %+v", a)
	}
	if c := job.Status.ContainerStatuses[2]; c.Image != "four" {
		t.Errorf("image of c is %q", c.Image)
	}
	if job.Status.Phase != v1alpha1.PhaseFailed || job.Status.Ready != "0/3" || !meta.IsStatusConditionTrue(job.Status.Conditions, v1alpha1.ConditionFinished) {
		t.Errorf("status is %+v", job.Status)
	}
}

func TestTextsAreCutAtTheEdgeOfACharacter(t *testing.T) {
	for _, tt := range []struct {
		in    string
		limit int
		want  string
	}{
		{"short", 10, "short"},
		{"0123456789", 8, "01234…"},
		{"äöüäöüäöü", 10, "äöü…"},
		{"bad \xff end", 20, "bad \uFFFD end"},
	} {
		if got := cut(tt.in, tt.limit); got != tt.want || len(got) > tt.limit {
			t.Errorf("cut(%q, %d) = %q (%d bytes), want %q", tt.in, tt.limit, got, len(got), tt.want)
		}
	}
}
