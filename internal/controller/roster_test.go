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
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testclock "k8s.io/utils/clock/testing"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

func testRoster() (*roster, *[]string) {
	r := newRoster(testclock.NewFakePassiveClock(testNow), func(j *v1alpha1.RemoteJob) string { return "token-" + j.Name })
	woken := &[]string{}
	r.wake = func(key types.NamespacedName) { *woken = append(*woken, key.Name) }
	return r, woken
}

// rosterJob is the n-th job of a backend: the higher n, the younger.
func rosterJob(n int, phase v1alpha1.RemoteJobPhase, jobID string) *v1alpha1.RemoteJob {
	return &v1alpha1.RemoteJob{
		ObjectMeta: metav1.ObjectMeta{
			Name: fmt.Sprintf("job-%d", n), Namespace: "ns", UID: types.UID(fmt.Sprintf("uid-%d", n)),
			CreationTimestamp: metav1.NewTime(testNow.Add(time.Duration(n) * time.Second)),
		},
		Spec:   v1alpha1.RemoteJobSpec{BackendName: "b"},
		Status: v1alpha1.RemoteJobStatus{Phase: phase, JobID: jobID},
	}
}

func TestTheRosterCountsJobsAsTheyGoOn(t *testing.T) {
	r, _ := testRoster()
	expect := func(step string, active, queued int32, unfinished int) {
		t.Helper()
		if jobs, n := r.counts("b"); jobs.Active != active || jobs.Queued != queued || n != unfinished {
			t.Errorf("%s: %+v and %d unfinished, want %d active, %d queued, %d unfinished", step, jobs, n, active, queued, unfinished)
		}
	}
	expect("empty", 0, 0, 0)
	r.put(rosterJob(1, "", ""))
	r.put(rosterJob(2, v1alpha1.PhasePending, ""))
	expect("two pending", 0, 2, 2)
	r.put(rosterJob(1, v1alpha1.PhaseQueued, "id"))
	expect("one submitted", 0, 2, 2)
	r.put(rosterJob(1, v1alpha1.PhaseRunning, "id"))
	r.put(rosterJob(1, v1alpha1.PhaseRunning, "id"))
	expect("one running", 1, 1, 2)
	r.put(rosterJob(1, "", ""))
	expect("a cache that lags takes nothing back", 1, 1, 2)
	if got := r.expected("b"); len(got) != 1 || !got["token-job-1"].Equal(testNow) {
		t.Errorf("expected on the backend are %v", got)
	}
	r.put(rosterJob(1, v1alpha1.PhaseSucceeded, "id"))
	expect("one finished", 0, 1, 1)
	if got := r.ended("b"); len(got) != 1 || got["token-job-1"].Name != "job-1" {
		t.Errorf("ended are %v", got)
	}
	if key, ok := r.find("token-job-1"); !ok || key.Name != "job-1" {
		t.Error("a finished job still owns what it left on the backend")
	}
	r.remove("uid-1")
	r.remove("uid-2")
	r.remove("uid-3")
	expect("all gone", 0, 0, 0)
	if _, ok := r.find("token-job-1"); ok {
		t.Error("a job that is gone owns nothing")
	}
}

func TestSlotsGoToTheOldest(t *testing.T) {
	r, woken := testRoster()
	for n := range 5 {
		r.put(rosterJob(n, "", ""))
	}
	take := func(n int) bool { return r.takeSlot(types.UID(fmt.Sprintf("uid-%d", n)), room{jobs: 2}) }
	if !take(4) {
		t.Fatal("there is room, and nobody older waits")
	}
	if !take(2) || take(3) || take(1) {
		t.Fatal("two slots are for two jobs")
	}
	if !take(4) {
		t.Fatal("who has a slot keeps it")
	}
	*woken = nil
	r.put(rosterJob(4, v1alpha1.PhaseRunning, "id"))
	if len(*woken) > 0 {
		t.Errorf("a job that runs still has its slot, and %v were woken", *woken)
	}
	r.put(rosterJob(4, v1alpha1.PhaseFailed, "id"))
	if !slices.Equal(*woken, []string{"job-1"}) {
		t.Errorf("a slot came free, and %v were woken", *woken)
	}
	if take(3) || take(0) == take(1) {
		t.Error("the slot is for one of the older jobs, and for one only")
	}
}

func TestWhoWaitsForSlotsDoesNotHoldUpOthersWhenItLeaves(t *testing.T) {
	for _, tt := range []struct {
		name  string
		leave func(r *roster)
	}{
		{"it is gone", func(r *roster) { r.remove("uid-1") }},
		{"it failed before it was handed over", func(r *roster) { r.put(rosterJob(1, v1alpha1.PhaseFailed, "")) }},
		{"it must wait for something else", func(r *roster) { r.leaveSlot("uid-1") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, woken := testRoster()
			for n := range 3 {
				r.put(rosterJob(n, "", ""))
			}
			if !r.takeSlot("uid-0", room{jobs: 1}) || r.takeSlot("uid-1", room{jobs: 1}) || r.takeSlot("uid-2", room{jobs: 1}) {
				t.Fatal("one slot is for one job")
			}
			*woken = nil
			tt.leave(r)
			r.put(rosterJob(0, v1alpha1.PhaseSucceeded, "id"))
			if !slices.Contains(*woken, "job-2") || slices.Contains(*woken, "job-1") {
				t.Errorf("%v were woken", *woken)
			}
			if !r.takeSlot("uid-2", room{jobs: 1}) {
				t.Error("it is its turn")
			}
		})
	}
}

func TestAHigherBoundWakesWhoWaits(t *testing.T) {
	r, woken := testRoster()
	for n := range 3 {
		r.put(rosterJob(n, "", ""))
	}
	for n := range 3 {
		r.takeSlot(types.UID(fmt.Sprintf("uid-%d", n)), room{jobs: 1})
	}
	*woken = nil
	r.setSlots("b", room{jobs: 1})
	if len(*woken) > 0 {
		t.Errorf("nothing came free, and %v were woken", *woken)
	}
	r.setSlots("b", room{jobs: 3})
	if !slices.Equal(*woken, []string{"job-1"}) || !r.takeSlot("uid-1", room{jobs: 3}) {
		t.Errorf("%v were woken", *woken)
	}
	if !slices.Equal(*woken, []string{"job-1", "job-2"}) || !r.takeSlot("uid-2", room{jobs: 3}) {
		t.Errorf("each who goes wakes the next: %v were woken", *woken)
	}
}

func TestASlotStaysWithAJobWhoseSubmissionIsInDoubt(t *testing.T) {
	r, _ := testRoster()
	r.put(rosterJob(0, "", ""))
	r.put(rosterJob(1, "", ""))
	if !r.takeSlot("uid-0", room{jobs: 1}) {
		t.Fatal("the slot is free")
	}
	r.put(rosterJob(0, v1alpha1.PhasePending, "")) // the cache shows it as it was
	if r.takeSlot("uid-1", room{jobs: 1}) {
		t.Error("the slot was given away while the backend may hold the job")
	}
	r.leaveSlot("uid-0")
	if !r.takeSlot("uid-1", room{jobs: 1}) {
		t.Error("a slot that was left is free")
	}
}

// sized gives a job limits.
func sized(job *v1alpha1.RemoteJob, cpu, memory string) *v1alpha1.RemoteJob {
	job.Spec.Template.Spec.Containers = []corev1.Container{{Name: "c", Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory),
	}}}}
	return job
}

func TestSlotsAreGivenWhileTheirJobsFitTogether(t *testing.T) {
	r, woken := testRoster()
	for n, cpu := range []string{"2", "1500m", "500m", "500m"} {
		r.put(sized(rosterJob(n, "", ""), cpu, "1Gi"))
	}
	ceiling := &v1alpha1.ResourceCeiling{CPU: new(resource.MustParse("2500m")), Memory: new(resource.MustParse("2Gi"))}
	take := func(n int) bool { return r.takeSlot(types.UID(fmt.Sprintf("uid-%d", n)), room{resources: ceiling}) }
	if !take(0) {
		t.Fatal("the first fits")
	}
	if take(1) {
		t.Fatal("the second does not")
	}
	if take(2) {
		t.Fatal("the third would, and must not overtake the second, which would wait for ever")
	}
	*woken = nil
	r.put(sized(rosterJob(0, v1alpha1.PhaseFailed, "id"), "2", "1Gi"))
	if !slices.Equal(*woken, []string{"job-1"}) || !take(1) || !take(2) {
		t.Fatalf("when the first has ended there is room for both: %v were woken", *woken)
	}
	if take(3) {
		t.Error("cpu is left, and memory is not")
	}
	*woken = nil
	r.setSlots("b", room{resources: &v1alpha1.ResourceCeiling{CPU: ceiling.CPU}})
	if !slices.Equal(*woken, []string{"job-3"}) {
		t.Errorf("a ceiling is lifted, and %v were woken", *woken)
	}
	r.remove("uid-1")
	r.remove("uid-2")
	r.remove("uid-0")
	if used := r.backend("b").used; used != (workload.Demand{}) {
		t.Errorf("nothing is held, and %+v is used", used)
	}
}
