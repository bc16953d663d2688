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
	"io"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/mux"
)

// Muxer is a Runner whose streamed commands can share one session, given a program on the far side that serves them (podrunner mux).
type Muxer interface {
	// UseMux names that program; nil for none, which ends what it serves. Naming the same again changes nothing.
	UseMux(argv []string)
}

var _ Muxer = (*SSH)(nil)

// UseMux has streamed commands share one session.
func (s *SSH) UseMux(argv []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.mux != nil && sameWords(s.mux.argv, argv) {
		return
	}
	if s.mux != nil {
		s.mux.close()
	}
	s.mux = nil
	if len(argv) > 0 {
		s.mux = &muxer{ssh: s, argv: argv}
	}
}

func sameWords(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// Stream starts a command and returns its output as it comes.
func (s *SSH) Stream(ctx context.Context, command Command) (io.ReadCloser, error) {
	s.mu.Lock()
	m := s.mux
	s.mu.Unlock()
	if m != nil {
		return m.stream(ctx, command)
	}
	return s.streamAlone(ctx, command)
}

// streamAlone gives the command a session of its own.
func (s *SSH) streamAlone(ctx context.Context, command Command) (io.ReadCloser, error) {
	line, err := streamLine(command.Argv)
	if err != nil {
		return nil, err
	}
	waiting, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	leave, err := s.streams.enter(waiting)
	if err != nil {
		return nil, lost(waiting, command, err)
	}
	session, err := s.session(waiting)
	if err != nil {
		leave()
		return nil, err
	}
	st := &sshStream{ctx: ctx, command: command, session: session, stderr: bounded{max: maxStderr}}
	session.Stderr = &st.stderr
	stdin, err := session.StdinPipe()
	if err == nil {
		st.stdout, err = session.StdoutPipe()
	}
	if err == nil {
		err = session.Start(line)
	}
	if err != nil {
		_ = session.Close()
		leave()
		return nil, backend.Unavailable("%s: %w", command.name(), err)
	}
	st.ended = make(chan struct{})
	go func() {
		defer leave()
		st.result = session.Wait()
		_ = session.Close()
		close(st.ended)
	}()
	st.hangUp = sync.OnceFunc(func() {
		_ = stdin.Close()
		_ = session.Signal(ssh.SIGKILL)
		_ = session.Close()
	})
	st.detach = context.AfterFunc(ctx, st.hangUp)
	return st, nil
}

// sshStream is the output of a command in a session of its own.
type sshStream struct {
	ctx     context.Context
	command Command
	session *ssh.Session
	stdout  io.Reader
	stderr  bounded
	hangUp  func()
	detach  func() bool

	// ended is closed when result is what the session said in the end.
	ended  chan struct{}
	result error

	mu     sync.Mutex
	closed bool
}

// endTimeout is how long the word of how a command ended may come after the end of its output.
const endTimeout = 10 * time.Second

func (s *sshStream) Read(p []byte) (int, error) {
	n, err := s.stdout.Read(p)
	if err == nil {
		return n, nil
	}
	return n, s.end()
}

func (s *sshStream) end() error {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return backend.Unavailable("%s: its output was closed", s.command.name())
	}
	if s.ctx.Err() != nil {
		return lost(s.ctx, s.command, nil)
	}
	timeout := time.NewTimer(endTimeout)
	defer timeout.Stop()
	select {
	case <-s.ended:
	case <-timeout.C:
		return lost(s.ctx, s.command, errors.New("the session did not end"))
	}
	code, known := sessionEnd(s.result)
	if !known {
		return lost(s.ctx, s.command, s.result)
	}
	if code != 0 {
		return Result{Stderr: s.stderr.Bytes(), ExitCode: code}.Err()
	}
	return io.EOF
}

func (s *sshStream) Close() error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.detach()
	s.hangUp()
	return nil
}

// muxer keeps the one session of streamed commands.
type muxer struct {
	ssh  *SSH
	argv []string

	mu      sync.Mutex
	client  *mux.Client
	session *ssh.Session
	closed  bool
}

func (m *muxer) stream(ctx context.Context, command Command) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, lost(ctx, command, err)
	}
	client, err := m.connected(ctx)
	if err != nil {
		return nil, err
	}
	stream, err := client.Start(command.Argv)
	if err != nil {
		return nil, backend.Unavailable("%s: %w", command.name(), err)
	}
	s := &muxStream{ctx: ctx, command: command, stream: stream}
	s.detach = context.AfterFunc(ctx, func() { _ = stream.Close() })
	return s, nil
}

// connected returns the client of the session, which is opened if there is none.
func (m *muxer) connected(ctx context.Context) (*mux.Client, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, errClosed
	}
	if m.client != nil {
		select {
		case <-m.client.Done():
		default:
			return m.client, nil
		}
	}
	line, err := muxLine(m.argv)
	if err != nil {
		return nil, err
	}
	opening, cancel := context.WithTimeout(ctx, DefaultTimeout)
	defer cancel()
	session, err := m.ssh.session(opening)
	if err != nil {
		return nil, err
	}
	stdin, err := session.StdinPipe()
	var stdout io.Reader
	if err == nil {
		stdout, err = session.StdoutPipe()
	}
	if err == nil {
		err = session.Start(line)
	}
	if err != nil {
		_ = session.Close()
		return nil, backend.Unavailable("%s: %w", Command{Argv: m.argv}.name(), err)
	}
	client := mux.NewClient(stdout, stdin)
	go func() {
		<-client.Done()
		_ = session.Close()
	}()
	m.client, m.session = client, session
	return client, nil
}

func (m *muxer) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	if m.session != nil {
		_ = m.session.Close()
	}
}

// muxStream is the output of a command that shares the session.
type muxStream struct {
	ctx     context.Context
	command Command
	stream  *mux.Stream
	detach  func() bool
}

func (s *muxStream) Read(p []byte) (int, error) {
	n, err := s.stream.Read(p)
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		if end := s.stream.End(); end.Code != 0 {
			return n, &ExitError{Code: end.Code, Stderr: end.Stderr}
		}
		return n, io.EOF
	}
	return n, lost(s.ctx, s.command, err)
}

func (s *muxStream) Close() error {
	s.detach()
	return s.stream.Close()
}
