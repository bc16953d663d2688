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

package probe

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Session is the asking end of Main: many probes over one connection. Its methods may be called from many goroutines.
type Session struct {
	done chan struct{} // closed when the connection has ended

	write sync.Mutex // serialises lines
	conn  io.ReadWriteCloser

	mu      sync.Mutex
	nextID  uint64
	waiting map[uint64]chan Answer
	err     error
}

// ErrSessionEnded is what calls of a session whose connection has ended get: a new one may do better.
var ErrSessionEnded = errors.New("the connection to the pod's network has ended")

// NewSession speaks over a connection whose far end is Main, and closes it when Close is called or it breaks.
func NewSession(conn io.ReadWriteCloser) *Session {
	s := &Session{conn: conn, done: make(chan struct{}), waiting: map[uint64]chan Answer{}}
	go s.read()
	return s
}

// Ask asks one question and waits for its answer. An error means that there is none, which says nothing about the container.
func (s *Session) Ask(ctx context.Context, r Request) (Answer, error) {
	if err := r.check(); err != nil {
		return Answer{}, err
	}
	answer := make(chan Answer, 1)
	s.mu.Lock()
	s.nextID++
	r.ID, r.Cancel = s.nextID, false
	s.waiting[r.ID] = answer
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.waiting, r.ID)
		s.mu.Unlock()
	}()

	if err := s.send(r); err != nil {
		return Answer{}, err
	}
	select {
	case a := <-answer:
		return a, nil
	case <-s.done:
		select { // the answer may have been the last thing that came
		case a := <-answer:
			return a, nil
		default:
			return Answer{}, s.ended()
		}
	case <-ctx.Done():
		// Off the caller's path: a connection that is stuck must not hold it.
		go func() { _ = s.send(Request{ID: r.ID, Cancel: true}) }()
		return Answer{}, ctx.Err()
	}
}

func (s *Session) send(r Request) error {
	line, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if len(line) >= maxRequest {
		return fmt.Errorf("the request has %d bytes, more than %d", len(line), maxRequest-1)
	}
	s.write.Lock()
	defer s.write.Unlock()
	if _, err := s.conn.Write(append(line, '\n')); err != nil {
		s.end(err)
		return s.ended()
	}
	return nil
}

func (s *Session) read() {
	lines := bufio.NewScanner(s.conn)
	lines.Buffer(nil, maxRequest)
	for lines.Scan() {
		var a Answer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			s.end(fmt.Errorf("got for an answer: %s", cut(lines.Text())))
			return
		}
		s.mu.Lock()
		answer := s.waiting[a.ID]
		delete(s.waiting, a.ID)
		s.mu.Unlock()
		if answer != nil {
			answer <- a
		}
	}
	err := lines.Err()
	if err == nil {
		err = io.EOF
	}
	s.end(err)
}

func (s *Session) end(err error) {
	s.mu.Lock()
	if s.err == nil {
		s.err = fmt.Errorf("%w: %w", ErrSessionEnded, err)
		close(s.done)
	}
	s.mu.Unlock()
	_ = s.conn.Close()
}

func (s *Session) ended() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// Done is closed when the connection has ended.
func (s *Session) Done() <-chan struct{} { return s.done }

// Close ends the connection, and every call under way with ErrSessionEnded.
func (s *Session) Close() { s.end(errors.New("closed")) }
