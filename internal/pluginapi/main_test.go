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

package pluginapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/pluginapi"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

var (
	root        = filepath.Join("..", "..")
	environment = &envtest.Environment{
		BinaryAssetsDirectory: filepath.Join(root, "bin", "k8s"),
		CRDDirectoryPaths:     []string{filepath.Join(root, "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
		// A busy machine takes longer than the 20 s and 10 s that these have by default.
		ControlPlaneStartTimeout: 3 * time.Minute, CRDInstallOptions: envtest.CRDInstallOptions{MaxTime: time.Minute},
	}
	scheme  = runtime.NewScheme()
	started atomic.Bool
	// controlPlane is started by the first test that needs it: fuzz workers run this binary too and need none.
	controlPlane = sync.OnceValues(func() (*rest.Config, error) {
		for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
			if err := add(scheme); err != nil {
				return nil, err
			}
		}
		started.Store(true)
		config, err := environment.Start()
		if err != nil {
			return nil, fmt.Errorf("start a control plane (make controlplane builds one): %w", err)
		}
		config.QPS, config.Burst = -1, -1
		return config, nil
	})
)

func TestMain(m *testing.M) {
	code := m.Run()
	if started.Load() {
		_ = environment.Stop()
	}
	os.Exit(code)
}

// nodes, logs and backends stand for what the manager wires in.
type nodes func(backend string) pluginapi.Node

func (n nodes) Node(_ context.Context, backend string) pluginapi.Node { return n(backend) }

type logs func(ctx context.Context, job pluginapi.LogJob, opts corev1.PodLogOptions) (io.ReadCloser, error)

func (l logs) Logs(ctx context.Context, job pluginapi.LogJob, opts corev1.PodLogOptions) (io.ReadCloser, error) {
	return l(ctx, job, opts)
}

type backends map[string]ledger.Backend

func (b backends) Backend(name string) (ledger.Backend, bool) {
	backend, ok := b[name]
	return backend, ok
}

// everything is a backend that refuses nothing for want of a feature.
var everything = func() workload.Abilities {
	features := map[workload.Feature]bool{}
	for _, feature := range workload.AllFeatures {
		features[feature] = true
	}
	return workload.Abilities{Backend: "Docker", Features: features}
}()

// endpoint is a handler behind a real connection.
type endpoint struct {
	t   *testing.T
	url string
	log *lines
	// What follows is there with a real ledger only.
	ledger    *ledger.Ledger
	client    client.Client
	namespace string
}

// lines keeps what is logged.
type lines struct {
	mu   sync.Mutex
	text []string
}

func (l *lines) add(prefix, args string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text = append(l.text, prefix+args)
}

func (l *lines) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]string(nil), l.text...)
}

// serve starts a handler with what the options leave out filled in.
func serve(t *testing.T, opts pluginapi.Options, backend string) *endpoint {
	t.Helper()
	e := &endpoint{t: t, log: &lines{}}
	if opts.Nodes == nil {
		opts.Nodes = nodes(func(string) pluginapi.Node { return pluginapi.Node{} })
	}
	if opts.Logs == nil {
		opts.Logs = logs(func(context.Context, pluginapi.LogJob, corev1.PodLogOptions) (io.ReadCloser, error) {
			return nil, errors.New("there is no log in this test")
		})
	}
	opts.Log = funcr.New(e.log.add, funcr.Options{Verbosity: 5})
	server := httptest.NewServer(pluginapi.NewHandler(opts, backend))
	t.Cleanup(server.Close)
	e.url = server.URL
	return e
}

// withLedger starts a handler with a ledger on the shared API server, in a namespace of its own.
func withLedger(t *testing.T, opts pluginapi.Options) *endpoint {
	t.Helper()
	config, err := controlPlane()
	if err != nil {
		t.Fatal(err)
	}
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "test-"}}
	if err := c.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	l, err := ledger.New(ledger.Options{
		ID: "ledger-1", Writer: c, Reader: c, DefaultBackend: "docker",
		Backends: backends{"docker": {UID: "backend-1", Abilities: everything}},
	})
	if err != nil {
		t.Fatal(err)
	}
	follower, err := cache.New(config, cache.Options{
		// Other tests have pods of the same UIDs.
		DefaultNamespaces: map[string]cache.Config{namespace.Name: {}},
		Scheme:            scheme, ByObject: map[client.Object]cache.ByObject{&v1alpha1.RemoteJob{}: {Transform: ledger.Transform}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Follow(t.Context(), follower); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	ctx, stop := context.WithCancel(context.Background())
	go func() { defer close(ended); _ = follower.Start(ctx) }()
	t.Cleanup(func() { stop(); <-ended })

	opts.Ledger = l
	e := serve(t, opts, "")
	e.ledger, e.client, e.namespace = l, c, namespace.Name
	e.eventually("the ledger is ready", func() bool { return l.Ready() == nil })
	return e
}

func (e *endpoint) eventually(what string, holds func() bool) {
	e.t.Helper()
	err := wait.PollUntilContextTimeout(e.t.Context(), 5*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) { return holds(), nil })
	if err != nil {
		e.t.Fatalf("it did not come true that %s", what)
	}
}

// reply is what came back from a call.
type reply struct {
	code   int
	text   string
	header http.Header
}

// call makes a call with a body, which a GET may have too.
func (e *endpoint) call(method, path, body string, header ...string) reply {
	e.t.Helper()
	request, err := http.NewRequestWithContext(e.t.Context(), method, e.url+path, strings.NewReader(body))
	if err != nil {
		e.t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Add(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		e.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		e.t.Fatalf("%s %s: %v", method, path, err)
	}
	return reply{code: response.StatusCode, text: string(text), header: response.Header}
}

// recorded is the body of a call as interLink sent it, moved into the test's namespace.
func (e *endpoint) recorded(call string) string {
	e.t.Helper()
	return strings.ReplaceAll(recorded(e.t, call), `"namespace":"default"`, `"namespace":"`+e.namespace+`"`)
}

func recorded(t testing.TB, call string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "test", "harness", "wire", call+".request.json"))
	if err != nil {
		t.Fatal(err)
	}
	var request struct {
		Body json.RawMessage `json:"body"`
	}
	if err := json.Unmarshal(data, &request); err != nil {
		t.Fatal(err)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, request.Body); err != nil {
		t.Fatal(err)
	}
	return compact.String()
}

// jobs are the RemoteJobs in the test's namespace.
func (e *endpoint) jobs() []v1alpha1.RemoteJob {
	e.t.Helper()
	list := &v1alpha1.RemoteJobList{}
	if err := e.client.List(e.t.Context(), list, client.InNamespace(e.namespace)); err != nil {
		e.t.Fatal(err)
	}
	return list.Items
}

// wantRefusal fails unless the reply is a 4xx of one plain sentence that holds the words.
func (e *endpoint) wantRefusal(got reply, words ...string) {
	e.t.Helper()
	sentence := strings.TrimSpace(got.text)
	if got.code < 400 || got.code > 499 || len(sentence) < 10 || strings.ContainsAny(sentence, "\n<>{}") {
		e.t.Errorf("%d %q is no refusal in one plain sentence", got.code, got.text)
	}
	for _, word := range words {
		if !strings.Contains(got.text, word) {
			e.t.Errorf("the refusal %q does not say %q", got.text, word)
		}
	}
}
