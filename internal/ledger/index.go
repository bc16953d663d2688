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
	"sync"
	"sync/atomic"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// index finds the RemoteJobs of pods. What it holds is shared with the informer's cache and must not be changed.
type index struct {
	mu    sync.RWMutex
	byUID map[types.UID][]*entry
	byKey map[types.NamespacedName]*entry
	// byHand are the RemoteJobs that a person wrote, by their own UID.
	byHand  map[types.UID]*v1alpha1.RemoteJob
	waiting map[types.NamespacedName]map[chan<- struct{}]struct{}
}

// entry is one RemoteJob at one resource version, with the answer about its pod.
type entry struct {
	job    *v1alpha1.RemoteJob
	render sync.Once
	json   []byte
	// asked is when somebody asked last, in nanoseconds; the versions of a RemoteJob share it. again is done once such a question met a
	// version that says that nobody asks.
	asked *atomic.Int64
	again sync.Once
}

// answer returns the answer about the pod as JSON. It is made when it is first asked for, and once: most versions of a RemoteJob are
// never asked for.
func (e *entry) answer() []byte {
	e.render.Do(func() { e.json = mustJSON(StatusOf(e.job)) })
	return e.json
}

func newIndex() *index {
	return &index{
		byUID:   map[types.UID][]*entry{},
		byKey:   map[types.NamespacedName]*entry{},
		byHand:  map[types.UID]*v1alpha1.RemoteJob{},
		waiting: map[types.NamespacedName]map[chan<- struct{}]struct{}{},
	}
}

func keyOf(job *v1alpha1.RemoteJob) types.NamespacedName {
	return types.NamespacedName{Namespace: job.Namespace, Name: job.Name}
}

// put takes in a RemoteJob, new or changed. Those without a pod are asked about for their logs only.
func (x *index) put(obj any) {
	job, ok := obj.(*v1alpha1.RemoteJob)
	if !ok {
		return
	}
	key := keyOf(job)
	x.mu.Lock()
	defer x.mu.Unlock()
	if job.Spec.PodRef == nil {
		x.byHand[job.UID] = job
		return
	}
	e := &entry{job: job, asked: &atomic.Int64{}}
	if old := x.byKey[key]; old != nil && old.job.UID == job.UID {
		e.asked = old.asked
	}
	x.drop(key)
	x.byKey[key] = e
	x.byUID[job.Spec.PodRef.UID] = append(x.byUID[job.Spec.PodRef.UID], e)
	x.wake(key)
}

func (x *index) remove(obj any) {
	if final, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		obj = final.Obj
	}
	job, ok := obj.(*v1alpha1.RemoteJob)
	if !ok {
		return
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.byHand, job.UID)
	x.drop(keyOf(job))
	x.wake(keyOf(job))
}

// drop forgets a RemoteJob. The slices of byUID are replaced, not changed: readers may hold them.
func (x *index) drop(key types.NamespacedName) {
	old, ok := x.byKey[key]
	if !ok {
		return
	}
	delete(x.byKey, key)
	uid := old.job.Spec.PodRef.UID
	var rest []*entry
	for _, e := range x.byUID[uid] {
		if e != old {
			rest = append(rest, e)
		}
	}
	if rest == nil {
		delete(x.byUID, uid)
		return
	}
	x.byUID[uid] = rest
}

func (x *index) wake(key types.NamespacedName) {
	for waiter := range x.waiting[key] {
		select {
		case waiter <- struct{}{}:
		default: // it has been woken and has not looked yet
		}
	}
}

// get returns a RemoteJob by its own name, nil where the cache has none.
func (x *index) get(key types.NamespacedName) *v1alpha1.RemoteJob {
	x.mu.RLock()
	defer x.mu.RUnlock()
	if e := x.byKey[key]; e != nil {
		return e.job
	}
	return nil
}

// written returns a RemoteJob that a person wrote by its own UID, nil where the cache has none.
func (x *index) written(uid types.UID) *v1alpha1.RemoteJob {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.byHand[uid]
}

// find returns the RemoteJobs of the pods that have this UID and, where they are given, this namespace and name.
func (x *index) find(pod v1alpha1.PodReference) []*entry {
	x.mu.RLock()
	all := x.byUID[pod.UID]
	x.mu.RUnlock()
	if len(all) == 1 && matches(all[0], pod) {
		return all
	}
	var found []*entry
	for _, e := range all {
		if matches(e, pod) {
			found = append(found, e)
		}
	}
	return found
}

func matches(e *entry, pod v1alpha1.PodReference) bool {
	ref := e.job.Spec.PodRef
	return (pod.Namespace == "" || pod.Namespace == ref.Namespace) && (pod.Name == "" || pod.Name == ref.Name)
}

// watch returns a channel that is sent to when the RemoteJob of that name may have changed, and a function to end it.
func (x *index) watch(key types.NamespacedName) (<-chan struct{}, func()) {
	waiter := make(chan struct{}, 1)
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.waiting[key] == nil {
		x.waiting[key] = map[chan<- struct{}]struct{}{}
	}
	x.waiting[key][waiter] = struct{}{}
	return waiter, func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		delete(x.waiting[key], waiter)
		if len(x.waiting[key]) == 0 {
			delete(x.waiting, key)
		}
	}
}
