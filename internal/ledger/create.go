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
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/faultpoint"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// createWorkers bounds how many pods of one list are recorded side by side.
const createWorkers = 8

// CreateRequest asks that a pod be run.
type CreateRequest struct {
	// Pod is the pod as it arrived.
	Pod *corev1.Pod
	// Payload is what arrived beside it: ConfigMaps, Secrets, projected files and the job script.
	Payload workload.Payload
	// Endpoint is the backend of the address that the call came in at, empty where that has none.
	Endpoint string
	// Session names the call in logs; empty where it has no name.
	Session string
	// Trace takes the trace of the call to where it goes on; empty for none.
	Trace string
}

// Created is the answer about one pod that is to be run.
type Created struct {
	UID types.UID
	// JobID is the backend's name for the job, or the ledger's own where the backend has not answered yet.
	JobID string
}

// Create records pods that are to be run and waits a while for their backends' word. All are checked before any is recorded. It is
// idempotent: the same pod gets the same answer. It outlasts an API server that is away for a while, and a backend that is away fails
// nothing. Errors of one pod in a list name that pod; the others stay recorded.
func (l *Ledger) Create(ctx context.Context, requests []CreateRequest) ([]Created, error) {
	write, cancel := l.patient(ctx)
	defer cancel()
	if !cache.WaitForCacheSync(write.Done(), l.synced) {
		return nil, errNotSynced()
	}
	drafts := make([]*draft, 0, len(requests))
	for i := range requests {
		d, err := l.draft(&requests[i])
		if err != nil {
			return nil, named(err, len(requests), podRef(requests[i].Pod))
		}
		drafts = append(drafts, d)
	}
	timeUp := l.after(ctx, l.createWait)
	created, errs := make([]Created, len(drafts)), make([]error, len(drafts))
	var all sync.WaitGroup
	places := make(chan struct{}, createWorkers)
	for i, d := range drafts {
		all.Go(func() {
			job, err := l.recordInTurn(write, d, places)
			if err == nil {
				created[i].UID = d.pod.UID
				created[i].JobID, err = l.await(ctx, job, timeUp)
			}
			errs[i] = err
		})
	}
	all.Wait()
	for i, err := range errs {
		if err != nil {
			return nil, named(err, len(drafts), drafts[i].pod)
		}
	}
	return created, nil
}

func (l *Ledger) recordInTurn(ctx context.Context, d *draft, places chan struct{}) (*v1alpha1.RemoteJob, error) {
	places <- struct{}{}
	defer func() { <-places }()
	return l.record(ctx, d)
}

// after returns a channel that is closed when the time is up, or the context ends.
func (l *Ledger) after(ctx context.Context, wait time.Duration) <-chan struct{} {
	done := make(chan struct{})
	if wait <= 0 {
		close(done)
		return done
	}
	timer := l.clock.NewTimer(wait)
	go func() {
		defer close(done)
		defer timer.Stop()
		select {
		case <-timer.C():
		case <-ctx.Done():
		}
	}()
	return done
}

// named puts the pod's name before an error about one of several.
func named(err error, of int, pod v1alpha1.PodReference) error {
	own, ok := AsError(err)
	if !ok || of < 2 {
		return err
	}
	out := *own
	out.Message = "pod " + describe(pod) + ": " + own.Message
	return &out
}

// draft is a pod that was found good, ready to be recorded.
type draft struct {
	pod      v1alpha1.PodReference
	backend  string
	session  string
	trace    string
	template corev1.PodTemplateSpec
	parts    [][]byte
}

func podRef(pod *corev1.Pod) v1alpha1.PodReference {
	return v1alpha1.PodReference{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}
}

// draft checks a pod in every way that needs no write.
func (l *Ledger) draft(req *CreateRequest) (*draft, error) {
	d := &draft{pod: podRef(req.Pod), session: req.Session, trace: req.Trace}
	if invalid := checkIdentity(d.pod); invalid != nil {
		return nil, invalid
	}
	name, backend, refusal := l.choose(ChoiceOf(req.Pod, req.Endpoint))
	if refusal != nil {
		return nil, refusal
	}
	pod := req.Pod.DeepCopy()
	workload.Default(pod)
	if err := check(pod, req.Payload.JobScript, backend); err != nil {
		return nil, err
	}
	var payload *workload.Payload
	d.backend = name
	d.template, payload = split(pod, &req.Payload)
	if err := tryResolve(d, payload); err != nil {
		return nil, err
	}
	var err error
	d.parts, err = encodePayload(payload)
	return d, err
}

// record writes the payload Secrets of a pod and then its RemoteJob, and returns the RemoteJob that runs the pod: this one, or the one
// that was there before.
func (l *Ledger) record(ctx context.Context, d *draft) (*v1alpha1.RemoteJob, error) {
	job, err := l.existing(ctx, d.pod)
	if job != nil || err != nil {
		return job, err
	}
	for _, home := range l.homes(d.pod) {
		job, err = l.recordIn(ctx, home, d)
		if isAbsent(err) {
			continue // the namespace is not in this cluster
		}
		if err != nil {
			return nil, l.failed(err, "record the pod "+describe(d.pod))
		}
		return job, nil
	}
	if l.namespace == "" && !l.keeps(d.pod.Namespace) {
		return nil, Errorf(Refused, ReasonNoNamespace, "metadata.namespace: the operator keeps no pods of the namespace %q (--watch-namespaces), and was given none to keep them in (--ledger-namespace)", d.pod.Namespace)
	}
	if l.namespace == "" {
		return nil, Errorf(Refused, ReasonNoNamespace, "metadata.namespace: this cluster has no namespace %q, and the operator was given none to keep such pods in (--ledger-namespace)", d.pod.Namespace)
	}
	return nil, Errorf(Refused, ReasonNoNamespace, "metadata.namespace: this cluster has neither the namespace %q nor the namespace %q that is to keep such pods (--ledger-namespace)", d.pod.Namespace, l.namespace)
}

// existing returns the RemoteJob of a pod that is known already. A pod that is new to the cache needs no question where its RemoteJob can
// only have one home: the write will tell.
func (l *Ledger) existing(ctx context.Context, pod v1alpha1.PodReference) (*v1alpha1.RemoteJob, error) {
	if len(l.index.find(pod)) == 0 && len(l.homes(pod)) <= 1 {
		return nil, nil
	}
	var job *v1alpha1.RemoteJob
	err := l.outlast(ctx, "look up a pod", func(ctx context.Context) (err error) {
		job, err = l.findLive(ctx, pod)
		return err
	})
	if err != nil {
		return nil, l.failed(err, "look up the pod "+describe(pod))
	}
	return job, nil
}

// recordIn records a pod in one namespace. When it fails, payload Secrets that it wrote are left to the sweep: a write whose answer was
// lost may still land, and the RemoteJob would then list Secrets that are gone.
func (l *Ledger) recordIn(ctx context.Context, home string, d *draft) (*v1alpha1.RemoteJob, error) {
	for {
		job := newRemoteJob(home, d.pod, d.backend)
		job.Spec.Template.PodTemplateSpec = d.template
		for name, value := range map[string]string{v1alpha1.AnnotationSession: d.session, v1alpha1.AnnotationTrace: d.trace} {
			if value != "" {
				metav1.SetMetaDataAnnotation(&job.ObjectMeta, name, value)
			}
		}
		faultpoint.Hit(faultpoint.CreateBeforePayload)
		for _, secret := range payloadSecrets(home, job.Name, d.parts) {
			err := l.outlast(ctx, "write a payload", func(ctx context.Context) error { return l.writer.Create(ctx, secret.DeepCopy()) })
			// A Secret of that name holds that content: it was written by an attempt whose answer was lost, or by another caller.
			if err != nil && !apierrors.IsAlreadyExists(err) {
				return nil, err
			}
			job.Spec.PayloadSecretNames = append(job.Spec.PayloadSecretNames, secret.Name)
		}
		faultpoint.Hit(faultpoint.CreateAfterPayload)
		written := job.DeepCopy()
		settle := l.fresh.begin(job, d.parts, l.clock.Now())
		err := l.outlast(ctx, "write a RemoteJob", func(ctx context.Context) error { return l.writer.Create(ctx, written) })
		if err == nil {
			settle(written)
			faultpoint.Hit(faultpoint.CreateAfterRemoteJob)
			l.metrics.Payload(sizeOf(d.parts))
			return written, nil
		}
		settle(nil)
		if !apierrors.IsAlreadyExists(err) {
			return nil, err
		}
		var winner *v1alpha1.RemoteJob
		if err := l.outlast(ctx, "look up a pod", func(ctx context.Context) (err error) {
			winner, err = l.findLive(ctx, d.pod)
			return err
		}); err != nil {
			return nil, err
		}
		if winner != nil {
			l.discard(ctx, job, winner)
			return winner, nil
		}
		// It went between the write and the look.
	}
}

// discard removes the payload Secrets of a RemoteJob that lost to another, those left out that the other lists. What can't be removed
// now is left to the sweep.
func (l *Ledger) discard(ctx context.Context, loser, winner *v1alpha1.RemoteJob) {
	var own []string
	for _, name := range loser.Spec.PayloadSecretNames {
		if !slices.Contains(winner.Spec.PayloadSecretNames, name) {
			own = append(own, name)
		}
	}
	if err := l.deleteSecrets(ctx, loser.Namespace, loser.Name, own); err != nil {
		log.FromContext(ctx).Info("payload Secrets are left to the sweep", "remotejob", keyOf(loser), "cause", err.Error())
	}
}
