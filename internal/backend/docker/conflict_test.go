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
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// throughProxy is a connection of the world to the tests' engine that goes through a proxy.
func (w world) throughProxy(t *testing.T) (*Backend, *harness.EngineProxy) {
	t.Helper()
	proxy, err := harness.NewEngineProxy(t.TempDir(), testHost())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	return w.at(t, proxy.Host), proxy
}

// at is a connection of the world to an engine.
func (w world) at(t *testing.T, host string) *Backend {
	t.Helper()
	b, err := New(Options{Host: host, Ledger: w.ledger, Backend: w.backend, Podrunner: podrunner})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	if _, err := b.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	return b
}

// pod is a pod of the world that has one container, main, which runs a script.
func (w world) pod(name, script string, policy corev1.RestartPolicy) backend.DriveRequest {
	return backend.DriveRequest{Workload: workload.Bare(workload.ResolveRequest{
		Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: policy,
			Containers:    []corev1.Container{{Name: "main", Image: testImage, Command: []string{"sh", "-c", script}}},
		}},
		Namespace: "default", Name: name, UID: "uid", Token: workload.PodToken(w.ledger, "default", name), Ledger: w.ledger, Backend: w.backend,
	})}
}

// driveTo drives a pod, and has each decision recorded, until it is in a phase.
func driveTo(ctx context.Context, t *testing.T, b *Backend, request *backend.DriveRequest, phase corev1.PodPhase) {
	t.Helper()
	harness.Eventually(t, time.Minute, "it is "+string(phase), func() error {
		d, err := b.Drive(ctx, *request)
		if err != nil {
			return err
		}
		request.Recorded.Phase, request.Recorded.InitContainers, request.Recorded.Containers = d.Phase, d.InitContainers, d.Containers
		if d.Phase != phase {
			return backend.Unavailable("it is %s: %+v", d.Phase, d.Containers)
		}
		return nil
	})
}

// Another manager may have made a container, and run it to its end, since this one has looked.
func TestAContainerThatSomebodyElseHasRunIsNotStartedAgain(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	w := newWorld()
	b := w.at(t, testHost())
	request := w.pod("ran", "exit 0", corev1.RestartPolicyOnFailure)
	token := request.Workload.Token
	cancelAfterwards(t, b, token)
	if _, err := b.Submit(ctx, request.Workload); err != nil {
		t.Fatal(err)
	}
	driveTo(ctx, t, b, &request, corev1.PodSucceeded)
	before, err := b.inspect(ctx, containerName(token, "main", 0))
	if err != nil {
		t.Fatal(err)
	}

	late := w.at(t, testHost())
	j := late.jobs.job(token)
	v, err := late.look(ctx, j)
	if err != nil {
		t.Fatal(err)
	}
	delete(v.runs, "main")
	again, err := late.startContainer(ctx, j, request.Workload, v, "main", 0)
	if err != nil || !again {
		t.Errorf("it is to be looked at again: %v, %v", again, err)
	}
	after, err := b.inspect(ctx, containerName(token, "main", 0))
	if err != nil || after.ID != before.ID || after.State.StartedAt != before.State.StartedAt || after.State.Status != container.StateExited {
		t.Errorf("it was %+v and is %+v, %v", before.State, after.State, err)
	}
}

// A start that failed from here may have been made by another manager meanwhile: what runs then is not removed.
func TestAContainerThatSomebodyElseStartsIsNotRemoved(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	w := newWorld()
	b, proxy := w.throughProxy(t)
	other := w.at(t, testHost())
	request := w.pod("beside", "while :; do sleep 0.1; done", corev1.RestartPolicyNever)
	token := request.Workload.Token
	cancelAfterwards(t, b, token)
	if _, err := b.Submit(ctx, request.Workload); err != nil {
		t.Fatal(err)
	}
	name := containerName(token, "main", 0)
	proxy.Refuse(func(r *http.Request) string {
		switch {
		case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/start"):
			return "cannot join network of a non running container: 60d2d4d1"
		case r.Method == http.MethodDelete:
			if _, err := other.engine.ContainerStart(ctx, name, client.ContainerStartOptions{}); err != nil {
				t.Errorf("start %s: %v", name, err)
			}
		}
		return ""
	})
	harness.Eventually(t, time.Minute, "the container runs", func() error {
		_, err := b.Drive(ctx, request)
		if err != nil {
			return err
		}
		_, err = other.inspect(ctx, name)
		return err
	})
	proxy.Refuse(func(*http.Request) string { return "" })
	driveTo(ctx, t, b, &request, corev1.PodRunning)
	if c := request.Recorded.Containers[0]; c.State.Running == nil || c.RestartCount != 0 {
		t.Errorf("it is %+v", c)
	}
}
