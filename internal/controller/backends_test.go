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

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

func TestARemoteBackendShowsWhatAnswers(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	rb := w.backend(host)
	w.startManager()
	w.backendUntil(rb, metav1.ConditionTrue, reasonConnected, "machine 1.0")
	if rb.Status.Version != "machine 1.0" || rb.Status.Identity != "one" || rb.Status.Capacity.Cpu().String() != "2" || rb.Status.ObservedGeneration != rb.Generation {
		t.Errorf("status is %+v", rb.Status)
	}
	first, second := w.job(rb.Name), w.job(rb.Name, func(j *v1alpha1.RemoteJob) { j.Spec.Template.Spec.Containers[0].Image = "slow" })
	counts := func(active, queued int32) {
		t.Helper()
		w.until("counts", func() string {
			if w.get(rb); rb.Status.Jobs == (v1alpha1.BackendJobs{Active: active, Queued: queued}) {
				return ""
			}
			return fmt.Sprintf("%+v, want %d active and %d queued", rb.Status.Jobs, active, queued)
		})
	}
	counts(2, 0)
	m.exitWith(w.token(first), 0)
	counts(1, 0)
	w.cancel(second)
	counts(0, 0)
	if w.get(rb); rb.ResourceVersion != "" {
		before := rb.ResourceVersion
		w.stays("a quiet RemoteBackend", func() string {
			if w.get(rb); rb.ResourceVersion != before {
				return "it was written"
			}
			return ""
		})
	}
}

func TestABackendOfAKindThatThisReleaseLacksSaysSo(t *testing.T) {
	w := newWorld(t)
	rb := w.backend("", func(rb *v1alpha1.RemoteBackend) {
		rb.Spec = v1alpha1.RemoteBackendSpec{Type: v1alpha1.BackendSlurm, Slurm: &v1alpha1.SlurmBackend{
			Connection: v1alpha1.SlurmConnection{Local: &v1alpha1.LocalConnection{}}, BaseDirectory: "/jobs", Runtime: v1alpha1.SlurmRuntime{Type: "None"},
		}}
	})
	w.startManager()
	w.backendUntil(rb, metav1.ConditionFalse, reasonNotSupported, "this manager runs none")
}

func TestARemoteBackendIsEditedWhileItRuns(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	rb := w.backend(host)
	w.startManager()
	job := w.job(rb.Name)
	w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))
	edit := func(patch string) {
		t.Helper()
		if err := w.client.Patch(t.Context(), rb, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
			t.Fatal(err)
		}
		w.until("the edit is seen", func() string {
			if w.get(rb); rb.Status.ObservedGeneration == rb.Generation {
				return ""
			}
			return fmt.Sprintf("generation %d, observed %d", rb.Generation, rb.Status.ObservedGeneration)
		})
	}
	edit(`{"spec":{"policy":{"allowedNamespaces":["another"]}}}`)
	refused := w.job(rb.Name)
	w.jobUntil(refused, "refused by the new policy", hasPhase(v1alpha1.PhaseFailed))
	if n := w.connected(host); n != 1 {
		t.Errorf("a policy made %d connections", n)
	}
	// The same machine at another address: its jobs go on.
	const moved = "tcp://moved"
	w.mu.Lock()
	w.machines[moved] = m
	w.mu.Unlock()
	edit(fmt.Sprintf(`{"spec":{"policy":{"allowedNamespaces":[]},"docker":{"host":%q}}}`, moved))
	w.backendUntil(rb, metav1.ConditionTrue, reasonConnected, "")
	if w.connected(moved) != 1 {
		t.Errorf("%d connections to the new address", w.connected(moved))
	}
	m.exitWith(w.token(job), 0)
	w.jobUntil(job, "succeeded", hasPhase(v1alpha1.PhaseSucceeded))
	accepted := w.job(rb.Name)
	w.jobUntil(accepted, "running", hasPhase(v1alpha1.PhaseRunning))
}

func TestSecretsAreReadAtEachConnect(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	rb := w.backend(host, func(rb *v1alpha1.RemoteBackend) {
		rb.Spec.Docker.TLSSecretRef = &corev1.LocalObjectReference{Name: "client"}
	})
	w.startManager()
	w.backendUntil(rb, metav1.ConditionFalse, reasonConfigError, "client")
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "client"}, Data: map[string][]byte{"key": []byte("old")}}
	if err := w.client.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	w.backendUntil(rb, metav1.ConditionTrue, reasonConnected, "")
	given := func() string {
		w.mu.Lock()
		defer w.mu.Unlock()
		return string(w.secrets[host]["client"].Data["key"])
	}
	if given() != "old" {
		t.Errorf("connected with %q", given())
	}
	connects := w.connected(host)
	m.do(func() { m.away = errors.New("bad certificate") })
	w.backendUntil(rb, metav1.ConditionFalse, reasonUnreachable, "bad certificate")
	if n := w.connected(host); n != connects {
		t.Errorf("the same settings made %d more connections", n-connects)
	}
	secret.Data["key"] = []byte("new")
	if err := w.client.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	w.until("connected with the new key", func() string {
		if given() == "new" {
			return ""
		}
		return given()
	})
	m.do(func() { m.away = nil })
	w.backendUntil(rb, metav1.ConditionTrue, reasonConnected, "")
	for _, c := range rb.Status.Conditions {
		if strings.Contains(c.Message, "new") {
			t.Errorf("a secret is readable in %+v", c)
		}
	}
}

func TestARemoteBackendWaitsForItsJobs(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	rb := w.backend(host)
	w.startManager()
	job, done := w.job(rb.Name), w.job(rb.Name)
	w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))
	w.jobUntil(done, "running", hasPhase(v1alpha1.PhaseRunning))
	m.exitWith(w.token(done), 0)
	w.jobUntil(done, "succeeded", hasPhase(v1alpha1.PhaseSucceeded))
	if err := w.client.Delete(t.Context(), rb); err != nil {
		t.Fatal(err)
	}
	w.backendUntil(rb, metav1.ConditionTrue, reasonDeleting, "waits for 1 unfinished jobs")
	// Times are in whole seconds: only a job of a later one is surely younger than the deletion.
	w.until("a second has passed", func() string {
		if time.Now().After(rb.DeletionTimestamp.Add(time.Second)) {
			return ""
		}
		return "not yet"
	})
	late := w.job(rb.Name)
	w.jobUntil(late, "refused", hasPhase(v1alpha1.PhaseFailed))
	if !strings.Contains(late.Status.Message, "being deleted") {
		t.Error(describeJob(late))
	}
	m.exitWith(w.token(job), 0)
	w.gone(rb)
	if m.holds(w.token(job)) || m.holds(w.token(done)) {
		t.Error("the machine still holds what finished jobs left on it")
	}
	w.cancel(done)
	w.gone(done)
}

func TestAJobThatWasCancelledAndIsThereAgainGoesAtOnce(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	m.do(func() {
		m.jobs["rj-risen"] = &machineJob{id: "risen", risen: true}
		m.jobs["rj-left"] = &machineJob{id: "left"}
	})
	rb := w.backend(host)
	w.startManager()
	w.until("gone", func() string {
		if m.holds("rj-risen") {
			return "it is there"
		}
		return ""
	})
	w.until("one leftover", func() string {
		if w.get(rb); len(rb.Status.Leftovers) == 1 && rb.Status.Leftovers[0].Token == "rj-left" {
			return ""
		}
		return fmt.Sprintf("%+v", rb.Status.Leftovers)
	})
	if !m.holds("rj-left") {
		t.Error("what nobody has cancelled was removed, too")
	}
}

func TestLeftoversAreListedAndRemovedInTime(t *testing.T) {
	w := newWorld(t)
	w.timings.LeftoverAfter = 3 * time.Second
	m := w.machine(host, "one")
	rb := w.backend(host)
	w.startManager()
	job := w.job(rb.Name)
	w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))
	m.do(func() {
		m.jobs["rj-left"] = &machineJob{id: "left"}
		m.jobs["rj-marker"] = &machineJob{marker: true}
	})
	w.until("listed", func() string {
		if w.get(rb); len(rb.Status.Leftovers) == 1 && rb.Status.Leftovers[0].Token == "rj-left" {
			return ""
		}
		return fmt.Sprintf("%+v", rb.Status.Leftovers)
	})
	since := rb.Status.Leftovers[0].Since
	// The time since when it is listed is kept over restarts.
	w.stopManager()
	w.startManager()
	for m.holds("rj-left") {
		if w.get(rb); len(rb.Status.Leftovers) == 1 && !rb.Status.Leftovers[0].Since.Equal(&since) {
			t.Fatalf("it is listed since %s, and was since %s", rb.Status.Leftovers[0].Since, since)
		}
		if time.Since(since.Time) > patience {
			t.Fatal("it was not removed")
		}
	}
	if age := time.Since(since.Time); age < w.timings.LeftoverAfter {
		t.Errorf("it was removed after %s", age)
	}
	w.until("not listed any more", func() string {
		if w.get(rb); len(rb.Status.Leftovers) == 0 {
			return ""
		}
		return fmt.Sprintf("%+v", rb.Status.Leftovers)
	})
	if w.get(job); job.Status.Phase != v1alpha1.PhaseRunning || !m.holds(w.token(job)) {
		t.Error(describeJob(job))
	}
	m.do(func() {
		if len(m.pruned) == 0 {
			t.Error("old markers were not pruned")
		} else if age := time.Since(m.pruned[0]); age < 7*24*time.Hour-time.Minute || age > 7*24*time.Hour+time.Minute {
			t.Errorf("markers of %s were pruned", age)
		}
	})
}
