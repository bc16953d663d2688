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

package controller

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/metrics"
)

// ConnectFunc makes a Backend of a RemoteBackend and the Secrets that it names. It need not reach it yet: Check does.
type ConnectFunc func(ctx context.Context, rb *v1alpha1.RemoteBackend, secrets map[string]*corev1.Secret) (backend.Backend, error)

// ErrNotSupported is wrapped by a ConnectFunc's error when this release can't run backends of that kind.
var ErrNotSupported = errors.New("not supported")

// Reasons of a RemoteBackend's condition Ready.
const (
	reasonConnected       = "Connected"
	reasonConnecting      = "Connecting"
	reasonUnreachable     = "Unreachable"
	reasonConfigError     = "ConfigError"
	reasonNotSupported    = "NotSupported"
	reasonIdentityChanged = "IdentityChanged"
	reasonDeleting        = "Deleting"
)

// +kubebuilder:rbac:groups=remotejob.dev,resources=remotebackends,verbs=list;watch

// connector keeps a connection to each RemoteBackend, on every replica, and the registry up to date with what answers there.
type connector struct {
	client  client.Client
	live    client.Reader
	connect ConnectFunc
	// namespace is where the Secrets are that RemoteBackends name.
	namespace string
	registry  *backend.Registry
	metrics   *metrics.Metrics
	timings   Timings
	// changed is called, without blocking, when what is known of a backend has changed; replaced too when there is reason to look at
	// all its jobs anew; away when it can't be asked, and the reason is another one than before: jobs that wait for it say which.
	changed  func(name string)
	replaced func(name string)
	away     func(name string)

	queue queue

	mu          sync.Mutex
	connections map[string]*connection
}

// connection is what is known of one RemoteBackend's machine.
type connection struct {
	uid     types.UID
	backend backend.Backend
	// made tells what the backend was made from.
	made string
	// state as it was published last.
	state connectionState
	// failures in a row, and when the backend was last asked.
	failures int
	asked    time.Time
}

// connectionState is what the rest of the manager sees of a connection.
type connectionState struct {
	ready           bool
	reason, message string
	info            backend.Info
	resources       corev1.ResourceList
	// generation of the spec that it speaks of.
	generation int64
}

func (s connectionState) same(other connectionState) bool {
	return s.ready == other.ready && s.reason == other.reason && s.message == other.message && s.info == other.info &&
		s.generation == other.generation && sameResources(s.resources, other.resources)
}

func sameResources(a, b corev1.ResourceList) bool {
	if len(a) != len(b) {
		return false
	}
	for name, quantity := range a {
		if other, ok := b[name]; !ok || quantity.Cmp(other) != 0 {
			return false
		}
	}
	return true
}

const (
	// askAtMost is the shortest time between two questions whether a backend is there.
	askAtMost = 500 * time.Millisecond
	// reconnectMost is the longest time between two such questions while it is not.
	reconnectMost = 15 * time.Second
)

// state returns what is known of a backend's machine, and false where nothing is.
func (c *connector) state(name string) (connectionState, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn := c.connections[name]
	if conn == nil {
		return connectionState{}, false
	}
	return conn.state, true
}

// states are what is known of all backends' machines.
func (c *connector) states() map[string]connectionState {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string]connectionState, len(c.connections))
	for name, conn := range c.connections {
		out[name] = conn.state
	}
	return out
}

// poke asks for a look at a backend that failed a call.
func (c *connector) poke(name string) { c.queue.add(types.NamespacedName{Name: name}) }

// Reconcile asks one backend whether it is there.
func (c *connector) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	rb := &v1alpha1.RemoteBackend{}
	if err := c.client.Get(ctx, client.ObjectKey{Name: req.Name}, rb); err != nil {
		if apierrors.IsNotFound(err) {
			c.disconnect(ctx, req.Name)
			return reconcile.Result{}, nil
		}
		return reconcile.Result{}, err
	}
	conn := c.connection(rb)
	if conn.state.generation == rb.Generation && conn.state.ready {
		if wait := askAtMost - time.Since(conn.asked); wait > 0 && judgeIdentity(rb, conn.state.info.Identity) == identityKnown {
			return reconcile.Result{RequeueAfter: wait}, nil
		}
	}
	next := c.ask(ctx, rb, conn)
	c.publish(ctx, rb, conn, next)
	if next.ready {
		conn.failures = 0
		return reconcile.Result{RequeueAfter: c.timings.CheckEvery}, nil
	}
	conn.failures++
	return reconcile.Result{RequeueAfter: min(time.Second<<min(conn.failures-1, 10), reconnectMost)}, nil
}

// connection returns the connection of a RemoteBackend, a new one where it was deleted and made again.
func (c *connector) connection(rb *v1alpha1.RemoteBackend) *connection {
	c.mu.Lock()
	defer c.mu.Unlock()
	conn := c.connections[rb.Name]
	if conn == nil || conn.uid != rb.UID {
		if conn != nil && conn.backend != nil {
			defer func(old backend.Backend) { _ = old.Close() }(conn.backend)
			c.registry.Remove(rb.Name)
		}
		conn = &connection{uid: rb.UID, state: connectionState{reason: reasonConnecting, message: "it has not been reached yet"}}
		c.connections[rb.Name] = conn
		c.metrics.AddBackend(rb.Name)
	}
	return conn
}

// ask connects, if need be, and asks what answers.
func (c *connector) ask(ctx context.Context, rb *v1alpha1.RemoteBackend, conn *connection) connectionState {
	next := connectionState{generation: rb.Generation, info: conn.state.info, resources: conn.state.resources}
	fail := func(reason string, err error) connectionState {
		next.ready, next.reason, next.message = false, reason, cut(err.Error(), maxMessage)
		return next
	}
	if conn.backend == nil || conn.state.generation != rb.Generation || conn.failures > 0 {
		if reason, err := c.renew(ctx, rb, conn); err != nil {
			return fail(reason, err)
		}
	}
	conn.asked = time.Now()
	bounded, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	info, err := timed(c.metrics, rb.Name, metrics.CallCheck, func() (backend.Info, error) { return conn.backend.Check(bounded) })
	if err != nil {
		return fail(reasonUnreachable, err)
	}
	next.info = info
	if next.resources, err = conn.backend.Capacity(bounded); err != nil {
		return fail(reasonUnreachable, err)
	}
	switch judgeIdentity(rb, info.Identity) {
	case identityChanged:
		return fail(reasonIdentityChanged, errors.New(identityChangedWords(rb, info.Identity)))
	case identityNew:
		return fail(reasonConnecting, errors.New("its identity is being put on record"))
	}
	next.ready, next.reason, next.message = true, reasonConnected, info.Version
	return next
}

// renew makes the connection anew when what it is made from has changed: the spec's part about it, or the Secrets that it names.
func (c *connector) renew(ctx context.Context, rb *v1alpha1.RemoteBackend, conn *connection) (reason string, err error) {
	secrets, err := c.secrets(ctx, rb)
	if err != nil {
		return reasonConfigError, err
	}
	ingredients, err := ingredientsOf(rb, secrets)
	if err != nil {
		return reasonConfigError, err
	}
	if conn.backend != nil && conn.made == ingredients {
		return "", nil
	}
	made, err := c.connect(ctx, rb, secrets)
	if errors.Is(err, ErrNotSupported) {
		return reasonNotSupported, err
	}
	if err != nil {
		return reasonConfigError, err
	}
	c.mu.Lock()
	old := conn.backend
	conn.backend, conn.made = made, ingredients
	c.mu.Unlock()
	if old != nil {
		log.FromContext(ctx).Info("the backend is connected anew, since its settings have changed")
		_ = old.Close()
	}
	return "", nil
}

// secrets reads the Secrets that a RemoteBackend names, live and by name.
func (c *connector) secrets(ctx context.Context, rb *v1alpha1.RemoteBackend) (map[string]*corev1.Secret, error) {
	secrets := map[string]*corev1.Secret{}
	for _, name := range secretNames(&rb.Spec) {
		secret := &corev1.Secret{}
		if err := c.live.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: name}, secret); err != nil {
			return nil, fmt.Errorf("read Secret %s/%s: %w", c.namespace, name, err)
		}
		secrets[name] = secret
	}
	return secrets, nil
}

// publish tells the rest of the manager what is known now.
func (c *connector) publish(ctx context.Context, rb *v1alpha1.RemoteBackend, conn *connection, next connectionState) {
	c.mu.Lock()
	last := conn.state
	conn.state = next
	c.mu.Unlock()
	if last.ready != next.ready || last.reason != next.reason {
		log.FromContext(ctx).Info("backend", "ready", next.ready, "reason", next.reason, "message", next.message)
	}
	before, known := c.registry.Get(rb.Name)
	if conn.backend != nil {
		live := backend.Live{Backend: conn.backend, Name: rb.Name, UID: rb.UID, Spec: rb.Spec, Info: next.info, Resources: next.resources, Ready: next.ready}
		if !next.ready {
			live.NotReady = next.message
		}
		c.registry.Set(live)
	}
	if next.ready && (!last.ready || !known || before.Backend != conn.backend || last.generation != next.generation) {
		c.replaced(rb.Name)
	}
	if !next.ready && last.reason != next.reason {
		c.away(rb.Name)
	}
	if !last.same(next) {
		c.changed(rb.Name)
	}
}

func (c *connector) disconnect(ctx context.Context, name string) {
	c.mu.Lock()
	conn := c.connections[name]
	delete(c.connections, name)
	c.mu.Unlock()
	c.registry.Remove(name)
	c.metrics.RemoveBackend(name)
	if conn != nil && conn.backend != nil {
		log.FromContext(ctx).Info("the RemoteBackend is gone; its connection is closed")
		_ = conn.backend.Close()
	}
	c.changed(name)
}

// close ends all connections, when the manager ends.
func (c *connector) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for name, conn := range c.connections {
		c.registry.Remove(name)
		if conn.backend != nil {
			_ = conn.backend.Close()
		}
	}
	c.connections = map[string]*connection{}
}
