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
	"sync"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/remote"
)

const (
	// commandsAtOnce is how many commands make jobs side by side, and anotherAfter how long jobs wait for one that is under way before another
	// one begins. Those that wait for a command go together: so the more there is to do, the less each costs, and a command that hangs holds
	// nobody up for long.
	commandsAtOnce = 2
	anotherAfter   = 250 * time.Millisecond
	// jobsTogether, argsTogether and bytesTogether bound what goes in one command: jobs, bytes of sbatch's arguments, bytes of files. A job
	// that is larger by itself goes alone.
	jobsTogether  = 16
	argsTogether  = 32 << 10
	bytesTogether = 1 << 20
)

// submission is a job that is to be made.
type submission struct {
	token string
	// args are those of makeJobsScript's submit.
	args  []string
	files map[string][]byte

	ctx  context.Context
	done chan struct{}
	// result is what came of this job, where the command did not fail as a whole.
	result remote.Result
	err    error
}

func (s *submission) argsSize() (n int) {
	for _, arg := range s.args {
		n += len(arg)
	}
	return n
}

func (s *submission) filesSize() (n int) {
	for _, content := range s.files {
		n += len(content)
	}
	return n
}

// submissions brings jobs that are to be made at about the same time together.
type submissions struct {
	// carry makes some jobs in one command: it fills in what came of each.
	carry func(ctx context.Context, some []*submission)

	mu      sync.Mutex
	waiting []*submission
	running int
}

// make has a job made, and returns what came of it. A command that fails as a whole fails for each of its jobs: none knows then what was done,
// and each will be asked for again, by its token.
func (q *submissions) make(ctx context.Context, s *submission) (remote.Result, error) {
	s.ctx, s.done = ctx, make(chan struct{})
	q.mu.Lock()
	q.waiting = append(q.waiting, s)
	if q.running == 0 {
		q.begin()
	}
	q.mu.Unlock()
	impatient := time.AfterFunc(anotherAfter, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		if slices.Contains(q.waiting, s) {
			q.begin()
		}
	})
	defer impatient.Stop()
	select {
	case <-s.done:
	case <-ctx.Done():
		if q.leave(s) {
			return remote.Result{}, givenUp(ctx)
		}
		<-s.done // its command ends with it
	}
	return s.result, s.err
}

// begin begins another command, unless enough are under way. The caller holds the lock.
func (q *submissions) begin() {
	if q.running < commandsAtOnce {
		q.running++
		go q.run()
	}
}

// leave takes a job out again that no command has taken yet.
func (q *submissions) leave(s *submission) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, s)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	return i >= 0
}

func givenUp(ctx context.Context) error {
	return backend.Unavailable("nothing was submitted: %w", context.Cause(ctx))
}

// run makes jobs until none waits.
func (q *submissions) run() {
	for {
		q.mu.Lock()
		some := q.take()
		if len(some) == 0 {
			q.running--
			q.mu.Unlock()
			return
		}
		q.mu.Unlock()
		ctx, cancel := together(some)
		q.carry(ctx, some)
		cancel()
		for _, s := range some {
			close(s.done)
		}
	}
}

// take takes those out that go in the next command, the first that came before others. Who has given up by then is told so.
func (q *submissions) take() (some []*submission) {
	args, files := 0, 0
	for len(q.waiting) > 0 && len(some) < jobsTogether {
		s := q.waiting[0]
		if s.ctx.Err() != nil {
			s.err = givenUp(s.ctx)
			close(s.done)
			q.waiting = q.waiting[1:]
			continue
		}
		args, files = args+s.argsSize(), files+s.filesSize()
		if len(some) > 0 && (args > argsTogether || files > bytesTogether) {
			break
		}
		some = append(some, s)
		q.waiting = q.waiting[1:]
	}
	return some
}

// together is a context that ends with the first of those that some jobs have: none may be made after its time.
func together(some []*submission) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(some[0].ctx))
	release := []func(){func() { cancel(nil) }}
	var earliest time.Time
	for _, s := range some {
		stop := context.AfterFunc(s.ctx, func() { cancel(context.Cause(s.ctx)) })
		release = append(release, func() { stop() })
		if deadline, ok := s.ctx.Deadline(); ok && (earliest.IsZero() || deadline.Before(earliest)) {
			earliest = deadline
		}
	}
	if !earliest.IsZero() {
		var expire context.CancelFunc
		ctx, expire = context.WithDeadline(ctx, earliest)
		release = append(release, expire)
	}
	return ctx, func() {
		for _, f := range release {
			f()
		}
	}
}
