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
	"container/heap"
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// room is what a backend may hold at once.
type room struct {
	// jobs is a number of jobs, 0 for any.
	jobs int
	// resources bound what the jobs have together; nil for no bound.
	resources *v1alpha1.ResourceCeiling
}

func roomOf(spec *v1alpha1.RemoteBackendSpec) room {
	return room{jobs: int(spec.MaxActiveJobs), resources: spec.Policy.MaxInTotal}
}

// bounded tells whether jobs may have to wait.
func (m room) bounded() bool { return m.jobs > 0 || m.resources != nil }

// String says what the bounds are.
func (m room) String() string {
	var words []string
	if m.jobs > 0 {
		words = append(words, fmt.Sprintf("maxActiveJobs of %d", m.jobs))
	}
	if c := m.resources; c != nil {
		if c.CPU != nil {
			words = append(words, "policy.maxInTotal.cpu of "+c.CPU.String())
		}
		if c.Memory != nil {
			words = append(words, "policy.maxInTotal.memory of "+c.Memory.String())
		}
		if c.GPUs != nil {
			words = append(words, fmt.Sprintf("policy.maxInTotal.gpus of %d", *c.GPUs))
		}
	}
	return strings.Join(words, ", ")
}

// fits tells whether there is room for another job.
func (b *rosterBackend) fits(entry *rosterEntry) bool {
	return (b.room.jobs == 0 || b.held < b.room.jobs) && b.used.Plus(entry.demand, 1).Within(b.room.resources)
}

// takeSlot takes one of the backend's slots for a job, where there is room for it. Jobs get them in the order of their age: who gets none
// waits in line, and is woken when it is its turn. A job keeps its slot until it has ended, is gone, or leaves it.
func (r *roster) takeSlot(job types.UID, m room) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	entry := r.jobs[job]
	if entry == nil {
		return false // gone meanwhile, or not followed yet: it will be looked at again
	}
	b := r.backend(entry.backend)
	b.room = m
	if entry.slot || entry.standing != waiting {
		return true
	}
	if m.bounded() {
		b.queue.join(entry)
		if !b.fits(entry) || b.queue[0] != entry {
			r.wakeNext(b)
			return false
		}
		b.queue.leave(entry)
	}
	r.change(entry, func() { entry.slot = true })
	return true
}

// leaveSlot gives a job's slot, or its place in the line, to others.
func (r *roster) leaveSlot(job types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	entry := r.jobs[job]
	if entry == nil || !entry.slot && entry.queued < 0 {
		return
	}
	r.change(entry, func() {
		entry.slot = false
		r.backend(entry.backend).queue.leave(entry)
	})
}

// setSlots takes note of a new bound.
func (r *roster) setSlots(backend string, m room) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.backend(backend)
	b.room = m
	r.wakeNext(b)
}

// wakeNext wakes the job whose turn it is, if there is room for it.
func (r *roster) wakeNext(b *rosterBackend) {
	if len(b.queue) > 0 && b.fits(b.queue[0]) {
		r.wake(b.queue[0].key)
	}
}

// slotQueue is the line for slots: a heap of jobs by age.
type slotQueue []*rosterEntry

func (q slotQueue) Len() int { return len(q) }

func (q slotQueue) Less(i, j int) bool {
	if !q[i].born.Equal(q[j].born) {
		return q[i].born.Before(q[j].born)
	}
	return q[i].uid < q[j].uid
}

func (q slotQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].queued, q[j].queued = i, j
}

// Push is for container/heap.
func (q *slotQueue) Push(x any) {
	entry := x.(*rosterEntry)
	entry.queued = len(*q)
	*q = append(*q, entry)
}

// Pop is for container/heap.
func (q *slotQueue) Pop() any {
	last := len(*q) - 1
	entry := (*q)[last]
	(*q)[last] = nil
	*q = (*q)[:last]
	entry.queued = -1
	return entry
}

func (q *slotQueue) join(entry *rosterEntry) {
	if entry.queued < 0 {
		heap.Push(q, entry)
	}
}

func (q *slotQueue) leave(entry *rosterEntry) {
	if entry.queued >= 0 {
		heap.Remove(q, entry.queued)
	}
}
