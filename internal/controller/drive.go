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

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/metrics"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// drive brings on a job whose backend does not know what a pod is, and writes down what the rules say of it. Other backends bring their
// jobs on themselves: what they report is written down.
func (r *jobReconciler) drive(ctx context.Context, v *visit) (bool, error) {
	live, _, why := r.ready(ctx, v.job)
	if why != "" {
		return true, nil // its RemoteBackend says so, and wakes it when it is back
	}
	if gone, ok := r.missing(live.Name, v.token); ok {
		r.callLost(v, live, gone)
		return true, nil
	}
	driver, ok := live.Backend.(backend.Driver)
	if !ok {
		r.follow(v, live)
		return true, nil
	}
	w, err := r.workload(ctx, v, live)
	var stop *podlifecycle.Stop
	if unresolvable(err) {
		// It can't be driven on without its env and files: what runs of it is stopped, with words.
		if w, err = r.workloadToStop(ctx, v, live); err == nil {
			stop = &podlifecycle.Stop{Since: stopping(v, reasonPayloadLost, "what came with the pod is gone from the ledger"), Reason: reasonPayloadLost,
				Message: "what came with the pod is gone from the ledger, so its containers can't be started any more"}
		}
	}
	if err != nil {
		return overtaken(v, err)
	}
	if !r.driveOnce(ctx, v, live, driver, w, stop) {
		// The observer decides whether it is lost: it looks at all that the backend holds, more than once.
		r.look(live.Name)
		v.again(r.timings.SuspectEvery)
	}
	return true, nil
}

// unresolvable tells whether a job that is under way can't be put together any more, now or ever.
func unresolvable(err error) bool {
	if err == nil {
		return false
	}
	_, refused := workload.IsRefusal(err)
	_, config := workload.IsConfigError(err)
	return refused || config || ledger.IsPayloadLost(err)
}

// driveOnce has the driver look, decide and act, and puts the decision into the status. It returns false when the backend shows nothing
// of the job.
func (r *jobReconciler) driveOnce(ctx context.Context, v *visit, live backend.Live, driver backend.Driver, w *workload.Workload, stop *podlifecycle.Stop) (there bool) {
	guarded, cancel, err := r.fence.Guard(ctx, driveTimeout)
	if err != nil {
		v.again(retryFence)
		return true
	}
	defer cancel()
	endSpan := func(error) {}
	if v.stored.Status.Phase != v1alpha1.PhaseRunning { // a job that runs is looked at for as long as it does
		guarded, endSpan = traced(guarded, v, metrics.CallDrive)
	}
	decision, err := timed(r.metrics, live.Name, metrics.CallDrive, func() (podlifecycle.Decision, error) {
		return driver.Drive(guarded, backend.DriveRequest{Workload: w, Recorded: recordedOf(v.job), Stop: stop})
	})
	endSpan(err)
	if backend.IsNotFound(err) {
		return false
	}
	if err != nil {
		log.FromContext(ctx).Info("the backend failed to drive the job; it will be asked again", "error", err.Error())
		r.poke(live.Name)
		v.again(retryDrive)
		return true
	}
	applyDecision(v.job, &decision, r.clock.Now())
	v.at(decision.WakeAt)
	return true
}

// callLost ends a job that its backend does not hold any more, once that is beyond doubt.
func (r *jobReconciler) callLost(v *visit, live backend.Live, gone absence) {
	now := r.clock.Now()
	if !gone.lost(now, r.timings) {
		v.again(r.timings.SuspectEvery)
		return
	}
	fail(v.job, reasonJobLost, fmt.Sprintf("RemoteBackend %s (%s) does not hold the job any more: it was not there in %d observations since %s",
		live.Name, live.Info.Version, gone.polls, gone.since.UTC().Format(time.RFC3339)), exitUnknown, now)
}
