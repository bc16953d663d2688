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
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// roster knows where each RemoteJob is: by its backend, its token, and whether the backend holds it. It follows the cache, one job an
// event, so that nothing has to walk through all of them when one changes.
type roster struct {
	clock clock.PassiveClock
	// token is the token of a RemoteJob.
	token func(*v1alpha1.RemoteJob) string
	// counted is called, without blocking, with the name of a backend whose counts have changed.
	counted func(backend string)
	// wake is called, without blocking, with a RemoteJob that may go on.
	wake func(types.NamespacedName)

	mu       sync.Mutex
	jobs     map[types.UID]*rosterEntry
	tokens   map[string]*rosterEntry
	backends map[string]*rosterBackend
}

// standing is where a RemoteJob stands with its backend, as far as the ledger says.
type standing int

const (
	// waiting means that no submission is recorded.
	waiting standing = iota
	// submitted means that the backend holds the job and that it has not ended.
	submitted
	// finished means that it has ended.
	finished
)

type rosterEntry struct {
	uid     types.UID
	key     types.NamespacedName
	token   string
	backend string
	born    time.Time
	// demand is what it has of what a policy may bound.
	demand   workload.Demand
	standing standing
	running  bool
	// failed tells how a job that is finished has ended.
	failed bool
	// unasked tells that nobody asks about it.
	unasked bool
	// ending is set once somebody asked for the job to go.
	ending bool
	// submittedAt is when the roster first saw it as submitted: observations begun before say nothing about it.
	submittedAt time.Time
	// slot is set from when the job took one of the backend's slots until the ledger shows it as submitted or finished.
	slot bool
	// queued is its place in the backend's queue for slots, -1 for none.
	queued int
}

type rosterBackend struct {
	jobs map[types.UID]*rosterEntry
	// held is how many jobs take a slot, active how many run, queued how many wait here or there.
	held, active, queued int
	// phases are the numbers of all jobs, those that have ended among them.
	phases map[v1alpha1.RemoteJobPhase]int
	// unasked is how many of them nobody asks about.
	unasked int
	// used is what those that take a slot have together.
	used  workload.Demand
	room  room
	queue slotQueue
}

func newRoster(c clock.PassiveClock, token func(*v1alpha1.RemoteJob) string) *roster {
	return &roster{
		clock: c, token: token,
		counted: func(string) {}, wake: func(types.NamespacedName) {},
		jobs: map[types.UID]*rosterEntry{}, tokens: map[string]*rosterEntry{}, backends: map[string]*rosterBackend{},
	}
}

func standingOf(job *v1alpha1.RemoteJob) standing {
	switch {
	case job.Finished():
		return finished
	case job.Status.JobID != "":
		return submitted
	}
	return waiting
}

// put takes in a RemoteJob as the cache or a write of ours shows it.
func (r *roster) put(job *v1alpha1.RemoteJob) {
	r.mu.Lock()
	defer r.mu.Unlock()
	entry := r.jobs[job.UID]
	if entry == nil {
		entry = &rosterEntry{
			uid: job.UID, key: types.NamespacedName{Namespace: job.Namespace, Name: job.Name}, token: r.token(job),
			backend: job.Spec.BackendName, born: job.CreationTimestamp.Time, demand: workload.DemandOf(&job.Spec.Template.Spec), queued: -1,
		}
		r.jobs[job.UID] = entry
		r.tokens[entry.token] = entry
		b := r.backend(entry.backend)
		b.jobs[entry.uid] = entry
		b.count(entry, +1)
		r.counted(entry.backend)
	}
	entry.ending = entry.ending || toEnd(job)
	next, running, failed := standingOf(job), job.Status.Phase == v1alpha1.PhaseRunning, job.Status.Phase == v1alpha1.PhaseFailed
	if next < entry.standing {
		return // the cache lags behind a write of ours: a job never goes back
	}
	unasked := meta.IsStatusConditionTrue(job.Status.Conditions, v1alpha1.ConditionUnasked)
	if next == entry.standing && running == entry.running && unasked == entry.unasked {
		return
	}
	r.change(entry, func() {
		if next == submitted && entry.standing != submitted {
			entry.submittedAt = r.clock.Now()
		}
		entry.standing, entry.running, entry.failed, entry.unasked = next, running, failed, unasked
		if next != waiting {
			entry.slot = false
		}
	})
}

// remove forgets a RemoteJob that is gone.
func (r *roster) remove(uid types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	entry := r.jobs[uid]
	if entry == nil {
		return
	}
	delete(r.jobs, uid)
	if r.tokens[entry.token] == entry {
		delete(r.tokens, entry.token)
	}
	b := r.backend(entry.backend)
	b.queue.leave(entry)
	b.count(entry, -1)
	delete(b.jobs, uid)
	r.wakeNext(b)
	r.counted(entry.backend)
}

// change changes an entry and the counts with it, and wakes whom that makes room for.
func (r *roster) change(entry *rosterEntry, how func()) {
	b := r.backend(entry.backend)
	b.count(entry, -1)
	how()
	b.count(entry, +1)
	if entry.standing != waiting {
		b.queue.leave(entry)
	}
	r.wakeNext(b)
	r.counted(entry.backend)
}

func (r *roster) backend(name string) *rosterBackend {
	b := r.backends[name]
	if b == nil {
		b = &rosterBackend{jobs: map[types.UID]*rosterEntry{}, phases: map[v1alpha1.RemoteJobPhase]int{}}
		r.backends[name] = b
	}
	return b
}

// phase is the job's phase, as far as the roster distinguishes them.
func (e *rosterEntry) phase() v1alpha1.RemoteJobPhase {
	switch {
	case e.standing == finished && e.failed:
		return v1alpha1.PhaseFailed
	case e.standing == finished:
		return v1alpha1.PhaseSucceeded
	case e.running:
		return v1alpha1.PhaseRunning
	case e.standing == submitted:
		return v1alpha1.PhaseQueued
	}
	return v1alpha1.PhasePending
}

func (b *rosterBackend) count(e *rosterEntry, by int) {
	b.phases[e.phase()] += by
	if e.unasked {
		b.unasked += by
	}
	if e.standing == finished {
		return
	}
	if e.standing == submitted || e.slot {
		b.held += by
		b.used = b.used.Plus(e.demand, int64(by))
	}
	if e.running {
		b.active += by
	} else {
		b.queued += by
	}
}

// find returns the RemoteJob of a token.
func (r *roster) find(token string) (types.NamespacedName, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	entry := r.tokens[token]
	if entry == nil {
		return types.NamespacedName{}, false
	}
	return entry.key, true
}

// counts are the numbers of jobs of a backend for its status, and how many have not ended.
func (r *roster) counts(backend string) (jobs v1alpha1.BackendJobs, unfinished int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.backends[backend]
	if b == nil {
		return jobs, 0
	}
	return v1alpha1.BackendJobs{Active: int32(b.active), Queued: int32(b.queued)}, b.active + b.queued
}

// tally is how many jobs a backend has.
type tally struct {
	phases  map[v1alpha1.RemoteJobPhase]int
	unasked int
}

// tallies are the numbers of jobs by backend.
func (r *roster) tallies() map[string]tally {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make(map[string]tally, len(r.backends))
	for name, b := range r.backends {
		out[name] = tally{phases: maps.Clone(b.phases), unasked: b.unasked}
	}
	return out
}

// expected are the tokens of the jobs that a backend holds by the ledger's word, and since when at the latest.
func (r *roster) expected(backend string) map[string]time.Time {
	return collect(r, backend, func(e *rosterEntry) bool { return e.standing == submitted }, func(e *rosterEntry) time.Time { return e.submittedAt })
}

// concerned are the RemoteJobs of a backend, by token, that need it: those that have not ended, and those that are to go, which wait for
// its word that nothing of them is left.
func (r *roster) concerned(backend string) map[string]types.NamespacedName {
	return collect(r, backend, func(e *rosterEntry) bool { return e.standing != finished || e.ending }, keyOfEntry)
}

// unsubmitted are the RemoteJobs of a backend whose submission is not recorded, by token.
func (r *roster) unsubmitted(backend string) map[string]types.NamespacedName {
	return collect(r, backend, func(e *rosterEntry) bool { return e.standing == waiting }, keyOfEntry)
}

// ended are the RemoteJobs of a backend that have ended, by token.
func (r *roster) ended(backend string) map[string]types.NamespacedName {
	return collect(r, backend, func(e *rosterEntry) bool { return e.standing == finished }, keyOfEntry)
}

func keyOfEntry(e *rosterEntry) types.NamespacedName { return e.key }

func collect[T any](r *roster, backend string, which func(*rosterEntry) bool, what func(*rosterEntry) T) map[string]T {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := map[string]T{}
	if b := r.backends[backend]; b != nil {
		for _, e := range b.jobs {
			if which(e) {
				out[e.token] = what(e)
			}
		}
	}
	return out
}
