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

package proc

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// patience is how long what must come may take: a machine may have much else to do.
const patience = time.Minute

var table *Table

func TestMain(m *testing.M) {
	var err error
	if table, err = NewTable(); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

func sh(script string) Command {
	return Command{Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: os.Environ()}
}

func TestACommandsEndAndWordsComeBack(t *testing.T) {
	r, err := table.Run(t.Context(), sh("cat; echo bad >&2; exit 3"), []byte("in"))
	if err != nil || r.Status.ExitStatus() != 3 || r.Stdout != "in" || r.Words() != "bad" {
		t.Errorf("got %+v, %v", r, err)
	}
	if r, err = table.Run(t.Context(), sh("kill -9 $$"), nil); err != nil || !strings.Contains(r.Words(), "signal 9") {
		t.Errorf("got %+v, %v", r, err)
	}
	if _, err = table.Run(t.Context(), Command{Path: "/no/such/program", Args: []string{"x"}}, nil); err == nil || !strings.Contains(err.Error(), "/no/such/program") {
		t.Errorf("got %v", err)
	}
}

func TestACommandThatIsGivenUpIsKilledWithItsChildren(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := table.Run(ctx, sh("sleep 1000 & sleep 1000"), nil); err == nil {
		t.Error("it was not given up")
	}
	none(t)
}

// none checks that no descendant is left, without killing any.
func none(t *testing.T) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		table.reap()
		all, err := All()
		if err != nil {
			t.Fatal(err)
		}
		left := Below(all, os.Getpid())
		if len(left) == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("left behind: %+v", left)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func TestOrphansInSessionsOfTheirOwnAreFoundAndKilled(t *testing.T) {
	// Two levels of parents that end, each in a session of its own.
	r, err := table.Run(t.Context(), sh(`setsid sh -c 'setsid sleep 1000 & setsid sh -c "trap : TERM HUP; sleep 1000; sleep 1000" & exit 0' & exit 0`), nil)
	if err != nil || r.Status.ExitStatus() != 0 {
		t.Fatalf("got %+v, %v", r, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := table.KillBelow(ctx); err != nil {
		t.Fatal(err)
	}
	none(t)
}

// TestAListThatMissesADescendantIsNotBelieved stands for a parent that starts a process while the list is made, and is gone before it is
// looked at.
func TestAListThatMissesADescendantIsNotBelieved(t *testing.T) {
	p, err := table.Start(sh("exec sleep 1000"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	looks := 0
	err = table.killBelow(ctx, func() ([]Stat, error) {
		looks++
		if looks < 3 {
			return nil, nil
		}
		return All()
	})
	if err != nil {
		t.Error(err)
	}
	select {
	case <-p.Done():
	default:
		t.Errorf("process %d is left after %d looks", p.Pid, looks)
		_ = p.Signal(syscall.SIGKILL)
	}
}

func TestKillingIsGivenUpWithItsContext(t *testing.T) {
	p, err := table.Start(sh("exec sleep 1000"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := table.killBelow(ctx, func() ([]Stat, error) { return nil, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	_ = p.Signal(syscall.SIGKILL)
	<-p.Done()
}

func TestASignalNeverGoesToAProcessThatWasReaped(t *testing.T) {
	p, err := table.Start(sh("exit 0"))
	if err != nil {
		t.Fatal(err)
	}
	<-p.Done()
	if err := p.Signal(syscall.SIGKILL); !IsGone(err) {
		t.Errorf("got %v", err)
	}
}

func TestStatIsReadWhateverTheProcessIsCalled(t *testing.T) {
	tail := " S 7 1 1 0 -1 4194304 0 0 0 0 0 0 0 0 20 0 1 0 4242 0 0"
	for _, name := range []string{"sh", "a b", "x) R 1 (y", ")"} {
		s, ok := parseStat(5, []byte("5 ("+name+")"+tail))
		if !ok || s.Parent != 7 || s.Zombie || s.Start != 4242 || s.Pid != 5 {
			t.Errorf("%q reads as %+v, %v", name, s, ok)
		}
	}
	for _, broken := range []string{"", "5 (sh", "5 (sh) S", "5 (sh) S x 1"} {
		if s, ok := parseStat(5, []byte(broken)); ok {
			t.Errorf("%q reads as %+v", broken, s)
		}
	}
}

func TestMemoryOfThisProcessIsKnown(t *testing.T) {
	if m := Memory(os.Getpid()); m < 1<<20 {
		t.Errorf("got %d bytes", m)
	}
	if n, ok := parsePSS([]byte("00400000-7fff [rollup]\nRss:  100 kB\nPss:   42 kB\nPss_Dirty: 3 kB\n")); !ok || n != 42<<10 {
		t.Errorf("got %d, %v", n, ok)
	}
}

func TestAnAnswerIsWholeThoughAnotherProcessHoldsTheStreams(t *testing.T) {
	r, err := table.Run(t.Context(), sh("setsid sleep 1000 & head -c 1000000 /dev/zero; head -c 60000 /dev/zero >&2"), nil)
	if err != nil || len(r.Stdout) != 1000000 || len(r.Stderr) != 60000 {
		t.Errorf("got %d and %d bytes, %v", len(r.Stdout), len(r.Stderr), err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := table.KillBelow(ctx); err != nil {
		t.Fatal(err)
	}
}
