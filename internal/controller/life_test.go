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
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
)

const host = "tcp://one"

// writes counts the requests that change RemoteJobs.
type writes struct {
	next http.RoundTripper
	seen *seenWrites
}

// seenWrites are the bodies of those requests.
type seenWrites struct {
	mu     sync.Mutex
	bodies []string
}

func (w writes) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method != http.MethodGet && strings.Contains(r.URL.Path, "/remotejobs/") {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		w.seen.mu.Lock()
		w.seen.bodies = append(w.seen.bodies, string(body))
		w.seen.mu.Unlock()
	}
	return w.next.RoundTrip(r)
}

func TestAJobRunsFromApplyToItsEnd(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	var seen seenWrites
	w.wrap = func(cfg *rest.Config) {
		cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return writes{next, &seen} })
	}
	rb := w.backend(host)
	w.startManager()
	w.backendUntil(rb, metav1.ConditionTrue, reasonConnected, "")
	job := w.job(rb.Name, func(j *v1alpha1.RemoteJob) { j.Finalizers = []string{v1alpha1.FinalizerCancel} })
	w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))
	token := w.token(job)
	if job.Status.JobID == "" || job.Status.NodeName != "node-of-one" || job.Status.StartTime == nil || job.Status.Attempts != 1 || job.Status.Ready != "1/1" {
		t.Errorf("status is %+v", job.Status)
	}
	if !meta.IsStatusConditionTrue(job.Status.Conditions, v1alpha1.ConditionSubmitted) || !meta.IsStatusConditionTrue(job.Status.Conditions, v1alpha1.ConditionReady) {
		t.Error(describeJob(job))
	}
	m.exitWith(token, 0)
	w.jobUntil(job, "succeeded", hasPhase(v1alpha1.PhaseSucceeded))
	if job.Status.CompletionTime == nil || job.Status.Reason != "Completed" || !meta.IsStatusConditionTrue(job.Status.Conditions, v1alpha1.ConditionFinished) {
		t.Errorf("status is %+v", job.Status)
	}
	if m.count(m.made, token) != 1 || m.count(m.submits, token) != 1 {
		t.Errorf("%d jobs came of %d submissions", m.count(m.made, token), m.count(m.submits, token))
	}
	seen.mu.Lock()
	defer seen.mu.Unlock()
	if got := len(seen.bodies); got > 3 {
		t.Errorf("the job's life took %d writes to the RemoteJob: %s", got, strings.Join(seen.bodies, "\n"))
	}
}

func TestAFailingJobSaysWhy(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	rb := w.backend(host)
	w.startManager()
	job := w.job(rb.Name)
	w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))
	m.exitWith(w.token(job), 7)
	w.jobUntil(job, "failed", hasPhase(v1alpha1.PhaseFailed))
	if end := job.Status.ContainerStatuses[0].State.Terminated; end == nil || end.ExitCode != 7 || job.Status.Reason != "Error" || !strings.Contains(job.Status.Message, "exit code 7") {
		t.Errorf("status is %+v", job.Status)
	}
}

func TestAnAnswerThatIsLostMakesNoSecondJob(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	m.loseAnswer = func(token string) bool { return m.submits[token] < 3 }
	rb := w.backend(host)
	w.startManager()
	job := w.job(rb.Name)
	w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))
	if token := w.token(job); m.count(m.made, token) != 1 || job.Status.Attempts != 3 {
		t.Errorf("%d jobs, %d attempts", m.count(m.made, token), job.Status.Attempts)
	}
}

func TestABackendThatIsAwayFailsNoJob(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	m.away = errors.New("the machine is being moved")
	rb := w.backend(host)
	w.startManager()
	job := w.job(rb.Name)
	w.backendUntil(rb, metav1.ConditionFalse, reasonUnreachable, "the machine is being moved")
	w.jobUntil(job, "waiting in words", waitsFor(reasonBackendNotReady, "the machine is being moved"))
	m.do(func() { m.away = nil })
	w.backendUntil(rb, metav1.ConditionTrue, reasonConnected, "machine 1.0")
	w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))

	m.do(func() { m.away = errors.New("the power is out") })
	w.backendUntil(rb, metav1.ConditionFalse, reasonUnreachable, "the power is out")
	later := w.job(rb.Name)
	w.jobUntil(later, "waiting in words", waitsFor(reasonBackendNotReady, "the power is out"))
	w.stays("a job on a backend that is away", func() string {
		if w.get(job); job.Status.Phase != v1alpha1.PhaseRunning {
			return describeJob(job)
		}
		return ""
	})
	m.do(func() { m.away = nil })
	w.jobUntil(later, "running", hasPhase(v1alpha1.PhaseRunning))
	m.exitWith(w.token(job), 0)
	w.jobUntil(job, "succeeded", hasPhase(v1alpha1.PhaseSucceeded))
}

func TestAJobThatCameBeforeItsBackendsFirstAnswerIsToldOfIt(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	m.away = errors.New("the machine is being moved")
	rb := w.backend(host)
	m.mu.Lock() // so that the answer takes its time
	answer := sync.OnceFunc(m.mu.Unlock)
	t.Cleanup(answer)
	w.startManager()
	job := w.job(rb.Name)
	w.jobUntil(job, "waiting for the first answer", waitsFor(reasonBackendNotReady, "has not been reached yet"))
	answer()
	w.jobUntil(job, "waiting in words", waitsFor(reasonBackendNotReady, "the machine is being moved"))
}

func TestASubmissionThatFailsForNowIsRepeated(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	m.submit = func(string) error { return backend.Unavailable("the queue is full") }
	rb := w.backend(host)
	w.startManager()
	job := w.job(rb.Name)
	w.jobUntil(job, "waiting in words", waitsFor(reasonUnavailable, "the queue is full"))
	m.do(func() { m.submit = nil })
	w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))
	if job.Status.Attempts < 2 {
		t.Errorf("%d attempts", job.Status.Attempts)
	}
}

// TestASubmissionThatFailsIsNotRepeatedBeforeItsTime counts on what a failed one brings about by itself: a status that changed, which asks
// for a visit to the job.
func TestASubmissionThatFailsIsNotRepeatedBeforeItsTime(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	var tried []time.Time
	m.submit = func(string) error {
		tried = append(tried, time.Now())
		return backend.Unavailable("the queue is full")
	}
	rb := w.backend(host)
	w.startManager()
	job := w.job(rb.Name)
	w.jobUntil(job, "tried three times", func(j *v1alpha1.RemoteJob) bool { return j.Status.Attempts >= 3 })
	m.do(func() {
		for i, pause := range []time.Duration{retryFirst, 2 * retryFirst} {
			if gap := tried[i+1].Sub(tried[i]); gap < pause {
				t.Errorf("attempt %d came %s after the one before it, and was to come after %s", i+2, gap, pause)
			}
		}
	})
}

func TestARejectionIsForGood(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	m.submit = func(string) error { return backend.Rejected("NoSuchPartition", "there is no partition x") }
	rb := w.backend(host)
	w.startManager()
	job := w.job(rb.Name, func(j *v1alpha1.RemoteJob) {
		j.Spec.Template.Spec.InitContainers = []corev1.Container{{Name: "init", Image: "image"}}
	})
	w.jobUntil(job, "failed", hasPhase(v1alpha1.PhaseFailed))
	if job.Status.Reason != reasonRejected || job.Status.Message != "there is no partition x" {
		t.Errorf("status is %+v", job.Status)
	}
	for _, s := range append(job.Status.InitContainerStatuses, job.Status.ContainerStatuses...) {
		if s.State.Terminated == nil || s.State.Terminated.ExitCode == 0 || s.State.Terminated.Message != "there is no partition x" {
			t.Errorf("container %s is %+v", s.Name, s.State)
		}
	}
	if len(job.Status.InitContainerStatuses) != 1 || len(job.Status.ContainerStatuses) != 1 {
		t.Errorf("status is %+v", job.Status)
	}
	m.do(func() { m.submit = nil })
	w.stays("a job that was rejected", func() string {
		if n := m.count(m.submits, w.token(job)); n != 1 {
			return fmt.Sprintf("it was submitted %d times", n)
		}
		return ""
	})
}

func TestAJobThatThePolicyForbidsNeverReachesItsBackend(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	rb := w.backend(host, func(rb *v1alpha1.RemoteBackend) { rb.Spec.Policy.AllowedNamespaces = []string{"another"} })
	w.startManager()
	job := w.job(rb.Name)
	w.jobUntil(job, "failed", hasPhase(v1alpha1.PhaseFailed))
	if job.Status.Reason != reasonRejected || !strings.Contains(job.Status.Message, "allowedNamespaces") || m.count(m.submits, w.token(job)) != 0 {
		t.Errorf("%s, submitted %d times", describeJob(job), m.count(m.submits, w.token(job)))
	}
}

// A template has no schema on the API server, so a RemoteJob may hold anything there.
func TestATemplateThatIsNoPodIsRefusedInWordsAndHoldsUpNoOtherJob(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	rb := w.backend(host)
	w.startManager()
	runs := func(what string) {
		t.Helper()
		job := w.job(rb.Name)
		w.jobUntil(job, what, hasPhase(v1alpha1.PhaseRunning))
	}
	runs("the first one runs")
	var refused []*v1alpha1.RemoteJob
	for _, bad := range []struct{ container, words string }{
		{`{"name":"main","image":"image","ports":[{"containerPort":"http"}]}`, "spec.template.spec.containers[0].ports[0].containerPort must be a whole number"},
		{`{"name":"main","image":"image","resources":{"limits":{"memory":"1e2000000000"}}}`, "spec.template.spec.containers[0].resources.limits[memory] must be a quantity"},
		{`{"name":"main","image":"image","comand":["true"]}`, "spec.template.spec.containers[0].comand is not known"},
	} {
		job := &v1alpha1.RemoteJob{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, GenerateName: "bad-"}}
		raw := &unstructured.Unstructured{}
		text := fmt.Sprintf(`{"apiVersion":"remotejob.dev/v1alpha1","kind":"RemoteJob","metadata":{"generateName":"bad-","namespace":%q},"spec":{"backendName":%q,"template":{"spec":{"containers":[%s]}}}}`,
			w.namespace, rb.Name, bad.container)
		if err := json.Unmarshal([]byte(text), raw); err != nil {
			t.Fatal(err)
		}
		if err := w.client.Create(t.Context(), raw); err != nil {
			t.Fatal(err)
		}
		job.Name = raw.GetName()
		w.jobUntil(job, "refused in words", func(job *v1alpha1.RemoteJob) bool {
			return job.Status.Phase == v1alpha1.PhaseFailed && job.Status.Reason == reasonRejected && strings.Contains(job.Status.Message, bad.words)
		})
		if m.count(m.submits, w.token(job)) != 0 {
			t.Errorf("it was submitted: %s", bad.container)
		}
		refused = append(refused, job)
	}
	runs("one that comes to the watch")
	w.stopManager()
	w.startManager()
	runs("one that comes after a list")
	for _, job := range refused {
		w.cancel(job)
		w.gone(job)
	}
}

func TestAJobWhosePayloadIsLostFails(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	rb := w.backend(host)
	w.startManager()
	job := w.job(rb.Name, func(j *v1alpha1.RemoteJob) {
		j.Spec.PodRef = &v1alpha1.PodReference{Namespace: "ns", Name: "pod", UID: types.UID("uid-" + w.namespace)}
		j.Spec.PayloadSecretNames = []string{"gone"}
	})
	w.jobUntil(job, "failed", hasPhase(v1alpha1.PhaseFailed))
	if job.Status.Reason != reasonPayloadLost || m.count(m.submits, w.token(job)) != 0 {
		t.Error(describeJob(job))
	}
	// It goes without the payload, too.
	w.cancel(job)
	w.gone(job)
}

func TestAHandWrittenJobWaitsForItsConfigMap(t *testing.T) {
	w := newWorld(t)
	w.machine(host, "one")
	rb := w.backend(host, func(rb *v1alpha1.RemoteBackend) { rb.Spec.MaxActiveJobs = 1 })
	w.startManager()
	job := w.job(rb.Name, func(j *v1alpha1.RemoteJob) {
		j.Spec.Template.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: &corev1.ConfigMapEnvSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: "settings"},
		}}}
	})
	w.jobUntil(job, "waiting in words", waitsFor(reasonCannotResolve, "settings"))
	// It takes nobody's place while it waits.
	other := w.job(rb.Name)
	w.jobUntil(other, "running", hasPhase(v1alpha1.PhaseRunning))
	w.cancel(other)
	w.gone(other)
	if err := w.client.Create(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "settings"}, Data: map[string]string{"A": "1"}}); err != nil {
		t.Fatal(err)
	}
	w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))
}

func TestNoMoreJobsThanThereAreSlots(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	rb := w.backend(host, func(rb *v1alpha1.RemoteBackend) { rb.Spec.MaxActiveJobs = 2 })
	w.startManager()
	var jobs []*v1alpha1.RemoteJob
	for range 6 {
		jobs = append(jobs, w.job(rb.Name))
	}
	left := len(jobs)
	for left > 0 {
		var runs []*v1alpha1.RemoteJob
		w.until("two at once", func() string {
			runs = nil
			for _, job := range jobs {
				if w.get(job); job.Status.JobID != "" && !job.Finished() {
					runs = append(runs, job)
				}
			}
			if len(runs) > 2 {
				t.Fatalf("%d jobs are on a backend that takes 2", len(runs))
			}
			if len(runs) < min(2, left) {
				return fmt.Sprintf("%d run, %d are left", len(runs), left)
			}
			return ""
		})
		for _, job := range runs {
			m.exitWith(w.token(job), 0)
			w.jobUntil(job, "succeeded", hasPhase(v1alpha1.PhaseSucceeded))
		}
		left -= len(runs)
	}
}

func TestAQuietBackendCostsNoVisits(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	rb := w.backend(host)
	w.startManager()
	job := w.job(rb.Name)
	w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))
	token := w.token(job)
	var observed atomic.Int64
	m.do(func() { m.observe = func() error { observed.Add(1); return nil } })
	see := func(n int64) {
		from := observed.Load()
		w.until("observations", func() string {
			if observed.Load() >= from+n {
				return ""
			}
			return fmt.Sprintf("%d of %d", observed.Load()-from, n)
		})
	}
	// The job's own last write may bring it one more visit.
	w.until("four observations without a visit", func() string {
		before := m.count(m.drives, token)
		see(4)
		if after := m.count(m.drives, token); after != before {
			return fmt.Sprintf("the job was driven %d times while nothing changed", after-before)
		}
		return ""
	})
	// A change that no event told of is seen all the same.
	m.do(func() {
		m.changed = map[chan<- string]struct{}{}
		code := int32(0)
		j := m.jobs[token]
		j.exit, j.ended, j.version = &code, time.Now(), j.version+1
	})
	w.jobUntil(job, "succeeded", hasPhase(v1alpha1.PhaseSucceeded))
}

func TestAManagerThatDoesNotLeadChangesNothing(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	fence := &LeaseFence{}
	w.fence = fence
	rb := w.backend(host)
	w.startManager()
	job := w.job(rb.Name)
	w.backendUntil(rb, metav1.ConditionTrue, reasonConnected, "")
	w.stays("a backend behind a fence", func() string {
		if m.count(m.submits, w.token(job)) > 0 {
			return "a job was handed over"
		}
		return ""
	})
	fence.Renewed(time.Now(), time.Hour)
	w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))
	fence.Lost()
	w.cancel(job)
	w.stays("a backend behind a fence", func() string {
		if m.count(m.cancels, w.token(job)) > 0 {
			return "a job was cancelled"
		}
		return ""
	})
	fence.Renewed(time.Now(), 2*time.Hour)
	w.gone(job)
}

func TestTheFinalizerIsThereBeforeTheBackendHearsOfTheJob(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	rb := w.backend(host)
	var without atomic.Bool
	m.submit = func(string) error {
		list := &v1alpha1.RemoteJobList{}
		if err := w.client.List(t.Context(), list, client.InNamespace(w.namespace)); err != nil || len(list.Items) != 1 || len(list.Items[0].Finalizers) != 1 {
			without.Store(true)
		}
		return nil
	}
	w.startManager()
	job := w.job(rb.Name)
	w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))
	if without.Load() {
		t.Error("the backend was asked while the RemoteJob could have vanished")
	}
}
