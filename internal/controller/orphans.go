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
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
)

// retryPods is how soon to look again for a pod after a manager has begun and not read the pods yet.
const retryPods = time.Second

const (
	reasonSameCluster = "SameCluster"
	reasonPodGone     = "PodGone"
	reasonNotAsked    = "NotAsked"
)

// orphan looks for a pod that is gone though nobody said so: its /delete is sent once, and may be lost. Where the pod was seen in the
// ledger's own cluster, its end ends the job. Where it never was, its absence proves nothing, and all that can be said is that nobody asks
// about the job any more.
func (r *jobReconciler) orphan(ctx context.Context, v *visit) (bool, error) {
	ref := v.job.Spec.PodRef
	if ref == nil || toEnd(v.job) || ledger.IsTombstone(v.job) {
		return false, nil
	}
	conditions := &v.job.Status.Conditions
	found := meta.IsStatusConditionTrue(*conditions, v1alpha1.ConditionPodFound)
	switch {
	case r.pods == nil:
	case !r.pods.synced():
		v.again(retryPods)
	case r.pods.has(ref.UID):
		if !found {
			setCondition(conditions, v.job.Generation, v.now, v1alpha1.ConditionPodFound, true, reasonSameCluster, reasonSameCluster,
				"the pod is in this cluster: the job ends when it is gone")
		}
		found = true
	case found:
		gone, err := r.pods.gone(ctx, ref)
		if err != nil {
			return true, err
		}
		if gone {
			return false, r.cancelOrphan(ctx, v)
		}
	}
	if !found {
		r.unasked(v)
	}
	return false, nil
}

// cancelOrphan cancels a job whose pod is gone, as a /delete would have.
func (r *jobReconciler) cancelOrphan(ctx context.Context, v *visit) error {
	cancelled := v.job.DeepCopy()
	cancelled.Spec.Cancel = true
	if err := r.client.Patch(ctx, cancelled, client.MergeFromWithOptions(v.job, client.MergeFromWithOptimisticLock{})); err != nil {
		return fmt.Errorf("cancel RemoteJob %s: %w", v.key(), err)
	}
	r.guard.wrote(v.key(), cancelled.ResourceVersion)
	const why = "the pod is gone from this cluster, and nobody said so: the job is being cancelled"
	log.FromContext(ctx).Info(why)
	tell(r.events, cancelled, occurrence{kind: corev1.EventTypeNormal, reason: reasonPodGone, action: "Cancel", note: why})
	v.job, v.stored = cancelled, cancelled.DeepCopy()
	setCondition(&v.job.Status.Conditions, v.job.Generation, v.now, v1alpha1.ConditionPodFound, false, reasonPodGone, reasonPodGone, why)
	return nil
}

// unasked says of a job that nobody asks about it. That somebody does again is the ledger's to write, on whichever replica that is.
func (r *jobReconciler) unasked(v *visit) {
	conditions := &v.job.Status.Conditions
	if r.timings.UnaskedAfter <= 0 || meta.IsStatusConditionTrue(*conditions, v1alpha1.ConditionUnasked) {
		return
	}
	since := r.askedSince(v.job)
	if v.now.Sub(since) < r.timings.UnaskedAfter {
		return
	}
	setCondition(conditions, v.job.Generation, v.now, v1alpha1.ConditionUnasked, true, reasonNotAsked, reasonNotAsked,
		fmt.Sprintf("nobody has asked about the job since %s: its pod may be gone. If it is, cancel the job", since.UTC().Format(time.RFC3339)))
}

// askedByOthersFor is how many times as long as usual a job is not called unasked again that another replica was asked about: this one
// hears nothing of it.
const askedByOthersFor = 24

// askedSince is until when somebody may have asked about a job. What was asked before this manager began, nobody knows.
func (r *jobReconciler) askedSince(job *v1alpha1.RemoteJob) time.Time {
	last := r.begun
	if job.CreationTimestamp.After(last) {
		last = job.CreationTimestamp.Time
	}
	asked := r.ledger.LastAsked(job)
	if asked.After(last) {
		last = asked
	}
	if c := meta.FindStatusCondition(job.Status.Conditions, v1alpha1.ConditionUnasked); c != nil && c.Status == metav1.ConditionFalse && asked.Before(c.LastTransitionTime.Time) {
		if others := c.LastTransitionTime.Add((askedByOthersFor - 1) * r.timings.UnaskedAfter); others.After(last) {
			last = others
		}
	}
	return last
}

// patrol looks for jobs that nobody asks about, from time to time. It runs on the leader only.
type patrol struct {
	ledger Ledger
	clock  clock.WithTicker
	after  time.Duration
	wake   func(types.NamespacedName)
}

// Start wakes the jobs that nobody has asked about for long; the visit says so of them.
func (p *patrol) Start(ctx context.Context) error {
	ticker := p.clock.NewTicker(p.after / 4)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-ticker.C():
			for _, key := range p.ledger.Unasked(now.Add(-p.after)) {
				p.wake(key)
			}
		}
	}
}
