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
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/proc"
)

// killTimeout bounds how long the agent tries to leave nothing behind. What can't be killed for longer hangs in the kernel.
const killTimeout = 20 * time.Second

// server is the agent.
type server struct {
	table *proc.Table
	conn  *net.UnixConn
	// stdout and stderr of the command.
	stdout, stderr *os.File

	write   sync.Mutex
	mu      sync.Mutex
	command *proc.Process
	// felt is set where a signal reached it.
	felt    bool
	dir     string
	env     []string
	cancels map[uint64]context.CancelFunc
}

// Main connects to the socket and does what it is told there, until the command that it ran has ended or podrunner has. It returns the
// command's exit code.
func Main(socket string, stderr io.Writer) int {
	const exitFailed = 125
	// A batch system that ends a job signals all of its processes. What is to end, and when, is podrunner's to say. Not ignored, since
	// the command would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGCONT, syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGPIPE)
	table, err := proc.NewTable()
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailed
	}
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		fmt.Fprintf(stderr, "reach podrunner: %v\n", err)
		return exitFailed
	}
	defer func() { _ = conn.Close() }()
	s := &server{table: table, conn: conn, cancels: map[uint64]context.CancelFunc{}}
	s.say(reply{Hello: true})
	if s.stdout, s.stderr, err = receiveFiles(conn); err != nil {
		fmt.Fprintln(stderr, err)
		return exitFailed
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	requests := make(chan request)
	go func() {
		defer close(requests)
		lines := bufio.NewScanner(conn)
		lines.Buffer(nil, maxRequest)
		for lines.Scan() {
			var r request
			if json.Unmarshal(lines.Bytes(), &r) != nil {
				return
			}
			requests <- r
		}
	}()
	code := s.serve(ctx, requests)
	return code
}

// serve answers requests. It ends when there are none any more, or the command has ended, and kills what is left in the container.
func (s *server) serve(ctx context.Context, requests <-chan request) int {
	var ended <-chan struct{}
	for {
		select {
		case r, more := <-requests:
			switch {
			case !more:
				_ = s.clear()
				return 128 + int(syscall.SIGKILL)
			case r.Start != nil && s.command == nil:
				if err := s.start(r.Start); err != nil {
					s.say(reply{StartError: err.Error()})
					continue
				}
				ended = s.command.Done()
				s.say(reply{Started: s.command.Pid})
			case r.Signal != 0 && s.command != nil:
				s.felt = s.command.Signal(syscall.Signal(r.Signal)) == nil || s.felt
			case r.Exec != nil:
				s.background(ctx, r, s.exec)
			case r.Ask != nil:
				s.background(ctx, r, func(ctx context.Context, r request) reply {
					answer := r.Ask.Do(ctx)
					return reply{ID: r.ID, Answer: &answer}
				})
			case r.Cancel:
				s.cancel(r.ID)
			}
		case <-ended:
			exit := s.exit()
			if err := s.clear(); err != nil {
				exit.Left = err.Error()
			}
			s.say(reply{Exited: &exit})
			return int(exit.Code)
		}
	}
}

func (s *server) exit() Exit {
	status := s.command.Status()
	exit := Exit{Code: int32(status.ExitStatus()), Felt: s.felt, MaxRSS: s.command.MaxRSS()}
	if status.Signaled() {
		exit.Signal = int32(status.Signal())
		exit.Code = 128 + exit.Signal
	}
	return exit
}

// clear leaves no process of the container behind.
func (s *server) clear() error {
	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()
	return s.table.KillBelow(ctx)
}

func (s *server) start(c *Start) error {
	s.env = environment(c.Defaults, os.Environ(), c.Env)
	s.dir = c.Dir
	if s.dir == "" {
		dir, err := os.Getwd()
		if err != nil {
			dir = "/"
		}
		s.dir = dir
	} else if err := os.MkdirAll(s.dir, 0o755); err != nil { //nolint:gosec // as a container runtime makes it
		return fmt.Errorf("make the working directory: %w", err)
	}
	if c.Message != "" {
		linkMessage(c.Message, c.MessageFile)
	}
	name := ""
	if len(c.Args) > 0 {
		name = c.Args[0]
	}
	path, err := lookup(name, s.dir, s.env)
	if err != nil {
		return err
	}
	p, err := s.table.Start(proc.Command{
		Path: path, Args: c.Args, Env: s.env, Dir: s.dir, Files: []*os.File{nil, s.stdout, s.stderr},
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	s.command = p
	return errors.Join(err, s.lendOutput())
}

// lendOutput makes the container's output the agent's own, and closes what it was handed. Where the agent is the first process of the
// container, hooks and probes write to the log by /proc/1/fd/1, as they do where the command is.
func (s *server) lendOutput() error {
	err := errors.Join(syscall.Dup3(int(s.stdout.Fd()), 1, 0), syscall.Dup3(int(s.stderr.Fd()), 2, 0))
	if err = errors.Join(err, s.stdout.Close(), s.stderr.Close()); err != nil {
		return fmt.Errorf("lend the container's output to what runs beside its command: %w", err)
	}
	return nil
}

// linkMessage leads a path to the file for the termination message, where the container's tree lets it. Whoever then writes to it writes
// a message, and whoever can't says nothing: that is no reason not to run.
func linkMessage(path, file string) {
	if _, err := os.Lstat(path); err == nil {
		return
	}
	_ = os.MkdirAll(filepath.Dir(path), 0o755) //nolint:gosec // as a container runtime makes it
	_ = os.Symlink(file, path)
}

// background does something that takes time, and answers when it is done.
func (s *server) background(ctx context.Context, r request, do func(context.Context, request) reply) {
	ctx, cancel := context.WithCancel(ctx)
	s.mu.Lock()
	s.cancels[r.ID] = cancel
	s.mu.Unlock()
	go func() {
		answer := do(ctx, r)
		s.cancel(r.ID)
		s.say(answer)
	}()
}

func (s *server) cancel(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if cancel := s.cancels[id]; cancel != nil {
		cancel()
		delete(s.cancels, id)
	}
}

// say sends a reply. Where nobody hears it, reading will end too.
func (s *server) say(r reply) {
	line, err := json.Marshal(r)
	if err != nil {
		return
	}
	s.write.Lock()
	defer s.write.Unlock()
	_, _ = s.conn.Write(append(line, '\n'))
}
