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

// Package controller reconciles RemoteJobs and RemoteBackends: it hands jobs to their backends, writes down what happens there, and
// clears up behind them. What decides is pure; what acts can be done again after any crash.
package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/metrics"
)

// Options are what the controllers are made of.
type Options struct {
	// Ledger puts workloads together and removes payloads.
	Ledger Ledger
	// Backends is the registry that the controllers keep up to date.
	Backends *backend.Registry
	// Connect makes backends.
	Connect ConnectFunc
	// SecretNamespace is where the Secrets are that RemoteBackends name: the manager's own namespace.
	SecretNamespace string
	// Metrics count and time what is done; nil for none.
	Metrics *metrics.Metrics
	// WatchPods has jobs end whose pods were in the ledger's own cluster and are gone.
	WatchPods bool
	// Fence lets calls that change a backend through; nil means OpenFence.
	Fence Fence
	// Clock is the time; nil means the real one.
	Clock clock.WithTicker
	// Timings are the intervals and bounds; zero values mean their defaults.
	Timings Timings
	// Jobs is how many RemoteJobs are looked at side by side; 0 means 16.
	Jobs int
	// WorkloadBytes bounds the resolved workloads that are kept in memory; 0 means 64 MiB.
	WorkloadBytes int
}

func (opts Options) withDefaults() Options {
	if opts.Fence == nil {
		opts.Fence = OpenFence{}
	}
	if opts.Clock == nil {
		opts.Clock = clock.RealClock{}
	}
	if opts.Jobs == 0 {
		opts.Jobs = 16
	}
	if opts.WorkloadBytes == 0 {
		opts.WorkloadBytes = 64 << 20
	}
	return opts
}

// Controllers are the controllers of one manager.
type Controllers struct {
	connector *connector
}

// Close ends all connections to backends. It is called when the manager has ended.
func (c *Controllers) Close() { c.connector.close() }

// Setup adds the controllers to a manager.
func Setup(mgr manager.Manager, opts Options) (*Controllers, error) {
	if opts.Ledger == nil || opts.Backends == nil || opts.Connect == nil {
		return nil, errors.New("the controllers need a ledger, a registry of backends and a way to connect them")
	}
	return newWiring(mgr, opts.withDefaults()).setup()
}

// wiring is the parts of the controllers while they are joined.
type wiring struct {
	mgr  manager.Manager
	opts Options

	roster    *roster
	connector *connector
	observers *observers
	jobs      *jobReconciler
	pods      *pods // nil where they are not watched
	backends  *backendReconciler
	// jobQueue and backendQueue take what is to be looked at besides what the API server tells.
	jobQueue, backendQueue queue
}

func newWiring(mgr manager.Manager, opts Options) *wiring {
	timings := opts.Timings.withDefaults()
	w := &wiring{mgr: mgr, opts: opts, roster: newRoster(opts.Clock, opts.Ledger.Token)}
	w.connector = &connector{
		client: mgr.GetClient(), live: mgr.GetAPIReader(), connect: opts.Connect, namespace: opts.SecretNamespace, registry: opts.Backends,
		metrics: opts.Metrics, timings: timings, connections: map[string]*connection{},
	}
	w.observers = &observers{
		client: mgr.GetClient(), live: mgr.GetAPIReader(), ledger: opts.Ledger, registry: opts.Backends, roster: w.roster, fence: opts.Fence,
		metrics: opts.Metrics, clock: opts.Clock, timings: timings, running: map[string]*observer{},
	}
	if opts.WatchPods {
		w.pods = &pods{live: mgr.GetAPIReader(), byUID: map[types.UID]struct{}{}, changed: func(pod v1alpha1.PodReference) {
			token := opts.Ledger.Token(&v1alpha1.RemoteJob{Spec: v1alpha1.RemoteJobSpec{PodRef: &pod}})
			if key, ok := w.roster.find(token); ok {
				w.jobQueue.add(key)
			}
		}}
	}
	w.jobs = (&jobReconciler{
		pods: w.pods, begun: opts.Clock.Now(),
		client: mgr.GetClient(), live: mgr.GetAPIReader(), ledger: opts.Ledger, backends: opts.Backends, fence: opts.Fence, clock: opts.Clock,
		timings: timings, metrics: opts.Metrics, events: mgr.GetEventRecorder("remotejob-operator"), roster: w.roster, guard: newGuard(), pauses: newPauses(), workloads: newWorkloads(opts.WorkloadBytes),
		missing: w.observers.missing, seen: w.observers.seen, poke: w.connector.poke, look: w.observers.look,
	}).withStages()
	w.backends = &backendReconciler{
		client: mgr.GetClient(), registry: opts.Backends, fence: opts.Fence, metrics: opts.Metrics, clock: opts.Clock, timings: timings, roster: w.roster,
		events: mgr.GetEventRecorder("remotejob-operator"), state: w.connector.state, leftovers: w.observers.leftovers,
	}
	w.join(timings)
	opts.Metrics.Watch(w.state)
	return w
}

// join connects what the parts tell each other.
func (w *wiring) join(timings Timings) {
	w.roster.wake = w.jobQueue.add
	w.roster.counted = func(name string) { w.backendQueue.addAfter(types.NamespacedName{Name: name}, timings.CountEvery) }
	w.connector.changed = func(name string) {
		w.observers.sync(name)
		w.backendQueue.add(types.NamespacedName{Name: name})
	}
	w.connector.replaced = func(name string) {
		w.observers.sync(name)
		for _, key := range w.roster.concerned(name) {
			w.jobQueue.add(key)
		}
	}
	w.connector.away = func(name string) {
		for _, key := range w.roster.unsubmitted(name) {
			w.jobQueue.add(key)
		}
	}
	w.observers.wake, w.observers.wakeLow = w.jobQueue.add, w.jobQueue.addLow
	w.observers.poke = w.connector.poke
	w.observers.listed = func(name string) { w.backendQueue.add(types.NamespacedName{Name: name}) }
}

func (w *wiring) setup() (*Controllers, error) {
	for _, step := range []func() error{w.setupConnector, w.setupJobs, w.setupBackends, w.setupRunnables} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("set up the controllers: %w", err)
		}
	}
	return &Controllers{connector: w.connector}, nil
}

func (w *wiring) setupConnector() error {
	everywhere := false
	worthAsking := predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{}, identityOnRecordChanged())
	return builder.ControllerManagedBy(w.mgr).Named("connector").
		For(&v1alpha1.RemoteBackend{}, builder.WithPredicates(worthAsking)).
		WatchesRawSource(source.Func(w.connector.queue.take)).
		WithOptions(controller.Options{MaxConcurrentReconciles: 8, NeedLeaderElection: &everywhere, RateLimiter: limiter()}).
		Complete(w.connector)
}

func identityOnRecordChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		before, ok := e.ObjectOld.(*v1alpha1.RemoteBackend)
		after, alsoOK := e.ObjectNew.(*v1alpha1.RemoteBackend)
		return ok && alsoOK && before.Status.Identity != after.Status.Identity
	}}
}

func (w *wiring) setupJobs() error {
	return builder.ControllerManagedBy(w.mgr).Named("remotejob").
		Watches(&v1alpha1.RemoteJob{}, w.jobEvents()).
		WatchesRawSource(source.Func(w.jobQueue.take)).
		WithOptions(controller.Options{MaxConcurrentReconciles: w.opts.Jobs, RateLimiter: limiter()}).
		Complete(w.jobs)
}

// jobEvents keeps the roster, and asks for a visit to each RemoteJob that changed.
func (w *wiring) jobEvents() handler.EventHandler {
	type queue = workqueue.TypedRateLimitingInterface[reconcile.Request]
	enqueue := &handler.EnqueueRequestForObject{}
	put := func(object client.Object) {
		if job, ok := object.(*v1alpha1.RemoteJob); ok {
			w.roster.put(job)
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, q queue) {
			put(e.Object)
			enqueue.Create(ctx, e, q)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, q queue) {
			put(e.ObjectNew)
			enqueue.Update(ctx, e, q)
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, q queue) {
			w.roster.remove(e.Object.GetUID())
			enqueue.Delete(ctx, e, q)
		},
	}
}

func (w *wiring) setupBackends() error {
	return builder.ControllerManagedBy(w.mgr).Named("remotebackend").
		For(&v1alpha1.RemoteBackend{}).
		WatchesRawSource(source.Func(w.backendQueue.take)).
		WithOptions(controller.Options{MaxConcurrentReconciles: 2, RateLimiter: limiter()}).
		Complete(w.backends)
}

func (w *wiring) setupRunnables() error {
	if err := w.mgr.Add(w.observers); err != nil {
		return err
	}
	if w.pods != nil {
		if err := w.pods.follow(context.Background(), w.mgr.GetCache()); err != nil {
			return err
		}
	}
	if after := w.opts.Timings.UnaskedAfter; after > 0 {
		if err := w.mgr.Add(&patrol{ledger: w.opts.Ledger, clock: w.opts.Clock, after: after, wake: w.jobQueue.add}); err != nil {
			return err
		}
	}
	return w.mgr.Add(&sweeper{ledger: w.opts.Ledger, clock: w.opts.Clock, every: w.opts.Timings.withDefaults().SweepEvery})
}

// limiter spaces the visits to one object after errors: the API server is mostly away for seconds, and must not be waited for much
// longer than that.
func limiter() workqueue.TypedRateLimiter[reconcile.Request] {
	return workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](50*time.Millisecond, 15*time.Second)
}

// sweeper removes payload Secrets that no RemoteJob lists. It runs on the leader only.
type sweeper struct {
	ledger Ledger
	clock  clock.WithTicker
	every  time.Duration
}

// Start sweeps until the context ends.
func (s *sweeper) Start(ctx context.Context) error {
	ticker := s.clock.NewTicker(s.every)
	defer ticker.Stop()
	for {
		if removed, err := s.ledger.SweepPayloads(ctx); err != nil && ctx.Err() == nil {
			log.FromContext(ctx).Info("payload Secrets could not be swept", "error", err.Error())
		} else if removed > 0 {
			log.FromContext(ctx).Info("removed payload Secrets that no RemoteJob lists", "secrets", removed)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}
