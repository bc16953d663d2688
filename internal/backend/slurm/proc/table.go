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

// Package proc starts, reaps and counts processes for those that must leave none behind: podrunner and the agents that it puts into
// containers. Each is a child subreaper, so that whatever loses its parent below it comes back to it; hence there is one place that reaps,
// and nobody waits for a child by himself.
package proc

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Table holds the processes that were started through it and reaps them and all orphans below. There is one in a program.
type Table struct {
	starts chan func()
	done   chan struct{}
	once   sync.Once

	mu       sync.Mutex
	children map[int]*Process
}

const prSetChildSubreaper = 36

// reapEvery is how often children are looked for though no signal told of one: signals of the same kind are merged.
const reapEvery = time.Second

// NewTable makes this process the one that reaps.
func NewTable() (*Table, error) {
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0); errno != 0 {
		return nil, fmt.Errorf("become the reaper of orphans: %w", errno)
	}
	t := &Table{starts: make(chan func()), done: make(chan struct{}), children: map[int]*Process{}}
	go t.startLoop()
	dead := make(chan os.Signal, 1)
	signal.Notify(dead, syscall.SIGCHLD)
	go t.reapLoop(dead)
	return t, nil
}

// Close ends the table's own goroutines. It neither ends nor waits for any process.
func (t *Table) Close() { t.once.Do(func() { close(t.done) }) }

// startLoop starts all processes from one thread that stays: a death signal comes when the thread that forked ends, not the program.
func (t *Table) startLoop() {
	runtime.LockOSThread()
	for {
		select {
		case start := <-t.starts:
			start()
		case <-t.done:
			return // with the thread still locked, so that it ends too
		}
	}
}

func (t *Table) reapLoop(dead chan os.Signal) {
	defer signal.Stop(dead)
	tick := time.NewTicker(reapEvery)
	defer tick.Stop()
	for {
		select {
		case <-dead:
		case <-tick.C:
		case <-t.done:
			return
		}
		t.reap()
	}
}

// reap collects every child that has ended, and tells whether there are others.
func (t *Table) reap() (more bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for {
		var status syscall.WaitStatus
		var usage syscall.Rusage
		// Children that were cloned without a signal for their end count, too.
		pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG|syscall.WALL, &usage)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil || pid <= 0 {
			return !errors.Is(err, syscall.ECHILD)
		}
		if p := t.children[pid]; p != nil {
			delete(t.children, pid)
			p.status, p.usage = status, usage
			close(p.done)
		}
	}
}

// Command is what to start. It has no shell and no search in PATH: Path is the file.
type Command struct {
	Path string
	// Args are the arguments, the program's name first.
	Args []string
	Env  []string
	Dir  string
	// Files are the file descriptors from 0 on; a nil one is /dev/null.
	Files []*os.File
	// Sys as for os/exec. A death signal is set where it names none.
	Sys *syscall.SysProcAttr
	// Outlive leaves out the death signal.
	Outlive bool
}

// Process is one that was started.
type Process struct {
	// Pid in this PID namespace.
	Pid int

	table  *Table
	done   chan struct{}
	status syscall.WaitStatus
	usage  syscall.Rusage
}

// Start starts a process. Unless told otherwise it dies with this one.
func (t *Table) Start(c Command) (*Process, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	defer null.Close()
	files := make([]uintptr, max(3, len(c.Files)))
	for i := range files {
		files[i] = null.Fd()
		if i < len(c.Files) && c.Files[i] != nil {
			files[i] = c.Files[i].Fd()
		}
	}
	sys := syscall.SysProcAttr{}
	if c.Sys != nil {
		sys = *c.Sys
	}
	if sys.Pdeathsig == 0 && !c.Outlive {
		sys.Pdeathsig = syscall.SIGKILL
	}
	p := &Process{table: t, done: make(chan struct{})}
	result := make(chan error, 1)
	start := func() {
		// The lock is held until the child is known: it may have ended before that.
		t.mu.Lock()
		defer t.mu.Unlock()
		pid, err := syscall.ForkExec(c.Path, c.Args, &syscall.ProcAttr{Dir: c.Dir, Env: c.Env, Files: files, Sys: &sys})
		if err == nil {
			p.Pid = pid
			t.children[pid] = p
		}
		result <- err
	}
	select {
	case t.starts <- start:
		err = <-result
	case <-t.done:
		err = errors.New("no processes are started any more")
	}
	runtime.KeepAlive(c.Files)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	return p, nil
}

// Done is closed when the process has ended and was reaped.
func (p *Process) Done() <-chan struct{} { return p.done }

// Status is how it ended; only once Done is closed.
func (p *Process) Status() syscall.WaitStatus { return p.status }

// MaxRSS is the most memory that it held at once, in bytes; only once Done is closed.
func (p *Process) MaxRSS() int64 { return p.usage.Maxrss << 10 }

// Signal sends it a signal, and never to another that has got its number.
func (p *Process) Signal(s syscall.Signal) error {
	p.table.mu.Lock()
	defer p.table.mu.Unlock()
	select {
	case <-p.done:
		return os.ErrProcessDone
	default:
		return syscall.Kill(p.Pid, s)
	}
}
