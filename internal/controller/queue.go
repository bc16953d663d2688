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
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// queue is a controller's queue, for those who know of things to look at that the API server does not tell. Until the controller has
// started there is nothing to add to, and no need: it looks at everything then.
type queue struct {
	mu    sync.RWMutex
	inner workqueue.TypedRateLimitingInterface[reconcile.Request]
}

// take is a source.Func that keeps the controller's queue.
func (q *queue) take(_ context.Context, inner workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.inner = inner
	return nil
}

func (q *queue) get() workqueue.TypedRateLimitingInterface[reconcile.Request] {
	q.mu.RLock()
	defer q.mu.RUnlock()
	return q.inner
}

func (q *queue) add(key types.NamespacedName) {
	if inner := q.get(); inner != nil {
		inner.Add(reconcile.Request{NamespacedName: key})
	}
}

// addLow adds what has time until all else is done.
func (q *queue) addLow(key types.NamespacedName) {
	if inner, ok := q.get().(priorityqueue.PriorityQueue[reconcile.Request]); ok {
		inner.AddWithOpts(priorityqueue.AddOpts{Priority: ptr.To(handler.LowPriority)}, reconcile.Request{NamespacedName: key})
		return
	}
	q.add(key)
}

func (q *queue) addAfter(key types.NamespacedName, after time.Duration) {
	if inner := q.get(); inner != nil {
		inner.AddAfter(reconcile.Request{NamespacedName: key}, after)
	}
}
