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

package slurm

import (
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// tracker keeps what is known of each job between two looks at the cluster, so that a look need not read again what has not changed.
type tracker struct {
	// observing has one look at the cluster at a time; listed is when the jobs' directories were last listed.
	observing sync.Mutex
	listed    time.Time

	mu   sync.Mutex
	jobs map[string]*job
	// left are the tokens of which nothing was left, and when, for a look that began before.
	left map[string]time.Time
	// submitting holds a lock for each token that is being submitted.
	submitting map[string]*tokenLock
}

// job is what is known of one token.
type job struct {
	// id is the job's as Submit, the queue or a claim gave it.
	id string
	// named and pod are the RemoteJob and the pod, as they stand on the job.
	named, pod types.NamespacedName
	// state is what podrunner last said; nil before it said anything.
	state *jobdir.State
	// dropped is set when state's statuses were dropped, since they are on record.
	dropped bool
	// endedSince is since when the queue says that the job has ended though podrunner does not; zero where it does not say so.
	endedSince time.Time
	// restarts is how often SLURM has put the job back into its queue, as far as is known; submit is when it did so last, or when the job
	// submitOf was submitted.
	restarts int
	submit   time.Time
	submitOf string
	// cancelled is set when nothing is left of it but what the queue has not forgotten yet.
	cancelled bool
	// born is when it was first heard of here.
	born time.Time
	// rows is how many jobs of the token the queue showed at the last look.
	rows int
	// stopped is when the job was asked to end.
	stopped time.Time
}

// over tells whether the pod has ended for good: should its job begin anew, podrunner runs nothing.
func (j *job) over() bool {
	return j.state != nil && j.state.Finished && j.state.Decision.Reason != jobdir.ReasonTerminated
}

// final tells whether podrunner has said the last that it will say: the pod has ended, and its job is not to begin anew.
func (j *job) final() bool {
	return j.over() || j.state != nil && j.state.Finished && j.state.RestartCount >= j.restarts && j.rows == 0
}

type tokenLock struct {
	sync.Mutex
	users int
}

func (t *tracker) init() {
	t.jobs, t.left, t.submitting = map[string]*job{}, map[string]time.Time{}, map[string]*tokenLock{}
}

// lock has one caller a token go on at a time.
func (t *tracker) lock(token string) (unlock func()) {
	t.mu.Lock()
	l := t.submitting[token]
	if l == nil {
		l = &tokenLock{}
		t.submitting[token] = l
	}
	l.users++
	t.mu.Unlock()
	l.Lock()
	return func() {
		l.Unlock()
		t.mu.Lock()
		defer t.mu.Unlock()
		if l.users--; l.users == 0 {
			delete(t.submitting, token)
		}
	}
}

// id is the job's id where it is known.
func (t *tracker) id(token string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if j := t.jobs[token]; j != nil && !j.cancelled {
		return j.id
	}
	return ""
}

// at returns what is known of a token, and makes it where nothing is. The caller holds the lock.
func (t *tracker) at(token string) *job {
	j := t.jobs[token]
	if j == nil {
		j = &job{born: time.Now()}
		t.jobs[strings.Clone(token)] = j // the token may be a part of a look's text
	}
	return j
}

// submitted takes note of a job that was made.
func (t *tracker) submitted(w *workload.Workload, id string) {
	if id == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	j := t.at(w.Token)
	j.id, j.named = id, w.Job
	j.pod = types.NamespacedName{Namespace: w.Pod.Namespace, Name: w.Pod.Name}
}

// gone forgets a token of which nothing is left.
func (t *tracker) gone(token string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.jobs, token)
	t.left[token] = time.Now()
}

// overtaken are the tokens that a look which began at a time may show although nothing is left of them. It forgets those that no later look
// can show any more. The caller holds the lock.
func (t *tracker) overtaken(begun time.Time) map[string]bool {
	tokens := map[string]bool{}
	for token, at := range t.left {
		if at.Before(begun) {
			delete(t.left, token)
			continue
		}
		tokens[token] = true
	}
	return tokens
}

// stopped takes note that a job was asked to end, and stopping tells whether it was since a time.
func (t *tracker) stopped(token string, at time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.at(token).stopped = at
}

func (t *tracker) stopping(token string, since time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	j := t.jobs[token]
	return j != nil && j.stopped.After(since)
}

// Retire drops the statuses of a job whose end is recorded.
func (b *Backend) Retire(token string) {
	b.jobs.mu.Lock()
	defer b.jobs.mu.Unlock()
	if j := b.jobs.jobs[token]; j != nil && j.final() {
		j.state.Decision.InitContainers, j.state.Decision.Containers, j.state.Decision.Conditions = nil, nil, nil
		j.dropped = true
	}
}
