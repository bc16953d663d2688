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
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// Hooks run hooks in the background, each once. The zero value is not usable.
type Hooks struct {
	changed func(token string)
	ctx     context.Context
	cancel  context.CancelFunc
	wait    sync.WaitGroup

	mu    sync.Mutex
	hooks map[hookKey]*hook
}

// HookKind is one of the two hooks of a container.
type HookKind string

// The kinds of hook.
const (
	PostStart HookKind = "postStart"
	PreStop   HookKind = "preStop"
)

// Of returns the container's hook of this kind, nil where it has none.
func (k HookKind) Of(c *corev1.Container) *corev1.LifecycleHandler {
	switch {
	case c.Lifecycle == nil:
		return nil
	case k == PostStart:
		return c.Lifecycle.PostStart
	case k == PreStop:
		return c.Lifecycle.PreStop
	}
	return nil
}

type hookKey struct {
	Key
	kind HookKind
}

type hook struct {
	cancel context.CancelFunc
	done   chan struct{}
	state  podlifecycle.HookState
	words  string
}

// NewHooks returns Hooks that run nothing yet. changed is called when a hook of a pod has ended; it must not block.
func NewHooks(changed func(token string)) *Hooks {
	if changed == nil {
		changed = func(string) {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	return &Hooks{changed: changed, ctx: ctx, cancel: cancel, hooks: map[hookKey]*hook{}}
}

// Begin runs an instance's hook, unless it has begun already, and returns a channel that is closed when it has ended. ctx carries values
// and a deadline, at which the hook is given up: the grace period for a preStop hook; a postStart hook has none, it holds its container
// up for as long as it takes.
func (h *Hooks) Begin(ctx context.Context, key Key, kind HookKind, run Instance) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := hookKey{key, kind}
	if k := h.hooks[at]; k != nil {
		return k.done
	}
	k := &hook{done: make(chan struct{}), state: podlifecycle.HookRunning}
	// Not cancelled with the caller: a hook outlives the call that began it.
	deadline, bounded := ctx.Deadline()
	ctx, k.cancel = context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(h.ctx, k.cancel)
	h.hooks[at] = k
	if h.ctx.Err() != nil {
		stop()
		k.cancel()
		close(k.done)
		return k.done
	}
	h.wait.Go(func() {
		defer k.cancel()
		defer stop()
		within, cancel := ctx, context.CancelFunc(func() {})
		if bounded {
			within, cancel = context.WithDeadline(ctx, deadline)
		}
		defer cancel()
		var err error
		if handler := kind.Of(run.Container); handler != nil {
			err = RunHook(within, run.Prober, handler, run.Container, run.PodIP)
		}
		h.mu.Lock()
		k.state = podlifecycle.HookDone
		if err != nil {
			k.state, k.words = podlifecycle.HookFailed, cut(err.Error())
		}
		forgotten := h.hooks[at] != k
		close(k.done)
		h.mu.Unlock()
		if !forgotten {
			h.changed(key.Token)
		}
	})
	return k.done
}

// State tells how far an instance's hook is, and why it failed.
func (h *Hooks) State(key Key, kind HookKind) (podlifecycle.HookState, string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if k := h.hooks[hookKey{key, kind}]; k != nil {
		return k.state, k.words
	}
	return podlifecycle.HookNone, ""
}

// Stop ends the hooks of an instance that are under way, and forgets all of them. It does not wait.
func (h *Hooks) Stop(key Key) { h.stop(func(k Key) bool { return k == key }) }

// StopPod ends the hooks of all of a pod's instances and forgets them. It does not wait.
func (h *Hooks) StopPod(token string) { h.stop(func(k Key) bool { return k.Token == token }) }

func (h *Hooks) stop(match func(Key) bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for at, k := range h.hooks {
		if match(at.Key) {
			k.cancel()
			delete(h.hooks, at)
		}
	}
}

// Close ends all hooks and waits until none is under way.
func (h *Hooks) Close() {
	h.mu.Lock()
	h.cancel()
	clear(h.hooks)
	h.mu.Unlock()
	h.wait.Wait()
}
