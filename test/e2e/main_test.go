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

// Package e2e runs the operator from end to end on real parts, seen as its users see it: bodies go in over HTTP, containers run on a
// Docker engine, and answers, logs and resources come out.
package e2e

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/controlplane"
)

// mainBackend is the RemoteBackend that the shared manager sends pods to which name none.
const mainBackend = "main"

// shared is what most tests use side by side: one ledger, one engine, one manager. Tests that stop or kill parts have their own.
var shared struct {
	world
	image   *harness.Image
	engine  *harness.Dockerd
	manager *harness.Manager
	// metrics is where the manager's metrics are.
	metrics  string
	binaries harness.Binaries
}

// world is a control plane with the project's CRDs.
type world struct {
	plane  *controlplane.ControlPlane
	ledger *harness.Ledger
}

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "rj-e2e-")
	if err != nil {
		return fail(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()

	if shared.binaries, err = harness.Build("e2e"); err != nil {
		return fail(err)
	}
	if shared.image, err = harness.BusyboxImage(); err != nil {
		return fail(err)
	}
	if shared.engine, err = harness.StartDockerd(ctx, shared.image); err != nil {
		return fail(err)
	}
	defer shared.engine.Close()
	if shared.world, err = startWorld(ctx); err != nil {
		return fail(err)
	}
	defer shared.stop()

	backend := &v1alpha1.RemoteBackend{
		ObjectMeta: metav1.ObjectMeta{Name: mainBackend},
		Spec:       v1alpha1.RemoteBackendSpec{Type: v1alpha1.BackendDocker, Docker: &v1alpha1.DockerBackend{Host: shared.engine.Host}},
	}
	if err := shared.ledger.Create(ctx, backend); err != nil {
		return fail(err)
	}
	address, err := harness.FreeAddress()
	if err != nil {
		return fail(err)
	}
	shared.metrics = "http://" + address + "/metrics"
	shared.manager, err = harness.NewManager(dir, harness.ManagerOptions{
		Binaries: shared.binaries, Config: shared.plane.Config, DefaultBackend: mainBackend,
		Args: []string{"--metrics-bind-address=" + address, "--metrics-secure=false"},
	})
	if err != nil {
		return fail(err)
	}
	if err := shared.manager.Start(); err != nil {
		return fail(err)
	}
	if err := shared.manager.WaitReady(); err != nil {
		return fail(err)
	}
	if err := harness.Poll(time.Minute, func() error { return shared.ledger.BackendReady(ctx, mainBackend, metav1.ConditionTrue) }); err != nil {
		return fail(fmt.Errorf("the backend is not ready: %w\n%s", err, shared.manager.Tail(30)))
	}

	code := m.Run()
	if err := stopSite(); err != nil {
		code = fail(err)
	}
	if err := shared.manager.Close(); err != nil {
		code = fail(fmt.Errorf("%w\n%s", err, shared.manager.Tail(60)))
	}
	return code
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "e2e:", err)
	return 1
}

func startWorld(ctx context.Context) (world, error) {
	ctrl.SetLogger(quiet())
	plane, err := controlplane.Start(ctx, controlplane.Options{})
	if err != nil {
		return world{}, err
	}
	w := world{plane: plane}
	if w.ledger, err = harness.NewLedger(ctx, plane.Config); err != nil {
		w.stop()
		return world{}, err
	}
	return w, nil
}

func (w world) stop() {
	if err := w.plane.Stop(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "e2e: stop a control plane:", err)
	}
}

// newWorld is a control plane of the test's own.
func newWorld(t *testing.T) world {
	t.Helper()
	w, err := startWorld(harness.Context(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.stop)
	return w
}

// newEngine is an engine of the test's own.
func newEngine(t *testing.T, args ...string) *harness.Dockerd {
	t.Helper()
	d, err := harness.StartDockerd(harness.Context(t), shared.image, args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the engine's last words:\n%s", d.Log())
		}
		d.Close()
	})
	return d
}

// crashing is the manager with fault points.
var crashing = sync.OnceValues(func() (harness.Binaries, error) { return harness.Build("e2e-faultpoints", "faultpoints") })
