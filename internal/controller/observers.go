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
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/metrics"
)

// observers watch the backends that are ready, one observer each, and tell which RemoteJobs to look at. They run on the leader only.
type observers struct {
	client   client.Client
	live     client.Reader
	ledger   Ledger
	registry *backend.Registry
	roster   *roster
	fence    Fence
	metrics  *metrics.Metrics
	clock    clock.WithTicker
	timings  Timings
	// wake asks for a visit to a RemoteJob, wakeLow for one that has time, poke for a check of a backend, and listed says that a backend's
	// leftovers have changed. None blocks.
	wake, wakeLow func(types.NamespacedName)
	poke          func(backend string)
	listed        func(backend string)

	mu      sync.Mutex
	ctx     context.Context // from Start on
	running map[string]*observer
	all     sync.WaitGroup
}

// Start follows the backends until the context ends.
func (o *observers) Start(ctx context.Context) error {
	o.mu.Lock()
	o.ctx = ctx
	o.mu.Unlock()
	for _, name := range o.registry.Names() {
		o.sync(name)
	}
	<-ctx.Done()
	o.all.Wait()
	return nil
}

// NeedLeaderElection says that only the leader observes.
func (o *observers) NeedLeaderElection() bool { return true }

// sync starts, stops or replaces the observer of a backend, as the registry says.
func (o *observers) sync(name string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ctx == nil || o.ctx.Err() != nil {
		return
	}
	live, ok := o.registry.Get(name)
	wanted := ok && live.Ready
	if old := o.running[name]; old != nil {
		if wanted && old.backend == live.Backend && old.uid == live.UID && old.identity == live.Info.Identity {
			return
		}
		old.stop()
		delete(o.running, name)
	}
	if !wanted {
		return
	}
	ctx, stop := context.WithCancel(log.IntoContext(o.ctx, log.FromContext(o.ctx).WithValues("backend", name)))
	observer := newObserver(o, name, live, stop)
	o.running[name] = observer
	o.all.Go(func() { observer.run(ctx) })
}

func (o *observers) of(name string) *observer {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.running[name]
}

// look asks for an observation of a backend soon.
func (o *observers) look(name string) {
	if observer := o.of(name); observer != nil {
		select {
		case observer.kick <- struct{}{}:
		default:
		}
	}
}

// missing tells since when a job that should be on a backend is not seen there.
func (o *observers) missing(name, token string) (absence, bool) {
	if observer := o.of(name); observer != nil {
		return observer.missing(token)
	}
	return absence{}, false
}

// seen returns what the last observation of a backend showed of a job, and whether it was there. It is not known before the first one.
func (o *observers) seen(name, token string) (job backend.ObservedJob, there, known bool) {
	if observer := o.of(name); observer != nil {
		return observer.seen(token)
	}
	return backend.ObservedJob{}, false, false
}

// leftovers returns the jobs without an owner that the last observation of a backend showed, and false before the first one has been sorted out.
func (o *observers) leftovers(name string) ([]leftover, bool) {
	if observer := o.of(name); observer != nil {
		return observer.leftovers()
	}
	return nil, false
}
