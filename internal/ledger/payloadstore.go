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
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

const (
	// sweepAge is how old a payload Secret must be to be swept. It is well above the time that Create may take between writing it and
	// writing the RemoteJob that lists it.
	sweepAge = 10 * time.Minute
	// sweepPage is how many payload Secrets are listed in one call.
	sweepPage = 500
)

// Payload reads the payload of a RemoteJob. A PayloadLostError means that it is gone for good.
func (l *Ledger) Payload(ctx context.Context, job *v1alpha1.RemoteJob) (*workload.Payload, error) {
	names := job.Spec.PayloadSecretNames
	parts := make([][]byte, 0, len(names))
	for i, name := range names {
		secret := &corev1.Secret{}
		err := l.reader.Get(ctx, client.ObjectKey{Namespace: job.Namespace, Name: name}, secret)
		if isAbsent(err) {
			return nil, &PayloadLostError{Secret: name, Cause: "is gone"}
		}
		if err != nil {
			return nil, fmt.Errorf("read the payload Secret %s: %w", name, err)
		}
		part := secret.Data[payloadKey]
		if payloadName(job.Name, i, len(names), part) != name {
			return nil, &PayloadLostError{Secret: name, Cause: "does not hold what was written to it"}
		}
		parts = append(parts, part)
	}
	payload, err := decodePayload(parts)
	if err != nil {
		return nil, &PayloadLostError{Secret: names[0], Cause: err.Error()}
	}
	return payload, nil
}

// DeletePayload removes the payload Secrets of a RemoteJob. Those that are gone are fine, and Secrets that are not its payload are left
// alone, whatever the RemoteJob lists.
func (l *Ledger) DeletePayload(ctx context.Context, job *v1alpha1.RemoteJob) error {
	return l.deleteSecrets(ctx, job.Namespace, job.Name, job.Spec.PayloadSecretNames)
}

func (l *Ledger) deleteSecrets(ctx context.Context, namespace, job string, names []string) error {
	for _, name := range names {
		secret := secretMetadata()
		err := l.reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, secret)
		if isAbsent(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("look up the payload Secret %s: %w", name, err)
		}
		if secret.Labels[LabelPayloadOf] != job {
			log.FromContext(ctx).Info("a Secret that is not the payload of the RemoteJob that lists it is left alone", "namespace", namespace, "secret", name, "remotejob", job)
			continue
		}
		if err := l.deleteSecret(ctx, secret); err != nil {
			return err
		}
	}
	return nil
}

func (l *Ledger) deleteSecret(ctx context.Context, secret *metav1.PartialObjectMetadata) error {
	err := l.writer.Delete(ctx, secret, client.Preconditions{UID: &secret.UID})
	if err != nil && !isAbsent(err) && !apierrors.IsConflict(err) {
		return fmt.Errorf("delete the payload Secret %s: %w", secret.Name, err)
	}
	return nil
}

// SweepPayloads removes payload Secrets that no RemoteJob lists and that have been there for ten minutes: what a Create left behind that
// was killed between its two writes, or a RemoteJob whose finalizer was taken away by force. It returns how many went.
func (l *Ledger) SweepPayloads(ctx context.Context) (int, error) {
	namespaces := l.namespaces
	if len(namespaces) == 0 {
		namespaces = []string{metav1.NamespaceAll}
	}
	removed := 0
	for _, namespace := range namespaces {
		some, err := l.sweepPayloads(ctx, namespace)
		removed += some
		if err != nil {
			return removed, err
		}
	}
	return removed, nil
}

func (l *Ledger) sweepPayloads(ctx context.Context, namespace string) (int, error) {
	removed := 0
	before := l.clock.Now().Add(-sweepAge)
	for next := ""; ; {
		list := &metav1.PartialObjectMetadataList{}
		list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("SecretList"))
		if err := l.reader.List(ctx, list, client.InNamespace(namespace), client.HasLabels{LabelPayloadOf}, client.Limit(sweepPage), client.Continue(next)); err != nil {
			return removed, fmt.Errorf("list payload Secrets: %w", err)
		}
		for i := range list.Items {
			secret := &list.Items[i]
			if secret.CreationTimestamp.Time.After(before) || secret.DeletionTimestamp != nil {
				continue
			}
			listed, err := l.isListed(ctx, secret)
			if err != nil {
				return removed, err
			}
			if listed {
				continue
			}
			secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
			if err := l.deleteSecret(ctx, secret); err != nil {
				return removed, err
			}
			removed++
		}
		if next = list.Continue; next == "" {
			return removed, nil
		}
	}
}

// isListed tells whether a RemoteJob lists the Secret. That one does is taken from the cache; that none does, from the API server only.
func (l *Ledger) isListed(ctx context.Context, secret *metav1.PartialObjectMetadata) (bool, error) {
	key := types.NamespacedName{Namespace: secret.Namespace, Name: secret.Labels[LabelPayloadOf]}
	if job := l.index.get(key); job != nil && slices.Contains(job.Spec.PayloadSecretNames, secret.Name) {
		return true, nil
	}
	if key.Name == "" {
		return false, nil
	}
	job := &v1alpha1.RemoteJob{}
	err := l.reader.Get(ctx, key, job)
	if isAbsent(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the RemoteJob %s of a payload Secret: %w", key, err)
	}
	return slices.Contains(job.Spec.PayloadSecretNames, secret.Name), nil
}

func secretMetadata() *metav1.PartialObjectMetadata {
	secret := &metav1.PartialObjectMetadata{}
	secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	return secret
}
