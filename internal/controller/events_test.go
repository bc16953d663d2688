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
	"slices"
	"strings"
	"testing"

	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
)

// events are those about an object, as "Type Reason note".
func (w *world) events(uid types.UID) []string {
	w.t.Helper()
	list := &eventsv1.EventList{}
	if err := w.client.List(w.t.Context(), list); err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for i := range list.Items {
		if e := &list.Items[i]; e.Regarding.UID == uid {
			out = append(out, fmt.Sprintf("%s %s %s", e.Type, e.Reason, e.Note))
		}
	}
	return out
}

func (w *world) eventsUntil(uid types.UID, want ...string) {
	w.t.Helper()
	w.until("events", func() string {
		got := w.events(uid)
		for _, words := range want {
			if !slices.ContainsFunc(got, func(e string) bool { return strings.Contains(e, words) }) {
				return fmt.Sprintf("none is %q among %q", words, got)
			}
		}
		if len(got) != len(want) {
			return fmt.Sprintf("there are %q", got)
		}
		return ""
	})
}

func TestTroubleIsToldOnce(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	m.submit = func(string) error {
		return backend.Rejected("NoSuchPartition", "%s", "there is no partition "+strings.Repeat("x", 3000))
	}
	rb := w.backend(host)
	w.startManager()
	w.backendUntil(rb, metav1.ConditionTrue, reasonConnected, "")
	job := w.job(rb.Name)
	w.jobUntil(job, "failed", hasPhase(v1alpha1.PhaseFailed))
	w.eventsUntil(job.UID, "Warning Rejected there is no partition")
	w.eventsUntil(rb.UID, "Normal Connected machine 1.0")
	orphan := w.job("no-such-backend")
	w.eventsUntil(orphan.UID, "Warning BackendMissing there is no RemoteBackend no-such-backend")

	m.do(func() { m.away = errors.New("the cable is out") })
	w.backendUntil(rb, metav1.ConditionFalse, reasonUnreachable, "the cable is out")
	w.eventsUntil(rb.UID, "Normal Connected machine 1.0", "Warning Unreachable the cable is out")
	w.stays("told once", func() string {
		for uid, want := range map[types.UID]int{rb.UID: 2, job.UID: 1, orphan.UID: 1} {
			if got := w.events(uid); len(got) != want {
				return fmt.Sprintf("%q", got)
			}
		}
		return ""
	})
}

func TestWhatIsToldOfAJob(t *testing.T) {
	job := func(phase v1alpha1.RemoteJobPhase, id, reason string, change ...func(*v1alpha1.RemoteJob)) *v1alpha1.RemoteJob {
		out := &v1alpha1.RemoteJob{}
		out.Status.Phase, out.Status.JobID, out.Status.Reason, out.Status.Message = phase, id, reason, "words"
		for _, f := range change {
			f(out)
		}
		return out
	}
	waits := func(reason string) *v1alpha1.RemoteJob {
		return job(v1alpha1.PhasePending, "", reason, func(j *v1alpha1.RemoteJob) {
			setCondition(&j.Status.Conditions, 1, metav1.Now().Time, v1alpha1.ConditionSubmitted, false, reason, reason, "words")
		})
	}
	running := job(v1alpha1.PhaseRunning, "id", "")
	for _, tt := range []struct {
		name          string
		before, after *v1alpha1.RemoteJob
		want          string
	}{
		{"its backend takes it", waits(reasonUnavailable), job(v1alpha1.PhaseQueued, "id", ""), ""},
		{"it runs", job(v1alpha1.PhaseQueued, "id", ""), running, ""},
		{"it ends well", running, job(v1alpha1.PhaseSucceeded, "id", "Completed"), ""},
		{"it fails", running, job(v1alpha1.PhaseFailed, "id", "OOMKilled"), "OOMKilled"},
		{"its end is written once more", job(v1alpha1.PhaseFailed, "id", "OOMKilled"), job(v1alpha1.PhaseFailed, "id", "OOMKilled"), ""},
		{"it was cancelled", running, job(v1alpha1.PhaseFailed, "id", "Cancelled", func(j *v1alpha1.RemoteJob) { j.Spec.Cancel = true }), ""},
		{"its image can't be pulled", job(v1alpha1.PhaseQueued, "id", "ContainerCreating"), job(v1alpha1.PhaseQueued, "id", "ErrImagePull"), "ErrImagePull"},
		{"nor later", job(v1alpha1.PhaseQueued, "id", "ErrImagePull"), job(v1alpha1.PhaseQueued, "id", "ImagePullBackOff"), ""},
		{"nor then", job(v1alpha1.PhaseQueued, "id", "ImagePullBackOff"), job(v1alpha1.PhaseQueued, "id", "ErrImagePull"), ""},
		{"there is no such backend", job(v1alpha1.PhasePending, "", ""), waits(reasonBackendMissing), "BackendMissing"},
		{"and still not", waits(reasonBackendMissing), waits(reasonBackendMissing), ""},
		{"the backend can't take it now", waits(reasonWaitingForSlot), waits(reasonUnavailable), "Unavailable"},
		{"the backend is away, and says so itself", job(v1alpha1.PhasePending, "", ""), waits(reasonBackendNotReady), ""},
		{"it waits for a slot", job(v1alpha1.PhasePending, "", ""), waits(reasonWaitingForSlot), ""},
	} {
		if got := occurred(tt.before, tt.after); got.reason != tt.want || got.reason != "" && (got.kind != "Warning" || got.note != "words") {
			t.Errorf("%s: %+v, want %q", tt.name, got, tt.want)
		}
	}
}
