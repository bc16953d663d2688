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
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/faultpoint"
	"github.com/remotejob-dev/remotejob-operator/internal/metrics"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// Ledger is what the controllers need of the ledger.
type Ledger interface {
	// Token is the job's one name on its backend.
	Token(job *v1alpha1.RemoteJob) string
	// Workload puts together what a backend needs to run a job that was read live. A PayloadLostError, a workload.Refusal and a
	// workload.ConfigError are about the job, other errors about the API server.
	Workload(ctx context.Context, job *v1alpha1.RemoteJob, backend types.UID) (*workload.Workload, error)
	// FreshWorkload is the workload of a RemoteJob that this process has just recorded, nil for any other.
	FreshWorkload(ctx context.Context, job *v1alpha1.RemoteJob, backend types.UID) *workload.Workload
	// WorkloadToStop is the job as far as it takes to stop it.
	WorkloadToStop(job *v1alpha1.RemoteJob, backend types.UID) *workload.Workload
	// DeletePayload removes the job's payload Secrets. Those that are gone are fine.
	DeletePayload(ctx context.Context, job *v1alpha1.RemoteJob) error
	// LastAsked is when somebody last asked this process about a job, zero for never.
	LastAsked(job *v1alpha1.RemoteJob) time.Time
	// Unasked are the jobs of pods that nobody has asked this process about since a time, and that do not say so yet.
	Unasked(since time.Time) []types.NamespacedName
	// SweepPayloads removes payload Secrets that no RemoteJob lists, and returns how many.
	SweepPayloads(ctx context.Context) (int, error)
}

// +kubebuilder:rbac:groups=remotejob.dev,resources=remotejobs,verbs=get;list;watch;patch;delete
// +kubebuilder:rbac:groups=remotejob.dev,resources=remotejobs/status,verbs=patch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// jobReconciler brings RemoteJobs on: hands them to their backends, writes down what happens there, and clears up behind them.
type jobReconciler struct {
	client   client.Client
	live     client.Reader
	ledger   Ledger
	backends *backend.Registry
	fence    Fence
	clock    clock.PassiveClock
	timings  Timings
	metrics  *metrics.Metrics
	events   events.EventRecorder

	// pods are those of the ledger's own cluster, nil where they are not watched; begun is when this manager was made.
	pods  *pods
	begun time.Time

	roster    *roster
	guard     *guard
	workloads *workloads
	pauses    *pauses
	// missing tells since when a job that should be on its backend is not seen there.
	missing func(backend, token string) (absence, bool)
	// seen returns what the last observation showed of a job, and whether it was there. It is not known before the first one.
	seen func(name, token string) (job backend.ObservedJob, there, known bool)
	// poke asks for a check of a backend that failed a call, and look for an observation of what it holds.
	poke, look func(backend string)

	stages []stage
}

// visit is one look at one RemoteJob. The stages change job; what they changed is written once, at the end.
type visit struct {
	// job is what the stages change, and stored the RemoteJob as it was read.
	job, stored *v1alpha1.RemoteJob
	// full is the RemoteJob with its template, once it has been read live.
	full  *v1alpha1.RemoteJob
	token string
	now   time.Time
	// fresh is set where no earlier visit can have handed the job to its backend: none has put on the finalizer.
	fresh bool
	// wake is when to come again though nothing changes; zero for never.
	wake time.Time
	// gone is set once nothing of the RemoteJob is left to write to.
	gone bool
}

// again asks for another visit after so long, or earlier where another stage asked for that.
func (v *visit) again(after time.Duration) { v.at(v.now.Add(max(after, time.Millisecond))) }

func (v *visit) at(t time.Time) {
	if !t.IsZero() && (v.wake.IsZero() || t.Before(v.wake)) {
		v.wake = t
	}
}

func (v *visit) key() types.NamespacedName { return client.ObjectKeyFromObject(v.job) }

// stage is one step in a job's life. Stages run in order; one that returns done ends the visit.
type stage func(ctx context.Context, v *visit) (done bool, err error)

func (r *jobReconciler) withStages() *jobReconciler {
	r.stages = []stage{r.orphan, r.end, r.rest, r.hold, r.admit, r.submit, r.drive}
	return r
}

// Reconcile looks at one RemoteJob and does what is next.
func (r *jobReconciler) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	job, err := r.read(ctx, req.NamespacedName)
	if apierrors.IsNotFound(err) {
		r.guard.forget(req.NamespacedName)
		return reconcile.Result{}, nil
	}
	if err != nil {
		return reconcile.Result{}, err
	}
	v := &visit{
		job: job, stored: job.DeepCopy(), token: r.ledger.Token(job), now: r.clock.Now(), fresh: !slices.Contains(job.Finalizers, v1alpha1.FinalizerCancel),
	}
	ctx = log.IntoContext(ctx, log.FromContext(ctx).WithValues(identify(job, v.token)...))

	err = r.run(ctx, v)
	if v.gone {
		r.forget(v)
		return reconcile.Result{}, err
	}
	if recordErr := r.record(ctx, v); recordErr != nil {
		if apierrors.IsConflict(recordErr) {
			return reconcile.Result{RequeueAfter: r.guard.conflicted(req.NamespacedName)}, nil
		}
		return reconcile.Result{}, client.IgnoreNotFound(recordErr)
	}
	if err != nil {
		if apierrors.IsConflict(err) {
			return reconcile.Result{RequeueAfter: r.guard.conflicted(req.NamespacedName)}, nil
		}
		return reconcile.Result{}, err
	}
	if v.wake.IsZero() {
		return reconcile.Result{}, nil
	}
	return reconcile.Result{RequeueAfter: max(v.wake.Sub(r.clock.Now()), time.Millisecond)}, nil
}

func (r *jobReconciler) run(ctx context.Context, v *visit) error {
	for _, stage := range r.stages {
		if done, err := stage(ctx, v); done || err != nil {
			return err
		}
	}
	return nil
}

// read returns the RemoteJob from the cache, or from the API server where the cache is known to lag behind what was written here.
func (r *jobReconciler) read(ctx context.Context, key types.NamespacedName) (*v1alpha1.RemoteJob, error) {
	job := &v1alpha1.RemoteJob{}
	err := r.client.Get(ctx, key, job)
	if err != nil {
		return nil, err
	}
	if r.guard.trusts(key, job.ResourceVersion) {
		return job, nil
	}
	job = &v1alpha1.RemoteJob{}
	if err := r.live.Get(ctx, key, job); err != nil {
		return nil, err
	}
	r.guard.readLive(key, job.ResourceVersion)
	return job, nil
}

// record writes what the stages changed of the status, at once and only if nobody wrote in between: what was decided on an older state
// must not cover a newer one.
func (r *jobReconciler) record(ctx context.Context, v *visit) error {
	before, after := v.stored, v.job
	same, err := sameJSON(&before.Status, &after.Status)
	if same || err != nil {
		return err
	}
	becameSubmitted := before.Status.JobID == "" && after.Status.JobID != ""
	becameFinished := !before.Finished() && after.Finished()
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := r.client.Status().Patch(ctx, after, patch); err != nil {
		return fmt.Errorf("write the status of RemoteJob %s: %w", v.key(), err)
	}
	r.guard.wrote(v.key(), after.ResourceVersion)
	r.roster.put(after)
	measure(r.metrics, before, after)
	if becameSubmitted {
		faultpoint.Hit(faultpoint.SubmitAfterStatus)
	}
	if becameFinished {
		faultpoint.Hit(faultpoint.FinishAfterStatus)
	}
	tell(r.events, after, occurred(before, after))
	change := toldOf(before, after)
	logChange(ctx, change)
	traceChange(ctx, v, change)
	return nil
}

// forget drops what is kept in memory of a RemoteJob that is gone.
func (r *jobReconciler) forget(v *visit) {
	r.guard.forget(v.key())
	r.retire(v)
}

// retire drops what is kept in memory of a job that has ended.
func (r *jobReconciler) retire(v *visit) {
	r.workloads.drop(v.job.UID)
	r.pauses.forget(v.job.UID)
	if live, ok := r.backends.Get(v.job.Spec.BackendName); ok {
		if retirer, ok := live.Backend.(backend.Retirer); ok {
			retirer.Retire(v.token)
		}
	}
}

func sameJSON(a, b any) (bool, error) {
	first, err := json.Marshal(a)
	if err != nil {
		return false, err
	}
	second, err := json.Marshal(b)
	return bytes.Equal(first, second), err
}
