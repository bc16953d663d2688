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

// Package ledger keeps the map from pods to jobs in the API server: a pod that is to run becomes a RemoteJob and its payload Secrets, a
// RemoteJob becomes the answer to a question about its pod. Nothing of it lives in memory only.
package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
	"k8s.io/utils/clock"
	ctrlcache "sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/metrics"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// Options are what a Ledger is made of.
type Options struct {
	// ID of the ledger: the UID of the namespace kube-system. It goes into each job's token.
	ID string
	// Writer writes to the API server.
	Writer client.Writer
	// Status writes that somebody asks again about a RemoteJob that nobody had asked about for long; nil leaves that out.
	Status client.SubResourceWriter
	// Reader reads from the API server itself, not from a cache.
	Reader client.Reader
	// Backends knows the RemoteBackends.
	Backends Backends
	// DefaultBackend is the RemoteBackend of pods that name none; empty for none.
	DefaultBackend string
	// Namespace keeps the RemoteJobs of pods whose own namespace this cluster lacks; empty to refuse them.
	Namespace string
	// Namespaces are those that RemoteJobs can be in, Namespace among them; empty for all.
	Namespaces []string
	// CreateWait is how long Create waits for the backend's word. 0 does not wait.
	CreateWait time.Duration
	// Outlast is how long Create and Delete go on trying while the API server is away; 0 means 100 seconds.
	Outlast time.Duration
	// Clock is the time; nil for the real one.
	Clock clock.Clock
	// Metrics take the sizes of payloads; nil for none.
	Metrics *metrics.Metrics
}

// Backends is what the ledger needs to know of RemoteBackends.
type Backends interface {
	// Backend returns a RemoteBackend by name, and false where there is none.
	Backend(name string) (Backend, bool)
}

// Backend is what the ledger needs to know of one RemoteBackend.
type Backend struct {
	UID types.UID
	// Abilities of the backend that is connected, or, where it was never reached yet, those of its type: a pod is not refused because
	// its backend is away.
	Abilities workload.Abilities
	Policy    v1alpha1.BackendPolicy
	// Deleting is set once somebody has deleted the RemoteBackend: it waits for the jobs that it has, and takes no more.
	Deleting bool
}

// defaultOutlast leaves room below the 120 s that interLink waits for an answer.
const defaultOutlast = 100 * time.Second

// +kubebuilder:rbac:groups=remotejob.dev,resources=remotejobs,verbs=create;get;list;watch;patch
// +kubebuilder:rbac:groups=remotejob.dev,resources=remotebackends,verbs=list;watch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=create;get;list;delete
// +kubebuilder:rbac:groups="",resources=configmaps,verbs=get

// Ledger keeps the map from pods to jobs. Its methods may be called at the same time from many goroutines.
type Ledger struct {
	id             string
	writer         client.Writer
	reader         client.Reader
	status         client.SubResourceWriter
	backends       Backends
	defaultBackend string
	namespace      string
	namespaces     []string
	createWait     time.Duration
	outlastFor     time.Duration
	clock          clock.Clock
	metrics        *metrics.Metrics

	index  *index
	fresh  fresh
	synced func() bool
}

// New returns a Ledger. Follow must be called before it can answer.
func New(opts Options) (*Ledger, error) {
	if opts.ID == "" || opts.Writer == nil || opts.Reader == nil || opts.Backends == nil {
		return nil, errors.New("a ledger needs an ID, a writer, a reader and the backends")
	}
	l := &Ledger{
		id: opts.ID, writer: opts.Writer, reader: opts.Reader, status: opts.Status, backends: opts.Backends, defaultBackend: opts.DefaultBackend,
		namespace: opts.Namespace, namespaces: opts.Namespaces, createWait: opts.CreateWait, outlastFor: opts.Outlast, clock: opts.Clock,
		metrics: opts.Metrics, index: newIndex(), synced: func() bool { return false },
	}
	if l.outlastFor == 0 {
		l.outlastFor = defaultOutlast
	}
	if l.clock == nil {
		l.clock = clock.RealClock{}
	}
	return l, nil
}

// ID returns the ledger's ID.
func (l *Ledger) ID() string { return l.id }

// Follow makes the ledger follow the RemoteJobs in a cache, so that questions about them cost no call, and wait for the RemoteBackends,
// so that none is said to be missing that has not been read yet. It is called once, before the cache starts and before the ledger is
// asked anything.
func (l *Ledger) Follow(ctx context.Context, informers ctrlcache.Informers) error {
	informer, err := informers.GetInformer(ctx, &v1alpha1.RemoteJob{}, ctrlcache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("follow RemoteJobs: %w", err)
	}
	registration, err := informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    l.index.put,
		UpdateFunc: func(_, updated any) { l.index.put(updated) },
		DeleteFunc: l.index.remove,
	})
	if err != nil {
		return fmt.Errorf("follow RemoteJobs: %w", err)
	}
	backends, err := informers.GetInformer(ctx, &v1alpha1.RemoteBackend{}, ctrlcache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("follow RemoteBackends: %w", err)
	}
	l.synced = func() bool { return registration.HasSynced() && backends.HasSynced() }
	return nil
}

// Ready returns nil once the ledger can answer, and before that why it can't.
func (l *Ledger) Ready() error {
	if !l.synced() {
		return errNotSynced()
	}
	return nil
}

func errNotSynced() error {
	return Errorf(Unavailable, ReasonNotSynced, "the ledger has not been read from the API server yet")
}
