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

// Package inside reaches a pod from the inside: it runs commands in its containers, and asks questions from inside its network, as
// probes and hooks need it.
package inside

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/client"

	"github.com/remotejob-dev/remotejob-operator/internal/probe"
)

const (
	// maxOutput is how much of a command's output is kept.
	maxOutput = 10 << 10
	// The engine is asked this often whether a command has begun, and whether one has ended that has closed its output; less and less often.
	beginPoll, firstEndPoll, longestPoll = 50 * time.Millisecond, 5 * time.Millisecond, 500 * time.Millisecond
)

// Container reaches one container. It is a probe.Prober.
type Container struct {
	engine  *client.Client
	id      string
	network *Network

	mu sync.Mutex
	// late are the commands that did not end in time, by what was run: the engine can't end them.
	late map[string]string
}

var _ probe.Prober = (*Container)(nil)

// NewContainer reaches a container by its ID, and its network through network.
func NewContainer(engine *client.Client, id string, network *Network) *Container {
	return &Container{engine: engine, id: id, network: network, late: map[string]string{}}
}

// Ask asks a question from inside the pod's network.
func (c *Container) Ask(ctx context.Context, r probe.Request) (probe.Answer, error) {
	return c.network.Ask(ctx, r)
}

// Exec runs a command in the container. The engine has no way to end one that does not end in time: it is left alone, and as long as it
// goes on, the same command is not run beside it but counts as late again, so that a hanging probe does not fill its container.
func (c *Container) Exec(ctx context.Context, command []string, timeout time.Duration) (probe.ExecResult, error) {
	key := strings.Join(command, "\x00")
	if running, err := c.stillLate(ctx, key); err != nil || running {
		return probe.ExecResult{TimedOut: running}, err
	}
	made, err := c.engine.ExecCreate(ctx, c.id, client.ExecCreateOptions{Cmd: command, AttachStdout: true, AttachStderr: true})
	if err != nil {
		return probe.ExecResult{}, fmt.Errorf("prepare a command: %w", err)
	}
	attached, err := c.engine.ExecAttach(ctx, made.ID, client.ExecAttachOptions{})
	if err != nil {
		return probe.ExecResult{}, fmt.Errorf("start a command: %w", err)
	}
	out := &output{}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_, _ = stdcopy.StdCopy(out, out, attached.Reader)
	}()
	defer func() {
		attached.Close()
		<-closed
	}()

	state, err := c.await(ctx, made.ID, closed, timeout)
	switch {
	case err != nil:
		return probe.ExecResult{}, fmt.Errorf("run a command: %w", err)
	case state.Running:
		c.mu.Lock()
		c.late[key] = made.ID
		c.mu.Unlock()
		return probe.ExecResult{TimedOut: true, Output: out.String()}, nil
	case state.PID == 0:
		// It never ran: no such command, or not allowed to be. The engine's word for it is all that was written.
		return probe.ExecResult{}, fmt.Errorf("start a command: %s", strings.TrimSpace(out.String()))
	}
	return probe.ExecResult{ExitCode: state.ExitCode, Output: out.String()}, nil
}

// await waits until a command has ended or is over its time, which counts from when it runs: a busy engine takes its time to start one.
func (c *Container) await(ctx context.Context, exec string, closed <-chan struct{}, timeout time.Duration) (client.ExecInspectResult, error) {
	var tick, over <-chan time.Time
	begun, late, poll := timeout <= 0, false, beginPoll
	if !begun {
		tick = time.After(poll)
	}
	for {
		select {
		case <-closed:
			closed, poll = nil, firstEndPoll
		case <-tick:
		case <-over:
			late = true
		case <-ctx.Done():
			return client.ExecInspectResult{}, ctx.Err()
		}
		state, err := c.engine.ExecInspect(ctx, exec, client.ExecInspectOptions{})
		switch {
		case err != nil, late:
			return state, err
		case closed == nil && !state.Running:
			return state, nil
		case !begun && state.PID != 0:
			begun, over = true, time.After(timeout)
		}
		tick = nil
		if closed == nil || !begun {
			poll = min(poll*2, longestPoll)
			tick = time.After(poll)
		}
	}
}

// stillLate tells whether the same command runs still from a time when it was late.
func (c *Container) stillLate(ctx context.Context, key string) (bool, error) {
	c.mu.Lock()
	id := c.late[key]
	c.mu.Unlock()
	if id == "" {
		return false, nil
	}
	state, err := c.engine.ExecInspect(ctx, id, client.ExecInspectOptions{})
	if err != nil && !errdefs.IsNotFound(err) { // an engine forgets what has ended, and all of it when it is restarted
		return false, fmt.Errorf("look for a late command: %w", err)
	}
	if !state.Running {
		c.mu.Lock()
		delete(c.late, key)
		c.mu.Unlock()
	}
	return state.Running, nil
}

// output keeps the begin of what is written to it, from any goroutine.
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
