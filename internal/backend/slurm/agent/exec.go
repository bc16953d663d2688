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
	"context"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/proc"
	"github.com/remotejob-dev/remotejob-operator/internal/probe"
)

// execGrace is how long what a command started may say something after the command's own end, and how long to wait for the end of one that
// was killed.
const execGrace = 200 * time.Millisecond

// exec runs a command beside the container's own, with its env and in its directory. One that does not end in time is killed with all
// that it started in its session.
func (s *server) exec(ctx context.Context, r request) reply {
	name := ""
	if len(r.Exec.Args) > 0 {
		name = r.Exec.Args[0]
	}
	s.mu.Lock()
	env, dir := s.env, s.dir
	s.mu.Unlock()
	path, err := lookup(name, dir, env)
	if err != nil {
		return reply{ID: r.ID, Error: err.Error()}
	}
	read, write, err := os.Pipe()
	if err != nil {
		return reply{ID: r.ID, Error: err.Error()}
	}
	defer read.Close()
	p, err := s.table.Start(proc.Command{
		Path: path, Args: r.Exec.Args, Env: env, Dir: dir, Files: []*os.File{nil, write, write}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	_ = write.Close()
	if err != nil {
		return reply{ID: r.ID, Error: err.Error()}
	}
	out := &output{}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = proc.Copy(out, read, p.Done(), execGrace)
	}()
	var over <-chan time.Time
	if r.Exec.Timeout > 0 {
		timer := time.NewTimer(r.Exec.Timeout)
		defer timer.Stop()
		over = timer.C
	}
	result := probe.ExecResult{}
	select {
	case <-p.Done():
		<-closed
		result.ExitCode = p.Status().ExitStatus()
		if p.Status().Signaled() {
			result.ExitCode = 128 + int(p.Status().Signal())
		}
	case <-over:
		result.TimedOut = true
		killSession(p)
	case <-ctx.Done():
		killSession(p)
		return reply{ID: r.ID, Error: ctx.Err().Error()}
	}
	result.Output = out.String()
	return reply{ID: r.ID, Exec: &result}
}

// killSession kills a command and what it started, by its process group and by its descent.
func killSession(p *proc.Process) {
	all, _ := proc.All()
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL)
	for _, child := range proc.Below(all, p.Pid) {
		_ = proc.Kill(child, syscall.SIGKILL)
	}
	timer := time.NewTimer(execGrace)
	defer timer.Stop()
	select {
	case <-p.Done():
	case <-timer.C:
	}
}

// output keeps the begin of what is written to it.
type output struct {
	mu   sync.Mutex
	data []byte
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.data = append(o.data, p[:min(len(p), maxOutput-len(o.data))]...)
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.data)
}
