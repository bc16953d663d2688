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
	"strconv"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// guard remembers what this process last wrote of each RemoteJob until the cache has caught up. A cache that lags would otherwise show
// a job as it was before its last status, and a decision made from that could take the job back.
type guard struct {
	mu      sync.Mutex
	pending map[types.NamespacedName]*pendingWrite
}

type pendingWrite struct {
	// version is the resource version of the last write.
	version uint64
	// live is set when the cache is known to lag, by a write that met a conflict.
	live bool
	// conflicts in a row.
	conflicts int
}

func newGuard() *guard { return &guard{pending: map[types.NamespacedName]*pendingWrite{}} }

// trusts tells whether the cache's version of a RemoteJob is not older than what was written last. Once it is trusted the write is
// forgotten, so the guard holds no more than what is under way.
func (g *guard) trusts(key types.NamespacedName, cached string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	write, ok := g.pending[key]
	if !ok {
		return true
	}
	if write.live || version(cached) < write.version {
		return false
	}
	delete(g.pending, key)
	return true
}

// wrote takes note of a write that succeeded.
func (g *guard) wrote(key types.NamespacedName, resourceVersion string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pending[key] = &pendingWrite{version: version(resourceVersion)}
}

// conflicted takes note of a write that met a conflict, so that the next look is live, and returns how long to wait before it.
func (g *guard) conflicted(key types.NamespacedName) time.Duration {
	g.mu.Lock()
	defer g.mu.Unlock()
	write := g.pending[key]
	if write == nil {
		write = &pendingWrite{}
		g.pending[key] = write
	}
	write.live = true
	write.conflicts++
	return min(5*time.Millisecond<<min(write.conflicts, 10), time.Second)
}

// readLive takes note of a look at the API server itself.
func (g *guard) readLive(key types.NamespacedName, resourceVersion string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if write := g.pending[key]; write != nil {
		write.live = false
		write.version = max(write.version, version(resourceVersion))
	}
}

func (g *guard) forget(key types.NamespacedName) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.pending, key)
}

// version reads a resource version, which Kubernetes promises to be a number that grows. 0 stands for one that can't be read.
func version(resourceVersion string) uint64 {
	n, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return 0
	}
	return n
}
