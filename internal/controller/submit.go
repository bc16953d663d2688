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
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/faultpoint"
	"github.com/remotejob-dev/remotejob-operator/internal/metrics"
)

const (
	// retryFirst and retryMost bound the time between two attempts to submit a job.
	retryFirst = time.Second
	retryMost  = time.Minute
	// retryFence is how soon to look again after the fence held a call back.
	retryFence = time.Second
	// retryDrive is how soon to drive again after the backend failed a call.
	retryDrive = 3 * time.Second
)

// submit hands the job to its backend. Whatever happened to an earlier answer: the token makes it the same job.
func (r *jobReconciler) submit(ctx context.Context, v *visit) (bool, error) {
	if isSubmitted(v.job) {
		return false, nil
	}
	live, reason, why := r.ready(ctx, v.job)
	if why != "" {
		r.pauses.forget(v.job.UID) // when it is back there is no reason to wait
		r.delay(v, reason, why)
		return true, nil
	}
	if until := r.pauses.until(v.job.UID); v.now.Before(until) {
		v.at(until)
		return true, nil
	}
	if !r.roster.takeSlot(v.job.UID, roomOf(&live.Spec)) {
		r.waitForSlot(v, live)
		return true, nil
	}
	w, err := r.workload(ctx, v, live)
	if err != nil {
		return overtaken(v, err)
	}
	guarded, cancel, err := r.fence.Guard(ctx, submitTimeout)
	if err != nil {
		v.again(retryFence)
		return true, nil
	}
	defer cancel()
	faultpoint.Hit(faultpoint.SubmitBeforeBackend)
	guarded, endSpan := traced(guarded, v, metrics.CallSubmit)
	id, err := timed(r.metrics, live.Name, metrics.CallSubmit, func() (string, error) { return live.Submit(guarded, w) })
	if err == nil && id == "" {
		err = errors.New("the backend took the job and gave it no name")
	}
	endSpan(err)
	faultpoint.Hit(faultpoint.SubmitAfterBackend)
	v.job.Status.Attempts++
	if err != nil {
		return true, r.notSubmitted(ctx, v, live, err)
	}
	r.pauses.forget(v.job.UID)
	status := &v.job.Status
	status.JobID, status.NodeName = id, live.Info.NodeName
	status.Phase, status.Reason, status.Message = v1alpha1.PhaseQueued, "", ""
	if status.StartTime == nil {
		started := metav1.NewTime(r.clock.Now().Truncate(time.Second))
		status.StartTime = &started
	}
	status.ObservedGeneration = v.job.Generation
	setCondition(&status.Conditions, v.job.Generation, v.now, v1alpha1.ConditionSubmitted, true, reasonSubmitted, reasonSubmitted,
		fmt.Sprintf("RemoteBackend %s holds the job", live.Name))
	return false, nil
}

// notSubmitted writes down what the backend said against the job. Only a rejection is about the job; after anything else the job may or
// may not be there, and keeps its slot.
func (r *jobReconciler) notSubmitted(ctx context.Context, v *visit, live backend.Live, err error) error {
	if rejected, ok := backend.IsRejected(err); ok {
		reason := reasonRejected
		if rejected.Reason == backend.ReasonCancelled {
			reason = reasonCancelled
		}
		return r.reject(v, reason, rejected.Message)
	}
	log.FromContext(ctx).Info("the backend did not take the job; it will be asked again", "attempts", v.job.Status.Attempts, "error", err.Error())
	setCondition(&v.job.Status.Conditions, v.job.Generation, v.now, v1alpha1.ConditionSubmitted, false, reasonUnavailable, reasonUnavailable,
		fmt.Sprintf("RemoteBackend %s: %v", live.Name, err))
	v.job.Status.Reason, v.job.Status.Message = reasonUnavailable, cut(err.Error(), maxMessage)
	r.poke(live.Name)
	until := r.clock.Now().Add(retryAfter(v.job.Status.Attempts))
	r.pauses.put(v.job.UID, until)
	v.at(until)
	return nil
}

func (r *jobReconciler) waitForSlot(v *visit, live backend.Live) {
	why := fmt.Sprintf("RemoteBackend %s holds its %s", live.Name, roomOf(&live.Spec))
	setCondition(&v.job.Status.Conditions, v.job.Generation, v.now, v1alpha1.ConditionSubmitted, false, reasonWaitingForSlot, reasonWaitingForSlot, why)
	v.job.Status.Reason, v.job.Status.Message = reasonWaitingForSlot, why
}

// retryAfter is the time before the next attempt: it doubles with each.
func retryAfter(attempts int32) time.Duration {
	return min(retryFirst<<min(max(attempts-1, 0), 10), retryMost)
}
