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
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

const forEver = "trap 'exit 0' TERM; while :; do sleep 0.1; done"

func TestOfTwoInfraContainersThePodsOwnIsChosen(t *testing.T) {
	infra := func(id, name, created string) *container.InspectResponse {
		return &container.InspectResponse{
			ID: id, Name: "/" + name, Created: created, State: &container.State{Status: container.StateCreated},
			Config: &container.Config{Labels: map[string]string{labelToken: "rj-1", labelRole: roleInfra}},
		}
	}
	named := infra("named", infraName("rj-1"), "2026-01-01T00:00:03Z")
	first, second := infra("first", asideName("rj-1", "first"), "2026-01-01T00:00:01Z"), infra("second", asideName("rj-1", "second"), "2026-01-01T00:00:02Z")
	for what, c := range map[string]struct {
		seen      []*container.InspectResponse
		inhabited string
		infra     string
		aside     string
	}{
		"none":                          {},
		"one":                           {seen: []*container.InspectResponse{named}, infra: "named"},
		"one that has been set aside":   {seen: []*container.InspectResponse{first}, infra: "first"},
		"the named one":                 {seen: []*container.InspectResponse{named, first}, infra: "named", aside: "first"},
		"the named one, seen last":      {seen: []*container.InspectResponse{first, named}, infra: "named", aside: "first"},
		"the last of those set aside":   {seen: []*container.InspectResponse{first, second}, infra: "second", aside: "first"},
		"the one in which the pod runs": {seen: []*container.InspectResponse{named, first}, inhabited: "first", infra: "first", aside: "named"},
	} {
		t.Run(what, func(t *testing.T) {
			v := &view{runs: map[string][]seenRun{}}
			for _, one := range c.seen {
				v.add(one)
			}
			if c.inhabited != "" {
				v.runs["main"] = []seenRun{{InspectResponse: container.InspectResponse{
					State:      &container.State{Status: container.StateRunning},
					HostConfig: &container.HostConfig{NetworkMode: container.NetworkMode("container:" + c.inhabited)},
				}}}
			}
			v.chooseInfra()
			got, aside := "", []string{}
			if v.infra != nil {
				got = v.infra.ID
			}
			for _, one := range v.aside {
				aside = append(aside, one.ID)
			}
			if got != c.infra || strings.Join(aside, " ") != c.aside {
				t.Errorf("%q is the pod's, and %q are aside; want %q and %q", got, aside, c.infra, c.aside)
			}
		})
	}
}

// refuseOnce has the engine fail the next call that makes a job's infra container, and tells when it has.
func refuseOnce(proxy *harness.EngineProxy, token string) *atomic.Bool {
	var refused atomic.Bool
	proxy.Refuse(func(r *http.Request) string {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/containers/create") && r.URL.Query().Get("name") == infraName(token) &&
			refused.CompareAndSwap(false, true) {
			return "no space left on device"
		}
		return ""
	})
	return &refused
}

// infraOf is the one infra container of a job.
func infraOf(ctx context.Context, t *testing.T, b *Backend, token string) string {
	t.Helper()
	list, err := b.containers(ctx, token)
	if err != nil {
		t.Fatal(err)
	}
	id := ""
	for _, c := range list {
		if c.Labels[labelRole] != roleInfra {
			continue
		}
		if id != "" {
			t.Errorf("there are two infra containers: %s and %s", id, c.ID)
		}
		id = c.ID
	}
	return id
}

// A manager that ends between the old infra container and the new one, here since the engine makes none, leaves a job that is there.
func TestAJobIsThereWhileItsSandboxIsRenewed(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	w := newWorld()
	b, proxy := w.throughProxy(t)
	request := w.pod("renewed", forEver, corev1.RestartPolicyAlways)
	token := request.Workload.Token
	cancelAfterwards(t, b, token)
	if _, err := b.Submit(ctx, request.Workload); err != nil {
		t.Fatal(err)
	}
	driveTo(ctx, t, b, &request, corev1.PodRunning)
	before := infraOf(ctx, t, b, token)
	refused := refuseOnce(proxy, token)
	if _, err := b.engine.ContainerKill(ctx, before, client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, time.Minute, "the engine fails to make another one", func() error {
		d, err := b.Drive(ctx, request)
		if refused.Load() {
			return nil
		}
		request.Recorded.Phase, request.Recorded.InitContainers, request.Recorded.Containers = d.Phase, d.InitContainers, d.Containers
		return fmt.Errorf("it is %s: %w", d.Phase, err)
	})

	next := w.at(t, testHost())
	mustDrive(ctx, t, next, request)
	driveTo(ctx, t, next, &request, corev1.PodRunning)
	if c := request.Recorded.Containers[0]; c.State.Running == nil || c.RestartCount != 1 {
		t.Errorf("it is %+v", c)
	}
	if after := infraOf(ctx, t, next, token); after == before || after == "" {
		t.Errorf("the infra container was %s and is %s", before, after)
	}
}

// The same where the first infra container could not be started.
func TestAJobIsThereWhileItsHalfStartedSandboxIsReplaced(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	w := newWorld()
	b, proxy := w.throughProxy(t)
	request := w.pod("half", forEver, corev1.RestartPolicyNever)
	token := request.Workload.Token
	cancelAfterwards(t, b, token)
	made := 0
	proxy.Refuse(func(r *http.Request) string {
		switch {
		case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/start"):
			return "id already in use"
		case r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/containers/create") && r.URL.Query().Get("name") == infraName(token):
			if made++; made > 1 {
				return "no space left on device"
			}
		}
		return ""
	})
	if _, err := b.Submit(ctx, request.Workload); !backend.IsUnavailable(err) {
		t.Fatalf("it was submitted: %v", err)
	}
	before := infraOf(ctx, t, b, token)
	next := w.at(t, testHost())
	if _, err := next.Drive(ctx, request); err != nil {
		t.Fatalf("the next manager: %v", err)
	}
	driveTo(ctx, t, next, &request, corev1.PodRunning)
	if after := infraOf(ctx, t, next, token); after == before || after == "" {
		t.Errorf("the infra container was %s and is %s", before, after)
	}
}

// TestAnExchangeOfInfraContainersIsTakenUp leaves one after each of its steps. The old one may run, and then has the pod's ports of the machine.
func TestAnExchangeOfInfraContainersIsTakenUp(t *testing.T) {
	for _, runs := range []bool{false, true} {
		for _, made := range []bool{false, true} {
			for _, cancelled := range []bool{false, true} {
				t.Run(fmt.Sprintf("runs=%t made=%t cancelled=%t", runs, made, cancelled), func(t *testing.T) { isTakenUp(t, runs, made, cancelled) })
			}
		}
	}
}

// mustDrive has a manager look after a pod, which must not fail, but that a busy engine may take too long for an answer.
func mustDrive(ctx context.Context, t *testing.T, b *Backend, request backend.DriveRequest) {
	t.Helper()
	harness.Eventually(t, time.Minute, "an answer of the engine", func() error {
		_, err := b.Drive(ctx, request)
		if err != nil && !backend.IsUnavailable(err) {
			t.Fatalf("the next manager: %v", err)
		}
		return err
	})
}

func isTakenUp(t *testing.T, runs, made, cancelled bool) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	w := newWorld()
	b := w.at(t, testHost())
	request := w.pod("exchanged", forEver, corev1.RestartPolicyNever)
	request.Workload.Pod.Spec.Containers[0].Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: 20000 + rand.Int32N(10000)}}
	token := request.Workload.Token
	cancelAfterwards(t, b, token)
	if _, err := b.Submit(ctx, request.Workload); err != nil {
		t.Fatal(err)
	}
	before := infraOf(ctx, t, b, token)
	if !runs {
		if _, err := b.engine.ContainerKill(ctx, before, client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // a manager that comes late with it does no harm
		if err := b.setAside(ctx, token, before); err != nil {
			t.Fatal(err)
		}
	}
	if made {
		if _, err := b.makeSandbox(ctx, request.Workload); err != nil {
			t.Fatal(err)
		}
	}

	next := w.at(t, testHost())
	if cancelled {
		if gone, err := next.Cancel(ctx, backend.JobRef{Token: token}); err != nil || !gone {
			t.Errorf("it is not gone: %v", err)
		}
		return
	}
	mustDrive(ctx, t, next, request)
	driveTo(ctx, t, next, &request, corev1.PodRunning)
	after := infraOf(ctx, t, next, token)
	if taken := runs && !made; (after == before) != taken {
		t.Errorf("the infra container was %s and is %s", before, after)
	}
	main, err := next.inspect(ctx, containerName(token, "main", 0))
	if err != nil || string(main.HostConfig.NetworkMode) != "container:"+after {
		t.Errorf("the container is in %s and not in %s: %v", main.HostConfig.NetworkMode, after, err)
	}
}
