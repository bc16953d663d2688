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
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/sshconn"
)

// How the sessions of one connection are shared out. sshd allows ten where nobody says otherwise, and a site's people may look over our
// shoulders with two.
const (
	// runSessions are for commands that run to their end.
	runSessions = 5
	// streamSessions are for commands that are streamed without a Mux; with one they all share one session.
	streamSessions = 2
	// muxSession is that one.
	muxSession = 1
	// MaxSessions is all of them.
	MaxSessions = runSessions + streamSessions + muxSession
)

// SSH runs commands on a machine that is reached by SSH.
type SSH struct {
	conn *sshconn.Conn

	runs, streams semaphore

	mu  sync.Mutex
	mux *muxer
}

var _ Runner = (*SSH)(nil)

// NewSSH returns a Runner for a login node. It does not connect yet.
func NewSSH(o sshconn.Options) (*SSH, error) {
	conn, err := sshconn.New(o)
	if err != nil {
		return nil, err
	}
	return &SSH{conn: conn, runs: make(semaphore, runSessions), streams: make(semaphore, streamSessions)}, nil
}

// Close ends the connection and what runs on it.
func (s *SSH) Close() error {
	err := s.conn.Close()
	s.UseMux(nil)
	return err
}

// Run runs a command to its end.
func (s *SSH) Run(ctx context.Context, command Command) (Result, error) {
	ctx, cancel := command.bound(ctx)
	defer cancel()
	deadline, _ := ctx.Deadline()
	line, err := runLine(command.Argv, time.Until(deadline))
	if err != nil {
		return Result{}, err
	}
	leave, err := s.runs.enter(ctx)
	if err != nil {
		return Result{}, lost(ctx, command, err)
	}
	session, err := s.session(ctx)
	if err != nil {
		leave()
		return Result{}, err
	}
	out := newOutputs()
	session.Stdout, session.Stderr = &out.stdout, &out.stderr
	stop := make(chan struct{})
	err = start(session, line, command.Stdin, stop)
	if err != nil {
		close(stop)
		_ = session.Close()
		leave()
		return Result{}, backend.Unavailable("%s: %w", command.name(), err)
	}
	ended := make(chan error, 1)
	go func() {
		// Whoever gave up leaves the session to this: it counts until the far side has let go of it.
		defer leave()
		err := session.Wait()
		_ = session.Close()
		close(stop)
		ended <- err
	}()
	select {
	case err := <-ended:
		code, known := sessionEnd(err)
		if !known {
			return Result{}, lost(ctx, command, err)
		}
		return out.result(command, code)
	case <-ctx.Done():
		go func() {
			cutOff(func(kill bool) {
				s := ssh.SIGTERM
				if kill {
					s = ssh.SIGKILL
				}
				_ = session.Signal(s)
			}, stop)
			_ = session.Close()
		}()
		return Result{}, lost(ctx, command, ctx.Err())
	}
}

// start begins a command. Its input is sent beside it, since a command may end without having read it.
func start(session *ssh.Session, line string, stdin io.Reader, stop <-chan struct{}) error {
	if stdin == nil {
		return session.Start(line)
	}
	in, err := session.StdinPipe()
	if err != nil {
		return err
	}
	if err := session.Start(line); err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(in, readerUntil{stdin, stop})
		_ = in.Close()
	}()
	return nil
}

// readerUntil reads until stop is closed.
type readerUntil struct {
	io.Reader
	stop <-chan struct{}
}

func (r readerUntil) Read(p []byte) (int, error) {
	select {
	case <-r.stop:
		return 0, io.EOF
	default:
		return r.Reader.Read(p)
	}
}

// How often a session that was refused is asked for again, and for how long. sshd counts a session that has ended until it gets to clean up,
// so for a moment there are more than there really are.
const (
	askAgainEvery = 25 * time.Millisecond
	askAgainFor   = 5 * time.Second
)

// session opens one on the connection. When ctx ends first the error is ctx's too, whatever is said to have ended it.
func (s *SSH) session(ctx context.Context) (*ssh.Session, error) {
	session, err := s.askForSession(ctx)
	if err != nil && ctx.Err() != nil && !errors.Is(err, ctx.Err()) {
		err = backend.Unavailable("%w (%w)", err, ctx.Err())
	}
	return session, err
}

func (s *SSH) askForSession(ctx context.Context) (*ssh.Session, error) {
	client, err := s.conn.Client(ctx)
	if err != nil {
		return nil, err
	}
	tick := time.NewTicker(askAgainEvery)
	defer tick.Stop()
	for begun := time.Now(); ; {
		session, err := openSession(ctx, client)
		if err == nil {
			return session, nil
		}
		var refused *ssh.OpenChannelError
		if !errors.As(err, &refused) || time.Since(begun) > askAgainFor {
			return nil, backend.Unavailable("open a session on %s: %w", s.conn.Address(), err)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, backend.Unavailable("open a session on %s: %w (%w)", s.conn.Address(), err, context.Cause(ctx))
		}
	}
}

// openSession asks for a session once. The library waits for the far side's answer for as long as the connection lasts.
func openSession(ctx context.Context, client *ssh.Client) (*ssh.Session, error) {
	type opened struct {
		session *ssh.Session
		err     error
	}
	answer := make(chan opened, 1)
	go func() {
		session, err := client.NewSession()
		answer <- opened{session, err}
	}()
	select {
	case a := <-answer:
		return a.session, a.err
	case <-ctx.Done():
		go func() {
			if a := <-answer; a.err == nil {
				_ = a.session.Close()
			}
		}()
		return nil, context.Cause(ctx)
	}
}

// sessionEnd is the exit code of a session's command, and false where the session ended without one.
func sessionEnd(err error) (code int, known bool) {
	if err == nil {
		return 0, true
	}
	var exit *ssh.ExitError
	if !errors.As(err, &exit) {
		return 0, false
	}
	if name := exit.Signal(); name != "" {
		return 128 + signals[ssh.Signal(name)], true
	}
	return exit.ExitStatus(), true
}

// signals are the numbers of those that SSH has names for.
var signals = map[ssh.Signal]int{
	ssh.SIGABRT: 6, ssh.SIGALRM: 14, ssh.SIGFPE: 8, ssh.SIGHUP: 1, ssh.SIGILL: 4, ssh.SIGINT: 2, ssh.SIGKILL: 9, ssh.SIGPIPE: 13, ssh.SIGQUIT: 3,
	ssh.SIGSEGV: 11, ssh.SIGTERM: 15, ssh.SIGUSR1: 10, ssh.SIGUSR2: 12,
}

// semaphore bounds how many do something.
type semaphore chan struct{}

func (s semaphore) enter(ctx context.Context) (leave func(), err error) {
	select {
	case s <- struct{}{}:
		return sync.OnceFunc(func() { <-s }), nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for a session: %w", context.Cause(ctx))
	}
}
