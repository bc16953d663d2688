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

	"k8s.io/apimachinery/pkg/types"
)

// takeSlot takes one of the backend's slots for a job, at most as many of them as most says in all, 0 for no bound. Jobs get them in the order of their
// age: who gets none waits in line, and is woken when it is its turn. A job keeps its slot until it has ended, is gone, or leaves it.
func (r *roster) takeSlot(job types.UID, most int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	entry := r.jobs[job]
	if entry == nil {
		return false // gone meanwhile, or not followed yet: it will be looked at again
	}
	b := r.backend(entry.backend)
	b.max = most
	if entry.slot || entry.standing != waiting {
		return true
	}
	if most > 0 {
		b.queue.join(entry)
		if b.held >= most || b.queue[0] != entry {
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
func (r *roster) setSlots(backend string, most int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.backend(backend)
	b.max = most
	r.wakeNext(b)
}

// wakeNext wakes the job whose turn it is, if there is room for it.
func (r *roster) wakeNext(b *rosterBackend) {
	if len(b.queue) > 0 && (b.max == 0 || b.held < b.max) {
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
