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
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/backendtest"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// mappedUser is whose subordinate users the engine gives to containers.
const mappedUser = "daemon"

// On an engine with userns-remap, whose root in a container is nobody of note on the machine, what has to do with owners is tried anew.
func TestPodsBehaveOnAnEngineThatMapsUsers(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	image, err := harness.BusyboxImage()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := harness.StartDockerd(ctx, image, "--userns-remap="+mappedUser)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	if err := image.Load(ctx, engine.Client, testImage); err != nil {
		t.Fatal(err)
	}
	w := newWorld()
	backendtest.Run(t, backendtest.Suite{
		Connect: func(t *testing.T) backend.Backend {
			b, err := New(Options{Host: engine.Host, Ledger: w.ledger, Backend: w.backend, Podrunner: podrunner})
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
		Ledger: w.ledger, Backend: w.backend, Image: testImage,
		Only: func(name string) bool {
			for _, part := range []string{"content and modes", "fsGroup", "runAsUser", "can be written by any user", "mode that it asks for", "in memory",
				"user that its item names", "termination message comes from", "readiness probe by exec", "named port inside", "preStop runs", "sizeLimit is evicted"} {
				if strings.Contains(name, part) {
					return true
				}
			}
			return false
		},
	})
}

// What such an engine has not is refused whichever way a pod asks for it.
func TestAnEngineThatMapsUsersHasNoPrivilegedContainers(t *testing.T) {
	pod := func(annotations map[string]string, security *corev1.SecurityContext) *corev1.Pod {
		return &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Annotations: annotations},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "busybox", SecurityContext: security}}},
		}
	}
	flags := func(line string) map[string]string { return map[string]string{workload.AnnotationDockerFlags: line} }
	mapped := machine{mapsUsers: true, subpath: true}
	for words, asks := range map[string]*corev1.Pod{
		"spec.containers[0].securityContext.privileged":                          pod(nil, &corev1.SecurityContext{Privileged: new(true)}),
		"metadata.annotations[docker-options.vk.io/flags]: --privileged: the en": pod(flags("--cpus 1 --privileged"), nil),
		"metadata.annotations[docker-options.vk.io/flags]: --privileged":         pod(flags("--privileged=true"), nil),
	} {
		if err := acceptable(asks, mapped, "None"); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v", words, err)
		}
		if err := acceptable(asks, machine{subpath: true}, "None"); err != nil {
			t.Errorf("%s, on an engine that maps none: %v", words, err)
		}
	}
	if err := acceptable(pod(flags("--privileged=false"), nil), mapped, "None"); err != nil {
		t.Errorf("who does not want it: %v", err)
	}
}
