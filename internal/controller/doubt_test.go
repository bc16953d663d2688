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
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// These tests are about jobs that their backend holds and the ledger does not know of: the answer to a submission was lost, or the manager
// that had it.

// onMachine makes a job that its machine runs, and of which the ledger knows no more than that it may have been handed over.
func (w *world) onMachine(m *machine, rb string, change ...func(*v1alpha1.RemoteJob)) *v1alpha1.RemoteJob {
	w.t.Helper()
	job := w.job(rb, append(change, func(j *v1alpha1.RemoteJob) { j.Finalizers = []string{v1alpha1.FinalizerCancel} })...)
	m.do(func() { m.jobs[w.token(job)] = &machineJob{id: "id-of-another-manager", started: time.Now()} })
	return job
}

func TestWhatAPolicyForbidsLaterRunsOnWhereItsBackendHoldsIt(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	rb := w.backend(host, func(rb *v1alpha1.RemoteBackend) { rb.Spec.Policy.AllowedNamespaces = []string{"another"} })
	held := w.onMachine(m, rb.Name)
	later := w.job(rb.Name)
	w.startManager()
	w.jobUntil(later, "failed", hasPhase(v1alpha1.PhaseFailed))
	w.jobUntil(held, "running", hasPhase(v1alpha1.PhaseRunning))
	if token := w.token(held); m.count(m.made, token) != 0 || held.Status.JobID != "id-of-another-manager" {
		t.Error(describeJob(held))
	}
}

// TestAJobThatCannotBeHandedOverIsEndedOnItsBackendFirst: it is Failed, and nothing of it runs then.
func TestAJobThatCannotBeHandedOverIsEndedOnItsBackendFirst(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	rb := w.backend(host)
	job := w.onMachine(m, rb.Name, func(j *v1alpha1.RemoteJob) {
		j.Spec.PodRef = &v1alpha1.PodReference{Namespace: "ns", Name: "pod", UID: types.UID("uid-" + w.namespace)}
		j.Spec.PayloadSecretNames = []string{"gone"}
	})
	token := w.token(job)
	w.startManager()
	w.jobUntil(job, "failed", hasPhase(v1alpha1.PhaseFailed))
	if job.Status.Reason != reasonPayloadLost {
		t.Error(describeJob(job))
	}
	m.do(func() {
		if j := m.jobs[token]; !j.marker && j.exit == nil {
			t.Error("it is called failed and runs")
		}
		if m.submits[token] > 0 {
			t.Error("it was handed over")
		}
	})
}

// TestAJobThatMayBeOnItsBackendIsStoppedInOrder: before the first observation nobody knows, and a cancel keeps no grace.
func TestAJobThatMayBeOnItsBackendIsStoppedInOrder(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	rb := w.backend(host)
	w.startManager()
	w.backendUntil(rb, metav1.ConditionTrue, reasonConnected, "")
	w.stopManager()
	job := w.onMachine(m, rb.Name)
	token := w.token(job)
	var inOrder atomic.Bool
	m.drive = func(string) error { // the machine's lock is held
		if m.cancels[token] == 0 {
			inOrder.Store(true)
		}
		return nil
	}
	m.observe = func() error { return errors.New("it is not to be seen") }
	w.cancel(job)
	w.startManager()
	w.jobUntil(job, "waiting", func(j *v1alpha1.RemoteJob) bool {
		c := meta.FindStatusCondition(j.Status.Conditions, v1alpha1.ConditionStopping)
		return c != nil && strings.Contains(c.Message, "what its backend holds")
	})
	w.stays("a job that may be there", func() string {
		if m.count(m.cancels, token) > 0 {
			return "it was cancelled"
		}
		return ""
	})
	m.do(func() { m.observe = nil })
	w.gone(job)
	if !inOrder.Load() {
		t.Error("it was cancelled without being stopped first")
	}
}
