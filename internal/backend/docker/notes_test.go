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
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// TestAContainerIsNotSignalledBeforeItIsNotedWhy has an engine take no files for a while. A manager that comes later would take the container's
// end for its own.
func TestAContainerIsNotSignalledBeforeItIsNotedWhy(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	w := newWorld()
	b, proxy := w.throughProxy(t)
	request := w.pod("noted", "trap 'exit 0' TERM; while :; do sleep 0.1; done", corev1.RestartPolicyOnFailure)
	request.Workload.Pod.Spec.Containers[0].LivenessProbe = &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"true"}}},
		PeriodSeconds: 3600, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 1,
	}
	token := request.Workload.Token
	cancelAfterwards(t, b, token)
	if _, err := b.Submit(ctx, request.Workload); err != nil {
		t.Fatal(err)
	}
	driveTo(ctx, t, b, &request, corev1.PodRunning)
	j := b.jobs.job(token)
	v, err := b.look(ctx, j)
	if err != nil {
		t.Fatal(err)
	}

	var mu sync.Mutex
	var calls []string
	signalled := make(chan struct{})
	proxy.Refuse(func(r *http.Request) string {
		mu.Lock()
		defer mu.Unlock()
		switch {
		case r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/archive"):
			calls = append(calls, "note")
			if len(calls) < 3 {
				return "no space left on device"
			}
		case strings.HasSuffix(r.URL.Path, "/kill"):
			calls = append(calls, "signal")
			if calls[len(calls)-2] != "signal" {
				close(signalled)
			}
		}
		return ""
	})
	b.stopContainer(j, request.Workload, v, podlifecycle.Action{
		Kind: podlifecycle.ActionStop, Container: "main", Reason: podlifecycle.StopLivenessProbe, Deadline: time.Now().Add(time.Minute),
	})
	select {
	case <-signalled:
	case <-ctx.Done():
		t.Fatal("it was not signalled")
	}
	mu.Lock()
	if !slices.Equal(calls, []string{"note", "note", "note", "signal"}) {
		t.Errorf("the engine was asked: %s", calls)
	}
	mu.Unlock()
	later := w.at(t, testHost())
	known, err := later.notesOf(ctx, later.jobs.job(token), v, "main", v.run("main", 0))
	if err != nil || known.StopReason != podlifecycle.StopLivenessProbe {
		t.Errorf("a later manager knows %+v, %v", known, err)
	}
}
