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

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/faultpoint"
	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/metrics"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

const (
	// retryCancel is how soon to ask again whether a cancelled job is gone, where the backend tells of no change.
	retryCancel = 500 * time.Millisecond
	// retryKnown is how soon a job that is to go looks again whether it is known what its backend holds.
	retryKnown = time.Second
	// retryMissing is how often a job that is to go looks again for its RemoteBackend.
	retryMissing = time.Minute
	// overdueGrace is how long beyond its grace period a job may resist being stopped in order before it is removed as it is.
	overdueGrace = time.Minute
)

// toEnd tells whether somebody asked for the job to go.
func toEnd(job *v1alpha1.RemoteJob) bool { return job.Spec.Cancel || job.DeletionTimestamp != nil }

// expiry is when a finished job is to go though nobody says so, zero for never: by its TTL, or, where its backend knows that its pod has
// been deleted, some time later. Such a one came of a /create that went on after its pod's /delete was through: nobody deletes it again.
func expiry(job *v1alpha1.RemoteJob, lateKept time.Duration) time.Time {
	var keep time.Duration
	switch {
	case !job.Finished() || job.Status.CompletionTime == nil:
		return time.Time{}
	case job.Spec.TTLSecondsAfterFinished != nil:
		keep = time.Duration(*job.Spec.TTLSecondsAfterFinished) * time.Second
	case job.Spec.PodRef != nil && !isSubmitted(job) && job.Status.Reason == reasonCancelled:
		keep = lateKept
	default:
		return time.Time{}
	}
	return job.Status.CompletionTime.Add(keep)
}

// keptUntil is until when the record of a deletion that came before its pod stays: a late request to run the pod must meet it.
func keptUntil(job *v1alpha1.RemoteJob, keep time.Duration) time.Time {
	if !ledger.IsTombstone(job) || job.DeletionTimestamp != nil {
		return time.Time{}
	}
	return job.CreationTimestamp.Add(keep)
}

// end stops a job that is to go, and removes all that is left of it: first from the backend, then its payload, its finalizer, and itself.
// Each step is done again after a crash, and none needs more than the RemoteJob's name, backend and token.
func (r *jobReconciler) end(ctx context.Context, v *visit) (bool, error) {
	expires := expiry(v.job, r.timings.LateKept)
	expired := !expires.IsZero() && !v.now.Before(expires) && !ledger.IsTombstone(v.job)
	if !toEnd(v.job) && !expired {
		return false, nil
	}
	if v.job.DeletionTimestamp != nil && !slices.Contains(v.job.Finalizers, v1alpha1.FinalizerCancel) {
		return true, nil // it waits for somebody else's finalizer, and nothing of it is ours any more
	}
	kept := keptUntil(v.job, r.timings.TombstonesKept)
	if cleared := v.job.Finished() && !kept.IsZero(); !cleared {
		if gone, err := r.endOnBackend(ctx, v); !gone || err != nil {
			return overtaken(v, err)
		}
	}
	if v.now.Before(kept) {
		buried(v.job, v.now)
		v.at(kept)
		return true, nil
	}
	return true, r.remove(ctx, v)
}

// buried marks a tombstone: the backend holds nothing of its pod, and never will.
func buried(job *v1alpha1.RemoteJob, now time.Time) {
	if !job.Finished() {
		fail(job, reasonCancelled, "the pod was deleted before it arrived", exitUnknown, now)
	}
}

// endOnBackend returns true when the backend holds nothing of the job any more.
func (r *jobReconciler) endOnBackend(ctx context.Context, v *visit) (gone bool, err error) {
	live, reason, why := r.ready(ctx, v.job)
	if why != "" {
		return r.endWithoutBackend(ctx, v, reason, why)
	}
	if _, _, known := r.seen(live.Name, v.token); r.inDoubt(v, live, known) {
		stopping(v, reasonCancelled, waitsForObservation)
		return false, nil
	}
	return r.takeBack(ctx, v, live, reasonCancelled, "the job was cancelled")
}

const waitsForObservation = "waits to be told what its backend holds"

// inDoubt tells whether nobody knows yet if the backend holds the job: an earlier visit may have handed it over, and left no word of that. It
// is looked for, and the job again after that.
func (r *jobReconciler) inDoubt(v *visit, live backend.Live, known bool) bool {
	if known || isSubmitted(v.job) || v.fresh {
		return false
	}
	r.look(live.Name)
	v.again(retryKnown)
	return true
}

// takeBack ends a job on its backend, in order, and returns true when that holds nothing of it any more.
func (r *jobReconciler) takeBack(ctx context.Context, v *visit, live backend.Live, reason, message string) (gone bool, err error) {
	// The ledger may not know of a submission whose answer was lost. The backend does.
	seen, there, _ := r.seen(live.Name, v.token)
	ref := backend.JobRef{Token: v.token, JobID: seen.JobID}
	if v.job.Status.JobID != "" {
		ref.JobID = v.job.Status.JobID
	}
	held := isSubmitted(v.job) || v.job.Status.Attempts > 0 || there
	if held && !v.job.Finished() {
		stop := podlifecycle.Stop{Since: stopping(v, reason, "the job is being stopped"), Reason: reason, Message: message}
		if stopped, err := r.stopped(ctx, v, live, ref, stop); !stopped || err != nil {
			return false, err
		}
	}
	return r.cancel(ctx, v, live, ref, reason)
}

// endWithoutBackend decides what becomes of a job whose backend can't be asked. That it has not been reached since this manager started
// proves nothing. That its RemoteBackend is gone does, for a job that was never handed over or has ended: it could not have gone while
// it held an unfinished job. So does a RemoteBackend that has no identity on record: no job is ever handed to such a one.
func (r *jobReconciler) endWithoutBackend(ctx context.Context, v *visit, reason, why string) (gone bool, err error) {
	exists, identity, err := r.backendExists(ctx, v.job)
	if err != nil {
		return false, err
	}
	neverHeld := !isSubmitted(v.job) && v.job.Status.Attempts == 0
	if !exists && (neverHeld || v.job.Finished()) || exists && identity == "" && neverHeld {
		return true, nil
	}
	stopping(v, reasonCancelled, "waits for its backend to confirm that nothing of it is left: "+why)
	if reason == reasonBackendMissing {
		v.again(retryMissing)
	}
	return false, nil
}

// stopped ends the containers of a job with their grace, and returns true when that is done and written down, or can't be done.
func (r *jobReconciler) stopped(ctx context.Context, v *visit, live backend.Live, ref backend.JobRef, stop podlifecycle.Stop) (bool, error) {
	driver, drives := live.Backend.(backend.Driver)
	stopper, stops := live.Backend.(backend.Stopper)
	if !drives && !stops {
		return true, nil
	}
	w, err := r.workloadToStop(ctx, v, live)
	if err != nil {
		return false, err
	}
	if len(w.Pod.Spec.Containers) == 0 || v.now.After(stop.Since.Add(graceOf(w.Pod.Spec.TerminationGracePeriodSeconds)+overdueGrace)) {
		return true, nil
	}
	if stops {
		return r.stoppedThere(ctx, v, live, stopper, ref, stop), nil
	}
	return !r.driveOnce(ctx, v, live, driver, w, &stop), nil
}

// stoppedThere has the far side end the containers with their grace, and returns true when nothing of them runs there. Their end is
// written down when it is reported; the next visit finds the job finished.
func (r *jobReconciler) stoppedThere(ctx context.Context, v *visit, live backend.Live, stopper backend.Stopper, ref backend.JobRef, stop podlifecycle.Stop) bool {
	r.follow(v, live)
	if v.job.Finished() {
		return false
	}
	guarded, release, err := r.fence.Guard(ctx, cancelTimeout)
	if err != nil {
		v.again(retryFence)
		return false
	}
	defer release()
	guarded, endSpan := traced(guarded, v, metrics.CallStop)
	ending, err := timed(r.metrics, live.Name, metrics.CallStop, func() (bool, error) { return stopper.Stop(guarded, ref, stop) })
	endSpan(err)
	if err != nil {
		stopping(v, stop.Reason, fmt.Sprintf("RemoteBackend %s: %v", live.Name, err))
		r.poke(live.Name)
		v.again(retryDrive)
		return false
	}
	if ending {
		v.again(overdueGrace) // the end is seen by the observer, which wakes the job; this is for what resists it
	}
	return !ending
}

func graceOf(seconds *int64) time.Duration {
	if seconds == nil {
		return 30 * time.Second
	}
	return time.Duration(*seconds) * time.Second
}

// stopping returns since when the job is being stopped. The condition that says so keeps the time over restarts of the manager.
func stopping(v *visit, reason, message string) time.Time {
	setCondition(&v.job.Status.Conditions, v.job.Generation, v.now, v1alpha1.ConditionStopping, true, reason, reasonCancelled, message)
	return meta.FindStatusCondition(v.job.Status.Conditions, v1alpha1.ConditionStopping).LastTransitionTime.Time
}

// cancel removes the job from its backend, and leaves the marker there that refuses whatever comes late.
func (r *jobReconciler) cancel(ctx context.Context, v *visit, live backend.Live, ref backend.JobRef, reason string) (gone bool, err error) {
	guarded, release, err := r.fence.Guard(ctx, cancelTimeout)
	if err != nil {
		v.again(retryFence)
		return false, nil
	}
	defer release()
	guarded, endSpan := traced(guarded, v, metrics.CallCancel)
	gone, err = timed(r.metrics, live.Name, metrics.CallCancel, func() (bool, error) { return live.Cancel(guarded, ref) })
	endSpan(err)
	if err != nil {
		stopping(v, reason, fmt.Sprintf("RemoteBackend %s: %v", live.Name, err))
		r.poke(live.Name)
		v.again(retryDrive)
		return false, nil
	}
	if !gone {
		v.again(retryCancel)
		return false, nil
	}
	faultpoint.Hit(faultpoint.CancelAfterBackend)
	return true, nil
}

// remove takes away what the ledger holds of a job that its backend holds no more.
func (r *jobReconciler) remove(ctx context.Context, v *visit) error {
	if err := r.ledger.DeletePayload(ctx, v.job); err != nil {
		return fmt.Errorf("remove the payload of RemoteJob %s: %w", v.key(), err)
	}
	faultpoint.Hit(faultpoint.CancelAfterPayload)
	freed := v.stored.DeepCopy()
	if i := slices.Index(freed.Finalizers, v1alpha1.FinalizerCancel); i >= 0 {
		freed.Finalizers = slices.Delete(freed.Finalizers, i, i+1)
		patch := client.MergeFromWithOptions(v.stored, client.MergeFromWithOptimisticLock{})
		if err := r.client.Patch(ctx, freed, patch); err != nil && !apierrors.IsNotFound(err) {
			return fmt.Errorf("take the finalizer off RemoteJob %s: %w", v.key(), err)
		}
		r.guard.wrote(v.key(), freed.ResourceVersion)
		faultpoint.Hit(faultpoint.CancelAfterFinalizer)
	}
	if v.job.DeletionTimestamp == nil {
		uid := v.job.UID
		err := r.client.Delete(ctx, &v1alpha1.RemoteJob{ObjectMeta: v.job.ObjectMeta}, client.Preconditions{UID: &uid})
		if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
			return fmt.Errorf("delete RemoteJob %s: %w", v.key(), err)
		}
	}
	v.gone = true
	return nil
}

// rest leaves a job alone that has ended, until it is to go.
func (r *jobReconciler) rest(_ context.Context, v *visit) (bool, error) {
	if !v.job.Finished() {
		return false, nil
	}
	r.retire(v)
	v.at(expiry(v.job, r.timings.LateKept))
	return true, nil
}
