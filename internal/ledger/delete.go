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

package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/faultpoint"
)

// TombstoneTTL is how long the record of a Delete that came before its Create is kept. interLink's Create may come up to five minutes late.
const TombstoneTTL = 10 * time.Minute

// noBackend is the backend of a tombstone where none can be chosen. No RemoteBackend has such a name.
const noBackend = "-"

// DeleteRequest asks that a pod be stopped and forgotten.
type DeleteRequest struct {
	// Pod is the pod. Namespace and Name may be empty where the caller knows the UID alone.
	Pod v1alpha1.PodReference
	// Choice is what is known of the pod's choice of a backend.
	Choice BackendChoice
}

// Delete cancels the job of a pod. When there is none it records that the pod is not to be run, since its Create may still come. It is
// idempotent, goes on when the caller goes away, and outlasts an API server that is away for a while.
func (l *Ledger) Delete(ctx context.Context, req DeleteRequest) error {
	ctx, cancel := l.patient(ctx)
	defer cancel()
	pod, err := l.complete(req.Pod)
	if err != nil {
		return err
	}
	if invalid := checkIdentity(pod); invalid != nil {
		return invalid
	}
	for {
		var job *v1alpha1.RemoteJob
		if err := l.outlast(ctx, "delete", func(ctx context.Context) (err error) {
			job, err = l.findLive(ctx, pod)
			return err
		}); err != nil {
			return l.failed(err, "delete the pod "+describe(pod))
		}
		var settled bool
		if job != nil {
			settled, err = l.cancel(ctx, job)
		} else {
			settled, err = l.bury(ctx, pod, req.Choice)
		}
		if err != nil || settled {
			return err
		}
	}
}

// complete fills in the namespace and name of a pod that is given by its UID alone, as far as the cache knows them.
func (l *Ledger) complete(pod v1alpha1.PodReference) (v1alpha1.PodReference, error) {
	if pod.UID == "" || (pod.Namespace != "" && pod.Name != "") {
		return pod, nil
	}
	job, err := l.Find(pod)
	if err != nil {
		return pod, err
	}
	return *job.Spec.PodRef, nil
}

// cancel asks for a job to be stopped. It returns false when the job is not there any more.
func (l *Ledger) cancel(ctx context.Context, job *v1alpha1.RemoteJob) (bool, error) {
	if job.Spec.Cancel || job.DeletionTimestamp != nil {
		return true, nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"uid": job.UID}, "spec": map[string]any{"cancel": true}})
	if err != nil {
		return false, err
	}
	err = l.outlast(ctx, "cancel", func(ctx context.Context) error {
		return l.writer.Patch(ctx, job.DeepCopy(), client.RawPatch(types.MergePatchType, patch))
	})
	switch {
	case isAbsent(err), apierrors.IsConflict(err):
		return false, nil
	case err != nil:
		return false, l.failed(err, "cancel the RemoteJob "+job.Name)
	}
	faultpoint.Hit(faultpoint.CancelAfterRequest)
	return true, nil
}

// bury records that a pod which has not arrived is not to be run. It returns false when the pod arrives at the same time.
func (l *Ledger) bury(ctx context.Context, pod v1alpha1.PodReference, choice BackendChoice) (bool, error) {
	backend := l.backendName(choice)
	if len(validation.IsDNS1123Subdomain(backend)) > 0 {
		backend = noBackend // a deletion is kept whatever the pod says of its backend
	}
	ttl := int32(TombstoneTTL / time.Second)
	for _, home := range l.homes(pod) {
		tombstone := newRemoteJob(home, pod, backend)
		tombstone.Spec.Cancel = true
		tombstone.Spec.TTLSecondsAfterFinished = &ttl
		err := l.outlast(ctx, "record a deletion", func(ctx context.Context) error {
			return l.writer.Create(ctx, tombstone.DeepCopy())
		})
		switch {
		case err == nil:
			faultpoint.Hit(faultpoint.CancelAfterTombstone)
			return true, nil
		case apierrors.IsAlreadyExists(err):
			return false, nil
		case isAbsent(err), isTerminating(err):
			continue
		}
		return false, l.failed(err, "record that the pod "+describe(pod)+" was deleted")
	}
	// There is no place to keep the pod in, so its Create is refused whenever it comes.
	return true, nil
}

// newRemoteJob returns the RemoteJob of a pod, still without a template. It is born with the finalizer: to add it later would cost a
// write, and a job without it could vanish while its backend holds it.
func newRemoteJob(namespace string, pod v1alpha1.PodReference, backend string) *v1alpha1.RemoteJob {
	return &v1alpha1.RemoteJob{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: namespace, Name: nameOf(pod),
			Labels: map[string]string{
				v1alpha1.LabelPodUID:  LabelValue(string(pod.UID)),
				v1alpha1.LabelBackend: LabelValue(backend),
			},
			Finalizers: []string{v1alpha1.FinalizerCancel},
		},
		Spec: v1alpha1.RemoteJobSpec{BackendName: backend, PodRef: &pod},
	}
}

// failed turns what the API server said in the end into an answer.
func (l *Ledger) failed(err error, what string) error {
	if own, ok := AsError(err); ok {
		return own
	}
	if isTooLarge(err) {
		return &Error{Kind: Refused, Reason: ReasonTooLarge, Message: "the pod is too large for the ledger: the API server refuses an object of its size", Err: err}
	}
	kind := Refused
	if willPass(err) {
		kind = Unavailable
	}
	return &Error{Kind: kind, Reason: string(apierrors.ReasonForError(err)), Message: fmt.Sprintf("the API server refused to %s: %s", what, refusalOf(err)), Err: err}
}

// refusalOf says why the API server refused a write. Its own words may quote the object, so only those that can't are passed on.
func refusalOf(err error) string {
	switch {
	case apierrors.IsForbidden(err), isAbsent(err):
		return err.Error()
	}
	if reason := apierrors.ReasonForError(err); reason != metav1.StatusReasonUnknown {
		return string(reason)
	}
	return "unknown reason"
}
