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
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

const (
	// freshFor is how long what was recorded is kept for the reconciler, which mostly asks at once.
	freshFor = 3 * time.Second
	// freshBytes bounds what is kept, freshEach what of one pod.
	freshBytes, freshEach = 8 << 20, 256 << 10
	// freshWait is how long to wait for the answer to a write whose effect the cache shows already.
	freshWait = 200 * time.Millisecond
)

// FreshWorkload puts together the workload of a RemoteJob that this process has recorded a moment ago, from what it recorded: the template and
// the payload can't have changed since. It returns nil for any other, which is read from the API server.
func (l *Ledger) FreshWorkload(ctx context.Context, job *v1alpha1.RemoteJob, backend types.UID) *workload.Workload {
	recorded, parts := l.fresh.take(ctx, keyOf(job), job.UID, l.clock.Now())
	if recorded == nil {
		return nil
	}
	payload, err := decodePayload(parts)
	if err != nil {
		return nil
	}
	w, err := workload.Resolve(l.request(recorded, payload, backend))
	if err != nil {
		return nil
	}
	return w
}

// fresh keeps what was recorded last, for a short time.
type fresh struct {
	mu    sync.Mutex
	byKey map[types.NamespacedName]*freshJob
	// order has the oldest first.
	order []*freshJob
	bytes int
}

type freshJob struct {
	key   types.NamespacedName
	since time.Time
	parts [][]byte
	size  int
	// settled is closed when it is known what came of the write; job is then what was written, nil where nothing was.
	settled chan struct{}
	job     *v1alpha1.RemoteJob
}

// begin takes note of a RemoteJob that is about to be written, and returns what to call with the API server's answer to it, nil for none.
func (f *fresh) begin(job *v1alpha1.RemoteJob, parts [][]byte, now time.Time) (settle func(written *v1alpha1.RemoteJob)) {
	size := job.Spec.Template.Size() + sizeOf(parts)
	if size > freshEach {
		return func(*v1alpha1.RemoteJob) {}
	}
	entry := &freshJob{key: keyOf(job), since: now, parts: parts, size: size, settled: make(chan struct{})}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.expire(now)
	if f.byKey[entry.key] != nil { // two calls about one pod: whoever asks reads what was written
		return func(*v1alpha1.RemoteJob) {}
	}
	if f.byKey == nil {
		f.byKey = map[types.NamespacedName]*freshJob{}
	}
	f.byKey[entry.key] = entry
	f.order = append(f.order, entry)
	f.bytes += size
	return func(written *v1alpha1.RemoteJob) {
		f.mu.Lock()
		entry.job = written
		f.mu.Unlock()
		close(entry.settled)
	}
}

// expire drops what is too old or too much. The caller holds the lock.
func (f *fresh) expire(now time.Time) {
	for len(f.order) > 0 && (now.Sub(f.order[0].since) > freshFor || f.bytes > freshBytes) {
		oldest := f.order[0]
		f.order[0], f.order = nil, f.order[1:]
		f.drop(oldest)
	}
}

// drop forgets an entry, though it may stand in order still. The caller holds the lock.
func (f *fresh) drop(entry *freshJob) {
	if f.byKey[entry.key] == entry {
		delete(f.byKey, entry.key)
		f.bytes -= entry.size
	}
}

// take returns what was recorded of a RemoteJob, once. The cache may show it before the write is answered: then the answer is waited for,
// since it alone tells whether the RemoteJob that is there is the one that was to be written.
func (f *fresh) take(ctx context.Context, key types.NamespacedName, uid types.UID, now time.Time) (*v1alpha1.RemoteJob, [][]byte) {
	f.mu.Lock()
	f.expire(now)
	entry := f.byKey[key]
	if entry != nil {
		f.drop(entry)
	}
	f.mu.Unlock()
	if entry == nil {
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(ctx, freshWait)
	defer cancel()
	select {
	case <-entry.settled:
	case <-ctx.Done():
		return nil, nil
	}
	if entry.job == nil || entry.job.UID != uid {
		return nil, nil
	}
	return entry.job, entry.parts
}
