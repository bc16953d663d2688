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

package ledger_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
)

var noon = metav1.NewTime(time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC))

// aJob returns the RemoteJob of a pod with init containers one, two and containers main, side. A name that ends in "+" is a sidecar.
func aJob(phase v1alpha1.RemoteJobPhase, change ...func(*v1alpha1.RemoteJob)) *v1alpha1.RemoteJob {
	job := &v1alpha1.RemoteJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: "home", Name: "rj-1", UID: "1"},
		Spec:       v1alpha1.RemoteJobSpec{PodRef: &v1alpha1.PodReference{Namespace: "ns", Name: "pod", UID: "uid"}},
	}
	job.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	job.Spec.Template.Spec.InitContainers = containers("one", "two")
	job.Spec.Template.Spec.Containers = containers("main", "side")
	job.Status.Phase = phase
	for _, f := range change {
		f(job)
	}
	return job
}

func containers(names ...string) []corev1.Container {
	var out []corev1.Container
	for _, name := range names {
		c := corev1.Container{Name: strings.TrimSuffix(name, "+"), Image: "image-of-" + name}
		if strings.HasSuffix(name, "+") {
			c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
		}
		out = append(out, c)
	}
	return out
}

func running(name string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, Ready: true, State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: noon}}}
}

func ended(name string, code int32, reason, message string) corev1.ContainerStatus {
	return corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: code, Reason: reason, Message: message, StartedAt: noon, FinishedAt: noon,
	}}}
}

// endedAfter has a container end later.
func endedAfter(late time.Duration, s corev1.ContainerStatus) corev1.ContainerStatus {
	s.State.Terminated.FinishedAt = metav1.NewTime(noon.Add(late))
	return s
}

// brief writes a status down as name:state, with the exit code of what has ended.
func brief(list []corev1.ContainerStatus) string {
	var out []string
	for _, s := range list {
		switch {
		case s.State.Running != nil:
			out = append(out, s.Name+":running")
		case s.State.Terminated != nil && s.State.Terminated.ExitCode == 0:
			out = append(out, s.Name+":ended")
		case s.State.Terminated != nil:
			out = append(out, s.Name+":failed")
		default:
			out = append(out, s.Name+":waiting")
		}
	}
	return strings.Join(out, " ")
}

func TestAnAnswerListsEveryContainerInOneState(t *testing.T) {
	for name, c := range map[string]struct {
		job              *v1alpha1.RemoteJob
		init, containers string
		words            string // in the message of every failed container
	}{
		"nothing is known yet": {
			job:  aJob(v1alpha1.PhasePending),
			init: "one:waiting two:waiting", containers: "main:waiting side:waiting",
		},
		"the first init container runs": {
			job: aJob(v1alpha1.PhaseRunning, func(j *v1alpha1.RemoteJob) {
				j.Status.InitContainerStatuses = []corev1.ContainerStatus{running("one")}
			}),
			init: "one:running two:waiting", containers: "main:waiting side:waiting",
		},
		"a later init container is never listed as ended before an earlier one": {
			job: aJob(v1alpha1.PhaseRunning, func(j *v1alpha1.RemoteJob) {
				j.Status.InitContainerStatuses = []corev1.ContainerStatus{ended("two", 0, "", "")}
			}),
			init: "one:waiting two:waiting", containers: "main:waiting side:waiting",
		},
		"only one container has a status": {
			job: aJob(v1alpha1.PhaseRunning, func(j *v1alpha1.RemoteJob) {
				j.Status.InitContainerStatuses = []corev1.ContainerStatus{ended("one", 0, "", ""), ended("two", 0, "", "")}
				j.Status.ContainerStatuses = []corev1.ContainerStatus{running("side")}
			}),
			init: "one:ended two:ended", containers: "main:waiting side:running",
		},
		"a failed init container ends all that come after it": {
			job: aJob(v1alpha1.PhaseFailed, func(j *v1alpha1.RemoteJob) {
				j.Status.Reason, j.Status.Message = "InitContainerFailed", "init container one ended with code 3"
				j.Status.InitContainerStatuses = []corev1.ContainerStatus{ended("one", 3, "Error", "")}
			}),
			init: "one:failed two:failed", containers: "main:failed side:failed", words: "init container one ended with code 3",
		},
		"a job that was refused has no container yet": {
			job: aJob(v1alpha1.PhaseFailed, func(j *v1alpha1.RemoteJob) {
				j.Status.Reason, j.Status.Message = "Rejected", "partition gpu does not exist"
			}),
			init: "one:failed two:failed", containers: "main:failed side:failed", words: "partition gpu does not exist",
		},
		"a job that was lost while it ran": {
			job: aJob(v1alpha1.PhaseFailed, func(j *v1alpha1.RemoteJob) {
				j.Spec.Template.Spec.InitContainers = nil
				j.Status.Reason, j.Status.Message = "NodeLost", "the engine was restarted"
				j.Status.ContainerStatuses = []corev1.ContainerStatus{running("main"), running("side")}
			}),
			containers: "main:failed side:failed", words: "NodeLost: the engine was restarted",
		},
		"a deadline that passed shows though every container ended with 0": {
			job: aJob(v1alpha1.PhaseFailed, func(j *v1alpha1.RemoteJob) {
				j.Spec.Template.Spec.InitContainers = nil
				j.Status.Reason, j.Status.Message = "DeadlineExceeded", "the pod ran longer than 10s"
				j.Status.ContainerStatuses = []corev1.ContainerStatus{ended("main", 0, "Completed", ""), ended("side", 0, "Completed", "")}
			}),
			containers: "main:failed side:failed", words: "DeadlineExceeded: the pod ran longer than 10s",
		},
		"a success stays one": {
			job: aJob(v1alpha1.PhaseSucceeded, func(j *v1alpha1.RemoteJob) {
				j.Spec.Template.Spec.InitContainers = nil
				j.Status.ContainerStatuses = []corev1.ContainerStatus{ended("main", 0, "Completed", ""), ended("side", 0, "Completed", "")}
			}),
			containers: "main:ended side:ended",
		},
		"one of two failed": {
			job: aJob(v1alpha1.PhaseFailed, func(j *v1alpha1.RemoteJob) {
				j.Spec.Template.Spec.InitContainers = nil
				j.Status.ContainerStatuses = []corev1.ContainerStatus{ended("main", 0, "Completed", ""), ended("side", 137, "OOMKilled", "")}
			}),
			containers: "main:ended side:failed", words: "OOMKilled",
		},
		"a sidecar that has started is left out": {
			job: aJob(v1alpha1.PhaseRunning, func(j *v1alpha1.RemoteJob) {
				j.Spec.Template.Spec.InitContainers = containers("one", "proxy+", "two")
				j.Status.InitContainerStatuses = []corev1.ContainerStatus{ended("one", 0, "", ""), running("proxy"), running("two")}
			}),
			init: "one:ended two:running", containers: "main:waiting side:waiting",
		},
		"a sidecar that has not started is in": {
			job: aJob(v1alpha1.PhaseRunning, func(j *v1alpha1.RemoteJob) {
				j.Spec.Template.Spec.InitContainers = containers("one", "proxy+", "two")
				j.Status.InitContainerStatuses = []corev1.ContainerStatus{running("one")}
			}),
			init: "one:running proxy:waiting two:waiting", containers: "main:waiting side:waiting",
		},
		"a sidecar that was killed at the end is no failure": {
			job: aJob(v1alpha1.PhaseSucceeded, func(j *v1alpha1.RemoteJob) {
				j.Spec.Template.Spec.InitContainers = containers("proxy+")
				j.Status.InitContainerStatuses = []corev1.ContainerStatus{ended("proxy", 137, "Error", "")}
				j.Status.ContainerStatuses = []corev1.ContainerStatus{ended("main", 0, "", ""), ended("side", 0, "", "")}
			}),
			containers: "main:ended side:ended",
		},
		"containers between their end and their restart do not end the pod": {
			job: aJob(v1alpha1.PhaseRunning, func(j *v1alpha1.RemoteJob) {
				j.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
				j.Spec.Template.Spec.InitContainers = nil
				j.Status.ContainerStatuses = []corev1.ContainerStatus{ended("main", 0, "", ""), ended("side", 1, "Error", "")}
			}),
			containers: "main:ended side:waiting",
		},
		"a sidecar that is still stopping keeps the pod open": {
			job: aJob(v1alpha1.PhaseRunning, func(j *v1alpha1.RemoteJob) {
				j.Spec.Template.Spec.InitContainers = containers("proxy+")
				j.Status.InitContainerStatuses = []corev1.ContainerStatus{running("proxy")}
				j.Status.ContainerStatuses = []corev1.ContainerStatus{ended("main", 0, "", ""), ended("side", 0, "", "")}
			}),
			containers: "main:ended side:running",
		},
		"one that had ended while another ran is not shown as running again": {
			job: aJob(v1alpha1.PhaseRunning, func(j *v1alpha1.RemoteJob) {
				j.Spec.Template.Spec.InitContainers = containers("proxy+")
				j.Status.InitContainerStatuses = []corev1.ContainerStatus{running("proxy")}
				j.Status.ContainerStatuses = []corev1.ContainerStatus{endedAfter(time.Minute, ended("main", 0, "", "")), ended("side", 0, "", "")}
			}),
			containers: "main:running side:ended",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := ledger.StatusOf(c.job)
			if brief(got.InitContainers) != c.init || brief(got.Containers) != c.containers {
				t.Errorf("got %q and %q, want %q and %q", brief(got.InitContainers), brief(got.Containers), c.init, c.containers)
			}
			failures := 0
			for _, s := range append(got.InitContainers, got.Containers...) {
				if end := s.State.Terminated; end != nil && end.ExitCode != 0 && s.Name != "one" {
					failures++
					if !strings.Contains(end.Message, c.words) || end.Message == "" {
						t.Errorf("%s says %q, want %q", s.Name, end.Message, c.words)
					}
				}
			}
			if c.words != "" && failures == 0 {
				t.Error("no container has failed")
			}
		})
	}
}

func TestAnAnswerNamesItsPod(t *testing.T) {
	job := aJob(v1alpha1.PhaseQueued)
	got := ledger.StatusOf(job)
	if got.Name != "pod" || got.Namespace != "ns" || got.UID != "uid" || got.JobID != "rj-1" {
		t.Errorf("got %+v", got)
	}
	job.Status.JobID = "4711"
	if got := ledger.StatusOf(job); got.JobID != "4711" {
		t.Errorf("the job's id is %q, want the backend's", got.JobID)
	}
}

func TestAnAnswerHasListsWhereThereIsNothing(t *testing.T) {
	job := aJob(v1alpha1.PhaseQueued, func(j *v1alpha1.RemoteJob) { j.Spec.Template.Spec.InitContainers = nil })
	out, err := json.Marshal(ledger.StatusOf(job))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out), `"initContainers":[]`) {
		t.Errorf("got %s", out)
	}
}

func TestAnAnswerChangesNothingInTheCache(t *testing.T) {
	job := aJob(v1alpha1.PhaseFailed, func(j *v1alpha1.RemoteJob) {
		j.Status.Reason = "DeadlineExceeded"
		j.Status.InitContainerStatuses = []corev1.ContainerStatus{ended("one", 7, "OOMKilled", "")}
		j.Status.ContainerStatuses = []corev1.ContainerStatus{ended("main", 0, "Completed", ""), ended("side", 0, "", "")}
	})
	before, _ := json.Marshal(job)
	ledger.StatusOf(job)
	after, _ := json.Marshal(job)
	if !bytes.Equal(before, after) {
		t.Errorf("the RemoteJob was changed from\n%s\nto\n%s", before, after)
	}
}

func TestWhatWaitsSaysWhy(t *testing.T) {
	job := aJob(v1alpha1.PhasePending, func(j *v1alpha1.RemoteJob) {
		j.Spec.Template.Spec.InitContainers = nil
		j.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionSubmitted, Status: metav1.ConditionFalse, Reason: "Unavailable", Message: "dial unix: no such file"}}
	})
	waiting := ledger.StatusOf(job).Containers[0].State.Waiting
	if waiting == nil || waiting.Reason != "ContainerCreating" || waiting.Message != "dial unix: no such file" {
		t.Errorf("got %+v", waiting)
	}
}

// TestAnswersKeepTheRulesWhateverIsRecorded tries statuses that no reconciler would write, too: what interLink does with an answer that
// breaks a rule can't be taken back.
func TestAnswersKeepTheRulesWhateverIsRecorded(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	phases := []v1alpha1.RemoteJobPhase{"", v1alpha1.PhasePending, v1alpha1.PhaseQueued, v1alpha1.PhaseRunning, v1alpha1.PhaseSucceeded, v1alpha1.PhaseFailed}
	policies := []corev1.RestartPolicy{corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever}
	statuses := func(names ...string) (out []corev1.ContainerStatus) {
		for _, name := range names {
			switch random.IntN(7) {
			case 0:
			case 1:
				out = append(out, running(name))
			case 2:
				out = append(out, ended(name, 0, "Completed", ""))
			case 3:
				out = append(out, ended(name, 1+random.Int32N(200), "Error", ""))
			case 4:
				out = append(out, corev1.ContainerStatus{Name: name})
			case 5:
				s := running(name)
				s.State.Terminated = ended(name, random.Int32N(2), "", "").State.Terminated
				out = append(out, s)
			case 6:
				out = append(out, corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}})
			}
		}
		return out
	}
	for range 20000 {
		job := aJob(phases[random.IntN(len(phases))], func(j *v1alpha1.RemoteJob) {
			j.Spec.Template.Spec.RestartPolicy = policies[random.IntN(len(policies))]
			j.Spec.Template.Spec.InitContainers = containers("one", "proxy+", "two")
			j.Status.InitContainerStatuses = statuses("two", "one", "proxy")
			j.Status.ContainerStatuses = statuses("side", "main", "stranger")
		})
		got := ledger.StatusOf(job)
		if problem := broken(job, got); problem != "" {
			out, _ := json.MarshalIndent(job.Status, "", " ")
			t.Fatalf("%s: %s | %s from %s", problem, brief(got.InitContainers), brief(got.Containers), out)
		}
	}
}

// broken says which rule of interLink an answer breaks.
func broken(job *v1alpha1.RemoteJob, got ledger.PodStatus) string {
	if len(got.Containers) != 2 || got.Containers[0].Name != "main" || got.Containers[1].Name != "side" {
		return "the containers are not all there in the pod's order"
	}
	terminated, failed, initEnded := 0, false, true
	for _, s := range append(append([]corev1.ContainerStatus{}, got.InitContainers...), got.Containers...) {
		states := 0
		for _, set := range []bool{s.State.Waiting != nil, s.State.Running != nil, s.State.Terminated != nil} {
			if set {
				states++
			}
		}
		if states != 1 {
			return s.Name + " is not in exactly one state"
		}
		if s.Name == "proxy" && s.State.Running != nil {
			return "a sidecar that runs is listed"
		}
		end := s.State.Terminated
		if end != nil && !initEnded && !job.Finished() {
			return s.Name + " has ended before an init container that comes before it"
		}
		if s.Name == "main" || s.Name == "side" {
			if end != nil {
				terminated++
				failed = failed || end.ExitCode != 0
			}
			continue
		}
		initEnded = initEnded && end != nil
	}
	switch {
	case (terminated == 2) != job.Finished():
		return "the pod has ended where the job has not, or the other way round"
	case job.Status.Phase == v1alpha1.PhaseFailed && !failed:
		return "a failed job reads like a success"
	case job.Finished() && !initEnded:
		return "an init container has not ended though the job has"
	}
	return ""
}
