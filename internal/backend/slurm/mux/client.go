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
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// ErrLost says that the streams to the far side have ended, and with them all commands.
var ErrLost = errors.New("the connection to the commands was lost")

// Client starts commands on the far side. Its methods may be called from many goroutines.
type Client struct {
	out *frameWriter

	mu   sync.Mutex
	next uint32
	open map[uint32]*Stream
	err  error
	done chan struct{}
}

// NewClient speaks with the Serve that reads what is written to out and writes what is read from in. The caller ends both by closing them.
func NewClient(in io.Reader, out io.Writer) *Client {
	c := &Client{out: &frameWriter{w: out}, open: map[uint32]*Stream{}, done: make(chan struct{})}
	go c.receive(in)
	return c
}

// Done is closed when the far side is lost.
func (c *Client) Done() <-chan struct{} { return c.done }

// Start starts a command and returns its output.
func (c *Client) Start(argv []string) (*Stream, error) {
	content, err := json.Marshal(argv)
	if err != nil {
		return nil, err
	}
	if len(content) > maxFrame {
		return nil, fmt.Errorf("the arguments of %s are too long", argv[0])
	}
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return nil, c.err
	}
	c.next++
	s := &Stream{client: c, id: c.next}
	s.changed = sync.NewCond(&s.mu)
	c.open[s.id] = s
	c.mu.Unlock()
	if err := c.out.write(kindOpen, s.id, content); err != nil {
		c.fail(err)
		return nil, fmt.Errorf("%w: %w", ErrLost, err)
	}
	return s, nil
}

// receive hands out what the far side says, until it says no more.
func (c *Client) receive(in io.Reader) {
	for {
		f, err := readFrame(in)
		if err == nil {
			err = c.take(f)
		}
		if err != nil {
			c.fail(err)
			return
		}
	}
}

func (c *Client) take(f frame) error {
	c.mu.Lock()
	s := c.open[f.command]
	c.mu.Unlock()
	switch f.kind {
	case kindData:
		if s != nil {
			return s.receive(f.content)
		}
	case kindEnd:
		var end End
		if err := json.Unmarshal(f.content, &end); err != nil {
			return fmt.Errorf("command %d ended in a way that can't be read: %w", f.command, err)
		}
		c.forget(f.command)
		if s != nil {
			s.finish(&end, nil)
		}
	default:
		return fmt.Errorf("a frame of kind %q is not known", f.kind)
	}
	return nil
}

func (c *Client) forget(id uint32) {
	c.mu.Lock()
	delete(c.open, id)
	c.mu.Unlock()
}

// fail ends all commands.
func (c *Client) fail(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return
	}
	c.err = ErrLost
	if !errors.Is(cause, io.EOF) {
		c.err = fmt.Errorf("%w: %w", ErrLost, cause)
	}
	close(c.done)
	for id, s := range c.open {
		delete(c.open, id)
		s.finish(nil, c.err)
	}
}

// Stream is a command's output.
type Stream struct {
	client *Client
	id     uint32

	mu      sync.Mutex
	changed *sync.Cond
	buffer  bytes.Buffer
	// end is how the command ended, err why that is not known.
	end    *End
	err    error
	closed bool
}

// ErrClosed is what a Stream's readers get once it was closed.
var ErrClosed = errors.New("the command's output was closed")

// Read returns output as it comes; io.EOF when the command has ended, whose End then tells how, and ErrLost where it is not known.
func (s *Stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	s.mu.Lock()
	for s.buffer.Len() == 0 && s.end == nil && s.err == nil && !s.closed {
		s.changed.Wait()
	}
	switch {
	case s.closed:
		s.mu.Unlock()
		return 0, ErrClosed
	case s.buffer.Len() > 0:
	case s.err != nil:
		s.mu.Unlock()
		return 0, s.err
	default:
		s.mu.Unlock()
		return 0, io.EOF
	}
	n, _ := s.buffer.Read(p)
	running := s.end == nil && s.err == nil
	s.mu.Unlock()
	if running {
		if err := s.client.out.room(s.id, n); err != nil {
			s.client.fail(err)
		}
	}
	return n, nil
}

// End is how the command ended, nil while that is not known.
func (s *Stream) End() *End {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end
}

// Close ends the command, if it still runs.
func (s *Stream) Close() error {
	s.mu.Lock()
	running := s.end == nil && s.err == nil && !s.closed
	s.closed = true
	s.changed.Broadcast()
	s.mu.Unlock()
	if running {
		s.client.forget(s.id)
		if err := s.client.out.write(kindClose, s.id, nil); err != nil {
			s.client.fail(err)
		}
	}
	return nil
}

func (s *Stream) receive(data []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.buffer.Len()+len(data) > window {
		return fmt.Errorf("command %d sent more than there was room for", s.id)
	}
	s.buffer.Write(data)
	s.changed.Broadcast()
	return nil
}

func (s *Stream) finish(end *End, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end, s.err = end, err
	s.changed.Broadcast()
}
