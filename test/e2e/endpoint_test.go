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
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

func TestTheEndpointTellsOfItself(t *testing.T) {
	s := onShared(t)
	for _, path := range []string{"/health", "/healthz", "/readyz", "/openapi.json", "/system-info"} {
		answer, err := s.manager.Do(s.ctx, http.MethodGet, path, nil)
		if err != nil || answer.Code != http.StatusOK {
			t.Errorf("%s: %v, %d %s", path, err, answer.Code, answer.Body)
		}
		if strings.HasSuffix(path, ".json") || path == "/system-info" {
			var document map[string]any
			if err := json.Unmarshal(answer.Body, &document); err != nil || len(document) == 0 {
				t.Errorf("%s: %v: %s", path, err, answer.Body)
			}
		}
	}
	answer, err := s.manager.Do(s.ctx, http.MethodGet, "/openapi.json", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/create", "/status", "/delete", "/getLogs"} {
		if !strings.Contains(string(answer.Body), `"`+path+`"`) {
			t.Errorf("/openapi.json does not describe %s", path)
		}
	}
}

func TestThePingTellsTheBackendsRealCapacity(t *testing.T) {
	s := onShared(t)
	info, err := s.engine.Client.Info(s.ctx, infoOptions)
	if err != nil {
		t.Fatal(err)
	}
	for name, call := range map[string]struct{ method, body string }{
		"as interLink sends it": {http.MethodGet, string(harness.Recorded(t, "ping"))}, "by POST": {http.MethodPost, "[]"},
	} {
		answer, err := s.manager.Do(s.ctx, call.method, "/status", []byte(call.body))
		if err != nil || answer.Code != http.StatusOK {
			t.Fatalf("%s: %v, %d %s", name, err, answer.Code, answer.Body)
		}
		var ping harness.Ping
		if err := json.Unmarshal(answer.Body, &ping); err != nil || ping.Status != "ok" || ping.Resources == nil {
			t.Fatalf("%s: %v: %s", name, err, answer.Body)
		}
		cpu, memory, pods := resource.MustParse(ping.Resources.CPU), resource.MustParse(ping.Resources.Memory), resource.MustParse(ping.Resources.Pods)
		if cpu.Value() != int64(info.Info.NCPU) || memory.Value()>>20 != info.Info.MemTotal>>20 || pods.Value() != 1000 {
			t.Errorf("%s: %s, and the engine has %d CPUs and %d bytes", name, answer.Body, info.Info.NCPU, info.Info.MemTotal)
		}
		if strings.Contains(string(answer.Body), "taints") {
			t.Errorf("%s: the backend has no taints, and the ping would take the node's away: %s", name, answer.Body)
		}
	}
}

func TestTheSessionOfACallIsInItsAnswerAndInEveryLineOfTheLogAboutIt(t *testing.T) {
	s := onShared(t)
	caller := *s.manager.InterLink
	caller.Session = "CreatePod#424242"
	pod := harness.NewPod("session", mainBackend, harness.Shell("c", "true"))
	s.deleteAfterwards(pod)
	_, answer, err := caller.Create(s.ctx, harness.Request(pod).Body(t))
	if err != nil || answer.Code != http.StatusOK {
		t.Fatalf("/create: %v, %d %s", err, answer.Code, answer.Body)
	}
	if got := answer.Header.Get("InterLink-Http-Session"); got != caller.Session {
		t.Errorf("the answer's session is %q", got)
	}
	refused := harness.NewPod("session-refused", mainBackend, harness.Shell("c", "true"))
	refused.Spec.HostNetwork = true
	if _, answer, err = caller.Create(s.ctx, harness.Request(refused).Body(t)); err != nil || answer.Header.Get("InterLink-Http-Session") != caller.Session {
		t.Errorf("the answer of a call that is refused: %v, %v", err, answer.Header)
	}
	lines := s.manager.Lines(string(refused.UID))
	if lines == "" {
		t.Error("no line of the manager's log is about the pod that was refused")
	}
	for line := range strings.Lines(lines) {
		if !strings.Contains(line, caller.Session) {
			t.Errorf("a line about the call does not hold its session: %s", line)
		}
	}
	// A session cannot write lines of its own into the log.
	caller.Session = "x\tforged"
	if _, err := caller.Do(s.ctx, http.MethodGet, "/status", []byte("[]")); err != nil {
		t.Error(err)
	}
}

func TestTheEndpointListensWhereItIsToldAndEachAddressHasItsBackend(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx := harness.Context(t)
	socket := filepath.Join(t.TempDir(), "plugin.sock")
	second, err := harness.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	m := harness.StartManager(t, harness.ManagerOptions{
		Binaries: shared.binaries, Config: w.plane.Config, DefaultBackend: "one",
		Args: []string{"--plugin-bind-address=unix://" + socket, "--plugin-bind-address=two=" + second},
	})
	for name, taints := range map[string][]corev1.Taint{"one": nil, "two": {{Key: "two", Value: "v", Effect: corev1.TaintEffectNoSchedule}}} {
		w.ledger.NewBackend(ctx, t, name, shared.engine.Host, func(b *v1alpha1.RemoteBackend) {
			b.Name, b.GenerateName = name, ""
			b.Spec.VirtualNode.Taints = taints
		})
	}
	for address, want := range map[string]int{m.Address: 0, "unix://" + socket: 0, second: 1} {
		caller := harness.NewInterLink(address)
		ping, answer, err := caller.Ping(ctx)
		if err != nil || answer.Code != http.StatusOK || ping.Resources == nil || len(ping.Taints) != want {
			t.Errorf("the ping at %s: %v, %d %s", address, err, answer.Code, answer.Body)
		}
	}

	// What comes in at the socket runs.
	s := &side{t: t, ctx: ctx, manager: m, ledger: w.ledger, engine: shared.engine}
	s.manager.InterLink = harness.NewInterLink("unix://" + socket)
	pod := harness.NewPod("socket", "one", harness.Shell("c", "exit 5"))
	s.run(pod)
	s.exits(s.ended(pod, longTime), map[string]int32{"c": 5})
}
