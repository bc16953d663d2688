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
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	testclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

func TestAJobIsLostOnlyAfterSeveralGoodObservationsAndAWhile(t *testing.T) {
	timings := Timings{}.withDefaults()
	tests := []struct {
		name  string
		polls []time.Duration // after testNow, of observations that did not show it
		now   time.Duration
		lost  bool
	}{
		{"never absent", nil, time.Hour, false},
		{"absent once, long ago", []time.Duration{0}, time.Hour, false},
		{"three times within a moment", []time.Duration{0, time.Second, 2 * time.Second}, 3 * time.Second, false},
		{"twice over a minute", []time.Duration{0, time.Minute}, 2 * time.Minute, false},
		{"three times over a minute", []time.Duration{0, 30 * time.Second, time.Minute}, time.Minute, true},
		{"three times, a second short", []time.Duration{0, 20 * time.Second, 59 * time.Second}, 59 * time.Second, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var a absence
			for _, at := range tt.polls {
				a = a.next(testNow.Add(at))
			}
			if got := a.lost(testNow.Add(tt.now), timings); got != tt.lost {
				t.Errorf("lost is %t", got)
			}
		})
	}
}

func TestNewsOfJobsThatOnlyWaitHasTime(t *testing.T) {
	tests := []struct {
		name string
		job  backend.ObservedJob
		want bool
	}{
		{"it waits", backend.ObservedJob{Word: &backend.Word{Reason: "Priority"}}, true},
		{"it has ended", backend.ObservedJob{Word: &backend.Word{Reason: "TimeLimit", Ended: true}}, false},
		{"it runs", backend.ObservedJob{Report: &podlifecycle.Decision{}}, false},
		{"it is not there", backend.ObservedJob{}, false},
		{"it was cancelled", backend.ObservedJob{Word: &backend.Word{Reason: "Priority"}, Cancelled: true}, false},
	}
	for _, tt := range tests {
		if got := onlyWaits(tt.job); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}

	rateLimiter := func(o *priorityqueue.Opts[reconcile.Request]) { o.RateLimiter = limiter() }
	for name, inner := range map[string]workqueue.TypedRateLimitingInterface[reconcile.Request]{
		"one with priorities": priorityqueue.New("test", rateLimiter), "one without": workqueue.NewTypedRateLimitingQueue(limiter()),
	} {
		t.Cleanup(inner.ShutDown)
		var q queue
		if err := q.take(t.Context(), inner); err != nil {
			t.Fatal(err)
		}
		q.addLow(types.NamespacedName{Name: "waits"})
		q.add(types.NamespacedName{Name: "ended"})
		first, _ := inner.Get()
		inner.Done(first)
		if _, ok := inner.(priorityqueue.PriorityQueue[reconcile.Request]); ok == (first.Name == "waits") {
			t.Errorf("%s: %s comes first", name, first.Name)
		}
	}
}

func TestObservationsBeginAsFarApartAsTheyAreMeantTo(t *testing.T) {
	const every = 2 * time.Second
	for _, tt := range []struct {
		name       string
		took, want time.Duration
	}{
		{"one that took no time", 0, 2 * time.Second},
		{"a short one", 300 * time.Millisecond, 1700 * time.Millisecond},
		{"one that took half of the time", time.Second, time.Second},
		{"a longer one, whose backend rests as long as it worked", 1500 * time.Millisecond, 1500 * time.Millisecond},
		{"one that took far too long", time.Minute, 2 * time.Second},
	} {
		if got := restAfter(tt.took, every); got != tt.want {
			t.Errorf("%s: the next one begins after %s and not %s", tt.name, got, tt.want)
		}
	}
}

func TestAbsencesCountOnlyWhatAnObservationCanKnow(t *testing.T) {
	begun := testNow
	expected := map[string]time.Time{
		"there": begun.Add(-time.Hour), "marker": begun.Add(-time.Hour), "absent": begun.Add(-time.Hour), "again": begun.Add(-time.Hour),
		"submitted-meanwhile": begun.Add(time.Second),
	}
	jobs := map[string]backend.ObservedJob{"there": {}, "marker": {Cancelled: true}, "again": {}, "stranger": {}}
	before := map[string]absence{
		"absent": {polls: 1, since: begun.Add(-time.Minute)}, "again": {polls: 2, since: begun.Add(-time.Minute)},
		"not-expected-any-more": {polls: 2, since: begun.Add(-time.Minute)},
	}
	got := nextAbsences(before, expected, jobs, begun)
	want := map[string]absence{
		"absent": {polls: 2, since: begun.Add(-time.Minute)}, "marker": {polls: 1, since: begun},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestAQuietBackendConcernsNobody(t *testing.T) {
	before := map[string]backend.ObservedJob{"a": {Fingerprint: "1"}, "b": {Fingerprint: "1"}, "c": {Fingerprint: "1"}, "d": {}}
	if got := changedSince(before, before); len(got) != 0 {
		t.Errorf("nothing changed, and %v are concerned", got)
	}
	after := map[string]backend.ObservedJob{"a": {Fingerprint: "1"}, "b": {Fingerprint: "2"}, "d": {Cancelled: true}, "e": {}}
	got := map[string]bool{}
	for _, token := range changedSince(before, after) {
		got[token] = true
	}
	if want := map[string]bool{"b": true, "c": true, "d": true, "e": true}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := changedSince(nil, before); len(got) != len(before) {
		t.Errorf("the first observation concerns %v", got)
	}
}

// The RemoteJob of a job may go while the backend is looked at, which has seen the job still.
func TestAJobThatOneLookShowsWithoutAnOwnerIsNotListed(t *testing.T) {
	clock := testclock.NewFakePassiveClock(testNow)
	listed := 0
	// It has no API server to ask about owners: nobody is asked about what has only been seen once.
	o := &observer{observers: &observers{roster: newRoster(clock, nil), listed: func(string) { listed++ }}, unowned: map[string]leftover{}}
	for _, jobs := range []map[string]backend.ObservedJob{{"rj-1": {}}, {"rj-2": {}}, {}, {"rj-1": {}}, {"rj-1": {Cancelled: true}}} {
		o.sortOut(t.Context(), jobs)
	}
	if len(o.unowned) > 0 || listed > 0 {
		t.Errorf("%v are listed, %d times", o.unowned, listed)
	}
}

func TestLeftoversKeepTheTimeOfTheirFirstSight(t *testing.T) {
	old := metav1.NewTime(testNow.Add(-23 * time.Hour).Truncate(time.Second))
	listed := []v1alpha1.Leftover{{Token: "b", Pod: "ns/b", Since: old}, {Token: "gone", Since: old}}
	next := nextLeftovers(listed, []leftover{{"a", "ns/a"}, {"b", "ns/b"}}, testNow)
	if len(next) != 2 || next[0].Token != "b" || !next[0].Since.Equal(&old) || next[1].Token != "a" || !next[1].Since.Time.Equal(testNow.Truncate(time.Second)) {
		t.Errorf("got %+v", next)
	}
	if due := overdue(next, testNow, 24*time.Hour); len(due) != 0 {
		t.Errorf("%v are due too early", due)
	}
	if due := overdue(next, testNow.Add(time.Hour), 24*time.Hour); len(due) != 1 || due[0] != "b" {
		t.Errorf("due are %v", due)
	}
	if nextLeftovers(listed, nil, testNow) != nil {
		t.Error("a list without leftovers is not nil, and would be written for ever")
	}
	var many []leftover
	for i := range 2 * maxLeftovers {
		many = append(many, leftover{token: fmt.Sprintf("t%03d", i)})
	}
	next = nextLeftovers(listed, append(many, leftover{token: "b"}), testNow)
	if len(next) != maxLeftovers || next[0].Token != "b" {
		t.Errorf("%d are listed, first %+v", len(next), next[0])
	}
}

func TestWhenAJobIsToEnd(t *testing.T) {
	at := metav1.NewTime(testNow)
	finishedJob := func(ttl *int32) *v1alpha1.RemoteJob {
		return &v1alpha1.RemoteJob{
			Spec:   v1alpha1.RemoteJobSpec{TTLSecondsAfterFinished: ttl},
			Status: v1alpha1.RemoteJobStatus{Phase: v1alpha1.PhaseSucceeded, CompletionTime: &at},
		}
	}
	if got := expiry(finishedJob(nil), time.Hour); !got.IsZero() {
		t.Errorf("a job without a TTL expires at %s", got)
	}
	if got := expiry(finishedJob(ptr.To[int32](60)), time.Hour); !got.Equal(testNow.Add(time.Minute)) {
		t.Errorf("expires at %s", got)
	}
	unfinished := finishedJob(ptr.To[int32](0))
	unfinished.Status.Phase = v1alpha1.PhaseRunning
	if got := expiry(unfinished, time.Hour); !got.IsZero() {
		t.Errorf("a job that runs expires at %s", got)
	}

	tombstone := &v1alpha1.RemoteJob{
		ObjectMeta: metav1.ObjectMeta{CreationTimestamp: at},
		Spec:       v1alpha1.RemoteJobSpec{Cancel: true, PodRef: &v1alpha1.PodReference{}},
	}
	if got := keptUntil(tombstone, 10*time.Minute); !got.Equal(testNow.Add(10 * time.Minute)) {
		t.Errorf("a tombstone is kept until %s", got)
	}
	tombstone.DeletionTimestamp = &at
	if got := keptUntil(tombstone, 10*time.Minute); !got.IsZero() {
		t.Errorf("a tombstone that a person deletes is kept until %s", got)
	}
	job := &v1alpha1.RemoteJob{Spec: v1alpha1.RemoteJobSpec{Cancel: true, PodRef: &v1alpha1.PodReference{}}}
	job.Spec.Template.Spec.Containers = []corev1.Container{{Name: "a"}}
	if got := keptUntil(job, 10*time.Minute); !got.IsZero() {
		t.Errorf("a job that was cancelled later is kept until %s", got)
	}
}

func TestTheTimeBetweenAttemptsDoublesUpToABound(t *testing.T) {
	for attempts, want := range map[int32]time.Duration{0: time.Second, 1: time.Second, 2: 2 * time.Second, 4: 8 * time.Second, 8: time.Minute, 1 << 30: time.Minute} {
		if got := retryAfter(attempts); got != want {
			t.Errorf("after %d attempts: %s, want %s", attempts, got, want)
		}
	}
}

func TestAnotherMachineInPlaceOfTheOneOnRecordIsNoticed(t *testing.T) {
	tests := []struct {
		name, recorded, accepted, answered string
		want                               identity
	}{
		{"first contact", "", "", "one", identityNew},
		{"the same", "one", "", "one", identityKnown},
		{"another", "one", "", "two", identityChanged},
		{"another that was accepted", "one", "two", "two", identityNew},
		{"a third, though the second was accepted", "one", "two", "three", identityChanged},
		{"no identity at all is not the one on record", "one", "", "", identityChanged},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rb := &v1alpha1.RemoteBackend{Status: v1alpha1.RemoteBackendStatus{Identity: tt.recorded}}
			if tt.accepted != "" {
				rb.Annotations = map[string]string{v1alpha1.AnnotationAcceptIdentity: tt.accepted}
			}
			if got := judgeIdentity(rb, tt.answered); got != tt.want {
				t.Errorf("got %d, want %d", got, tt.want)
			}
		})
	}
}
