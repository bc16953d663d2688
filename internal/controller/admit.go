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
	"slices"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/faultpoint"
	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// retryConfig is how often a hand-written job looks again for a ConfigMap or Secret that is not there.
const retryConfig = 5 * time.Second

// hold puts on the finalizer before anything outside is touched: a job that a backend may hold must not vanish from the ledger.
func (r *jobReconciler) hold(ctx context.Context, v *visit) (bool, error) {
	if !slices.Contains(v.job.Finalizers, v1alpha1.FinalizerCancel) {
		held := v.job.DeepCopy()
		held.Finalizers = append(held.Finalizers, v1alpha1.FinalizerCancel)
		if err := r.client.Patch(ctx, held, client.MergeFromWithOptions(v.job, client.MergeFromWithOptimisticLock{})); err != nil {
			return true, client.IgnoreNotFound(fmt.Errorf("put the finalizer on RemoteJob %s: %w", v.key(), err))
		}
		r.guard.wrote(v.key(), held.ResourceVersion)
		v.full = held.DeepCopy()
		v.job, v.stored = held, held.DeepCopy()
	}
	if !isSubmitted(v.job) {
		faultpoint.Hit(faultpoint.SubmitAfterFinalizer)
	}
	return false, nil
}

// admit makes sure, before the backend hears of it, that it may and can run the job.
func (r *jobReconciler) admit(ctx context.Context, v *visit) (bool, error) {
	if isSubmitted(v.job) {
		return false, nil
	}
	if v.job.Status.Phase == "" {
		v.job.Status.Phase = v1alpha1.PhasePending
		v.job.Status.ObservedGeneration = v.job.Generation
	}
	live, reason, why := r.ready(ctx, v.job)
	if why != "" {
		r.delay(v, reason, why)
		return true, nil
	}
	// What its backend holds already was let in, though the ledger may not know of it. What came to be refused later is for others.
	_, there, known := r.seen(live.Name, v.token)
	refuse := func(reason, why string) (bool, error) {
		if r.inDoubt(v, live, known) {
			r.delay(v, reasonUnavailable, waitsForObservation)
			return true, nil
		}
		return true, r.refuse(ctx, v, live, reason, why)
	}
	if !there {
		rejection, err := r.refusedByDeletion(ctx, v)
		if err != nil {
			return true, err
		}
		if rejection != "" {
			return refuse(reasonRejected, rejection)
		}
	}
	w, err := r.workload(ctx, v, live)
	if err == nil && !there {
		err = check(w, live)
	}
	if err == nil {
		return false, nil
	}
	r.workloads.drop(v.job.UID)
	refusal, refused := workload.IsRefusal(err)
	config, waits := workload.IsConfigError(err)
	switch {
	case ledger.IsPayloadLost(err):
		return refuse(reasonPayloadLost, err.Error())
	case refused:
		return refuse(reasonRejected, refusal.Error())
	case waits && v.job.Spec.PodRef != nil:
		// What came with the pod is all there will ever be.
		return refuse(reasonRejected, config.Error())
	case waits:
		v.again(retryConfig)
		r.delay(v, reasonCannotResolve, config.Error())
		return true, nil
	}
	r.roster.leaveSlot(v.job.UID)
	return overtaken(v, err)
}

func check(w *workload.Workload, live backend.Live) error {
	if err := workload.Check(w.Pod, live.Abilities(), live.Spec.Policy); err != nil {
		return err
	}
	return workload.CheckJobScript(w.JobScript, live.Abilities(), live.Spec.Policy)
}

// refusedByDeletion keeps jobs that come after a RemoteBackend was deleted from holding up its end for ever.
func (r *jobReconciler) refusedByDeletion(ctx context.Context, v *visit) (string, error) {
	rb := &v1alpha1.RemoteBackend{}
	if err := r.client.Get(ctx, client.ObjectKey{Name: v.job.Spec.BackendName}, rb); err != nil {
		return "", client.IgnoreNotFound(err)
	}
	if rb.DeletionTimestamp != nil && v.job.CreationTimestamp.After(rb.DeletionTimestamp.Time) {
		return fmt.Sprintf("RemoteBackend %s is being deleted and takes no new jobs", rb.Name), nil
	}
	return "", nil
}

// delay says in the job's status what it waits for, and lets others go first.
func (r *jobReconciler) delay(v *visit, reason, why string) {
	r.roster.leaveSlot(v.job.UID)
	setCondition(&v.job.Status.Conditions, v.job.Generation, v.now, v1alpha1.ConditionSubmitted, false, reason, reasonUnavailable, why)
	v.job.Status.Reason, v.job.Status.Message = reason, cut(why, maxMessage)
}

// refuse rejects a job that may not be handed to its backend. It may be there all the same, where the answer to its submission was lost, or
// the manager that had it: so it is ended there first, and what comes late is refused there. A fresh one has never been handed over.
func (r *jobReconciler) refuse(ctx context.Context, v *visit, live backend.Live, reason, why string) error {
	if !v.fresh {
		gone, err := r.takeBack(ctx, v, live, reason, why)
		if !gone || err != nil {
			_, err = overtaken(v, err)
			return err
		}
	}
	return r.reject(v, reason, why)
}

// reject ends a job that never ran and never will.
func (r *jobReconciler) reject(v *visit, reason, why string) error {
	setCondition(&v.job.Status.Conditions, v.job.Generation, v.now, v1alpha1.ConditionSubmitted, false, reason, reasonRejected, why)
	fail(v.job, reason, why, exitNeverRan, v.now)
	return nil
}

// isSubmitted tells whether the ledger says that the backend holds the job.
func isSubmitted(job *v1alpha1.RemoteJob) bool { return job.Status.JobID != "" }
