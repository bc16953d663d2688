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

package backend

import (
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// Live is a backend that is connected, or was.
type Live struct {
	Backend
	// Name and UID of the RemoteBackend.
	Name string
	UID  types.UID
	// Spec as it was when the backend was connected.
	Spec v1alpha1.RemoteBackendSpec
	// Info as it was last answered.
	Info Info
	// Resources is the backend's capacity as it was last answered; nil before the first answer.
	Resources corev1.ResourceList
	// Ready is false while the backend is away, or another machine answers in its place; NotReady then says why.
	Ready    bool
	NotReady string
}

// Registry holds the live backends by name. Every replica of the manager has one. Its zero value is ready to use.
type Registry struct {
	mu   sync.RWMutex
	live map[string]Live
}

// Get returns a backend, and false where there is none of that name or it has never been connected.
func (r *Registry) Get(name string) (Live, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	live, ok := r.live[name]
	return live, ok
}

// Names returns the names of all backends, sorted.
func (r *Registry) Names() []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return slices.Sorted(maps.Keys(r.live))
}

// Set puts a backend in, or replaces it. The caller closes the one it replaces.
func (r *Registry) Set(live Live) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.live == nil {
		r.live = map[string]Live{}
	}
	r.live[live.Name] = live
}

// Remove takes a backend out. The caller closes it.
func (r *Registry) Remove(name string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.live, name)
}
