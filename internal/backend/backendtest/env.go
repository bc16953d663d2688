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

package backendtest

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// env is what one case works with: a connection to the backend that may be cut and made anew under it.
type env struct {
	*testing.T
	suite Suite
	kills *rand.Rand
	// lacks are the features that the case needs and the backend has not.
	lacks []workload.Feature

	// restarting is held while the manager is restarted.
	restarting sync.Mutex

	// ports is held by the case whose pods use those of the suite's server.
	ports    *sync.Mutex
	hasPorts bool

	mu      sync.Mutex
	killed  int
	current *connection
	pods    []*pod
}

// connection is one life of a manager: a backend, and what runs on its behalf.
type connection struct {
	backend backend.Backend
	ctx     context.Context
	cancel  context.CancelFunc
	watched sync.WaitGroup
}

// takePorts keeps the ports of the suite's server for this case until it has ended, where pods share them.
func (e *env) takePorts() {
	if !e.suite.NodeNetwork || e.hasPorts {
		return
	}
	e.ports.Lock()
	e.hasPorts = true
}

func (e *env) givePorts() {
	if e.hasPorts {
		e.ports.Unlock()
	}
}

// refusal unwinds a case whose pod was refused as it had to be.
type refusal struct{}

// refused runs a case, and tells whether its pod was refused for a feature that the backend lacks.
func (e *env) refused(run func(*env)) (refused bool) {
	defer func() {
		switch r := recover(); r.(type) {
		case nil:
		case refusal:
			refused = true
		default:
			panic(r)
		}
	}()
	run(e)
	return false
}

// connect begins a manager's life.
func (e *env) connect() {
	ctx, cancel := context.WithCancel(context.Background())
	c := &connection{backend: e.suite.Connect(e.T), ctx: ctx, cancel: cancel}
	if _, err := c.backend.Check(ctx); err != nil {
		cancel()
		e.Fatalf("the backend does not answer: %v", err)
	}
	if w, ok := c.backend.(backend.Watcher); ok {
		c.watched.Go(func() {
			// A stream that breaks costs only time here: drivers look again by themselves.
			_ = w.Watch(ctx, e.changed)
		})
	}
	e.mu.Lock()
	e.current = c
	e.mu.Unlock()
}

// disconnect ends a manager's life, and with it all that it held in memory.
func (e *env) disconnect() {
	e.mu.Lock()
	c := e.current
	e.current = nil
	e.mu.Unlock()
	if c == nil {
		return
	}
	c.cancel()
	if err := c.backend.Close(); err != nil {
		e.Errorf("close the backend: %v", err)
	}
	c.watched.Wait()
}

// restart plays a manager that is killed and started again.
func (e *env) restart() {
	e.restarting.Lock()
	defer e.restarting.Unlock()
	e.disconnect()
	e.connect()
	e.changed("")
}

// maxKills is how often a case loses its manager at most: each costs a second or so.
const maxKills = 25

// mayKill restarts the manager at random, where the suite does that. The loops of several pods share one manager, which c is.
func (e *env) mayKill(c *connection) (killed bool) {
	if e.kills == nil {
		return false
	}
	e.mu.Lock()
	kill := e.kills.IntN(6) == 0 && e.killed < maxKills
	if kill {
		e.killed++
	}
	e.mu.Unlock()
	if !kill {
		return false
	}
	e.restarting.Lock()
	defer e.restarting.Unlock()
	e.mu.Lock()
	gone := e.current != c
	e.mu.Unlock()
	if !gone {
		e.disconnect()
		e.connect()
		e.changed("")
	}
	return true
}

// connected returns the connection that there is now, and waits for the next one where the manager is just being restarted.
func (e *env) connected() *connection {
	for {
		e.mu.Lock()
		c := e.current
		e.mu.Unlock()
		if c != nil {
			return c
		}
		pause(time.Millisecond)
	}
}

// backend returns the backend that there is now.
func (e *env) backend() backend.Backend { return e.connected().backend }

// changed wakes the pod with the token, or all pods for an empty one.
func (e *env) changed(token string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range e.pods {
		if token == "" || p.token() == token {
			p.poke()
		}
	}
}

// close ends what the case left: every pod is removed, and that must work.
func (e *env) close() {
	defer e.givePorts()
	e.mu.Lock()
	pods := e.pods
	e.mu.Unlock()
	for _, p := range pods {
		p.halt()
		p.mustBeRemoved()
	}
	e.disconnect()
}

// eventually waits until the condition holds.
func (e *env) eventually(what string, condition func() (bool, string)) {
	e.Helper()
	deadline := time.Now().Add(*patience)
	for {
		ok, seen := condition()
		if ok {
			return
		}
		if time.Now().After(deadline) {
			e.Fatalf("waited %s for %s; last seen: %s", *patience, what, seen)
		}
		pause(50 * time.Millisecond)
	}
}

// pause is how long a look at something lasts that can't tell of changes by itself.
func pause(d time.Duration) { <-time.After(d) }
