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
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// farWire is a connection to a machine that drives its pods itself, tells of no change, and reports on them when it is observed. The
// embedded interface hides that the wire could drive.
type farWire struct {
	backend.Backend
	*farSide
}

// farSide is what such a machine says of its jobs.
type farSide struct {
	machine *machine
	reports map[string]backend.ObservedJob
	stops   map[string]int
}

var (
	_ backend.Backend = farWire{}
	_ backend.Stopper = farWire{}
)

func (m *machine) connectFar() backend.Backend {
	m.do(func() {
		if m.far == nil {
			m.far = &farSide{machine: m, reports: map[string]backend.ObservedJob{}, stops: map[string]int{}}
		}
	})
	return farWire{m.connect(), m.far}
}

// says sets what the machine reports of a job.
func (m *machine) says(token string, seen backend.ObservedJob) {
	m.do(func() {
		m.far.reports[token] = seen
		if j := m.jobs[token]; j != nil {
			j.version++
		}
	})
}

func (w farWire) Observe(ctx context.Context) (backend.Snapshot, error) {
	s, err := w.Backend.Observe(ctx)
	if err != nil {
		return s, err
	}
	w.machine.do(func() {
		for token, seen := range s.Jobs {
			r := w.reports[token]
			if r.JobID != "" {
				seen.JobID = r.JobID
			}
			seen.NodeName, seen.Report, seen.Word, seen.Requeues = r.NodeName, r.Report, r.Word, r.Requeues
			s.Jobs[token] = seen
		}
	})
	return s, nil
}

// Stop ends nothing here: a test says when the end is reported.
func (w farWire) Stop(_ context.Context, ref backend.JobRef, _ podlifecycle.Stop) (bool, error) {
	ending := false
	w.machine.do(func() {
		w.stops[ref.Token]++
		seen := w.reports[ref.Token]
		ending = seen.Report != nil && !seen.Report.Finished()
	})
	return ending, nil
}

const farHost = "/far"

// farBackend makes a RemoteBackend whose machine drives its pods itself.
func (w *world) farBackend() *v1alpha1.RemoteBackend {
	return w.backend("", func(rb *v1alpha1.RemoteBackend) {
		rb.Spec = v1alpha1.RemoteBackendSpec{Type: v1alpha1.BackendSlurm, Slurm: &v1alpha1.SlurmBackend{
			Connection: v1alpha1.SlurmConnection{Local: &v1alpha1.LocalConnection{}}, BaseDirectory: farHost,
			PollInterval: &metav1.Duration{Duration: pollLeast}, Runtime: v1alpha1.SlurmRuntime{Type: "None"},
		}}
	})
}

// The reports of a job with the one container main.
func reportsWaiting(reason, message string) *backend.Word {
	return &backend.Word{Reason: reason, Message: message}
}

func reportsRunning() *podlifecycle.Decision {
	return &podlifecycle.Decision{Phase: corev1.PodRunning, Containers: []corev1.ContainerStatus{running("main", true)}}
}

func reportsEnded(code int32) *podlifecycle.Decision {
	d := &podlifecycle.Decision{Phase: corev1.PodSucceeded, Containers: []corev1.ContainerStatus{ended("main", code, "Completed", "", testNow)}}
	if code != 0 {
		d.Phase, d.Containers[0].State.Terminated.Reason = corev1.PodFailed, "Error"
	}
	return d
}

// handedOver makes a job and waits until its machine has it.
func (w *world) handedOver(rb *v1alpha1.RemoteBackend, change ...func(*v1alpha1.RemoteJob)) *v1alpha1.RemoteJob {
	w.t.Helper()
	job := w.job(rb.Name, change...)
	w.jobUntil(job, "queued", hasPhase(v1alpha1.PhaseQueued))
	return job
}

func TestAJobThatIsDrivenWhereItRunsFollowsItsReports(t *testing.T) {
	w := newWorld(t)
	m := w.machine(farHost, "far")
	w.timings.ObserveEvery = time.Hour // its RemoteBackend's pollInterval goes before
	var seen seenWrites
	w.wrap = func(cfg *rest.Config) {
		cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return writes{next, &seen} })
	}
	rb := w.farBackend()
	w.startManager()
	w.backendUntil(rb, metav1.ConditionTrue, reasonConnected, "")
	job := w.handedOver(rb)
	token := w.token(job)

	m.says(token, backend.ObservedJob{Word: reportsWaiting("Priority", "jobs of higher priority come first")})
	w.jobUntil(job, "queued in words", func(job *v1alpha1.RemoteJob) bool {
		return job.Status.Phase == v1alpha1.PhaseQueued && job.Status.Reason == "Priority" && len(job.Status.ContainerStatuses) == 1 &&
			job.Status.ContainerStatuses[0].State.Waiting.Message == "jobs of higher priority come first"
	})
	m.says(token, backend.ObservedJob{JobID: "77", NodeName: "n1", Report: reportsRunning()})
	w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))
	if job.Status.JobID != "77" || job.Status.NodeName != "n1" || job.Status.Ready != "1/1" {
		t.Errorf("status is %+v", job.Status)
	}
	m.says(token, backend.ObservedJob{JobID: "77", NodeName: "n1", Report: reportsEnded(0)})
	w.jobUntil(job, "succeeded", hasPhase(v1alpha1.PhaseSucceeded))
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if got := len(seen.bodies); got > 5 { // the finalizer, and one for each change
		t.Errorf("the job's life took %d writes to the RemoteJob: %s", got, strings.Join(seen.bodies, "\n"))
	}
}

func TestAJobThatIsPutBackIntoTheQueueIsQueuedAgain(t *testing.T) {
	w := newWorld(t)
	m := w.machine(farHost, "far")
	rb := w.farBackend()
	w.startManager()
	job := w.handedOver(rb, func(job *v1alpha1.RemoteJob) { job.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyOnFailure })
	token := w.token(job)
	m.says(token, backend.ObservedJob{JobID: "77", NodeName: "n1", Report: reportsRunning()})
	w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))

	m.says(token, backend.ObservedJob{JobID: "77", Word: reportsWaiting("Requeued", "the node failed"), Requeues: 1})
	w.jobUntil(job, "queued again", hasPhase(v1alpha1.PhaseQueued))
	if job.Status.NodeName != "" || job.Status.Reason != "Requeued" || job.Status.ContainerStatuses[0].State.Waiting == nil || job.Status.Requeues != 1 {
		t.Errorf("status is %+v", job.Status)
	}
	// What the first attempt left behind may still be read somewhere.
	m.says(token, backend.ObservedJob{JobID: "77", NodeName: "n1", Report: reportsRunning()})
	w.stays("a job that waits again", func() string {
		if w.get(job); job.Status.Phase != v1alpha1.PhaseQueued {
			return describeJob(job)
		}
		return ""
	})
	m.says(token, backend.ObservedJob{JobID: "77", NodeName: "n2", Report: reportsRunning(), Requeues: 1})
	w.jobUntil(job, "running again", hasPhase(v1alpha1.PhaseRunning))
	m.says(token, backend.ObservedJob{JobID: "77", NodeName: "n2", Report: reportsEnded(3), Requeues: 1})
	w.jobUntil(job, "failed", hasPhase(v1alpha1.PhaseFailed))
	if job.Status.NodeName != "n2" {
		t.Errorf("status is %+v", job.Status)
	}
}

func TestTheBackendsWordEndsAJobThatReportsNothing(t *testing.T) {
	w := newWorld(t)
	m := w.machine(farHost, "far")
	rb := w.farBackend()
	w.startManager()
	job := w.handedOver(rb)
	m.says(w.token(job), backend.ObservedJob{JobID: "77", Word: &backend.Word{Reason: "NodeFail", Message: "the node n1 failed", Ended: true, ExitCode: 137}})
	w.jobUntil(job, "failed", hasPhase(v1alpha1.PhaseFailed))
	if end := job.Status.ContainerStatuses[0].State.Terminated; end == nil || end.ExitCode != 137 || end.Message != "the node n1 failed" || job.Status.Reason != "NodeFail" {
		t.Errorf("status is %+v", job.Status)
	}
}

func TestAJobThatRunsFarAwayIsStoppedInOrderBeforeItIsRemoved(t *testing.T) {
	w := newWorld(t)
	m := w.machine(farHost, "far")
	rb := w.farBackend()
	w.startManager()
	job := w.handedOver(rb)
	token := w.token(job)
	m.says(token, backend.ObservedJob{JobID: "77", NodeName: "n1", Report: reportsRunning()})
	w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))
	w.cancel(job)
	w.until("the far side to be asked", func() string {
		if m.count(m.far.stops, token) == 0 {
			return "it was not asked to stop"
		}
		return ""
	})
	w.stays("a job that is being stopped", func() string {
		if n := m.count(m.cancels, token); n > 0 {
			return fmt.Sprintf("it was cancelled %d times", n)
		}
		return ""
	})
	m.says(token, backend.ObservedJob{JobID: "77", NodeName: "n1", Report: reportsEnded(143)})
	w.gone(job)
	if m.count(m.cancels, token) == 0 {
		t.Error("nothing was removed from the backend")
	}
}

func TestAJobThatOnlyWaitsFarAwayIsRemovedAtOnce(t *testing.T) {
	w := newWorld(t)
	m := w.machine(farHost, "far")
	rb := w.farBackend()
	w.startManager()
	job := w.handedOver(rb)
	token := w.token(job)
	m.says(token, backend.ObservedJob{Word: reportsWaiting("Resources", "no node is free")})
	w.cancel(job)
	w.gone(job)
	if m.count(m.far.stops, token) == 0 || m.count(m.cancels, token) == 0 {
		t.Errorf("asked to stop %d times, cancelled %d times", m.count(m.far.stops, token), m.count(m.cancels, token))
	}
}

func TestAJobThatVanishedFarAwayIsCalledLost(t *testing.T) {
	w := newWorld(t)
	m := w.machine(farHost, "far")
	rb := w.farBackend()
	w.startManager()
	job := w.handedOver(rb)
	m.vanish(w.token(job))
	w.jobUntil(job, "failed", hasPhase(v1alpha1.PhaseFailed))
	if job.Status.Reason != reasonJobLost {
		t.Error(describeJob(job))
	}
}
