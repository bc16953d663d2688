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
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"
)

// maxOutput bounds what is kept of each stream of a command.
const maxOutput = 4 << 20

// killWait is how long a command that was killed may take to be gone.
const killWait = 5 * time.Second

// lateWords is how long what a command started may still say something after the command's own end.
const lateWords = 100 * time.Millisecond

// Result is how a command ended.
type Result struct {
	Status         syscall.WaitStatus
	Stdout, Stderr string
}

// Words are what a command that failed had to say, its status where it said nothing.
func (r *Result) Words() string {
	if words := strings.TrimSpace(r.Stderr); words != "" {
		return words
	}
	if r.Status.Signaled() {
		return fmt.Sprintf("it was ended by signal %d", r.Status.Signal())
	}
	return fmt.Sprintf("it ended with %d", r.Status.ExitStatus())
}

// Run runs a command to its end; when ctx ends first its process group is killed. Files of the command are not used. A command that ended
// with anything but 0 is no error.
func (t *Table) Run(ctx context.Context, c Command, stdin []byte) (*Result, error) {
	var in, out, errs stream
	defer in.close()
	defer out.close()
	defer errs.close()
	for _, s := range []*stream{&in, &out, &errs} {
		if err := s.open(); err != nil {
			return nil, fmt.Errorf("run %s: %w", c.Path, err)
		}
	}
	c.Files = []*os.File{in.r, out.w, errs.w}
	sys := syscall.SysProcAttr{}
	if c.Sys != nil {
		sys = *c.Sys
	}
	sys.Setpgid = !sys.Setsid
	c.Sys = &sys
	p, err := t.Start(c)
	if err != nil {
		return nil, err
	}
	_, _, _ = in.r.Close(), out.w.Close(), errs.w.Close()
	go func() {
		_, _ = in.w.Write(stdin)
		_ = in.w.Close()
	}()
	var copied sync.WaitGroup
	copied.Go(func() { _ = Copy(&out, out.r, p.Done(), lateWords) })
	copied.Go(func() { _ = Copy(&errs, errs.r, p.Done(), lateWords) })

	// What it started may hold its streams open: its own end is enough.
	select {
	case <-p.Done():
		copied.Wait()
		return &Result{Status: p.Status(), Stdout: out.String(), Stderr: errs.String()}, nil
	case <-ctx.Done():
	}
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL)
	select {
	case <-p.Done():
	case <-time.After(killWait):
	}
	return nil, fmt.Errorf("run %s: %w", c.Path, ctx.Err())
}

// stream is a pipe to or from a command.
type stream struct {
	r, w *os.File
	mu   sync.Mutex
	kept bytes.Buffer
}

func (s *stream) open() (err error) {
	s.r, s.w, err = os.Pipe()
	return err
}

func (s *stream) close() {
	if s.r != nil {
		_, _ = s.r.Close(), s.w.Close()
	}
}

// Write keeps the first bytes.
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept.Write(p[:min(len(p), maxOutput-s.kept.Len())])
	return len(p), nil
}

func (s *stream) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.kept.String()
}
