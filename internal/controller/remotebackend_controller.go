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
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/metrics"
)

// +kubebuilder:rbac:groups=remotejob.dev,resources=remotebackends,verbs=list;watch;patch
// +kubebuilder:rbac:groups=remotejob.dev,resources=remotebackends/status,verbs=patch

// backendReconciler writes down what is known of RemoteBackends, and keeps each until its jobs have ended. It runs on the leader only.
type backendReconciler struct {
	client   client.Client
	registry *backend.Registry
	fence    Fence
	metrics  *metrics.Metrics
	events   events.EventRecorder
	clock    clock.PassiveClock
	timings  Timings
	roster   *roster
	// state is what is known of the connection, and leftovers what the last observation showed without an owner.
	state     func(name string) (connectionState, bool)
	leftovers func(name string) ([]leftover, bool)
}

// Reconcile writes the status of one RemoteBackend.
func (r *backendReconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	rb := &v1alpha1.RemoteBackend{}
	if err := r.client.Get(ctx, req.NamespacedName, rb); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	r.roster.setSlots(rb.Name, roomOf(&rb.Spec))
	if held, err := r.hold(ctx, rb); held || err != nil {
		return r.settle(err)
	}
	jobs, unfinished := r.roster.counts(rb.Name)
	state, known := r.state(rb.Name)
	if rb.DeletionTimestamp != nil && unfinished == 0 {
		return r.release(ctx, rb, state)
	}
	stored := rb.DeepCopy()
	rb.Status.Jobs = jobs
	if known && state.generation == rb.Generation {
		describe(rb, state, r.clock.Now())
	}
	if seen, ok := r.leftovers(rb.Name); ok && state.ready {
		rb.Status.Leftovers = nextLeftovers(rb.Status.Leftovers, seen, r.clock.Now())
	}
	if rb.DeletionTimestamp != nil {
		setCondition(&rb.Status.Conditions, rb.Generation, r.clock.Now(), v1alpha1.ConditionReady, state.ready, reasonDeleting, reasonDeleting, deletionWords(unfinished, state))
	}
	return r.settle(r.write(ctx, stored, rb))
}

// hold puts the finalizer on: jobs must not lose the RemoteBackend that they run on.
func (r *backendReconciler) hold(ctx context.Context, rb *v1alpha1.RemoteBackend) (written bool, err error) {
	if rb.DeletionTimestamp != nil || slices.Contains(rb.Finalizers, v1alpha1.FinalizerCancel) {
		return false, nil
	}
	stored := rb.DeepCopy()
	rb.Finalizers = append(rb.Finalizers, v1alpha1.FinalizerCancel)
	if err := r.client.Patch(ctx, rb, client.MergeFromWithOptions(stored, client.MergeFromWithOptimisticLock{})); err != nil {
		return false, fmt.Errorf("put the finalizer on RemoteBackend %s: %w", rb.Name, err)
	}
	return true, nil
}

// describe puts what is known of the connection into the status.
func describe(rb *v1alpha1.RemoteBackend, state connectionState, now time.Time) {
	status := &rb.Status
	status.ObservedGeneration = state.generation
	setCondition(&status.Conditions, rb.Generation, now, v1alpha1.ConditionReady, state.ready, state.reason, reasonUnreachable, state.message)
	if state.info.Identity == "" {
		return
	}
	switch judgeIdentity(rb, state.info.Identity) {
	case identityChanged:
		return // what is known of the other machine is not about the one that holds the jobs
	case identityNew:
		status.Identity = state.info.Identity
	}
	status.Version = state.info.Version
	if !sameResources(status.Capacity, state.resources) {
		status.Capacity = state.resources
	}
}

func deletionWords(unfinished int, state connectionState) string {
	words := fmt.Sprintf("it is being deleted and waits for %d unfinished jobs", unfinished)
	if !state.ready {
		words += "; it can't be reached, so their end can't be seen: " + state.message
	}
	return words
}

// release lets a RemoteBackend go. What its finished jobs have left on it goes first, while it can still be reached.
func (r *backendReconciler) release(ctx context.Context, rb *v1alpha1.RemoteBackend, state connectionState) (reconcile.Result, error) {
	i := slices.Index(rb.Finalizers, v1alpha1.FinalizerCancel)
	if i < 0 {
		return reconcile.Result{}, nil
	}
	if live, ok := r.registry.Get(rb.Name); ok && state.ready && live.UID == rb.UID {
		cleared, err := r.clearFinished(ctx, live)
		if err != nil {
			log.FromContext(ctx).Info("what finished jobs left on the backend could not be removed yet", "error", err.Error())
		}
		if !cleared {
			return reconcile.Result{RequeueAfter: retryDrive}, nil
		}
	}
	freed := rb.DeepCopy()
	freed.Finalizers = slices.Delete(freed.Finalizers, i, i+1)
	err := r.client.Patch(ctx, freed, client.MergeFromWithOptions(rb, client.MergeFromWithOptimisticLock{}))
	return r.settle(client.IgnoreNotFound(err))
}

func (r *backendReconciler) clearFinished(ctx context.Context, live backend.Live) (cleared bool, err error) {
	cleared = true
	for token := range r.roster.ended(live.Name) {
		guarded, cancel, err := r.fence.Guard(ctx, cancelTimeout)
		if err != nil {
			return false, err
		}
		gone, err := timed(r.metrics, live.Name, metrics.CallCancel, func() (bool, error) { return live.Cancel(guarded, backend.JobRef{Token: token}) })
		cancel()
		if err != nil {
			return false, err
		}
		cleared = cleared && gone
	}
	return cleared, nil
}

func (r *backendReconciler) write(ctx context.Context, stored, rb *v1alpha1.RemoteBackend) error {
	same, err := sameJSON(&stored.Status, &rb.Status)
	if same || err != nil {
		return err
	}
	patch := client.MergeFromWithOptions(stored, client.MergeFromWithOptimisticLock{})
	if err := r.client.Status().Patch(ctx, rb, patch); err != nil {
		return fmt.Errorf("write the status of RemoteBackend %s: %w", rb.Name, err)
	}
	for _, o := range occurredTo(stored, rb) {
		tell(r.events, rb, o)
	}
	return nil
}

// settle ends a visit: what met a conflict is looked at again from what is there now, and what is gone needs nothing more.
func (r *backendReconciler) settle(err error) (reconcile.Result, error) {
	if apierrors.IsConflict(err) {
		return reconcile.Result{RequeueAfter: 50 * time.Millisecond}, nil
	}
	return reconcile.Result{}, client.IgnoreNotFound(err)
}
