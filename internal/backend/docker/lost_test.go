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

package docker

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// TestAnInfraContainerThatTheEngineHasLostTrackOfIsMadeAgain has the engine say what Engine 20.10 says, for as long as it lives, of a
// container that it was starting when it was killed: before its task was made, or after.
func TestAnInfraContainerThatTheEngineHasLostTrackOfIsMadeAgain(t *testing.T) {
	for what, words := range map[string]string{
		"a task": "task %s: already exists", "no task": "id already in use", "a shim's directory": "failed to start shim: mkdir /run/moby/%s: file exists: unknown",
	} {
		t.Run(what, func(t *testing.T) { isMadeAgain(t, words) })
	}
}

func isMadeAgain(t *testing.T, words string) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	image, err := harness.BusyboxImage()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := harness.StartDockerd(ctx, image)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	proxy, err := harness.NewEngineProxy(t.TempDir(), engine.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	var lost atomic.Value // the id of the first container that was to be started
	proxy.Refuse(func(r *http.Request) string {
		_, id, _ := strings.Cut(strings.TrimSuffix(r.URL.Path, "/start"), "/containers/")
		if !strings.HasSuffix(r.URL.Path, "/start") || !lost.CompareAndSwap(nil, id) && lost.Load() != id {
			return ""
		}
		return strings.ReplaceAll(words, "%s", id)
	})
	w := newWorld()
	b, err := New(Options{Host: proxy.Host, Ledger: w.ledger, Backend: w.backend, Podrunner: podrunner})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	if _, err := b.Check(ctx); err != nil {
		t.Fatal(err)
	}
	token := workload.PodToken(w.ledger, "default", "lost")
	job := workload.Bare(workload.ResolveRequest{
		Template:  corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "busybox:1.36", Command: []string{"true"}}}}},
		Namespace: "default", Name: "lost", UID: "lost", Token: token, Ledger: w.ledger, Backend: w.backend,
	})
	cancelAfterwards(t, b, token)
	if _, err := b.Submit(ctx, job); !backend.IsUnavailable(err) || !strings.Contains(err.Error(), "start the pod's infra container") {
		t.Fatalf("the first attempt: %v", err)
	}
	if _, err := b.Submit(ctx, job); err != nil {
		t.Fatalf("the second attempt: %v", err)
	}
	infra, err := b.inspect(ctx, infraName(token))
	if err != nil || infra.State.Status != container.StateRunning || infra.ID == lost.Load() {
		t.Errorf("the infra container is %+v, and the lost one was %v: %v", infra.State, lost.Load(), err)
	}
}
