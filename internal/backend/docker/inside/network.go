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

package inside

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"github.com/remotejob-dev/remotejob-operator/internal/probe"
)

// Network asks questions from inside a pod's network, through a command that runs in the pod's infra container for as long as there is
// something to ask: to start one for each question costs the engine a hundred times as much.
type Network struct {
	engine  *client.Client
	id      string
	command []string

	// turn is taken by whoever looks at, or opens, the session.
	turn    chan struct{}
	session *probe.Session
	closed  bool
}

// NewNetwork asks through the container with this ID, by a command whose stdin and stdout are those of probe.Main.
func NewNetwork(engine *client.Client, id string, command []string) *Network {
	return &Network{engine: engine, id: id, command: command, turn: make(chan struct{}, 1)}
}

// Ask asks one question. The first one, and one after the connection broke, takes longer, as it makes a new one.
func (n *Network) Ask(ctx context.Context, r probe.Request) (probe.Answer, error) {
	for again := true; ; again = false {
		session, err := n.connected(ctx)
		if err != nil {
			return probe.Answer{}, err
		}
		answer, err := session.Ask(ctx, r)
		if again && errors.Is(err, probe.ErrSessionEnded) {
			continue // what was open may have ended long ago
		}
		return answer, err
	}
}

// Close ends the connection and all questions under way. There is no other afterwards.
func (n *Network) Close() {
	n.turn <- struct{}{}
	defer func() { <-n.turn }()
	n.closed = true
	if n.session != nil {
		n.session.Close()
	}
}

func (n *Network) connected(ctx context.Context) (*probe.Session, error) {
	select {
	case n.turn <- struct{}{}:
		defer func() { <-n.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if n.closed {
		return nil, fmt.Errorf("%w: closed", probe.ErrSessionEnded)
	}
	if n.session != nil {
		select {
		case <-n.session.Done():
		default:
			return n.session, nil
		}
	}
	made, err := n.engine.ExecCreate(ctx, n.id, client.ExecCreateOptions{Cmd: n.command, AttachStdin: true, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return nil, fmt.Errorf("reach the pod's network: %w", err)
	}
	attached, err := n.engine.ExecAttach(ctx, made.ID, client.ExecAttachOptions{})
	if err != nil {
		return nil, fmt.Errorf("reach the pod's network: %w", err)
	}
	n.session = probe.NewSession(newStream(attached.HijackedResponse))
	return n.session, nil
}

// stream is the stdin and stdout of a command as one connection.
type stream struct {
	attached client.HijackedResponse
	stdout   *io.PipeReader
	once     sync.Once
}

func newStream(attached client.HijackedResponse) *stream {
	read, write := io.Pipe()
	s := &stream{attached: attached, stdout: read}
	go func() {
		trouble := &output{}
		_, err := stdcopy.StdCopy(write, trouble, attached.Reader)
		if words := strings.TrimSpace(trouble.String()); err == nil && words != "" {
			err = errors.New(words)
		}
		_ = write.CloseWithError(err)
	}()
	return s
}

func (s *stream) Read(p []byte) (int, error)  { return s.stdout.Read(p) }
func (s *stream) Write(p []byte) (int, error) { return s.attached.Conn.Write(p) }

func (s *stream) Close() error {
	s.once.Do(s.attached.Close)
	return s.stdout.Close()
}
