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
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/proc"
)

// maxStderr bounds what is kept of a command's complaints.
const maxStderr = 16 << 10

// Serve runs the commands that in asks for and writes what they say to out, until in ends: then nobody reads any more, and all commands
// are killed with what they started. It returns when they are gone.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx)
	s := &server{out: &frameWriter{w: out}, running: map[uint32]*process{}}
	defer s.all.Wait()
	defer cancel()
	for {
		f, err := readFrame(in)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := s.take(ctx, f); err != nil {
			return err
		}
	}
}

type server struct {
	out *frameWriter
	all sync.WaitGroup

	mu      sync.Mutex
	running map[uint32]*process
}

// process is a command that runs.
type process struct {
	cancel context.CancelFunc
	room   *room
}

func (s *server) take(ctx context.Context, f frame) error {
	s.mu.Lock()
	p := s.running[f.command]
	s.mu.Unlock()
	switch f.kind {
	case kindOpen:
		var argv []string
		if err := json.Unmarshal(f.content, &argv); err != nil || len(argv) == 0 || p != nil {
			return fmt.Errorf("command %d can't be started: %q", f.command, f.content)
		}
		ctx, cancel := context.WithCancel(ctx)
		p = &process{cancel: cancel, room: newRoom()}
		s.mu.Lock()
		s.running[f.command] = p
		s.mu.Unlock()
		s.all.Go(func() { s.run(ctx, f.command, p, argv) })
	case kindClose:
		if p != nil {
			p.cancel()
		}
	case kindRoom:
		n, err := roomIn(f)
		if err != nil {
			return err
		}
		if p != nil {
			p.room.add(n)
		}
	default:
		return fmt.Errorf("a frame of kind %q is not known", f.kind)
	}
	return nil
}

// lateWords is how long what a command started may still say something after the command's own end.
const lateWords = time.Second

// run runs one command to its end.
func (s *server) run(ctx context.Context, id uint32, p *process, argv []string) {
	defer p.cancel()
	stderr := &tail{}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	err := proc.RunCommand(cmd, &output{ctx: ctx, out: s.out, command: id, room: p.room}, stderr, lateWords)

	end := End{Code: 127, Stderr: strings.TrimSpace(string(stderr.bytes))}
	if cmd.ProcessState != nil {
		end.Code = exitCode(cmd.ProcessState)
	} else if err != nil {
		end.Stderr = err.Error()
	}
	s.mu.Lock()
	delete(s.running, id)
	s.mu.Unlock()
	if content, err := json.Marshal(end); err == nil {
		_ = s.out.write(kindEnd, id, content)
	}
}

func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

// output sends what a command writes, as there is room for it.
type output struct {
	ctx     context.Context
	out     *frameWriter
	command uint32
	room    *room
}

func (o *output) Write(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		n, err := o.room.take(o.ctx, min(len(p)-written, maxData))
		if err != nil {
			return written, err
		}
		if err := o.out.write(kindData, o.command, p[written:written+n]); err != nil {
			return written, err
		}
		written += n
	}
	return written, nil
}

// room is how much may be sent.
type room struct {
	mu      sync.Mutex
	bytes   int
	changed chan struct{}
}

func newRoom() *room { return &room{bytes: window, changed: make(chan struct{}, 1)} }

func (r *room) add(n int) {
	r.mu.Lock()
	r.bytes = min(r.bytes+n, window)
	r.mu.Unlock()
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// take waits until there is room and takes up to n bytes of it.
func (r *room) take(ctx context.Context, n int) (int, error) {
	for {
		r.mu.Lock()
		got := min(n, r.bytes)
		r.bytes -= got
		r.mu.Unlock()
		if got > 0 {
			return got, nil
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-r.changed:
		}
	}
}

// tail keeps the end of what is written to it.
type tail struct{ bytes []byte }

func (t *tail) Write(p []byte) (int, error) {
	t.bytes = append(t.bytes, p...)
	if over := len(t.bytes) - maxStderr; over > 0 {
		t.bytes = t.bytes[over:]
	}
	return len(p), nil
}
