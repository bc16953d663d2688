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
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/remote"
)

// carrier holds commands back until it is told to go on, and takes note of what each of them carried.
type carrier struct {
	begun chan []*submission
	goOn  chan struct{}
}

func newCarrier(q *submissions) *carrier {
	c := &carrier{begun: make(chan []*submission), goOn: make(chan struct{})}
	q.carry = func(ctx context.Context, some []*submission) {
		c.begun <- some
		select {
		case <-c.goOn:
		case <-ctx.Done():
		}
		for _, s := range some {
			s.result, s.err = remote.Result{Stdout: []byte(s.token)}, ctx.Err()
		}
	}
	return c
}

func TestJobsThatComeWhileCommandsAreUnderWayGoTogether(t *testing.T) {
	q := &submissions{}
	c := newCarrier(q)
	var all sync.WaitGroup
	submit := func(token string, args int) {
		all.Go(func() {
			result, err := q.make(t.Context(), &submission{token: token, args: []string{string(make([]byte, args))}})
			if err != nil || string(result.Stdout) != token {
				t.Errorf("%s was answered by %q, %v", token, result.Stdout, err)
			}
		})
	}
	for i := range commandsAtOnce {
		submit(fmt.Sprintf("first-%d", i), 0)
		if some := <-c.begun; len(some) != 1 {
			t.Fatalf("a command with %d jobs, though nothing was under way", len(some))
		}
	}
	for i := range jobsTogether + 3 {
		submit(fmt.Sprintf("later-%d", i), 0)
	}
	eventually(t, "all to wait", func() string {
		q.mu.Lock()
		defer q.mu.Unlock()
		if n := len(q.waiting); n != jobsTogether+3 {
			return fmt.Sprintf("%d wait", n)
		}
		return ""
	})
	var sizes []int
	for range 2 {
		c.goOn <- struct{}{}
		sizes = append(sizes, len(<-c.begun))
	}
	if sizes[0] != jobsTogether || sizes[1] != 3 {
		t.Errorf("they went in commands of %v", sizes)
	}
	close(c.goOn)
	all.Wait()
	eventually(t, "no command to be under way", func() string {
		q.mu.Lock()
		defer q.mu.Unlock()
		if q.running != 0 || len(q.waiting) != 0 {
			return fmt.Sprintf("%d commands are under way and %d jobs wait", q.running, len(q.waiting))
		}
		return ""
	})
}

func TestAJobThatIsLargeGoesAlone(t *testing.T) {
	large := func() *submission {
		return &submission{ctx: t.Context(), files: map[string][]byte{"f": make([]byte, bytesTogether+1)}}
	}
	small := func() *submission { return &submission{ctx: t.Context()} }
	q := &submissions{waiting: []*submission{large(), small(), small(), large(), small()}}
	var sizes []int
	for some := q.take(); len(some) > 0; some = q.take() {
		sizes = append(sizes, len(some))
	}
	if fmt.Sprint(sizes) != "[1 2 1 1]" {
		t.Errorf("they go in commands of %v", sizes)
	}
}

func TestWhoGivesUpWaitsNoLonger(t *testing.T) {
	q := &submissions{}
	c := newCarrier(q)
	var all sync.WaitGroup
	defer all.Wait()
	defer close(c.goOn)
	for range commandsAtOnce {
		all.Go(func() { _, _ = q.make(t.Context(), &submission{}) })
		<-c.begun
	}
	ctx, giveUp := context.WithCancelCause(t.Context())
	answer := make(chan error)
	go func() {
		_, err := q.make(ctx, &submission{})
		answer <- err
	}()
	boom := errors.New("boom")
	giveUp(boom)
	if err := <-answer; !backend.IsUnavailable(err) || !errors.Is(err, boom) {
		t.Errorf("it was answered by %v", err)
	}
}

func TestACommandEndsWithTheFirstOfItsCallers(t *testing.T) {
	boom := errors.New("boom")
	first, giveUp := context.WithCancelCause(t.Context())
	ctx, release := together([]*submission{{ctx: t.Context()}, {ctx: first}})
	defer release()
	if err := ctx.Err(); err != nil {
		t.Fatal(err)
	}
	giveUp(boom)
	<-ctx.Done()
	if err := context.Cause(ctx); !errors.Is(err, boom) {
		t.Errorf("it ended for %v", err)
	}
}

func TestEachJobGetsItsOwnAnswer(t *testing.T) {
	answer := "\x1da 0\n123\n\x1e\x1db 76\n1\n\x1esbatch: error: no\n\x1dc 73\n\n\x1e\x1dd 1\n\n\x1emv: no room\n\x1de 0\n12"
	some := []*submission{{token: "a"}, {token: "b"}, {token: "c"}, {token: "d"}, {token: "e"}, {token: "f"}}
	tellEach([]byte(answer), some)
	for i, want := range []int{0, codeRefused, codeThere} {
		if some[i].err != nil || some[i].result.ExitCode != want {
			t.Errorf("%s: %+v, %v", some[i].token, some[i].result, some[i].err)
		}
	}
	if got := string(some[1].result.Stderr); got != "sbatch: error: no\n" {
		t.Errorf("the complaint is %q", got)
	}
	for _, s := range some[3:] { // no room, cut off, not there
		if !backend.IsUnavailable(s.err) {
			t.Errorf("%s: %v", s.token, s.err)
		}
	}
}
