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
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/metrics"
)

const (
	// observeSoon is when to observe again after a watch was begun: what happened while it was begun may have been missed.
	observeSoon = time.Second
	// watchAgain bounds the time before a watch that broke is begun anew.
	watchAgain = 500 * time.Millisecond
	// pollLeast bounds how often a RemoteBackend can ask to be polled.
	pollLeast = 50 * time.Millisecond
	// pruneEvery is how often old markers are removed.
	pruneEvery = time.Hour
	// tidyEvery is how often that is done where something waits for it.
	tidyEvery = time.Minute
)

// observer watches one connected backend.
type observer struct {
	*observers
	name     string
	uid      types.UID
	identity string
	backend  backend.Backend
	// every is how often to observe though nothing asks for it.
	every time.Duration
	stop  context.CancelFunc
	kick  chan struct{}

	mu       sync.Mutex
	snapshot map[string]backend.ObservedJob // nil before the first good observation
	absent   map[string]absence
	unowned  map[string]leftover // nil before the first observation has been sorted out
	suspects map[string]bool     // tokens that the last observation was the first to show without an owner
	pruned   time.Time
}

func newObserver(all *observers, name string, live backend.Live, stop context.CancelFunc) *observer {
	return &observer{
		observers: all, name: name, uid: live.UID, identity: live.Info.Identity, backend: live.Backend,
		every: observeEvery(&live.Spec, all.timings), stop: stop, kick: make(chan struct{}, 1),
		absent: map[string]absence{},
	}
}

// run observes until the context ends: at once, when the watch was begun or broke, when asked to, and from time to time.
func (o *observer) run(ctx context.Context) {
	defer o.stop()
	for ctx.Err() == nil {
		watching, endWatch := context.WithCancel(ctx)
		broken := make(chan error, 1)
		if watcher, ok := o.backend.(backend.Watcher); ok {
			go func() { broken <- watcher.Watch(watching, o.changed) }()
		}
		err := o.observeUntil(ctx, broken)
		endWatch()
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			log.FromContext(ctx).Info("the backend's stream of changes broke; it is begun anew", "error", err.Error())
		}
		o.poke(o.name)
		o.pause(ctx, watchAgain)
	}
}

// observeUntil observes until the watch breaks or the context ends.
func (o *observer) observeUntil(ctx context.Context, broken <-chan error) error {
	next := o.observeAndRest(ctx)
	if _, ok := o.backend.(backend.Watcher); ok {
		next = min(observeSoon, next)
	}
	for {
		timer := o.clock.NewTimer(next)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil
		case err := <-broken:
			timer.Stop()
			return err
		case <-o.kick:
			timer.Stop()
		case <-timer.C():
		}
		next = o.observeAndRest(ctx)
	}
}

// observeAndRest observes, and returns how long to wait before the next observation where nothing asks for one.
func (o *observer) observeAndRest(ctx context.Context) time.Duration {
	begun := o.clock.Now()
	o.observe(ctx)
	return restAfter(o.clock.Since(begun), o.interval())
}

// restAfter is the time between an observation's end and the next one's begin. They begin as far apart as they are meant to, but a backend
// that is slow to answer, as one under load is, gets as much rest as it had work.
func restAfter(took, every time.Duration) time.Duration {
	return max(every-took, min(took, every))
}

func (o *observer) pause(ctx context.Context, d time.Duration) {
	timer := o.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C():
	}
}

// interval is how far apart observations begin where nothing asks for one: less while a job is missing.
func (o *observer) interval() time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.absent) > 0 {
		return min(o.timings.SuspectEvery, o.every)
	}
	return o.every
}

// observeEvery is how often a backend is to be observed: one that tells of no change is polled as often as its RemoteBackend says.
func observeEvery(spec *v1alpha1.RemoteBackendSpec, t Timings) time.Duration {
	if spec.Slurm == nil || spec.Slurm.PollInterval == nil {
		return t.ObserveEvery
	}
	return max(spec.Slurm.PollInterval.Duration, pollLeast)
}

// changed takes a word of the backend that a job may have changed. Tokens that are not on the roster are nobody's here, or will be looked
// at when their RemoteJob arrives.
func (o *observer) changed(token string) {
	if key, ok := o.roster.find(token); ok {
		o.wake(key)
	}
}

// mention is about a job of which there is news that has time.
func (o *observer) mention(token string) {
	if key, ok := o.roster.find(token); ok {
		o.wakeLow(key)
	}
}

// onlyWaits tells whether all there is to say of a job is why it waits in the backend's queue. Thousands may come to wait for another reason
// at once, and jobs that are submitted, or have ended, are not to wait until that is written down.
func onlyWaits(job backend.ObservedJob) bool {
	return job.Word != nil && !job.Word.Ended && job.Report == nil && !job.Cancelled && !job.Remains
}

// observe looks at all that the backend holds, and wakes whom that concerns. A failed look changes nothing.
func (o *observer) observe(ctx context.Context) {
	begun := o.clock.Now()
	snapshot, err := o.snap(ctx, begun)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		log.FromContext(ctx).Info("the backend could not be observed", "error", err.Error())
		o.poke(o.name)
		return
	}
	o.metrics.Observed(o.name, begun)
	for _, token := range o.take(snapshot.Jobs, begun) {
		if onlyWaits(snapshot.Jobs[token]) {
			o.mention(token)
		} else {
			o.changed(token)
		}
	}
	o.sortOut(ctx, snapshot.Jobs)
	o.prune(ctx, snapshot.Untidy)
}

// snap makes an observation. One that misses a job, or shows one that nobody owns, counts only if the machine that it came from is still
// the one that is meant: absence proves nothing about another one.
func (o *observer) snap(ctx context.Context, begun time.Time) (backend.Snapshot, error) {
	ctx, cancel := context.WithTimeout(ctx, observeTimeout)
	defer cancel()
	snapshot, err := timed(o.metrics, o.name, metrics.CallObserve, func() (backend.Snapshot, error) { return o.backend.Observe(ctx) })
	if err != nil || o.unremarkable(snapshot.Jobs, begun) {
		return snapshot, err
	}
	info, err := o.backend.Check(ctx)
	if err != nil {
		return snapshot, err
	}
	if info.Identity != o.identity {
		return snapshot, fmt.Errorf("another machine answers: its identity is %q, and not %q", info.Identity, o.identity)
	}
	return snapshot, nil
}

// unremarkable tells whether an observation shows all jobs that are expected, and none that is not.
func (o *observer) unremarkable(jobs map[string]backend.ObservedJob, begun time.Time) bool {
	if len(nextAbsences(nil, o.roster.expected(o.name), jobs, begun)) > 0 {
		return false
	}
	for token, job := range jobs {
		if _, ok := o.roster.find(token); !ok && !job.Cancelled {
			return false
		}
	}
	return true
}

// take keeps an observation, and returns the tokens of the jobs that it concerns: those that changed, came or went, and those that are to
// be called lost.
func (o *observer) take(jobs map[string]backend.ObservedJob, begun time.Time) []string {
	expected := o.roster.expected(o.name)
	o.mu.Lock()
	defer o.mu.Unlock()
	concerned := changedSince(o.snapshot, jobs)
	o.absent = nextAbsences(o.absent, expected, jobs, begun)
	for token, a := range o.absent {
		if a.lost(o.clock.Now(), o.timings) {
			concerned = append(concerned, token)
		}
	}
	if jobs == nil {
		jobs = map[string]backend.ObservedJob{}
	}
	o.snapshot = jobs
	return concerned
}

// changedSince are the tokens of the jobs that two observations show differently. The first observation concerns all that it shows.
func changedSince(before, after map[string]backend.ObservedJob) []string {
	var tokens []string
	for token, job := range after {
		if was, ok := before[token]; !ok || was.Fingerprint != job.Fingerprint || was.Cancelled != job.Cancelled {
			tokens = append(tokens, token)
		}
	}
	for token := range before {
		if _, ok := after[token]; !ok {
			tokens = append(tokens, token)
		}
	}
	return tokens
}

// nextAbsences are the absences after one more good observation. A job is expected from when the ledger said that the backend holds it:
// an observation that was begun before says nothing about it. One whose marker or remains alone are left is as absent as one of which nothing is.
func nextAbsences(before map[string]absence, expected map[string]time.Time, jobs map[string]backend.ObservedJob, begun time.Time) map[string]absence {
	next := map[string]absence{}
	for token, since := range expected {
		if job, ok := jobs[token]; ok && !job.Cancelled && !job.Remains || !begun.After(since) {
			continue
		}
		next[token] = before[token].next(begun)
	}
	return next
}

func (o *observer) missing(token string) (absence, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	a, ok := o.absent[token]
	return a, ok
}

func (o *observer) seen(token string) (job backend.ObservedJob, there, known bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	job, ok := o.snapshot[token]
	return job, ok && !job.Cancelled, o.snapshot != nil
}

// prune removes the markers of jobs that were cancelled long ago, and, sooner, what could not be removed with its job.
func (o *observer) prune(ctx context.Context, untidy bool) {
	pruner, ok := o.backend.(backend.Pruner)
	now, every := o.clock.Now(), pruneEvery
	if untidy {
		every = tidyEvery
	}
	if !ok || now.Sub(o.pruned) < every {
		return
	}
	guarded, cancel, err := o.fence.Guard(ctx, pruneTimeout)
	if err != nil {
		return
	}
	defer cancel()
	if err := pruner.PruneMarkers(guarded, now.Add(-o.timings.MarkersKept)); err != nil {
		log.FromContext(ctx).Info("old markers could not be removed", "error", err.Error())
		return
	}
	o.pruned = now
}
