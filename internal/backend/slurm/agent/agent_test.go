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

package agent

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/proc"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/probe"
)

// patience is how long what must come may take: a machine may have much else to do.
const patience = time.Minute

var table *proc.Table

// The test's own program is the agent too, so that it runs as it does in a container.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "agent" {
		os.Exit(Main(os.Args[2], os.Stderr))
	}
	var err error
	if table, err = proc.NewTable(); err != nil {
		panic(err)
	}
	os.Exit(m.Run())
}

// container is one agent that runs.
type container struct {
	*Agent
	process *proc.Process
	out     *os.File
	stdout  *os.File
}

func newContainer(t *testing.T, env ...string) *container {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "s")
	l, err := Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	p, err := table.Start(proc.Command{Path: self, Args: []string{self, "agent", socket}, Env: env, Files: []*os.File{nil, os.Stdout, os.Stderr}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := &container{Agent: a, process: p}
	if c.out, c.stdout, err = os.Pipe(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Close()
		<-p.Done()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		all, _ := proc.All()
		if left := proc.Below(all, os.Getpid()); len(left) > 0 {
			t.Errorf("left behind: %v", left)
			_ = table.KillBelow(ctx)
		}
	})
	if a.Pid != p.Pid {
		t.Errorf("the agent is process %d, not %d", p.Pid, a.Pid)
	}
	return c
}

func (c *container) start(t *testing.T, s Start) {
	t.Helper()
	if err := c.Start(t.Context(), s, c.stdout, c.stdout); err != nil {
		t.Fatal(err)
	}
	_ = c.stdout.Close()
}

func (c *container) ended(t *testing.T) *Exit {
	t.Helper()
	select {
	case <-c.Done():
	case <-time.After(patience):
		t.Fatal("it did not end")
	}
	return c.Exit()
}

func shell(script string) Start { return Start{Args: []string{"/bin/sh", "-c", script}} }

// TestAStartThatIsNotAnsweredMayHaveBeenOne is about an agent that is killed while it starts the command.
func TestAStartThatIsNotAnsweredMayHaveBeenOne(t *testing.T) {
	for name, c := range map[string]struct {
		answer string
		lost   bool
	}{
		"it is gone before it answers":    {lost: true},
		"it goes after it has started it": {answer: `{"started":7}`},
		"it goes after it could not":      {answer: `{"startError":"no such file"}`},
	} {
		t.Run(name, func(t *testing.T) {
			socket := filepath.Join(t.TempDir(), "s")
			l, err := Listen(socket)
			if err != nil {
				t.Fatal(err)
			}
			conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
			if err != nil {
				t.Fatal(err)
			}
			a, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer a.Close()
			go func() {
				defer func() { _ = conn.Close() }()
				stdout, stderr, err := receiveFiles(conn)
				if err != nil {
					return
				}
				_, _ = stdout.Close(), stderr.Close()
				if lines := bufio.NewScanner(conn); lines.Scan() && c.answer != "" {
					_, _ = conn.Write([]byte(c.answer + "\n"))
				}
			}()
			err = a.Start(t.Context(), shell("exit 0"), os.Stdout, os.Stderr)
			var lost *LostError
			var start *StartError
			if errors.As(err, &lost) != c.lost || errors.As(err, &start) != strings.Contains(c.answer, "startError") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestArgumentsAndEnvArriveByteForByte(t *testing.T) {
	c := newContainer(t, "INHERITED=1", "BOTH=inherited", "PATH=/bin:/usr/bin")
	nasty := []string{"", " ", "a\nb\n", `"'\$HOME`, "`id`$(id)", "\xff\xfe", "ünïcödé ✓", "-n", "--", strings.Repeat("x", 100<<10)}
	var args []string
	s := Start{Args: []string{"/bin/sh", "-c", `printf '%s\0' "$@"; env -0`, "sh"}, Defaults: []string{"DEFAULT=d", "INHERITED=no"}}
	for i, v := range nasty {
		if !strings.Contains(v, "\xff") { // JSON holds no such thing, nor does Kubernetes
			args = append(args, v)
			s.Env = append(s.Env, fmt.Sprintf("V%d=%s", i, v))
		}
	}
	s.Args = append(s.Args, args...)
	s.Env = append(s.Env, "BOTH=first", "BOTH=own")
	c.start(t, s)
	data, err := io.ReadAll(c.out)
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
	if len(got) < len(args) || !reflect.DeepEqual(got[:len(args)], args) {
		t.Errorf("the arguments are %.200q", got)
	}
	env := got[len(args):]
	for _, want := range append(slices.Clone(s.Env[:len(s.Env)-2]), "INHERITED=1", "DEFAULT=d", "BOTH=own") {
		if !slices.Contains(env, want) {
			t.Errorf("the env lacks %.50q", want)
		}
	}
	if e := c.ended(t); e == nil || e.Code != 0 {
		t.Errorf("it ended as %+v", e)
	}
}

func TestEndsAreTold(t *testing.T) {
	for script, want := range map[string]Exit{"exit 7": {Code: 7}, "kill -9 $$": {Code: 137, Signal: 9}, "kill -TERM $$": {Code: 143, Signal: 15}, "exit 0": {}} {
		t.Run(script, func(t *testing.T) {
			c := newContainer(t)
			c.start(t, shell(script))
			e := c.ended(t)
			if e == nil || e.MaxRSS == 0 {
				t.Fatalf("it ended as %+v", e)
			}
			e.MaxRSS = 0
			if *e != want {
				t.Errorf("it ended as %+v", e)
			}
		})
	}
}

func TestWhatCantBeStartedSaysWhy(t *testing.T) {
	for _, args := range [][]string{{"/no/such/program"}, {"no-such-program"}, {"/"}, {"/etc/passwd"}, {""}, nil} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			c := newContainer(t)
			err := c.Start(t.Context(), Start{Args: args}, c.stdout, c.stdout)
			var start *StartError
			if !errors.As(err, &start) || len(args) > 0 && !strings.Contains(start.Words, args[0]) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestTheWorkingDirectoryIsMade(t *testing.T) {
	c := newContainer(t)
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := shell("pwd")
	s.Dir = dir
	c.start(t, s)
	if data, _ := io.ReadAll(c.out); string(data) != dir+"\n" {
		t.Errorf("it ran in %q", data)
	}
}

func TestASignalGoesToTheCommand(t *testing.T) {
	c := newContainer(t)
	c.start(t, shell("trap 'echo got it; exit 5' TERM; echo up; while :; do sleep 0.05; done"))
	buf := make([]byte, 3)
	if _, err := io.ReadFull(c.out, buf); err != nil {
		t.Fatal(err)
	}
	// One for the agent itself is nothing to it.
	if err := c.process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := c.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if e := c.ended(t); e == nil || e.Code != 5 {
		t.Errorf("it ended as %+v", e)
	}
}

// daemons leaves processes behind in sessions of their own, and ends or goes on.
const daemons = `for i in 1 2 3; do setsid sh -c 'trap "" TERM HUP; sleep 1000 & sleep 1000' & done; `

func TestNothingIsLeftBehindWhenTheCommandEnds(t *testing.T) {
	c := newContainer(t)
	c.start(t, shell(daemons+"sleep 0.3; exit 3"))
	if e := c.ended(t); e == nil || e.Code != 3 || e.Left != "" {
		t.Errorf("it ended as %+v", e)
	}
	<-c.process.Done()
}

func TestNothingIsLeftBehindWhenPodrunnerEnds(t *testing.T) {
	c := newContainer(t)
	c.start(t, shell(daemons+"echo up; trap '' TERM; sleep 1000"))
	buf := make([]byte, 3)
	if _, err := io.ReadFull(c.out, buf); err != nil {
		t.Fatal(err)
	}
	c.Close()
	<-c.process.Done()
}

func TestCommandsRunBesideTheCommand(t *testing.T) {
	c := newContainer(t)
	s := shell("sleep 1000")
	s.Env = []string{"MARK=m a r k"}
	c.start(t, s)
	ctx := t.Context()
	r, err := c.Exec(ctx, []string{"sh", "-c", `echo "$MARK"; echo err >&2; exit 4`}, 0)
	if err != nil || r.ExitCode != 4 || r.Output != "m a r k\nerr\n" || r.TimedOut {
		t.Errorf("got %+v, %v", r, err)
	}
	if r, err = c.Exec(ctx, []string{"/no/such/program"}, 0); err == nil {
		t.Errorf("got %+v", r)
	}
	if r, err = c.Exec(ctx, []string{"sh", "-c", "yes | head -c 1000000"}, 0); err != nil || len(r.Output) != maxOutput {
		t.Errorf("got %d bytes, %v", len(r.Output), err)
	}
}

func TestACommandThatTakesTooLongIsKilledWithWhatItStarted(t *testing.T) {
	c := newContainer(t)
	c.start(t, shell("sleep 1000"))
	r, err := c.Exec(t.Context(), []string{"sh", "-c", "echo begun; setsid sleep 1001 & sleep 1001"}, 20*time.Second)
	if err != nil || !r.TimedOut || r.Output != "begun\n" {
		t.Errorf("got %+v, %v", r, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := c.Exec(ctx, []string{"sleep", "1001"}, 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	deadline := time.Now().Add(patience)
	for {
		all, _ := proc.All()
		late := 0
		for _, s := range proc.Below(all, os.Getpid()) {
			if args, _ := proc.CommandLine(s.Pid); !s.Zombie && slices.Contains(args, "1001") {
				late++
			}
		}
		if late == 0 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d are still there", late)
		}
		<-time.After(10 * time.Millisecond)
	}
}

func TestQuestionsAreAskedFromTheContainersNetwork(t *testing.T) {
	c := newContainer(t)
	c.start(t, shell("sleep 1000"))
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ask := func(address string) podlifecycle.Result {
		answer, err := c.Ask(t.Context(), probe.Request{Timeout: 30 * time.Second, TCP: &probe.TCPRequest{Address: address}})
		if err != nil {
			t.Fatal(err)
		}
		return answer.Result
	}
	if got := ask(l.Addr().String()); got != podlifecycle.Success {
		t.Errorf("got %s", got)
	}
	if got := ask("127.0.0.1:1"); got != podlifecycle.Failure {
		t.Errorf("got %s", got)
	}
}

func TestTheMessagesPathIsALinkWhereItCanBe(t *testing.T) {
	c := newContainer(t)
	dir := t.TempDir()
	s := shell("echo words > " + strconv.Quote(filepath.Join(dir, "x", "log")))
	s.Message, s.MessageFile = filepath.Join(dir, "x", "log"), filepath.Join(dir, "message")
	c.start(t, s)
	c.ended(t)
	if data, _ := os.ReadFile(s.MessageFile); !bytes.Equal(data, []byte("words\n")) {
		t.Errorf("the message is %q", data)
	}
}

func TestCallsEndWithTheContainer(t *testing.T) {
	c := newContainer(t)
	c.start(t, shell("sleep 1000"))
	result := make(chan error, 1)
	go func() {
		_, err := c.Exec(context.Background(), []string{"sleep", "1000"}, 0)
		result <- err
	}()
	if err := c.process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err == nil {
		t.Error("the call was answered")
	}
	if e := c.ended(t); e != nil {
		t.Errorf("it ended as %+v", e)
	}
	// What a killed agent leaves is podrunner's to kill: it has become its child.
	<-c.process.Done()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := table.KillBelow(ctx); err != nil {
		t.Error(err)
	}
}
