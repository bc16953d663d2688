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

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// errOvertaken says that the RemoteJob is not any more what the cache showed: the visit ends, and another one starts from what is.
var errOvertaken = errors.New("the RemoteJob has changed since the cache showed it")

// ready returns the job's backend when it can be asked, else a condition's reason and words for why it can't.
func (r *jobReconciler) ready(ctx context.Context, job *v1alpha1.RemoteJob) (live backend.Live, reason, why string) {
	name := job.Spec.BackendName
	live, ok := r.backends.Get(name)
	switch {
	case ok && live.Ready:
		return live, "", ""
	case ok:
		return backend.Live{}, reasonBackendNotReady, fmt.Sprintf("RemoteBackend %s is not ready: %s", name, live.NotReady)
	}
	err := r.client.Get(ctx, client.ObjectKey{Name: name}, &v1alpha1.RemoteBackend{})
	if apierrors.IsNotFound(err) {
		return backend.Live{}, reasonBackendMissing, fmt.Sprintf("there is no RemoteBackend %s", name)
	}
	return backend.Live{}, reasonBackendNotReady, fmt.Sprintf("RemoteBackend %s has not been reached yet", name)
}

// backendExists asks the API server itself whether the job's RemoteBackend is there, and which identity it has on record.
func (r *jobReconciler) backendExists(ctx context.Context, job *v1alpha1.RemoteJob) (exists bool, identity string, err error) {
	rb := &v1alpha1.RemoteBackend{}
	err = r.live.Get(ctx, client.ObjectKey{Name: job.Spec.BackendName}, rb)
	if apierrors.IsNotFound(err) {
		return false, "", nil
	}
	if err != nil {
		return false, "", fmt.Errorf("look up RemoteBackend %s: %w", job.Spec.BackendName, err)
	}
	return true, rb.Status.Identity, nil
}

// template returns the RemoteJob with its template, read live. It fails with errOvertaken when the RemoteJob is another one by now, or is
// to end although the cache does not say so yet.
func (r *jobReconciler) template(ctx context.Context, v *visit) (*v1alpha1.RemoteJob, error) {
	if v.full != nil {
		return v.full, nil
	}
	full := &v1alpha1.RemoteJob{}
	err := r.live.Get(ctx, v.key(), full)
	if apierrors.IsNotFound(err) {
		return nil, errOvertaken
	}
	if err != nil {
		return nil, fmt.Errorf("read RemoteJob %s: %w", v.key(), err)
	}
	if full.UID != v.job.UID || toEnd(full) && !toEnd(v.job) || full.Finished() && !v.job.Finished() {
		r.guard.conflicted(v.key())
		return nil, errOvertaken
	}
	v.full = full
	return full, nil
}

// workload returns the job as its backend needs it.
func (r *jobReconciler) workload(ctx context.Context, v *visit, live backend.Live) (*workload.Workload, error) {
	if w, ok := r.workloads.get(v.job.UID, live.UID); ok {
		return w, nil
	}
	if v.full == nil && !isSubmitted(v.job) {
		if w := r.ledger.FreshWorkload(ctx, v.job, live.UID); w != nil {
			r.workloads.put(v.job.UID, w)
			return w, nil
		}
	}
	full, err := r.template(ctx, v)
	if err != nil {
		return nil, err
	}
	w, err := r.ledger.Workload(ctx, full, live.UID)
	if err != nil {
		return nil, err
	}
	r.workloads.put(v.job.UID, w)
	return w, nil
}

// workloadToStop returns the job as far as it takes to stop it.
func (r *jobReconciler) workloadToStop(ctx context.Context, v *visit, live backend.Live) (*workload.Workload, error) {
	if w, ok := r.workloads.get(v.job.UID, live.UID); ok {
		return w, nil
	}
	full, err := r.template(ctx, v)
	if err != nil {
		return nil, err
	}
	return r.ledger.WorkloadToStop(full, live.UID), nil
}

// overtaken ends a visit that started from a RemoteJob that has changed since.
func overtaken(v *visit, err error) (bool, error) {
	if errors.Is(err, errOvertaken) {
		v.again(0)
		return true, nil
	}
	return true, err
}
