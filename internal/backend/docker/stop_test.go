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
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// runningProbed runs a pod of the world that is run again if it fails, also by its liveness probe.
func runningProbed(ctx context.Context, t *testing.T, w world, b *Backend, name, script string) (j *job, v *view, end func(phase corev1.PodPhase) corev1.ContainerStatus) {
	t.Helper()
	request := w.pod(name, script, corev1.RestartPolicyOnFailure)
	request.Workload.Pod.Spec.Containers[0].LivenessProbe = &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"true"}}},
		PeriodSeconds: 3600, TimeoutSeconds: 1, SuccessThreshold: 1, FailureThreshold: 1,
	}
	cancelAfterwards(t, b, request.Workload.Token)
	if _, err := b.Submit(ctx, request.Workload); err != nil {
		t.Fatal(err)
	}
	driveTo(ctx, t, b, &request, corev1.PodRunning)
	j = b.jobs.job(request.Workload.Token)
	v, err := b.look(ctx, j)
	if err != nil {
		t.Fatal(err)
	}
	return j, v, func(phase corev1.PodPhase) corev1.ContainerStatus {
		t.Helper()
		driveTo(ctx, t, b, &request, phase)
		return request.Recorded.Containers[0]
	}
}

// fails is the stop of a container whose liveness probe has failed.
func fails(deadline time.Time) podlifecycle.Action {
	return podlifecycle.Action{Kind: podlifecycle.ActionStop, Container: "main", Reason: podlifecycle.StopLivenessProbe, Deadline: deadline}
}

// TestAContainerThatEndsBeforeItFeelsItsStopHasEndedByItself has a container end with 0 while it is written down that its probe has failed: the
// end of a container has its probes and hooks fail first.
func TestAContainerThatEndsBeforeItFeelsItsStopHasEndedByItself(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	w := newWorld()
	b, proxy := w.throughProxy(t)
	j, v, end := runningProbed(ctx, t, w, b, "by-itself", "trap 'exit 0' USR1; echo up; while :; do sleep 0.05; done")
	id := v.run("main", 0).ID
	untilWritten(ctx, t, b, j.token, "main", "up\n")
	direct := w.at(t, testHost())
	noted := make(chan struct{})
	once := sync.OnceFunc(func() {
		defer close(noted)
		if _, err := direct.engine.ContainerKill(ctx, id, client.ContainerKillOptions{Signal: "SIGUSR1"}); err != nil {
			t.Error(err)
		}
		for {
			seen, err := direct.inspect(ctx, id)
			if err != nil || !seen.State.Running {
				return
			}
		}
	})
	proxy.Refuse(func(r *http.Request) string {
		if r.Method == http.MethodPut && strings.HasSuffix(r.URL.Path, "/archive") {
			once()
		}
		return ""
	})
	b.stopContainer(j, nil, v, fails(time.Now().Add(time.Minute)))
	<-noted
	if c := end(corev1.PodSucceeded); c.RestartCount != 0 || c.State.Terminated == nil || c.State.Terminated.ExitCode != 0 {
		t.Errorf("it is %+v", c)
	}
	later := w.at(t, testHost())
	known, err := later.notesOf(ctx, later.jobs.job(j.token), v, "main", v.run("main", 0))
	if err != nil || known.StopReason != "" {
		t.Errorf("a later manager knows %+v, %v", known, err)
	}
}

// TestAStopThatComesLateLeavesTimeToEnd has a deadline pass before the stop signal is sent, as it does while an engine is away.
func TestAStopThatComesLateLeavesTimeToEnd(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	w := newWorld()
	b := w.at(t, testHost())
	j, v, end := runningProbed(ctx, t, w, b, "late", "trap 'sleep 0.5; exit 0' TERM; echo up; while :; do sleep 0.05; done")
	untilWritten(ctx, t, b, j.token, "main", "up\n")
	b.stopContainer(j, nil, v, fails(time.Now().Add(-time.Minute)))
	harness.Eventually(t, time.Minute, "it is run again", func() error {
		if c := end(corev1.PodRunning); c.RestartCount != 1 {
			return fmt.Errorf("it is %+v", c)
		}
		return nil
	})
	if last := end(corev1.PodRunning).LastTerminationState.Terminated; last == nil || last.ExitCode != 0 {
		t.Errorf("it ended as %+v", last)
	}
}

// TestAnOutOfMemoryThatAnEngineComesToLateIsHeard has an engine tell of it when it has done with the end, which a busy one does late.
func TestAnOutOfMemoryThatAnEngineComesToLateIsHeard(t *testing.T) {
	engine := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-time.After(lateOOM + lateOOM/2) // it is busy
		// An engine that is told until when ends there.
		if r.FormValue("until") == "" {
			_, _ = fmt.Fprintf(w, `{"Type":"container","Action":"oom","Actor":{"ID":"c"},"time":%d}`+"\n", time.Now().Unix())
		}
	}))
	defer engine.Close()
	c, err := client.New(client.WithHost("tcp://"+engine.Listener.Addr().String()), client.WithAPIVersion("1.41"))
	if err != nil {
		t.Fatal(err)
	}
	ended := time.Now().Add(-5 * time.Second)
	b, run := &Backend{line: line{engine: c}}, &seenRun{InspectResponse: container.InspectResponse{
		ID: "c", Created: ended.Add(-time.Second).Format(time.RFC3339Nano), HostConfig: &container.HostConfig{Resources: container.Resources{Memory: 1 << 20}},
		State: &container.State{Status: container.StateExited, ExitCode: exitKilled, FinishedAt: ended.Format(time.RFC3339Nano)},
	}}
	for name, stops := range map[string]map[string]*stop{"by itself": nil, "while it was told to end": {"c": {}}} {
		if is, err := b.ranOutOfMemory(t.Context(), &job{stops: stops}, run); err != nil || !is {
			t.Errorf("%s: got %v, %v", name, is, err)
		}
	}
	if is, err := b.ranOutOfMemory(t.Context(), &job{stops: map[string]*stop{"c": {killed: true}}}, run); err != nil || is {
		t.Errorf("one that was killed from here: got %v, %v", is, err)
	}
}
