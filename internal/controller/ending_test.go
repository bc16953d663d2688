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
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

func TestACancelledJobGetsItsGraceAndThenGoesWhole(t *testing.T) {
	for _, tt := range []struct {
		name string
		how  func(w *world, job *v1alpha1.RemoteJob)
	}{
		{"by spec.cancel", (*world).cancel},
		{"by deleting it", func(w *world, job *v1alpha1.RemoteJob) {
			if err := w.client.Delete(w.t.Context(), job); err != nil {
				w.t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			m := w.machine(host, "one")
			m.stopsAfter = time.Hour
			rb := w.backend(host)
			w.startManager()
			job := w.job(rb.Name)
			w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))
			token := w.token(job)
			tt.how(w, job)
			w.jobUntil(job, "stopping", func(j *v1alpha1.RemoteJob) bool {
				return meta.IsStatusConditionTrue(j.Status.Conditions, v1alpha1.ConditionStopping)
			})
			// The grace counts on over a restart of the manager.
			w.stopManager()
			m.do(func() { m.stopsAfter = 0 })
			w.startManager()
			w.until("removed from the backend", func() string {
				if m.count(m.cancels, token) == 0 {
					return "not yet"
				}
				return ""
			})
			w.gone(job)
			if m.holds(token) {
				t.Error("the backend still holds the job")
			}
			m.do(func() {
				j := m.jobs[token]
				if j == nil || !j.marker {
					t.Error("there is no marker that refuses what comes late")
				}
			})
		})
	}
}

func TestTheGraceCountsFromWhenTheEndWasFirstSeen(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	m.stopsAfter = time.Hour
	rb := w.backend(host)
	w.startManager()
	job := w.job(rb.Name)
	w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))
	w.cancel(job)
	token := w.token(job)
	stops := func() (all []time.Time) {
		m.do(func() { all = append(all, m.jobs[token].stops...) })
		return all
	}
	w.until("told to stop", func() string {
		if len(stops()) == 0 {
			return "not yet"
		}
		return ""
	})
	first := stops()[0]
	w.stopManager()
	told := len(stops())
	w.startManager()
	w.until("told to stop by the next manager", func() string {
		if len(stops()) == told {
			return "not yet"
		}
		return ""
	})
	for _, since := range stops() {
		if d := since.Sub(first); d < -time.Second || d > time.Second {
			t.Errorf("the grace counted from %s and then from %s", first, since)
		}
	}
	m.do(func() { m.stopsAfter = 0 })
	w.stopManager()
	w.startManager()
	w.gone(job)
}

func TestAJobThatWasNeverHandedOverGoesWithAMarker(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	rb := w.backend(host, func(rb *v1alpha1.RemoteBackend) { rb.Spec.MaxActiveJobs = 1 })
	w.startManager()
	first := w.job(rb.Name)
	w.jobUntil(first, "running", hasPhase(v1alpha1.PhaseRunning))
	second := w.job(rb.Name)
	w.jobUntil(second, "waiting for a slot", waitsFor(reasonWaitingForSlot, "maxActiveJobs of 1"))
	w.cancel(second)
	w.gone(second)
	if token := w.token(second); m.count(m.submits, token) != 0 || m.count(m.cancels, token) == 0 {
		t.Errorf("submitted %d times, cancelled %d times", m.count(m.submits, token), m.count(m.cancels, token))
	}
}

// TestAJobThatNeverReachedItsBackendGoesWhenThatIsBack: no observation shows it, so nothing but the backend's return can wake it.
func TestAJobThatNeverReachedItsBackendGoesWhenThatIsBack(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	rb := w.backend(host)
	w.startManager()
	job := w.job(rb.Name, func(j *v1alpha1.RemoteJob) {
		j.Spec.PodRef = &v1alpha1.PodReference{Namespace: "ns", Name: "pod", UID: types.UID("uid-" + w.namespace)}
		j.Spec.PayloadSecretNames = []string{"gone"}
	})
	w.jobUntil(job, "failed", hasPhase(v1alpha1.PhaseFailed))
	m.do(func() { m.away = errors.New("no route") })
	w.cancel(job)
	w.jobUntil(job, "waiting for its backend", func(j *v1alpha1.RemoteJob) bool {
		c := meta.FindStatusCondition(j.Status.Conditions, v1alpha1.ConditionStopping)
		return c != nil && strings.Contains(c.Message, "waits for its backend")
	})
	m.do(func() { m.away = nil })
	w.gone(job)
}

func TestASubmissionWhoseAnswerWasLostIsStoppedInOrder(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	m.loseAnswer = func(string) bool { return true }
	rb := w.backend(host)
	w.startManager()
	job := w.job(rb.Name)
	token := w.token(job)
	w.jobUntil(job, "in doubt", func(j *v1alpha1.RemoteJob) bool { return j.Status.Attempts > 0 })
	w.cancel(job)
	w.gone(job)
	if m.holds(token) || m.count(m.made, token) != 1 {
		t.Errorf("%d were made, and the backend holds it: %t", m.count(m.made, token), m.holds(token))
	}
}

func TestAJobWaitsForABackendThatWasNotReachedYet(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	rb := w.backend(host)
	w.startManager()
	job := w.job(rb.Name)
	w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))
	w.stopManager()
	m.do(func() { m.away = errors.New("no route") })
	w.startManager()
	w.cancel(job)
	w.jobUntil(job, "waiting in words", func(j *v1alpha1.RemoteJob) bool {
		c := meta.FindStatusCondition(j.Status.Conditions, v1alpha1.ConditionStopping)
		return c != nil && strings.Contains(c.Message, "waits for its backend")
	})
	w.stays("a job that a backend holds", func() string {
		if !w.get(job) {
			return "it went while its backend could not be asked"
		}
		return ""
	})
	m.do(func() { m.away = nil })
	w.gone(job)
	if m.holds(w.token(job)) {
		t.Error("the backend still holds the job")
	}
}

func TestAJobOfABackendThatWasNeverReachedGoesAtOnce(t *testing.T) {
	w := newWorld(t)
	w.startManager()
	for _, tt := range []struct{ name, backend string }{
		{"there is no such RemoteBackend", "missing-" + w.namespace},
		{"it was never reached", w.backend("tcp://nowhere").Name},
	} {
		t.Run(tt.name, func(*testing.T) {
			job := w.job(tt.backend)
			w.jobUntil(job, "waiting", func(j *v1alpha1.RemoteJob) bool {
				return meta.IsStatusConditionFalse(j.Status.Conditions, v1alpha1.ConditionSubmitted)
			})
			w.cancel(job)
			w.gone(job)
		})
	}
}

func TestAJobOfABackendThatIsGoneByForceWaits(t *testing.T) {
	w := newWorld(t)
	w.machine(host, "one")
	rb := w.backend(host)
	w.startManager()
	job := w.job(rb.Name)
	w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))
	w.stopManager()
	w.destroy(t.Context(), rb)
	w.startManager()
	w.cancel(job)
	w.jobUntil(job, "waiting in words", func(j *v1alpha1.RemoteJob) bool {
		c := meta.FindStatusCondition(j.Status.Conditions, v1alpha1.ConditionStopping)
		return c != nil && strings.Contains(c.Message, "there is no RemoteBackend "+rb.Name)
	})
	w.stays("a job that nobody can speak for", func() string {
		if !w.get(job) {
			return "it went"
		}
		return ""
	})
}

// A /create whose write landed and whose answer was lost is made again, by then perhaps after its pod was deleted and gone.
func TestAJobWhosePodHadBeenDeletedGoesThoughNobodyDeletesIt(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	rb := w.backend(host)
	pod := &v1alpha1.PodReference{Namespace: "ns", Name: "pod", UID: types.UID("uid-" + w.namespace)}
	late := func(j *v1alpha1.RemoteJob) { j.Spec.PodRef = pod }
	token := w.token(&v1alpha1.RemoteJob{Spec: v1alpha1.RemoteJobSpec{PodRef: pod}})
	m.do(func() { m.jobs[token] = &machineJob{marker: true} })
	w.startManager()
	job := w.job(rb.Name, late)
	w.jobUntil(job, "rejected", hasPhase(v1alpha1.PhaseFailed))
	if job.Status.Reason != reasonCancelled || m.count(m.made, token) != 0 {
		t.Error(describeJob(job))
	}
	ended := job.Status.CompletionTime.Time
	w.gone(job)
	if kept := time.Since(ended); kept < w.timings.LateKept {
		t.Errorf("it was kept for %s, and its /create has to be answered", kept)
	}
}

func TestATombstoneStaysForLateRequests(t *testing.T) {
	for _, tt := range []struct {
		name    string
		backend func(w *world) string
	}{
		{"of a backend that is there", func(w *world) string {
			w.machine(host, "one")
			rb := w.backend(host)
			w.startManager()
			w.backendUntil(rb, metav1.ConditionTrue, reasonConnected, "")
			return rb.Name
		}},
		{"of no backend", func(w *world) string {
			w.startManager()
			return "-"
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.timings.TombstonesKept = 10 * time.Second // it is to be seen meanwhile
			name := tt.backend(w)
			tombstone := &v1alpha1.RemoteJob{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, GenerateName: "tombstone-", Finalizers: []string{v1alpha1.FinalizerCancel}}}
			tombstone.Spec = v1alpha1.RemoteJobSpec{
				BackendName: name, Cancel: true, TTLSecondsAfterFinished: ptr.To[int32](600),
				PodRef: &v1alpha1.PodReference{Namespace: "ns", Name: "pod", UID: types.UID("uid-" + w.namespace)},
			}
			if err := w.client.Create(t.Context(), tombstone); err != nil {
				t.Fatal(err)
			}
			created := tombstone.CreationTimestamp
			w.jobUntil(tombstone, "cleared on its backend", hasPhase(v1alpha1.PhaseFailed))
			w.gone(tombstone)
			// The API server gives whole seconds.
			if kept := time.Since(created.Time); kept < w.timings.TombstonesKept {
				t.Errorf("it was kept for %s", kept)
			}
			if m := w.machines[host]; m != nil && m.count(m.cancels, w.token(tombstone)) != 1 {
				t.Errorf("its token was cancelled %d times", m.count(m.cancels, w.token(tombstone)))
			}
		})
	}
}

func TestAFinishedJobGoesAfterItsTTL(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	rb := w.backend(host)
	w.startManager()
	job := w.job(rb.Name, func(j *v1alpha1.RemoteJob) { j.Spec.TTLSecondsAfterFinished = ptr.To[int32](1) })
	w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))
	token := w.token(job)
	m.exitWith(token, 0)
	w.gone(job)
	if m.holds(token) {
		t.Error("the backend still holds what is left of the job")
	}
}

func TestAJobIsCalledLostOnlyByGoodObservations(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	rb := w.backend(host)
	w.startManager()
	job := w.job(rb.Name)
	w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))
	token := w.token(job)

	m.do(func() { m.observe = func() error { return errors.New("the list could not be read") } })
	m.vanish(token)
	w.stays("a job that failed observations do not show", func() string {
		if w.get(job); job.Status.Phase != v1alpha1.PhaseRunning {
			return describeJob(job)
		}
		return ""
	})
	m.do(func() { m.observe = nil })
	w.jobUntil(job, "lost", hasPhase(v1alpha1.PhaseFailed))
	end := job.Status.ContainerStatuses[0].State.Terminated
	if job.Status.Reason != reasonJobLost || end == nil || end.ExitCode != 137 || !strings.Contains(end.Message, "does not hold the job any more") {
		t.Errorf("%s, container %+v", describeJob(job), end)
	}
	if m.count(m.made, token) != 1 {
		t.Error("a lost job was submitted again")
	}
	w.cancel(job)
	w.gone(job)
}

func TestAJobOfAnotherMachineIsNeitherLostNorRemoved(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	rb := w.backend(host)
	w.startManager()
	job := w.job(rb.Name)
	w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))
	token := w.token(job)
	stranger := "rj-stranger"
	var kept *machineJob
	m.do(func() {
		m.identity = "two"
		kept = m.jobs[token]
		delete(m.jobs, token)
		m.jobs[stranger] = &machineJob{id: "x"}
	})
	w.backendUntil(rb, metav1.ConditionFalse, reasonIdentityChanged, `"two"`)
	w.stays("a job whose machine is not there", func() string {
		if w.get(job); job.Status.Phase != v1alpha1.PhaseRunning {
			return describeJob(job)
		}
		if w.get(rb); rb.Status.Identity != "one" || len(rb.Status.Leftovers) > 0 {
			return fmt.Sprintf("its RemoteBackend says %+v", rb.Status)
		}
		return ""
	})
	m.do(func() {
		m.identity = "one"
		m.jobs[token] = kept
		delete(m.jobs, stranger)
	})
	w.backendUntil(rb, metav1.ConditionTrue, reasonConnected, "")
	m.exitWith(token, 0)
	w.jobUntil(job, "succeeded", hasPhase(v1alpha1.PhaseSucceeded))

	m.do(func() { m.identity = "three" })
	w.backendUntil(rb, metav1.ConditionFalse, reasonIdentityChanged, `"three"`)
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:"three"}}}`, v1alpha1.AnnotationAcceptIdentity)
	if err := w.client.Patch(t.Context(), rb, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		t.Fatal(err)
	}
	w.backendUntil(rb, metav1.ConditionTrue, reasonConnected, "")
	if w.get(rb); rb.Status.Identity != "three" {
		t.Errorf("the identity on record is %q", rb.Status.Identity)
	}
}
