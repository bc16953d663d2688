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
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
)

func TestDeleteCancelsTheJobOnce(t *testing.T) {
	t.Parallel()
	c, w := wired(t)
	b := newBench(t, func(o *ledger.Options) { o.Writer, o.Reader = c, c })
	pod := b.pod()
	b.mustCreate(pod)
	before := b.job(pod)
	for range 3 {
		if err := b.ledger.Delete(t.Context(), ledger.DeleteRequest{Pod: reference(pod)}); err != nil {
			t.Fatal(err)
		}
	}
	job := b.job(pod)
	if !job.Spec.Cancel || job.UID != before.UID || job.Spec.TTLSecondsAfterFinished != nil {
		t.Errorf("the spec is %+v", job.Spec)
	}
	if job.Generation != before.Generation+1 {
		t.Errorf("three deletes made %d changes", job.Generation-before.Generation)
	}
	// A create is 1 write without a payload; each delete is one read, and the first is one write more.
	if calls := w.calls.Load(); calls != 1+3+1 {
		t.Errorf("it took %d calls, want 5", calls)
	}
}

func TestDeletingAPodThatNeverArrivedIsKept(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	pod := b.pod()
	for range 2 {
		if err := b.ledger.Delete(t.Context(), ledger.DeleteRequest{Pod: reference(pod)}); err != nil {
			t.Fatal(err)
		}
	}
	job := b.job(pod)
	if job == nil || !ledger.IsTombstone(job) || *job.Spec.PodRef != reference(pod) {
		t.Fatalf("nothing records that the pod is not to be run: %+v", job)
	}
	if ttl := job.Spec.TTLSecondsAfterFinished; ttl == nil || *ttl < 5*60 {
		t.Errorf("the record is kept for %v s, and a create may come five minutes late", ttl)
	}
}

func TestDeletingAPodOfANamespaceThatIsNotHere(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	foreign := v1alpha1.PodReference{Namespace: "not-" + b.namespace, Name: "p", UID: "u"}
	if err := b.ledger.Delete(t.Context(), ledger.DeleteRequest{Pod: foreign}); err != nil {
		t.Errorf("a delete that nothing can come of failed: %v", err)
	}
	keeper := b.newLedger(func(o *ledger.Options) { o.Namespace = b.namespace })
	if err := keeper.Delete(t.Context(), ledger.DeleteRequest{Pod: foreign}); err != nil {
		t.Fatal(err)
	}
	if jobs := b.jobs(); len(jobs) != 1 || !ledger.IsTombstone(&jobs[0]) {
		t.Errorf("the deletion is not kept: %v", jobs)
	}
}

func TestDeletingInANamespaceThatIsBeingDeleted(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	known := b.pod()
	b.mustCreate(known)
	if err := b.client.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metaNamed(b.namespace)}); err != nil {
		t.Fatal(err)
	}
	for _, pod := range []*corev1.Pod{known, b.pod()} {
		if err := b.ledger.Delete(t.Context(), ledger.DeleteRequest{Pod: reference(pod)}); err != nil {
			t.Error(err)
		}
	}
	if !b.job(known).Spec.Cancel {
		t.Error("the job is not cancelled")
	}
	_, err := b.create(b.pod())
	wantError(t, err, ledger.Refused, "terminated")
}

func TestDeletingByTheUIDAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	pod := b.pod()
	b.mustCreate(pod)
	b.eventually("the cache has the job", func() bool { _, err := b.ledger.Find(reference(pod)); return err == nil })
	if err := b.ledger.Delete(t.Context(), ledger.DeleteRequest{Pod: v1alpha1.PodReference{UID: pod.UID}}); err != nil {
		t.Fatal(err)
	}
	if !b.job(pod).Spec.Cancel {
		t.Error("the job is not cancelled")
	}
	err := b.ledger.Delete(t.Context(), ledger.DeleteRequest{Pod: v1alpha1.PodReference{UID: "nobody-s"}})
	wantError(t, err, ledger.NotFound, "nobody-s")
	wantError(t, b.ledger.Delete(t.Context(), ledger.DeleteRequest{}), ledger.Invalid, "metadata.uid")
}

// TestCreateAndDeleteAtOnce lets the two race. Whoever wins, the pod must end up cancelled.
func TestCreateAndDeleteAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	var all sync.WaitGroup
	for range 20 {
		pod := b.pod()
		all.Go(func() {
			if _, err := b.create(pod); err != nil {
				wantError(t, err, ledger.Conflict)
			}
		})
		all.Go(func() {
			if err := b.ledger.Delete(t.Context(), ledger.DeleteRequest{Pod: reference(pod)}); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	jobs := b.jobs()
	if len(jobs) != 20 {
		t.Errorf("there are %d RemoteJobs of 20 pods", len(jobs))
	}
	for i := range jobs {
		if !jobs[i].Spec.Cancel {
			t.Errorf("%s was deleted and is to be run", jobs[i].Name)
		}
	}
}

func TestAJobThatIsReplacedWhileItIsCancelledIsNotMistaken(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	pod := b.pod()
	b.mustCreate(pod)
	stale := b.job(pod)
	if err := b.client.Patch(t.Context(), stale.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))); err != nil {
		t.Fatal(err)
	}
	if err := b.client.Delete(t.Context(), stale); err != nil {
		t.Fatal(err)
	}
	if err := b.ledger.Delete(t.Context(), ledger.DeleteRequest{Pod: reference(pod)}); err != nil {
		t.Fatal(err)
	}
	if job := b.job(pod); job == nil || !ledger.IsTombstone(job) {
		t.Error("the deletion of a job that went is not kept")
	}
}
