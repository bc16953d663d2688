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
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// An engine that shuts down tells of the ends that it brings about, for as long as another container holds it up. They are not taken for
// the applications' own.
func TestAnEndThatAnEngineTellsOfWhileItShutsDownIsNotBelieved(t *testing.T) {
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
	if err := image.Load(ctx, engine.Client, testImage); err != nil {
		t.Fatal(err)
	}
	w := newWorld()
	b, err := New(Options{Host: engine.Host, Ledger: w.ledger, Backend: w.backend, Podrunner: podrunner})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	if _, err := b.Check(ctx); err != nil {
		t.Fatal(err)
	}
	start := func(name, script string) backend.DriveRequest {
		t.Helper()
		request := backend.DriveRequest{Workload: workload.Bare(workload.ResolveRequest{
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever,
				Containers:    []corev1.Container{{Name: "c", Image: testImage, Command: []string{"sh", "-c", script}}},
			}},
			Namespace: "default", Name: name, UID: types.UID("uid-" + name), Token: workload.PodToken(w.ledger, "default", name), Ledger: w.ledger, Backend: w.backend,
		})}
		if _, err := b.Submit(ctx, request.Workload); err != nil {
			t.Fatal(err)
		}
		harness.Eventually(t, time.Minute, name+" runs", func() error {
			d, err := b.Drive(ctx, request)
			if err == nil && d.Phase != corev1.PodRunning {
				err = backend.Unavailable("it is %s", d.Phase)
			}
			return err
		})
		untilWritten(ctx, t, b, request.Workload.Token, "c", "up\n")
		return request
	}
	answers := start("answers", "trap 'exit 42' TERM; echo up; while :; do sleep 0.05; done")
	start("lingers", "trap '' TERM; echo up; while :; do sleep 0.05; done")

	stopped := make(chan error, 1)
	go func() { stopped <- engine.Stop() }()
	token := answers.Workload.Token
	harness.Eventually(t, time.Minute, "the engine tells of the end", func() error {
		v, err := b.look(ctx, b.jobs.job(token))
		if err != nil {
			t.Fatalf("the engine went before it told of the end: %v", err)
		}
		if r := v.run("c", 0); r == nil || r.State.Status != container.StateExited || r.State.ExitCode != 42 {
			return backend.Unavailable("the container has not ended: %+v", r.State)
		}
		return nil
	})
	if d, err := b.Drive(ctx, answers); !backend.IsUnavailable(err) {
		t.Errorf("an engine that shuts down is believed: %+v, %v", d, err)
	}
	if err := <-stopped; err != nil {
		t.Fatal(err)
	}

	// Its successor has a pod whose machine went away.
	if err := engine.Start(ctx); err != nil {
		t.Fatal(err)
	}
	d, err := b.Drive(ctx, answers)
	if err != nil {
		t.Fatal(err)
	}
	if d.Phase != corev1.PodFailed || d.Reason != podlifecycle.ReasonNodeLost {
		t.Errorf("the pod is %s, %s", d.Phase, d.Reason)
	}
}
