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

package remote

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
)

// patience is how long what must come may take: a machine may have much else to do.
const patience = time.Minute

// testRunner holds a Runner to what its interface promises.
func testRunner(t *testing.T, open func(t *testing.T) Runner) {
	r := open(t)
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Run("arguments arrive word for word", func(t *testing.T) {
		args := []string{"", " ", "a b", `"`, `'`, `\`, `\n`, "$HOME", "`id`", "a\nb", "ünï✓", "*", "!x", "-n", "\x01", "%s", "{a,b}", "~"}
		got := run(t, r, Shell(`for a; do printf '%s\0' "$a"; done`, args...))
		if words := strings.Split(strings.TrimSuffix(string(got.Stdout), "\x00"), "\x00"); !slices.Equal(words, args) {
			t.Errorf("got %q, want %q", words, args)
		}
	})
	t.Run("output, complaints and exit code come back", func(t *testing.T) {
		got, err := r.Run(t.Context(), Shell("echo out; echo err >&2; exit 7"))
		if err != nil || string(got.Stdout) != "out\n" || string(got.Stderr) != "err\n" || got.ExitCode != 7 {
			t.Errorf("got %+v, %v", got, err)
		}
		if err := got.Err(); err == nil || err.Error() != "exit code 7: err" {
			t.Errorf("its error is %v", err)
		}
	})
	t.Run("a signal is an exit code of more than 128", func(t *testing.T) {
		if got, err := r.Run(t.Context(), Shell("kill -TERM $$")); err != nil || got.ExitCode != 128+15 {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("standard input arrives, however long", func(t *testing.T) {
		sent := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
		if got := run(t, r, Shell("cat").With(bytes.NewReader(sent))); !bytes.Equal(got.Stdout, sent) {
			t.Errorf("%d bytes came back of %d", len(got.Stdout), len(sent))
		}
		if got := run(t, r, Shell("cat; echo end")); string(got.Stdout) != "end\n" {
			t.Errorf("without one: %q", got.Stdout)
		}
	})
	t.Run("a command need not read its input", func(t *testing.T) {
		if got := run(t, r, Shell("exit 0").With(endless{})); got.ExitCode != 0 {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("at the deadline a command dies with its descendants", func(t *testing.T) {
		pidFile := filepath.Join(sharedDir(t), "pid")
		command := Shell(`sleep 600 & echo $! >"$1.new"; mv "$1.new" "$1"; wait`, pidFile)
		// An sshd that separates no privileges passes no signals on: then the far side ends the command, a while after its deadline.
		command.Timeout = patience / 2
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		ended := make(chan error)
		go func() {
			_, err := r.Run(ctx, command)
			ended <- err
		}()
		pid := pidIn(t, pidFile)
		cancel()
		if err := <-ended; !backend.IsUnavailable(err) || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		gone(t, pid)

		command.Timeout = 3 * time.Second
		_, err := r.Run(t.Context(), command)
		if !backend.IsUnavailable(err) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "did not end within 3s") {
			t.Errorf("got %v", err)
		}
	})
	t.Run("a program that there is not is no loss of the connection", func(t *testing.T) {
		got, err := r.Run(t.Context(), Command{Argv: []string{"no-such-program"}})
		if backend.IsUnavailable(err) || err == nil && got.ExitCode != 127 {
			t.Errorf("got %+v, %v", got, err)
		}
	})
	t.Run("many commands at once", func(t *testing.T) {
		var all sync.WaitGroup
		for i := range 40 {
			all.Go(func() {
				got, err := r.Run(t.Context(), Shell(`echo "$1"`, strconv.Itoa(i)))
				if want := fmt.Sprintln(i); err != nil || string(got.Stdout) != want {
					t.Errorf("got %q, %v, want %q", got.Stdout, err, want)
				}
			})
		}
		all.Wait()
	})
	t.Run("a stream comes as it is written", func(t *testing.T) { testStream(t, r) })
	t.Run("an upload", func(t *testing.T) { testUpload(t, r) })
}

func testStream(t *testing.T, r Runner) {
	dir := sharedDir(t)
	gate, pidFile := filepath.Join(dir, "gate"), filepath.Join(dir, "pid")
	stream, err := r.Stream(t.Context(), Shell(`echo one; while [ ! -e "$1" ]; do sleep 0.05; done; echo two`, gate))
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stream)
	if line, err := lines.ReadString('\n'); line != "one\n" || err != nil {
		t.Fatalf("got %q, %v", line, err)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if rest, err := io.ReadAll(lines); string(rest) != "two\n" || err != nil {
		t.Errorf("got %q, %v", rest, err)
	}
	if err := stream.Close(); err != nil {
		t.Error(err)
	}

	stream, err = r.Stream(t.Context(), Shell("echo x; echo why >&2; exit 3"))
	if err != nil {
		t.Fatal(err)
	}
	var exit *ExitError
	if out, err := io.ReadAll(stream); string(out) != "x\n" || !errors.As(err, &exit) || exit.Code != 3 || exit.Stderr != "why" {
		t.Errorf("a command that fails: %q, %v", out, err)
	}
	_ = stream.Close()

	for name, end := range map[string]func(s io.Closer, cancel func()){
		"close":  func(s io.Closer, _ func()) { _ = s.Close() },
		"cancel": func(_ io.Closer, cancel func()) { cancel() },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		_ = os.Remove(pidFile)
		stream, err = r.Stream(ctx, Shell(`echo $$ >"$1.new"; mv "$1.new" "$1"; sleep 600`, pidFile))
		if err != nil {
			t.Fatal(err)
		}
		pid := pidIn(t, pidFile)
		end(stream, cancel)
		if n, err := stream.Read(make([]byte, 1)); err == nil || errors.Is(err, io.EOF) {
			t.Errorf("after %s: read %d, %v", name, n, err)
		}
		gone(t, pid)
		cancel()
		_ = stream.Close()
	}
}

func testUpload(t *testing.T, r Runner) {
	parent := sharedDir(t)
	dir := filepath.Join(parent, "a 'job'")
	big := bytes.Repeat([]byte("x"), 3<<20)
	write := func(w *TarWriter) error {
		return errors.Join(w.File("spec.json", 0o600, []byte("{}")), w.Dir("files", 0o700), w.File("files/run", 0o755, []byte("#!/bin/sh\n")),
			w.File("files/big", 0o640, big))
	}
	if made, err := UploadTree(t.Context(), r, dir, write); !made || err != nil {
		t.Fatalf("made %v, %v", made, err)
	}
	for name, mode := range map[string]os.FileMode{"": 0o700, "spec.json": 0o600, "files": 0o700, "files/run": 0o755, "files/big": 0o640} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, mode)
		}
	}
	if got, err := os.ReadFile(filepath.Join(dir, "files", "big")); err != nil || !bytes.Equal(got, big) {
		t.Errorf("the big file has %d bytes of %d, %v", len(got), len(big), err)
	}
	if made, err := UploadTree(t.Context(), r, dir, func(w *TarWriter) error { return w.File("other", 0o600, nil) }); made || err != nil {
		t.Errorf("again: made %v, %v", made, err)
	}
	onlyIn(t, dir, "files", "spec.json")

	boom := errors.New("boom")
	cut := filepath.Join(parent, "cut")
	if made, err := UploadTree(t.Context(), r, cut, func(w *TarWriter) error { return errors.Join(w.File("spec.json", 0o600, nil), boom) }); made || !errors.Is(err, boom) {
		t.Errorf("a source that fails: made %v, %v", made, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	begun := filepath.Join(sharedDir(t), "pid")
	ended := make(chan error)
	go func() {
		_, err := Unpack(ctx, r, parent, func(w *TarWriter) error { return w.File("spec.json", 0o600, nil) }, `echo $$ >"$1.new"; mv "$1.new" "$1"; sleep 600`, begun)
		ended <- err
	}()
	pid := pidIn(t, begun)
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("a script that is cut off: %v", err)
	}
	gone(t, pid)
	onlyIn(t, parent, "a 'job'")
	if _, err := UploadTree(t.Context(), r, filepath.Join(parent, "no", "parent"), write); err == nil {
		t.Error("an upload into a directory that there is not went well")
	}

	file := filepath.Join(parent, "podrunner")
	for _, content := range []string{"first", "second"} {
		if err := UploadFile(t.Context(), r, file, 0o755, int64(len(content)), strings.NewReader(content)); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(file)
		info, _ := os.Stat(file)
		if string(got) != content || err != nil || info.Mode().Perm() != 0o755 {
			t.Errorf("got %q, %v, %v", got, info.Mode(), err)
		}
	}
	if err := UploadFile(t.Context(), r, file, 0o755, 100, strings.NewReader("short")); !backend.IsUnavailable(err) {
		t.Errorf("a file that did not arrive whole: %v", err)
	}
	onlyIn(t, parent, "a 'job'", "podrunner")
}

// sharedDir is a directory that another user may write to, too.
func sharedDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "remote-") //nolint:usetesting // t.TempDir lets no other user in
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

func run(t *testing.T, r Runner, command Command) Result {
	t.Helper()
	result, err := r.Run(t.Context(), command)
	if err != nil {
		t.Fatal(err)
	}
	if err := result.Err(); err != nil {
		t.Fatal(err)
	}
	return result
}

// endless is an input without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// eventually waits for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", patience, what)
		}
	}
}

func pidIn(t *testing.T, name string) int {
	t.Helper()
	var content []byte
	eventually(t, "a process to say its id", func() (ok bool) {
		var err error
		content, err = os.ReadFile(name)
		return err == nil
	})
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

// gone waits until a process has ended; one that is dead and not yet reaped counts.
func gone(t *testing.T, pid int) {
	t.Helper()
	eventually(t, fmt.Sprintf("process %d to end", pid), func() bool {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH)
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		return strings.HasPrefix(rest, "Z")
	})
}

func onlyIn(t *testing.T, dir string, want ...string) {
	t.Helper()
	eventually(t, fmt.Sprintf("%s to hold %q alone", dir, want), func() bool {
		entries, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return slices.Equal(names, want)
	})
}
