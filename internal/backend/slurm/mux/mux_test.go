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

package mux

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

const patience = time.Minute

// connect returns a client, a function that ends its streams, and what Serve returned.
func connect(t *testing.T) (c *Client, cut func(), served <-chan error) {
	t.Helper()
	upR, upW := io.Pipe()
	downR, downW := io.Pipe()
	done := make(chan error, 1)
	go func() {
		done <- Serve(context.Background(), upR, downW)
		_ = upR.Close()
		_ = downW.Close()
	}()
	cut = func() { _ = upW.Close() }
	t.Cleanup(cut)
	return NewClient(downR, upW), cut, done
}

func start(t *testing.T, c *Client, script string, args ...string) *Stream {
	t.Helper()
	s, err := c.Start(append([]string{"/bin/sh", "-c", script, "sh"}, args...))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestManyCommandsShareOnePairOfStreams(t *testing.T) {
	c, _, _ := connect(t)
	var all sync.WaitGroup
	for i := range 50 {
		s := start(t, c, `echo "$1"; exit "$1"`, strconv.Itoa(i))
		all.Go(func() {
			out, err := io.ReadAll(s)
			if end := s.End(); err != nil || string(out) != fmt.Sprintln(i) || end == nil || end.Code != i {
				t.Errorf("command %d: %q, %v, %+v", i, out, err, end)
			}
		})
	}
	all.Wait()
}

func TestAReaderThatIsSlowHoldsUpNoOther(t *testing.T) {
	c, _, _ := connect(t)
	slow := start(t, c, "head -c 3000000 /dev/zero")
	quick := start(t, c, "head -c 3000000 /dev/zero")
	if out, err := io.ReadAll(quick); err != nil || len(out) != 3000000 {
		t.Errorf("the quick one: %d bytes, %v", len(out), err)
	}
	if out, err := io.ReadAll(slow); err != nil || len(out) != 3000000 {
		t.Errorf("the slow one: %d bytes, %v", len(out), err)
	}
}

// TestALogIsWholeForAReaderThatComesLate has a command end while more of its output is under way than a reader has room for.
func TestALogIsWholeForAReaderThatComesLate(t *testing.T) {
	const said = window + 60<<10 // what there is room for, and what a pipe holds
	c, _, _ := connect(t)
	pidFile := filepath.Join(t.TempDir(), "pid")
	s := start(t, c, `echo $$ >"$1.new"; mv "$1.new" "$1"; exec head -c "$2" /dev/zero`, pidFile, strconv.Itoa(said))
	gone(t, written(t, pidFile))
	<-time.After(lateWords + lateWords/2) // nothing that is late is waited for any more
	if out, err := io.ReadAll(s); err != nil || len(out) != said || *s.End() != (End{}) {
		t.Errorf("got %d bytes of %d, %v, %+v", len(out), said, err, s.End())
	}
}

func TestOutputComesAsItIsWrittenAndCloseEndsTheCommand(t *testing.T) {
	c, _, _ := connect(t)
	s := start(t, c, `sleep 600 & echo $!; wait`)
	line, err := bufio.NewReader(s).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Read(make([]byte, 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
	gone(t, strings.TrimSpace(line))
	if out, err := io.ReadAll(start(t, c, "echo still here")); err != nil || string(out) != "still here\n" {
		t.Errorf("another command: %q, %v", out, err)
	}
}

func TestACommandThatCannotStartEnds(t *testing.T) {
	c, _, _ := connect(t)
	s, err := c.Start([]string{"/no/such/program"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(s); err != nil || s.End() == nil || s.End().Code != 127 || s.End().Stderr == "" {
		t.Errorf("got %v, %+v", err, s.End())
	}
	s = start(t, c, "echo why >&2; kill -TERM $$")
	if _, err := io.ReadAll(s); err != nil || *s.End() != (End{Code: 143, Stderr: "why"}) {
		t.Errorf("got %v, %+v", err, s.End())
	}
}

func TestWhenTheStreamsEndCommandsDieAndReadersAreTold(t *testing.T) {
	c, cut, served := connect(t)
	s := start(t, c, `sleep 600 & echo $!; wait`)
	lines := bufio.NewReader(s)
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	cut()
	if _, err := lines.ReadByte(); !errors.Is(err, ErrLost) && !errors.Is(err, io.EOF) {
		t.Errorf("a reader was told %v", err)
	}
	select {
	case err := <-served:
		if err != nil {
			t.Errorf("Serve returned %v", err)
		}
	case <-time.After(patience):
		t.Fatal("Serve did not return")
	}
	gone(t, strings.TrimSpace(line))
	<-c.Done()
	if _, err := c.Start([]string{"true"}); !errors.Is(err, ErrLost) {
		t.Errorf("a start after the end: %v", err)
	}
}

// written waits for a file and returns what it says.
func written(t *testing.T, name string) string {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		if content, err := os.ReadFile(name); err == nil {
			return strings.TrimSpace(string(content))
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s is not written", name)
		}
	}
}

func gone(t *testing.T, pid string) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); ; <-tick.C {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%s/stat", pid))
		if err != nil || strings.Contains(string(stat), ") Z ") {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("process %s is still there", pid)
		}
	}
}

func FuzzFrames(f *testing.F) {
	var some bytes.Buffer
	w := &frameWriter{w: &some}
	_ = w.write(kindData, 1, []byte("x"))
	_ = w.write(kindEnd, 1, []byte(`{"code":0}`))
	_ = w.room(1, 5)
	f.Add(some.Bytes())
	f.Add([]byte("o\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		c := NewClient(bytes.NewReader(stream), io.Discard)
		<-c.Done()
		r := bytes.NewReader(stream)
		for {
			frame, err := readFrame(r)
			if err != nil {
				return
			}
			var again bytes.Buffer
			if err := (&frameWriter{w: &again}).write(frame.kind, frame.command, frame.content); err != nil {
				t.Fatal(err)
			}
			if back, err := readFrame(&again); err != nil || back.kind != frame.kind || back.command != frame.command || !bytes.Equal(back.content, frame.content) {
				t.Fatalf("%+v became %+v, %v", frame, back, err)
			}
			_, _ = roomIn(frame)
		}
	})
}
