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
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	toolscache "k8s.io/client-go/tools/cache"
	ctrlcache "sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// pods knows the pods of the ledger's own cluster by their UIDs, from their metadata.
type pods struct {
	live client.Reader
	// changed is called, without blocking, with a pod that came or went.
	changed func(v1alpha1.PodReference)

	mu     sync.RWMutex
	byUID  map[types.UID]struct{}
	synced func() bool
}

// PodMetadata is what is watched of pods.
func PodMetadata() *metav1.PartialObjectMetadata {
	pod := &metav1.PartialObjectMetadata{}
	pod.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Pod"))
	return pod
}

// StripPod drops from a pod's metadata, before it goes into a cache, all but its names.
func StripPod(obj any) (any, error) {
	if pod, ok := obj.(*metav1.PartialObjectMetadata); ok {
		pod.ObjectMeta = metav1.ObjectMeta{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID, ResourceVersion: pod.ResourceVersion}
	}
	return obj, nil
}

// follow follows the pods in a cache.
func (p *pods) follow(ctx context.Context, informers ctrlcache.Informers) error {
	informer, err := informers.GetInformer(ctx, PodMetadata(), ctrlcache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("follow pods: %w", err)
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(obj any) { p.note(obj, true) },
		// A pod that went and came again under its name, between two looks, shows as one that changed.
		UpdateFunc: func(before, after any) {
			if was, ok := before.(*metav1.PartialObjectMetadata); ok {
				if is, ok := after.(*metav1.PartialObjectMetadata); ok && was.UID != is.UID {
					p.note(before, false)
					p.note(after, true)
				}
			}
		},
		DeleteFunc: func(obj any) {
			if final, ok := obj.(toolscache.DeletedFinalStateUnknown); ok {
				obj = final.Obj
			}
			p.note(obj, false)
		},
	})
	if err != nil {
		return fmt.Errorf("follow pods: %w", err)
	}
	p.synced = registration.HasSynced
	return nil
}

func (p *pods) note(obj any, there bool) {
	pod, ok := obj.(*metav1.PartialObjectMetadata)
	if !ok {
		return
	}
	p.mu.Lock()
	if there {
		p.byUID[pod.UID] = struct{}{}
	} else {
		delete(p.byUID, pod.UID)
	}
	p.mu.Unlock()
	p.changed(v1alpha1.PodReference{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID})
}

func (p *pods) has(uid types.UID) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	_, ok := p.byUID[uid]
	return ok
}

// gone asks the API server itself whether a pod that was here is gone: a cache proves nothing.
func (p *pods) gone(ctx context.Context, ref *v1alpha1.PodReference) (bool, error) {
	pod := PodMetadata()
	err := p.live.Get(ctx, client.ObjectKey{Namespace: ref.Namespace, Name: ref.Name}, pod)
	if apierrors.IsNotFound(err) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("look up the pod %s/%s: %w", ref.Namespace, ref.Name, err)
	}
	return pod.UID != ref.UID, nil
}
