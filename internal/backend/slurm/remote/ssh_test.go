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
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/mux"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/sshconn"
	"github.com/remotejob-dev/remotejob-operator/test/harness/skip"
	"github.com/remotejob-dev/remotejob-operator/test/harness/slurm"
	"github.com/remotejob-dev/remotejob-operator/test/harness/sshd"
)

// asMux has the test's own program be what podrunner mux is on a login node.
const asMux = "mux-of-the-test"

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == asMux {
		if err := mux.Serve(context.Background(), os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	// What cleans up may be slow to, on a machine that has much else to do.
	cutOffTimes, outputGrace = int(patience/cutOffEvery), patience+time.Second
	os.Exit(m.Run())
}

// login is a Runner that reaches a real sshd through a line that can be cut.
type login struct {
	*SSH
	server *sshd.Server
	line   *sshd.Proxy
}

func newLogin(t *testing.T) *login { return newLoginWith(t, 0) }

func newLoginWith(t *testing.T, keepAlive time.Duration) *login {
	t.Helper()
	if missing := sshd.Missing(); len(missing) > 0 {
		skip.Lacking(t, "this machine lacks Debian's packages %q", missing)
	}
	o := sshd.Options{Dir: sharedDir(t), MaxSessions: MaxSessions}
	if os.Getuid() == 0 {
		// For other users than root sshd separates privileges, as it does on login nodes.
		if _, err := slurm.EnsureUser(slurm.DefaultJobUser); err != nil {
			t.Fatal(err)
		}
		o.User = slurm.DefaultJobUser
	}
	server, err := sshd.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(server.Log())
		}
	})
	line, err := sshd.NewProxy(server.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	runner, err := NewSSH(sshconn.Options{
		Address: line.Address(), User: server.User, PrivateKey: server.PrivateKey, KnownHosts: server.KnownHosts(line.Address()), KeepAlive: keepAlive,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = runner.Close() })
	return &login{runner, server, line}
}

// useMux has streamed commands share a session.
func (l *login) useMux(t *testing.T) {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	shared := filepath.Join(sharedDir(t), "mux") // the user that logs in may not enter the directory that tests are built in
	if err := os.WriteFile(shared, program, 0o755); err != nil {
		t.Fatal(err)
	}
	l.UseMux([]string{shared, asMux})
}

func TestSSH(t *testing.T) {
	testRunner(t, func(t *testing.T) Runner { return newLogin(t).SSH })
}

func TestSSHWithItsStreamsInOneSession(t *testing.T) {
	l := newLogin(t)
	l.useMux(t)
	t.Run("a stream comes as it is written", func(t *testing.T) { testStream(t, l) })
}

func TestFiftyFollowedLogsLeaveSessionsForCommands(t *testing.T) {
	l := newLogin(t) // whose sshd takes no more sessions than are promised
	l.useMux(t)
	dir := sharedDir(t)
	var streams []io.ReadCloser
	for i := range 50 {
		s, err := l.Stream(t.Context(), Shell(`echo "log $1"; until [ -e "$2" ]; do sleep 0.1; done; echo end`, strconv.Itoa(i), filepath.Join(dir, "gate")))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		streams = append(streams, s)
	}
	for i, s := range streams {
		if line, err := bufio.NewReader(io.LimitReader(s, int64(len(fmt.Sprintf("log %d\n", i))))).ReadString('\n'); err != nil || line != fmt.Sprintf("log %d\n", i) {
			t.Fatalf("log %d says %q, %v", i, line, err)
		}
	}
	var all sync.WaitGroup
	for range 30 {
		all.Go(func() {
			if got, err := l.Run(t.Context(), Shell("echo x")); err != nil || string(got.Stdout) != "x\n" {
				t.Errorf("a command beside them: %+v, %v", got, err)
			}
		})
	}
	all.Wait()
	if err := os.WriteFile(filepath.Join(dir, "gate"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for i, s := range streams {
		if rest, err := io.ReadAll(s); err != nil || string(rest) != "end\n" {
			t.Errorf("log %d ends with %q, %v", i, rest, err)
		}
	}
}

func TestWithoutAMuxFollowersWaitForTheirTurn(t *testing.T) {
	l := newLogin(t)
	var open []io.ReadCloser
	for range streamSessions {
		s, err := l.Stream(t.Context(), Shell("echo x; exec sleep 600"))
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, s)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := l.Stream(ctx, Shell("echo x")); !backend.IsUnavailable(err) {
		t.Errorf("one more: %v", err)
	}
	run(t, l, Shell("true"))
	_ = open[0].Close()
	s, err := l.Stream(t.Context(), Shell("echo x"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := io.ReadAll(s); err != nil || string(out) != "x\n" {
		t.Errorf("got %q, %v", out, err)
	}
	_ = open[1].Close()
}

func TestTheLineIsCutInACommand(t *testing.T) {
	l := newLogin(t)
	dir := sharedDir(t)
	pidFile, gate := filepath.Join(dir, "pid"), filepath.Join(dir, "gate")
	ended := make(chan error)
	go func() {
		_, err := l.Run(t.Context(), Shell(`echo $$ >"$1.new"; mv "$1.new" "$1"; until [ -e "$2" ]; do sleep 0.05; done`, pidFile, gate))
		ended <- err
	}()
	pid := pidIn(t, pidFile)
	l.line.Cut()
	if err := <-ended; !backend.IsUnavailable(err) {
		t.Errorf("got %v", err)
	}
	eventually(t, "the connection to be made again", func() bool {
		got, err := l.Run(t.Context(), Shell("echo again"))
		return err == nil && string(got.Stdout) == "again\n"
	})
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	gone(t, pid)
}

func TestTheLineIsCutInAnUpload(t *testing.T) {
	l := newLogin(t)
	parent := sharedDir(t)
	write := func(w *TarWriter) error {
		for i := range 40 {
			if err := w.File(strconv.Itoa(i), 0o600, bytes.Repeat([]byte("x"), 100<<10)); err != nil {
				return err
			}
		}
		return nil
	}
	run(t, l, Shell("true"))
	l.line.CutAfter(2 << 20)
	made, err := UploadTree(t.Context(), l, filepath.Join(parent, "job"), write)
	if made || !backend.IsUnavailable(err) {
		t.Errorf("made %v, %v", made, err)
	}
	onlyIn(t, parent)
	eventually(t, "the upload to go well", func() bool {
		made, err = UploadTree(t.Context(), l, filepath.Join(parent, "job"), write)
		return made && err == nil
	})
	onlyIn(t, parent, "job")
	if err := UploadFile(t.Context(), l, filepath.Join(parent, "file"), 0o755, 3, strings.NewReader("abc")); err != nil {
		t.Error(err)
	}
	l.line.CutAfter(2 << 20)
	if err := UploadFile(t.Context(), l, filepath.Join(parent, "file"), 0o755, 4<<20, bytes.NewReader(make([]byte, 4<<20))); !backend.IsUnavailable(err) {
		t.Errorf("got %v", err)
	}
	onlyIn(t, parent, "file", "job")
	if content, err := os.ReadFile(filepath.Join(parent, "file")); string(content) != "abc" {
		t.Errorf("the file that was there is %d bytes, %v", len(content), err)
	}
}

func TestTheLineIsCutInAFollowedStream(t *testing.T) {
	for _, name := range []string{"in a session of its own", "in the shared session"} {
		t.Run(name, func(t *testing.T) {
			l := newLogin(t)
			if name == "in the shared session" {
				l.useMux(t)
			}
			follow := func() (io.ReadCloser, int, error) {
				pidFile := filepath.Join(sharedDir(t), "pid")
				s, err := l.Stream(t.Context(), Shell(`echo $$ >"$1.new"; mv "$1.new" "$1"; echo begun; exec sleep 600`, pidFile))
				if err != nil {
					return nil, 0, err
				}
				return s, pidIn(t, pidFile), nil
			}
			s, pid, err := follow()
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewReader(s)
			if line, err := lines.ReadString('\n'); err != nil || line != "begun\n" {
				t.Fatalf("got %q, %v", line, err)
			}
			l.line.Cut()
			if _, err := lines.ReadByte(); !backend.IsUnavailable(err) || errors.Is(err, io.EOF) {
				t.Errorf("a reader was told %v", err)
			}
			gone(t, pid) // nobody reads it any more
			_ = s.Close()
			eventually(t, "the connection to be made again", func() bool { s, pid, err = follow(); return err == nil })
			_ = s.Close()
			gone(t, pid)
		})
	}
}

// TestADeadlineIsToldAsOneHoweverFarTheCommandCame has the line fall silent before there is a connection, and before there is a session.
func TestADeadlineIsToldAsOneHoweverFarTheCommandCame(t *testing.T) {
	l := newLogin(t)
	inVain := func(when string) {
		command := Shell("true")
		command.Timeout = 100 * time.Millisecond
		_, err := l.Run(t.Context(), command)
		if !backend.IsUnavailable(err) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "did not end within 100ms") {
			t.Errorf("without %s: got %v", when, err)
		}
	}
	l.line.Stall(true)
	inVain("a connection")
	l.line.Stall(false)
	eventually(t, "the connection to be made", func() bool { _, err := l.Run(t.Context(), Shell("true")); return err == nil })
	l.line.Stall(true)
	inVain("a session")
	l.line.Stall(false)
}

func TestALineThatFallsSilentIsGivenUp(t *testing.T) {
	l := newLoginWith(t, 5*time.Second)
	run(t, l, Shell("true"))
	l.line.Stall(true)
	begun := time.Now()
	if _, err := l.Run(t.Context(), Shell("true")); !backend.IsUnavailable(err) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(begun); took > DefaultTimeout/2 {
		t.Errorf("it took %s to notice", took)
	}
	l.line.Stall(false)
	eventually(t, "the connection to be made again", func() bool {
		_, err := l.Run(t.Context(), Shell("true"))
		return err == nil
	})
}
