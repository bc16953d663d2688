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
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/metrics"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// apiServer is a real one, for all tests of the package.
var apiServer *rest.Config

func TestMain(m *testing.M) { os.Exit(withAPIServer(m)) }

func withAPIServer(m *testing.M) int {
	if os.Getenv("TEST_LOG") != "" {
		ctrl.SetLogger(zap.New(zap.UseDevMode(true)))
	} else {
		ctrl.SetLogger(zap.New(zap.WriteTo(discard{})))
	}
	env := &envtest.Environment{
		BinaryAssetsDirectory: filepath.Join("..", "..", "bin", "k8s"),
		CRDDirectoryPaths:     []string{filepath.Join("..", "..", "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
		// A busy machine takes longer than the 20 s and 10 s that these have by default.
		ControlPlaneStartTimeout: 3 * time.Minute, CRDInstallOptions: envtest.CRDInstallOptions{MaxTime: time.Minute},
	}
	cfg, err := env.Start()
	if err != nil {
		fmt.Fprintln(os.Stderr, "these tests need etcd and kube-apiserver in bin/k8s (make controlplane):", err)
		return 1
	}
	apiServer = cfg
	defer func() { _ = env.Stop() }()
	return m.Run()
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// quick are timings that tests can wait for.
var quick = Timings{
	ObserveEvery: 150 * time.Millisecond, SuspectEvery: 30 * time.Millisecond, CheckEvery: 200 * time.Millisecond,
	LostAfter: 200 * time.Millisecond, CountEvery: 20 * time.Millisecond, TombstonesKept: 3 * time.Second, LateKept: 2 * time.Second,
}

// world is what one test works with: a namespace, machines by the host of their RemoteBackend, and managers that come and go.
type world struct {
	t         *testing.T
	client    client.Client
	namespace string
	timings   Timings
	fence     Fence
	// wrap, where set, changes how managers reach the API server.
	wrap func(*rest.Config)
	// cacheReader, where set, changes what the controllers read from the cache.
	wiring func(*wiring)
	jobs   int
	// watchPods has managers watch pods.
	watchPods bool
	// ledger is that of the manager that runs.
	ledger *ledger.Ledger
	// metrics, where set, measure what managers do.
	metrics *metrics.Metrics

	mu       sync.Mutex
	machines map[string]*machine
	secrets  map[string]map[string]*corev1.Secret // as they were given at the last connect, by host
	connects map[string]int
	stop     func()
}

func newWorld(t *testing.T) *world {
	t.Helper()
	scheme := testScheme()
	c, err := client.New(apiServer, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if err := c.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	w := &world{
		t: t, client: c, namespace: namespace.Name, timings: quick,
		machines: map[string]*machine{}, secrets: map[string]map[string]*corev1.Secret{}, connects: map[string]int{},
	}
	t.Cleanup(w.tidy)
	return w
}

func testScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		panic(err)
	}
	return scheme
}

// tidy leaves the API server as it was: the next test's manager sees all namespaces.
func (w *world) tidy() {
	w.stopManager()
	ctx := context.Background()
	jobs := &v1alpha1.RemoteJobList{}
	if err := w.client.List(ctx, jobs); err != nil {
		w.t.Error(err)
	}
	for i := range jobs.Items {
		w.destroy(ctx, &jobs.Items[i])
	}
	backends := &v1alpha1.RemoteBackendList{}
	if err := w.client.List(ctx, backends); err != nil {
		w.t.Error(err)
	}
	for i := range backends.Items {
		w.destroy(ctx, &backends.Items[i])
	}
}

func (w *world) destroy(ctx context.Context, object client.Object) {
	patch := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))
	if err := client.IgnoreNotFound(w.client.Patch(ctx, object, patch)); err != nil {
		w.t.Error(err)
	}
	if err := client.IgnoreNotFound(w.client.Delete(ctx, object)); err != nil {
		w.t.Error(err)
	}
}

// connect is the ConnectFunc of the world's managers.
func (w *world) connect(_ context.Context, rb *v1alpha1.RemoteBackend, secrets map[string]*corev1.Secret) (backend.Backend, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if rb.Spec.Type == v1alpha1.BackendSlurm {
		m := w.machines[rb.Spec.Slurm.BaseDirectory]
		if m == nil {
			return nil, fmt.Errorf("%w: this manager runs none", ErrNotSupported)
		}
		return m.connectFar(), nil
	}
	host := rb.Spec.Docker.Host
	w.secrets[host] = secrets
	w.connects[host]++
	m := w.machines[host]
	if m == nil {
		return nil, fmt.Errorf("there is no machine at %s", host)
	}
	return m.connect(), nil
}

func (w *world) connected(host string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.connects[host]
}

// machine makes a machine at a host.
func (w *world) machine(host, identity string) *machine {
	m := newMachine(identity)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.machines[host] = m
	return m
}

// backend makes a RemoteBackend at a host. Its name is unique among all tests, since RemoteBackends have no namespace.
func (w *world) backend(host string, change ...func(*v1alpha1.RemoteBackend)) *v1alpha1.RemoteBackend {
	w.t.Helper()
	rb := &v1alpha1.RemoteBackend{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "backend-"},
		Spec:       v1alpha1.RemoteBackendSpec{Type: v1alpha1.BackendDocker, Docker: &v1alpha1.DockerBackend{Host: host}},
	}
	for _, f := range change {
		f(rb)
	}
	if err := w.client.Create(w.t.Context(), rb); err != nil {
		w.t.Fatal(err)
	}
	return rb
}

// job makes a RemoteJob with one container.
func (w *world) job(rb string, change ...func(*v1alpha1.RemoteJob)) *v1alpha1.RemoteJob {
	w.t.Helper()
	job := &v1alpha1.RemoteJob{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, GenerateName: "job-"}}
	job.Spec.BackendName = rb
	job.Spec.Template.Spec.RestartPolicy = corev1.RestartPolicyNever
	job.Spec.Template.Spec.Containers = []corev1.Container{{Name: "main", Image: "image"}}
	for _, f := range change {
		f(job)
	}
	if err := w.client.Create(w.t.Context(), job); err != nil {
		w.t.Fatal(err)
	}
	return job
}

func (w *world) token(job *v1alpha1.RemoteJob) string {
	if ref := job.Spec.PodRef; ref != nil {
		return workload.PodToken(ledgerIDOfTests, ref.Namespace, string(ref.UID))
	}
	return workload.JobToken(ledgerIDOfTests, job.UID)
}

const ledgerIDOfTests = "ledger"

// startManager starts a manager with the controllers, and returns when they run.
func (w *world) startManager() {
	w.t.Helper()
	cfg := rest.CopyConfig(apiServer)
	cfg.QPS = -1
	if w.wrap != nil {
		w.wrap(cfg)
	}
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme: testScheme(), Metrics: metricsserver.Options{BindAddress: "0"},
		Cache: cache.Options{
			ReaderFailOnMissingInformer: true,
			ByObject:                    map[client.Object]cache.ByObject{&v1alpha1.RemoteJob{}: {Transform: ledger.Transform}},
		},
		Controller:              config.Controller{SkipNameValidation: ptr.To(true)},
		GracefulShutdownTimeout: ptr.To(time.Minute),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	books, err := ledger.New(ledger.Options{ID: ledgerIDOfTests, Writer: mgr.GetClient(), Reader: mgr.GetAPIReader(), Backends: noBackends{}, Status: mgr.GetClient().Status()})
	if err != nil {
		w.t.Fatal(err)
	}
	w.ledger = books
	ctx, cancel := context.WithCancel(context.Background())
	if err := books.Follow(ctx, mgr.GetCache()); err != nil {
		w.t.Fatal(err)
	}
	opts := Options{
		Ledger: books, Backends: &backend.Registry{}, Connect: w.connect, SecretNamespace: w.namespace, Fence: w.fence, Timings: w.timings, Jobs: w.jobs,
		Metrics: w.metrics, WatchPods: w.watchPods,
	}
	parts := newWiring(mgr, opts.withDefaults())
	if w.wiring != nil {
		w.wiring(parts)
	}
	controllers, err := parts.setup()
	if err != nil {
		w.t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- mgr.Start(ctx) }()
	w.stop = func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("the manager ended with %v", err)
		}
		controllers.Close()
	}
}

func (w *world) stopManager() {
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

// noBackends is what the ledger knows of backends where nothing is created through it.
type noBackends struct{}

func (noBackends) Backend(string) (ledger.Backend, bool) { return ledger.Backend{}, false }

// patience is how long tests wait for what must happen.
const patience = 30 * time.Second

// until waits until a condition holds. The condition returns what is missing, empty for nothing.
func (w *world) until(what string, condition func() string) {
	w.t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := condition()
		if missing == "" {
			return
		}
		select {
		case <-deadline.C:
			w.t.Fatalf("%s: %s", what, missing)
		case <-tick.C:
		}
	}
}

// stays watches for a while that a condition holds on.
func (w *world) stays(what string, condition func() string) {
	w.t.Helper()
	end := time.NewTimer(700 * time.Millisecond)
	defer end.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		if wrong := condition(); wrong != "" {
			w.t.Fatalf("%s: %s", what, wrong)
		}
		select {
		case <-end.C:
			return
		case <-tick.C:
		}
	}
}

// get reads an object anew, and returns false when it is gone.
func (w *world) get(object client.Object) bool {
	w.t.Helper()
	err := w.client.Get(w.t.Context(), client.ObjectKeyFromObject(object), object)
	if err != nil && !apierrors.IsNotFound(err) {
		w.t.Fatal(err)
	}
	return err == nil
}

// jobUntil waits until a RemoteJob is as it should be.
func (w *world) jobUntil(job *v1alpha1.RemoteJob, what string, condition func(*v1alpha1.RemoteJob) bool) {
	w.t.Helper()
	w.until(what, func() string {
		if !w.get(job) {
			return "the RemoteJob is gone"
		}
		if condition(job) {
			return ""
		}
		return describeJob(job)
	})
}

func describeJob(job *v1alpha1.RemoteJob) string {
	var conditions []string
	for _, c := range job.Status.Conditions {
		conditions = append(conditions, fmt.Sprintf("%s=%s %s (%s)", c.Type, c.Status, c.Reason, c.Message))
	}
	return fmt.Sprintf("it is %s, reason %q (%s), job %q, %d attempts, %s, finalizers %v, deleted %v", job.Status.Phase, job.Status.Reason, job.Status.Message,
		job.Status.JobID, job.Status.Attempts, strings.Join(conditions, "; "), job.Finalizers, job.DeletionTimestamp)
}

func (w *world) gone(object client.Object) {
	w.t.Helper()
	w.until("gone", func() string {
		if !w.get(object) {
			return ""
		}
		if job, ok := object.(*v1alpha1.RemoteJob); ok {
			return describeJob(job)
		}
		return "it is still there"
	})
}

func hasPhase(phase v1alpha1.RemoteJobPhase) func(*v1alpha1.RemoteJob) bool {
	return func(job *v1alpha1.RemoteJob) bool { return job.Status.Phase == phase }
}

// waitsFor tells whether a job is not submitted for a reason, and says so in words.
func waitsFor(reason, words string) func(*v1alpha1.RemoteJob) bool {
	return func(job *v1alpha1.RemoteJob) bool {
		c := meta.FindStatusCondition(job.Status.Conditions, v1alpha1.ConditionSubmitted)
		return c != nil && c.Status == metav1.ConditionFalse && c.Reason == reason && strings.Contains(c.Message, words)
	}
}

// backendUntil waits until a RemoteBackend's condition Ready is as it should be.
func (w *world) backendUntil(rb *v1alpha1.RemoteBackend, status metav1.ConditionStatus, reason, words string) {
	w.t.Helper()
	w.until(fmt.Sprintf("Ready=%s %s", status, reason), func() string {
		if !w.get(rb) {
			return "the RemoteBackend is gone"
		}
		c := meta.FindStatusCondition(rb.Status.Conditions, v1alpha1.ConditionReady)
		if c != nil && c.Status == status && c.Reason == reason && strings.Contains(c.Message, words) {
			return ""
		}
		return fmt.Sprintf("it is %+v", c)
	})
}

func (w *world) cancel(job *v1alpha1.RemoteJob) {
	w.t.Helper()
	if err := w.client.Patch(w.t.Context(), job, client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cancel":true}}`))); err != nil {
		w.t.Fatal(err)
	}
}
