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

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// alone is a manager with a ledger of its own, on the shared engine, with one backend.
func alone(t *testing.T, o harness.ManagerOptions) (*side, world, string) {
	t.Helper()
	w := newWorld(t)
	s, backend := aloneIn(t, w, o)
	return s, w, backend
}

// aloneIn is such a manager with a ledger that is there.
func aloneIn(t *testing.T, w world, o harness.ManagerOptions) (*side, string) {
	t.Helper()
	s := &side{t: t, ctx: harness.Context(t), ledger: w.ledger, engine: shared.engine}
	b := s.ledger.MakeBackend(s.ctx, t, "alone", s.engine.Host)
	o.DefaultBackend = b.Name
	if o.Config == nil {
		o.Config = w.plane.Config
	}
	if o.Binaries.Manager == "" {
		o.Binaries = shared.binaries
	}
	s.manager = harness.StartManager(t, o)
	harness.Eventually(t, longTime, "the backend is ready", func() error { return s.ledger.BackendReady(s.ctx, b.Name, "True") })
	return s, b.Name
}

// elect are the arguments of managers of which one leads.
var elect = []string{"--leader-elect", "--leader-election-namespace=default"}

// TestAnAPIServerThatIsAwayForHalfAMinuteLosesNothing stops the API server while pods run, with a /create and a /delete in the middle: for
// twice as long as a lease holds.
func TestAnAPIServerThatIsAwayForHalfAMinuteLosesNothing(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"the only manager": nil, "an elected leader": elect} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			outlastHalfAMinute(t, args)
		})
	}
}

func outlastHalfAMinute(t *testing.T, args []string) {
	t.Helper()
	s, w, backend := alone(t, harness.ManagerOptions{Args: args})
	goesOn := harness.NewPod("goes-on", backend, harness.Shell("c", "sleep 1000"))
	goesOn.Spec.TerminationGracePeriodSeconds = ptr(int64(1))
	ends := harness.NewPod("ends-meanwhile", backend, harness.Shell("c", "while [ ! -e /go ]; do sleep 0.05; done; echo ended; exit 3"))
	deleted := harness.NewPod("deleted-meanwhile", backend, harness.Shell("c", "sleep 1000"))
	deleted.Spec.TerminationGracePeriodSeconds = ptr(int64(1))
	created := harness.NewPod("created-meanwhile", backend, harness.Shell("c", "exit 4"))
	s.deleteAfterwards(created)
	s.run(goesOn)
	s.run(ends)
	s.run(deleted)
	s.running(goesOn, "c")
	s.running(ends, "c")
	s.running(deleted, "c")

	if err := w.plane.StopAPIServer(s.ctx); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	if err := harness.Exec(s.ctx, s.engine.Client, s.ledger.Token(ends)+"-c-0", "touch", "/go"); err != nil {
		t.Logf("the container ended while the command ran in it: %v", err)
	}
	type result struct {
		answer harness.Answer
		err    error
	}
	call := func(f func() (harness.Answer, error)) <-chan result {
		done := make(chan result, 1)
		go func() {
			answer, err := f()
			done <- result{answer, err}
		}()
		return done
	}
	creating := call(func() (harness.Answer, error) {
		_, answer, err := s.manager.Create(s.ctx, harness.Request(created).Body(t))
		return answer, err
	})
	deleting := call(func() (harness.Answer, error) { return s.manager.Delete(s.ctx, deleted) })

	toldOfNone := false
	for time.Since(stopped) < 30*time.Second {
		// What is known is still told, a pod that is known to run is never told to have ended, and the ping keeps the node up.
		if st, err := s.status(goesOn); err != nil || st.Containers[0].State.Running == nil {
			t.Fatalf("%s after the API server went away: %v, %s", time.Since(stopped), err, states(st))
		}
		ping, answer, err := s.manager.Ping(s.ctx)
		if err != nil || answer.Code != http.StatusOK || ping.Status != "ok" {
			t.Fatalf("the ping: %v, %d %s", err, answer.Code, answer.Body)
		}
		toldOfNone = toldOfNone || ping.Resources == nil
		// Whether a pod that is not in the cache is unknown or lost cannot be told now.
		strange := harness.NewPod("strange", backend, harness.Shell("c", "true"))
		strange.Annotations["JobID"] = "x"
		if _, answer, err := s.manager.Status(s.ctx, strange); err != nil || answer.Code != http.StatusServiceUnavailable {
			t.Fatalf("/status about a pod that only the API server could know: %v, %d %s", err, answer.Code, answer.Body)
		}
		select {
		case r := <-creating:
			t.Fatalf("/create did not wait: %v, %d %s", r.err, r.answer.Code, r.answer.Body)
		case r := <-deleting:
			t.Fatalf("/delete did not wait: %v, %d %s", r.err, r.answer.Code, r.answer.Body)
		case <-time.After(time.Second):
		}
	}
	if !toldOfNone {
		t.Error("half a minute after the API server went away the ping still tells of resources")
	}
	if err := w.plane.StartAPIServer(s.ctx); err != nil {
		t.Fatal(err)
	}
	for name, done := range map[string]<-chan result{"/create": creating, "/delete": deleting} {
		select {
		case r := <-done:
			if r.err != nil || r.answer.Code != http.StatusOK {
				t.Errorf("%s, when the API server is back: %v, %d %s", name, r.err, r.answer.Code, r.answer.Body)
			}
		case <-time.After(longTime):
			t.Fatalf("%s is not answered though the API server is back", name)
		}
	}
	s.exits(s.ended(ends, longTime), map[string]int32{"c": 3})
	s.exits(s.ended(created, longTime), map[string]int32{"c": 4})
	if got := s.log(ends, "c", harness.LogOpts{}); got != "ended\n" {
		t.Errorf("the log of the pod that ended meanwhile is %q", got)
	}
	harness.Eventually(t, longTime, "nothing left of the pod that was deleted meanwhile", func() error {
		if err := s.ledger.Gone(s.ctx, deleted, nil); err != nil {
			return err
		}
		return s.nothingLeft(deleted)
	})
	if st, err := s.status(goesOn); err != nil || st.Containers[0].State.Running == nil {
		t.Errorf("the pod that goes on: %v, %s", err, states(st))
	}
	for _, pod := range []struct{ token string }{{s.ledger.Token(goesOn)}, {s.ledger.Token(ends)}, {s.ledger.Token(created)}, {s.ledger.Token(deleted)}} {
		if err := s.engine.Events().StartedOnce(pod.token, "c"); err != nil {
			t.Error(err)
		}
	}
}

func TestThePingOfABackendThatIsAwayKeepsTheNodeAndTellsNoCapacity(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := harness.Context(t)
	m := harness.StartManager(t, harness.ManagerOptions{Binaries: shared.binaries, Config: w.plane.Config, DefaultBackend: "gone"})
	w.ledger.MakeBackend(ctx, t, "gone", "unix:///no/such/docker.sock", named("gone"))
	harness.Eventually(t, longTime, "it is not ready", func() error { return w.ledger.BackendReady(ctx, "gone", "False") })
	ping, answer, err := m.Ping(ctx)
	if err != nil || answer.Code != http.StatusOK || ping.Status != "ok" || strings.Contains(string(answer.Body), "resources") {
		t.Errorf("the ping: %v, %d %s", err, answer.Code, answer.Body)
	}
}

func TestBeforeTheLedgerCanBeReadTheEndpointSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := harness.Context(t)
	proxy, err := harness.NewAPIProxy(w.plane.Config)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	// The manager reaches the API server, and no watch or list of it comes through.
	release := proxy.HoldWatches()
	m, err := harness.NewManager(t.TempDir(), harness.ManagerOptions{Binaries: shared.binaries, Config: proxy.Config, DefaultBackend: "none"})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}()
	pod := harness.NewPod("too-soon", "none", harness.Shell("c", "true"))
	pod.Annotations["JobID"] = "x"
	harness.Eventually(t, longTime, "the endpoint answers", func() error {
		_, answer, err := m.Status(ctx, pod)
		if err != nil {
			return err
		}
		if answer.Code != http.StatusServiceUnavailable {
			t.Fatalf("/status before the ledger was read: %d %s", answer.Code, answer.Body)
		}
		return nil
	})
	if err := m.Ready(); err == nil {
		t.Error("it is ready before the ledger was read")
	}
	release()
	if err := m.WaitReady(); err != nil {
		t.Fatal(err)
	}
	if _, answer, err := m.Status(ctx, pod); err != nil || answer.Code != http.StatusOK {
		t.Errorf("/status afterwards: %v, %d %s", err, answer.Code, answer.Body)
	}
}

func TestTheManagerEndsInOrderWhenItIsToldTo(t *testing.T) {
	t.Parallel()
	s, _, backend := alone(t, harness.ManagerOptions{})
	pod := harness.NewPod("outlives", backend, harness.Shell("c", "echo here; while [ ! -e /go ]; do sleep 0.05; done; exit 2"))
	s.run(pod)
	s.running(pod, "c")
	followed := s.follow(pod, "c")
	followed.has("here\n")
	if err := s.manager.Stop(longTime); err != nil {
		t.Fatal(err)
	}
	if list, err := harness.Containers(s.ctx, s.engine.Client, s.ledger.Token(pod)); err != nil || len(list) != 2 {
		t.Errorf("containers go on while the manager is away: %v %v", err, list)
	}
	if err := s.manager.Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.manager.WaitReady(); err != nil {
		t.Fatal(err)
	}
	s.running(pod, "c")
	if err := harness.Exec(s.ctx, s.engine.Client, s.ledger.Token(pod)+"-c-0", "touch", "/go"); err != nil {
		t.Logf("the container ended while the command ran in it: %v", err)
	}
	s.exits(s.ended(pod, longTime), map[string]int32{"c": 2})
	s.started(pod, "c")
	if said := s.manager.Lines("panic"); said != "" {
		t.Errorf("the manager said: %s", fmt.Sprintf("%.2000s", said))
	}
}
