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
	"context"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/queue"
)

// listEvery is how often the jobs' directories are listed, to find what is left of jobs that the queue has forgotten and nobody here has
// seen. Listings of a shared file system may be old, so nothing else depends on one.
const listEvery = 10 * time.Minute

// relistEvery is the same while the owner of a directory could not be read.
const relistEvery = 15 * time.Second

// listingAge is how old a listing may be.
const listingAge = 2 * time.Minute

// Observe has one look at the queue and the states of the jobs that run. It takes one command, whatever the number of jobs; the first one,
// and one in ten minutes, may take two more for what only the jobs' directories tell.
func (b *Backend) Observe(ctx context.Context) (backend.Snapshot, error) {
	b.jobs.observing.Lock()
	defer b.jobs.observing.Unlock()
	if err := b.learn(ctx); err != nil {
		return backend.Snapshot{}, err
	}
	begun := time.Now()
	list := begun.Sub(b.jobs.listed) > listEvery
	seen, rows, err := b.look(ctx, list)
	if err != nil {
		return backend.Snapshot{}, err
	}
	if list {
		adopted, whole, err := b.adopt(ctx, seen.directories, rows)
		if err != nil {
			return backend.Snapshot{}, err
		}
		b.jobs.forget(seen.directories, rows, begun.Add(-listingAge))
		if b.jobs.listed = begun; !whole {
			b.jobs.listed = begun.Add(relistEvery - listEvery)
		}
		if adopted {
			if seen, rows, err = b.look(ctx, false); err != nil {
				return backend.Snapshot{}, err
			}
		}
	}
	return b.jobs.snapshot(rows, seen, begun, time.Now(), b.opts.Settle), nil
}

// look asks once.
func (b *Backend) look(ctx context.Context, list bool) (*looked, map[string]*sighted, error) {
	b.jobs.mu.Lock()
	q := b.jobs.question(list, b.known().accounting)
	b.jobs.mu.Unlock()
	seen, err := b.poll(ctx, q)
	if err != nil {
		return nil, nil, err
	}
	rows, err := b.sightings(seen)
	return seen, rows, err
}

// sighted is what the queue shows of a token.
type sighted struct {
	comment queue.Comment
	rows    []sighting
	// forgotten is set where only the accounting knows of it.
	forgotten bool
}

// sightings are our jobs by token, as the queue shows them, and the accounting what the queue has forgotten.
func (b *Backend) sightings(seen *looked) (map[string]*sighted, error) {
	jobs, err := queue.ParseSqueue(seen.queue)
	if err != nil {
		return nil, backend.Unavailable("read the queue: %w", err)
	}
	out := map[string]*sighted{}
	for i := range jobs {
		comment, ok := queue.ParseComment(jobs[i].Comment)
		if !ok || comment.Ledger != b.opts.Ledger || comment.Backend != b.opts.Backend || !jobdir.ValidToken(comment.Token) {
			continue
		}
		s := out[comment.Token]
		if s == nil {
			s = &sighted{comment: comment}
			out[comment.Token] = s
		}
		s.rows = append(s.rows, sightingOf(&jobs[i]))
	}
	return out, b.remember(seen.accounting, out)
}

// remember adds what the accounting knows of jobs that the queue has forgotten. Their comments may not be kept there, but their names are.
func (b *Backend) remember(accounting []byte, rows map[string]*sighted) error {
	jobs, err := queue.ParseSacct(accounting)
	if err != nil {
		return backend.Unavailable("read the accounting: %w", err)
	}
	b.jobs.mu.Lock()
	defer b.jobs.mu.Unlock()
	for i := range jobs {
		token := jobs[i].Name
		if j := b.jobs.jobs[token]; j != nil && rows[token] == nil && j.id == jobs[i].ID {
			s := sightingOf(&jobs[i])
			s.submit = j.submit
			rows[token] = &sighted{comment: queue.Comment{Token: token, Job: j.named, Pod: j.pod}, rows: []sighting{s}, forgotten: true}
		}
	}
	return nil
}

// adopt takes in the tokens that only have a directory, where it is ours, and tells whether there were any. The others of that kind are
// looked at again the next time.
func (b *Backend) adopt(ctx context.Context, directories []string, rows map[string]*sighted) (adopted, whole bool, err error) {
	var unknown []string
	b.jobs.mu.Lock()
	for _, token := range directories {
		if jobdir.ValidToken(token) && b.jobs.jobs[token] == nil && rows[token] == nil {
			unknown = append(unknown, token)
		}
	}
	b.jobs.mu.Unlock()
	if len(unknown) == 0 {
		return false, true, nil
	}
	owners, err := b.owners(ctx, unknown)
	if err != nil {
		return false, false, err
	}
	b.jobs.mu.Lock()
	defer b.jobs.mu.Unlock()
	for token, o := range owners {
		if o.Ledger == b.opts.Ledger && o.Backend == b.opts.Backend {
			j := b.jobs.at(token)
			j.named, j.pod = o.Job, o.Pod
			adopted = true
		}
	}
	return adopted, len(owners) >= len(unknown), nil
}

// snapshot takes in what a look has brought that began at a time, and says what is to be made of each job.
func (t *tracker) snapshot(rows map[string]*sighted, seen *looked, begun, now time.Time, settle time.Duration) backend.Snapshot {
	t.mu.Lock()
	defer t.mu.Unlock()
	// A job that was removed while the look was under way must not come back by it: it would be taken for one that has ended, whose marker
	// nobody looks for.
	overtaken := t.overtaken(begun)
	for token, s := range rows {
		if overtaken[token] {
			continue
		}
		j := t.at(token)
		j.named, j.pod = kept(j.named, s.comment.Job), kept(j.pod, s.comment.Pod)
	}
	out := backend.Snapshot{Jobs: make(map[string]backend.ObservedJob, len(t.jobs))}
	for token, j := range t.jobs {
		j.take(seen.states[token])
		var mine []sighting
		j.rows = 0
		if s := rows[token]; s != nil {
			mine = s.rows
			if !s.forgotten {
				j.rows = len(mine)
			}
		}
		// Whose marker was seen is gone for good when the queue forgets it.
		if j.cancelled = (seen.cancelled[token] || j.cancelled && len(mine) == 0) && allEnded(mine); j.cancelled {
			if len(mine) == 0 {
				delete(t.jobs, token)
			}
			out.Jobs[token] = backend.ObservedJob{JobID: j.id, Pod: j.pod, Job: j.named, Fingerprint: "cancelled", Cancelled: true}
			continue
		}
		observed := j.judge(mine, now, settle)
		observed.Risen = seen.cancelled[token]
		out.Jobs[token], j.id = observed, observed.JobID
	}
	return out
}

// kept is a name as it is to be kept. What a look brings are parts of its text, and any that is kept keeps the whole text in memory.
func kept(before, now types.NamespacedName) types.NamespacedName {
	return types.NamespacedName{Namespace: keptWord(before.Namespace, now.Namespace), Name: keptWord(before.Name, now.Name)}
}

func keptWord(before, now string) string {
	if before == now {
		return before
	}
	return strings.Clone(now)
}

func allEnded(rows []sighting) bool {
	return !slices.ContainsFunc(rows, func(s sighting) bool { return s.stage != ended })
}

// forget drops tokens that are in no queue and have no directory any more, since another manager removed them. Younger ones than the
// listing may not be in it.
func (t *tracker) forget(directories []string, rows map[string]*sighted, before time.Time) {
	listed := make(map[string]bool, len(directories))
	for _, token := range directories {
		listed[token] = true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for token, j := range t.jobs {
		if !listed[token] && rows[token] == nil && j.born.Before(before) {
			delete(t.jobs, token)
		}
	}
}

// take takes in what podrunner says, unless it is older than what it said before: a file system may show a file as it was.
func (j *job) take(state *jobdir.State) {
	if state == nil || j.state != nil && state.Sequence <= j.state.Sequence {
		return
	}
	j.state, j.dropped = state, false
}
