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
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/proc"
)

// inherited are the variables that a local command gets of the manager's environment: what finds programs, and SLURM's configuration and
// key. Variables by which sbatch and squeue take options (SBATCH_…, SQUEUE_…) are not among them, nor is anything of the manager's own.
var inherited = []string{"PATH", "LD_LIBRARY_PATH", "TZ", "SLURM_CONF", "SLURM_JWT", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS"}

// outputGrace is how long a command's output is read on after its end, should a descendant that left its process group hold it open. A command
// that is cut off is gone by then. Tests of what a script cleans up give it longer.
var outputGrace = 2 * time.Second

// LocalOptions say how commands run on this machine.
type LocalOptions struct {
	// User whose jobs these are; empty for the manager's own. Only root can be somebody else.
	User string
	// Env are further variables, as NAME=value.
	Env []string
}

// Local runs commands on this machine.
type Local struct {
	env        []string
	credential *syscall.Credential

	ctx  context.Context
	stop context.CancelFunc
	mu   sync.Mutex
	// running counts the commands, so that Close can wait for them.
	running sync.WaitGroup
}

var _ Runner = (*Local)(nil)

// NewLocal returns a Runner for this machine.
func NewLocal(o LocalOptions) (*Local, error) {
	l := &Local{}
	who, err := user.Current()
	if o.User != "" {
		if who, err = user.Lookup(o.User); err == nil {
			l.credential, err = credentialOf(who)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("look up the user whose jobs these are: %w", err)
	}
	for _, name := range inherited {
		if value, ok := os.LookupEnv(name); ok {
			l.env = append(l.env, name+"="+value)
		}
	}
	l.env = append(l.env, "HOME="+who.HomeDir, "USER="+who.Username, "LOGNAME="+who.Username, "LC_ALL=C")
	l.env = append(l.env, o.Env...)
	l.ctx, l.stop = context.WithCancel(context.Background())
	return l, nil
}

// credentialOf is nil for the user that this process runs as.
func credentialOf(who *user.User) (*syscall.Credential, error) {
	uid, err := strconv.ParseUint(who.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	if int(uid) == os.Getuid() {
		return nil, nil
	}
	gid, err := strconv.ParseUint(who.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	ids, err := who.GroupIds()
	if err != nil {
		return nil, err
	}
	credential := &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	for _, id := range ids {
		group, err := strconv.ParseUint(id, 10, 32)
		if err != nil {
			return nil, err
		}
		credential.Groups = append(credential.Groups, uint32(group))
	}
	return credential, nil
}

// Run runs a command to its end.
func (l *Local) Run(ctx context.Context, command Command) (Result, error) {
	ctx, cancel := command.bound(ctx)
	defer cancel()
	done, err := l.enter()
	if err != nil {
		return Result{}, err
	}
	defer done()
	defer context.AfterFunc(l.ctx, cancel)()

	out := newOutputs()
	cmd, ended := l.command(ctx, command)
	cmd.Stdin = command.Stdin
	err = proc.RunCommand(cmd, &out.stdout, &out.stderr, outputGrace)
	ended()
	switch {
	case ctx.Err() != nil && (err != nil || cmd.ProcessState == nil):
		return Result{}, lost(ctx, command, err)
	case cmd.ProcessState == nil:
		return Result{}, fmt.Errorf("start %s: %w", command.name(), err)
	case err != nil && !isExit(err) && !errors.Is(err, exec.ErrWaitDelay):
		return Result{}, fmt.Errorf("run %s: %w", command.name(), err)
	}
	return out.result(command, exitCode(cmd.ProcessState))
}

// Stream starts a command and returns its output as it comes.
func (l *Local) Stream(ctx context.Context, command Command) (io.ReadCloser, error) {
	done, err := l.enter()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	detach := context.AfterFunc(l.ctx, cancel)
	s := &localStream{ctx: ctx, command: command, stderr: bounded{max: maxStderr}}
	s.cancel = func() { detach(); cancel() }
	s.cmd, s.ended = l.command(ctx, command)
	s.cmd.Stderr = &s.stderr
	stdin, err := s.cmd.StdinPipe()
	if err == nil {
		s.stdout, err = s.cmd.StdoutPipe()
	}
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		s.cancel()
		done()
		return nil, fmt.Errorf("start %s: %w", command.name(), err)
	}
	s.finish = func() {
		_ = stdin.Close()
		done()
	}
	return s, nil
}

// enter counts a command in, unless the Runner is closed.
func (l *Local) enter() (leave func(), err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		return nil, errClosed
	}
	l.running.Add(1)
	return l.running.Done, nil
}

var errClosed = backend.Unavailable("the connection is closed")

// command has a process group of its own, which is ended as a whole. The function that is returned is to be called when it has ended.
func (l *Local) command(ctx context.Context, command Command) (cmd *exec.Cmd, ended func()) {
	argv := command.Argv
	if len(argv) == 0 {
		argv = []string{""}
	}
	cmd = exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Env, cmd.Dir, cmd.WaitDelay = l.env, "/", outputGrace
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: l.credential}
	gone := make(chan struct{})
	signal := func(kill bool) {
		s := syscall.SIGTERM
		if kill {
			s = syscall.SIGKILL
		}
		_ = syscall.Kill(-cmd.Process.Pid, s)
	}
	cmd.Cancel = func() error {
		go cutOff(signal, gone)
		return nil
	}
	return cmd, func() {
		close(gone)
		if ctx.Err() != nil && cmd.Process != nil {
			signal(true) // what it has left behind
		}
	}
}

// Close ends what runs.
func (l *Local) Close() error {
	l.mu.Lock()
	l.stop()
	l.mu.Unlock()
	l.running.Wait()
	return nil
}

// localStream is the output of a command that runs.
type localStream struct {
	ctx     context.Context
	command Command
	cmd     *exec.Cmd
	stdout  io.Reader
	stderr  bounded
	cancel  func()
	ended   func()
	finish  func()
	once    sync.Once
	err     error
}

func (s *localStream) Read(p []byte) (int, error) {
	n, err := s.stdout.Read(p)
	if err != nil {
		err = s.end()
	}
	return n, err
}

// end waits for the command and tells how it ended: io.EOF when well.
func (s *localStream) end() error {
	s.once.Do(func() {
		err := s.cmd.Wait()
		s.ended()
		switch {
		case s.ctx.Err() != nil:
			s.err = lost(s.ctx, s.command, err)
		case exitCode(s.cmd.ProcessState) != 0:
			s.err = Result{Stderr: s.stderr.Bytes(), ExitCode: exitCode(s.cmd.ProcessState)}.Err()
		default:
			s.err = io.EOF
		}
		s.cancel()
		s.finish()
	})
	return s.err
}

func (s *localStream) Close() error {
	s.cancel()
	_ = s.end()
	return nil
}

func isExit(err error) bool {
	var exit *exec.ExitError
	return errors.As(err, &exit)
}

// exitCode is 128 and the signal's number where a signal ended a command, as shells have it.
func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}
