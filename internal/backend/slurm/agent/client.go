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
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/probe"
)

// ErrGone is what calls get when the agent is not there any more.
var ErrGone = errors.New("the container is not there any more")

// Listener waits for one agent.
type Listener struct {
	path string
	l    *net.UnixListener
}

// Listen makes a socket for an agent. Whoever can reach its directory may connect: inside of a container the agent may be any user.
func Listen(path string) (*Listener, error) {
	_ = os.Remove(path)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err == nil {
		err = os.Chmod(path, 0o666) //nolint:gosec // the directory keeps others out
	}
	if err != nil {
		return nil, fmt.Errorf("make a container's socket: %w", err)
	}
	return &Listener{path: path, l: l}, nil
}

// Close gives up waiting.
func (l *Listener) Close() { _ = l.l.Close() }

// Accept waits for the agent. Nobody can connect after it.
func (l *Listener) Accept() (*Agent, error) {
	conn, err := l.l.AcceptUnix()
	if err != nil {
		return nil, fmt.Errorf("wait for a container: %w", err)
	}
	l.Close()
	pid, err := peer(conn)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	a := &Agent{Pid: pid, conn: conn, started: make(chan reply, 1), exited: make(chan struct{}), waiting: map[uint64]chan reply{}}
	go a.read()
	return a, nil
}

// Agent is a connection to the agent in a container. It is a probe.Prober.
type Agent struct {
	// Pid is the agent's process, by the count of this PID namespace. The container's processes are its descendants.
	Pid int

	conn    *net.UnixConn
	write   sync.Mutex
	started chan reply
	// exited is closed when nothing comes any more; exit is then how the command ended, nil where nobody said.
	exited chan struct{}

	mu      sync.Mutex
	exit    *Exit
	next    uint64
	waiting map[uint64]chan reply
}

var _ probe.Prober = (*Agent)(nil)

func (a *Agent) read() {
	defer close(a.exited)
	defer func() { _ = a.conn.Close() }()
	lines := bufio.NewScanner(a.conn)
	lines.Buffer(nil, maxReply)
	for lines.Scan() {
		var r reply
		if json.Unmarshal(lines.Bytes(), &r) != nil {
			return
		}
		switch {
		case r.Hello:
		case r.Started != 0 || r.StartError != "":
			select {
			case a.started <- r:
			default:
			}
		case r.Exited != nil:
			a.mu.Lock()
			a.exit = r.Exited
			a.mu.Unlock()
			return
		default:
			a.mu.Lock()
			waiting := a.waiting[r.ID]
			delete(a.waiting, r.ID)
			a.mu.Unlock()
			if waiting != nil {
				waiting <- r
			}
		}
	}
}

// StartError is why a command could not be started, in words.
type StartError struct{ Words string }

func (e *StartError) Error() string { return e.Words }

// LostError is why nobody can say whether a command was started: its agent was told to, and gave no answer.
type LostError struct{ Err error }

func (e *LostError) Error() string { return "start the command: " + e.Err.Error() }

func (e *LostError) Unwrap() error { return e.Err }

// Start has the command run, writing to the given files. An error that is a StartError is the command's own. With one that is a LostError
// the command may have run; with any other it has not.
func (a *Agent) Start(ctx context.Context, c Start, stdout, stderr *os.File) error {
	a.write.Lock()
	err := sendFiles(a.conn, stdout, stderr)
	a.write.Unlock()
	if err == nil {
		err = a.send(request{Start: &c})
	}
	if err != nil {
		return err
	}
	select {
	case r := <-a.started:
		return r.startError()
	case <-a.exited:
		select {
		case r := <-a.started: // what it said last
			return r.startError()
		default:
			return &LostError{ErrGone}
		}
	case <-ctx.Done():
		return &LostError{ctx.Err()}
	}
}

func (r *reply) startError() error {
	if r.StartError != "" {
		return &StartError{Words: r.StartError}
	}
	return nil
}

// Signal sends the command a signal.
func (a *Agent) Signal(s syscall.Signal) error { return a.send(request{Signal: int(s)}) }

// Done is closed when the command has ended, or the agent.
func (a *Agent) Done() <-chan struct{} { return a.exited }

// Exit is how the command ended; nil where the agent ended without a word, or has not.
func (a *Agent) Exit() *Exit {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.exit
}

// Close ends the connection, and with it all that runs in the container.
func (a *Agent) Close() { _ = a.conn.Close() }

// Exec runs a command in the container.
func (a *Agent) Exec(ctx context.Context, command []string, timeout time.Duration) (probe.ExecResult, error) {
	r, err := a.call(ctx, request{Exec: &execRequest{Args: command, Timeout: timeout}})
	switch {
	case err != nil:
		return probe.ExecResult{}, err
	case r.Error != "":
		return probe.ExecResult{}, errors.New(r.Error)
	case r.Exec == nil:
		return probe.ExecResult{}, errors.New("the container gave no answer to a command")
	}
	return *r.Exec, nil
}

// Ask asks a question from the container's network, which is the pod's.
func (a *Agent) Ask(ctx context.Context, question probe.Request) (probe.Answer, error) {
	r, err := a.call(ctx, request{Ask: &question})
	switch {
	case err != nil:
		return probe.Answer{}, err
	case r.Answer == nil:
		return probe.Answer{}, errors.New("the container gave no answer to a question")
	}
	return *r.Answer, nil
}

func (a *Agent) call(ctx context.Context, r request) (reply, error) {
	answer := make(chan reply, 1)
	a.mu.Lock()
	a.next++
	r.ID = a.next
	a.waiting[r.ID] = answer
	a.mu.Unlock()
	defer func() {
		a.mu.Lock()
		delete(a.waiting, r.ID)
		a.mu.Unlock()
	}()
	if err := a.send(r); err != nil {
		return reply{}, err
	}
	select {
	case got := <-answer:
		return got, nil
	case <-a.exited:
		return reply{}, ErrGone
	case <-ctx.Done():
		_ = a.send(request{ID: r.ID, Cancel: true})
		return reply{}, ctx.Err()
	}
}

// sendTimeout bounds a write to an agent that does not read, such as that of a container that is stopped.
const sendTimeout = 10 * time.Second

func (a *Agent) send(r request) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("ask a container: %w", err)
	}
	a.write.Lock()
	defer a.write.Unlock()
	_ = a.conn.SetWriteDeadline(time.Now().Add(sendTimeout))
	if _, err := a.conn.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("ask a container: %w", err)
	}
	return nil
}
