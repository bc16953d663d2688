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

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	"sigs.k8s.io/controller-runtime/pkg/metrics/filters"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/controller"
	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/metrics"
	"github.com/remotejob-dev/remotejob-operator/internal/pluginapi"
	"github.com/remotejob-dev/remotejob-operator/internal/version"
)

// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get

const (
	// shutdownTimeout is how long what is under way may take when the manager is told to end.
	shutdownTimeout = 20 * time.Second
	// retryStart is how soon to ask an API server again that does not answer when the manager starts.
	retryStart = time.Second
)

// operator is the manager with all its parts.
type operator struct {
	manager     manager.Manager
	endpoint    *pluginapi.Server
	controllers *controller.Controllers
}

// build makes the parts and joins them.
func build(ctx context.Context, config *rest.Config, opts *options) (*operator, error) {
	if err := opts.complete(); err != nil {
		return nil, err
	}
	fence, settings, err := managerOptions(config, opts)
	if err != nil {
		return nil, err
	}
	mgr, err := ctrl.NewManager(config, settings)
	if err != nil {
		return nil, fmt.Errorf("make the manager: %w", err)
	}
	id, err := ledgerID(ctx, mgr.GetAPIReader())
	if err != nil {
		return nil, err
	}
	registry := &backend.Registry{}
	health, err := newLedgerHealth(config, mgr.GetHTTPClient())
	if err != nil {
		return nil, err
	}
	if err := mgr.Add(health); err != nil {
		return nil, err
	}
	measured, err := metrics.New(ctrlmetrics.Registry, version.Get())
	if err != nil {
		return nil, err
	}
	if err := metrics.Reachable(ctrlmetrics.Registry, func() bool { return !health.away.Load() }); err != nil {
		return nil, err
	}
	known := &backends{cache: mgr.GetClient(), registry: registry, health: health, defaultName: opts.defaultBackend}
	books, err := ledger.New(ledger.Options{
		ID: id, Writer: mgr.GetClient(), Reader: mgr.GetAPIReader(), Backends: known,
		DefaultBackend: opts.defaultBackend, Namespace: opts.ledgerNamespace, Namespaces: opts.namespaces(), CreateWait: opts.createWait,
		Status: mgr.GetClient().Status(), Metrics: measured,
	})
	if err != nil {
		return nil, err
	}
	if err := books.Follow(ctx, mgr.GetCache()); err != nil {
		return nil, err
	}
	connect := &connector{ledgerID: id, podrunnerPath: opts.podrunner, metrics: measured}
	p := &operator{manager: mgr}
	p.controllers, err = controller.Setup(mgr, controller.Options{
		Ledger: books, Backends: registry, Connect: connect.connect, SecretNamespace: opts.namespace, Fence: fence,
		Metrics: measured, WatchPods: opts.watchPods, Timings: controller.Timings{UnaskedAfter: opts.unaskedAfter},
	})
	if err != nil {
		return nil, err
	}
	if err := addProbes(mgr, books); err != nil {
		return nil, err
	}
	held, err := holdCertificate(ctx, mgr, opts.namespace, &opts.plugin)
	if err != nil {
		return nil, err
	}
	p.endpoint, err = newEndpoint(mgr, &opts.plugin, held, pluginapi.Options{
		Ledger: books, Nodes: known, Logs: known, Metrics: measured, Refused: refusals(mgr.GetEventRecorder("remotejob-operator"), opts.ledgerNamespace),
	})
	return p, err
}

func newEndpoint(mgr manager.Manager, flags *pluginOptions, held *heldCertificate, opts pluginapi.Options) (*pluginapi.Server, error) {
	opts.MaxBodyBytes, opts.Version, opts.Log = flags.maxBodyBytes, version.Get(), ctrl.Log.WithName("endpoint")
	guard, certificate, err := flags.guard(mgr.GetConfig(), mgr.GetHTTPClient(), held, opts.Log)
	if err != nil {
		return nil, fmt.Errorf("guard the plugin endpoint: %w", err)
	}
	opts.Gate = guard
	return pluginapi.NewServer(opts, pluginapi.Listening{
		Addresses: flags.addresses.set, TLS: certificate, Socket: flags.socket, MaxConnections: flags.maxConnections,
	})
}

func managerOptions(config *rest.Config, opts *options) (controller.Fence, manager.Options, error) {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, manager.Options{}, err
	}
	jobs := cache.ByObject{Transform: ledger.Transform}
	for _, namespace := range opts.namespaces() {
		if jobs.Namespaces == nil {
			jobs.Namespaces = map[string]cache.Config{}
		}
		jobs.Namespaces[namespace] = cache.Config{}
	}
	cached := map[client.Object]cache.ByObject{&v1alpha1.RemoteJob{}: jobs}
	if opts.watchPods {
		cached[controller.PodMetadata()] = cache.ByObject{Transform: controller.StripPod}
	}
	lease, renew, retry, shutdown := leaseDuration, renewDeadline, retryPeriod, shutdownTimeout
	settings := manager.Options{
		Scheme:         scheme,
		MapperProvider: func(*rest.Config, *http.Client) (meta.RESTMapper, error) { return ledger.RESTMapper(), nil },
		Cache: cache.Options{
			// Nothing is cached but what is asked for here: no Secret ever.
			ReaderFailOnMissingInformer: true,
			DefaultTransform:            cache.TransformStripManagedFields(),
			ByObject:                    cached,
		},
		Metrics:                       metricsOptions(opts),
		HealthProbeBindAddress:        opts.probeAddress,
		PprofBindAddress:              opts.pprofAddress,
		GracefulShutdownTimeout:       &shutdown,
		LeaderElection:                opts.leaderElect,
		LeaderElectionReleaseOnCancel: true,
		LeaseDuration:                 &lease,
		RenewDeadline:                 &renew,
		RetryPeriod:                   &retry,
	}
	if !opts.leaderElect {
		return controller.OpenFence{}, settings, nil
	}
	fence := &controller.LeaseFence{}
	lock, err := newLease(config, opts.leaderElectNamespace, fence)
	settings.LeaderElectionResourceLockInterface = lock
	return fence, settings, err
}

func metricsOptions(opts *options) metricsserver.Options {
	settings := metricsserver.Options{BindAddress: opts.metricsAddress, SecureServing: opts.metricsSecure, CertDir: opts.metricsCertDir}
	if opts.metricsSecure {
		settings.FilterProvider = filters.WithAuthenticationAndAuthorization
		// HTTP/2 can be made to work hard by clients that reset their streams.
		settings.TLSOpts = []func(*tls.Config){func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }}
	}
	return settings
}

// addProbes says when the manager lives and when it can answer: not before the ledger has been read.
func addProbes(mgr manager.Manager, books *ledger.Ledger) error {
	return errors.Join(
		mgr.AddHealthzCheck("healthz", healthz.Ping),
		mgr.AddReadyzCheck("ledger", func(*http.Request) error { return books.Ready() }),
	)
}

// ledgerID returns the ledger's ID: the UID of the namespace kube-system, which a cluster keeps for as long as it lives. An API server
// that is away is waited for.
func ledgerID(ctx context.Context, reader client.Reader) (string, error) {
	for said := ""; ; {
		namespace := &corev1.Namespace{}
		err := reader.Get(ctx, client.ObjectKey{Name: metav1.NamespaceSystem}, namespace)
		if err == nil {
			return string(namespace.UID), nil
		}
		if words := err.Error(); words != said {
			log.FromContext(ctx).Info("waiting for the API server", "error", words)
			said = words
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("read the namespace %s: %w", metav1.NamespaceSystem, err)
		case <-time.After(retryStart):
		}
	}
}

// run runs all parts until the context ends or one of them fails.
func (p *operator) run(ctx context.Context) error {
	defer p.controllers.Close()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, 1)
	go func() {
		// The endpoint answers before the cache has been read: it says so, and keeps what must not be refused waiting.
		failed <- p.endpoint.Start(ctx)
		stop()
	}()
	err := p.manager.Start(ctx)
	stop()
	return errors.Join(err, <-failed)
}
