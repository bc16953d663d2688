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

package probe

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// idleLimit is how long Main waits for another request. Whoever asks may be gone without a word (an engine that was restarted leaves the
// command's stdin open), and whoever is not just connects again.
const idleLimit = 10 * time.Minute

// Main is the command that answers network probes from inside a pod's network namespace: requests come as lines of JSON on stdin, and
// answers go as lines of JSON to stdout, each when it is known. It ends when stdin does and all is answered. One request and the end
// of stdin is thus a probe by itself, and an open stdin serves a pod for as long as there is something to ask. Headers, which may be
// secret, stand in no argument list this way. The exit code is 0 when every answer was a success, 1 when one was not, 2 when a line
// could not be read.
func Main(ctx context.Context, stdin io.Reader, stdout io.Writer) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := server{out: json.NewEncoder(stdout), cancels: map[uint64]context.CancelFunc{}, abort: cancel}
	s.serve(ctx, readLines(ctx, stdin))
	s.wait.Wait()
	return s.code
}

// line is one line of stdin, or why there are no more.
type line struct {
	text []byte
	err  error
}

// readLines reads on the side, since a read of stdin can't be given up.
func readLines(ctx context.Context, stdin io.Reader) <-chan line {
	out := make(chan line)
	send := func(l line) bool {
		select {
		case out <- l:
			return true
		case <-ctx.Done():
			return false
		}
	}
	go func() {
		defer close(out)
		lines := bufio.NewScanner(stdin)
		lines.Buffer(nil, maxRequest)
		for lines.Scan() {
			if !send(line{text: bytes.Clone(lines.Bytes())}) {
				return
			}
		}
		if err := lines.Err(); err != nil {
			send(line{err: err})
		}
	}()
	return out
}

type server struct {
	wait  sync.WaitGroup
	abort context.CancelFunc

	mu      sync.Mutex
	out     *json.Encoder
	cancels map[uint64]context.CancelFunc
	code    int
}

func (s *server) serve(ctx context.Context, lines <-chan line) {
	idle := time.NewTimer(idleLimit)
	defer idle.Stop()
	for {
		select {
		case l, more := <-lines:
			if !more {
				return
			}
			idle.Reset(idleLimit)
			s.take(ctx, l)
		case <-idle.C:
			if !s.busy() {
				return
			}
			idle.Reset(idleLimit)
		case <-ctx.Done():
			return
		}
	}
}

func (s *server) take(ctx context.Context, l line) {
	if l.err != nil {
		s.answer(0, unknown("read the requests: %v", l.err), 2)
		s.abort() // whoever asked is not there any more, or makes no sense
		return
	}
	if len(l.text) == 0 {
		return
	}
	r, err := decodeRequest(l.text)
	switch {
	case err != nil:
		s.answer(r.ID, unknown("%v", err), 2)
	case r.Cancel:
		s.cancel(r.ID)
	default:
		s.start(ctx, r)
	}
}

func (s *server) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.cancels) > 0
}

func (s *server) start(ctx context.Context, r *Request) {
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	s.cancels[r.ID] = cancel
	s.mu.Unlock()
	s.wait.Go(func() {
		answer := r.Do(ctx)
		s.cancel(r.ID)
		code := 0
		if answer.Result != podlifecycle.Success {
			code = 1
		}
		s.answer(r.ID, answer, code)
	})
}

func (s *server) cancel(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel := s.cancels[id]; cancel != nil {
		cancel()
		delete(s.cancels, id)
	}
}

func (s *server) answer(id uint64, a Answer, code int) {
	a.ID = id
	s.mu.Lock()
	defer s.mu.Unlock()
	s.code = max(s.code, code)
	if err := s.out.Encode(a); err != nil {
		s.abort() // nobody reads the answers: nothing is worth waiting for
	}
}
