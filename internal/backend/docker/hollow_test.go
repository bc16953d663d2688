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
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// TestAnInfraContainerWithoutSharedMemoryIsReplaced takes away what an engine forgets that was ended while it started an infra container: to
// it, that one runs, and nothing can join it.
func TestAnInfraContainerWithoutSharedMemoryIsReplaced(t *testing.T) {
	for what, killed := range map[string]bool{"at once": false, "by a manager after the one that met it": true} {
		t.Run(what, func(t *testing.T) { isReplaced(t, killed) })
	}
}

func isReplaced(t *testing.T, killed bool) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	w := newWorld()
	b := w.connect(t)
	if _, err := b.Check(ctx); err != nil {
		t.Fatal(err)
	}
	token := workload.PodToken(w.ledger, "default", "hollow")
	request := backend.DriveRequest{Workload: workload.Bare(workload.ResolveRequest{
		Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers: []corev1.Container{
				{Name: "main", Image: testImage, Command: []string{"sh", "-c", "exit 7"}}, {Name: "side", Image: testImage, Command: []string{"sh", "-c", "exit 0"}},
			},
		}},
		Namespace: "default", Name: "hollow", UID: "hollow", Token: token, Ledger: w.ledger, Backend: w.backend,
	})}
	cancelAfterwards(t, b, token)
	if _, err := b.Submit(ctx, request.Workload); err != nil {
		t.Fatal(err)
	}
	before, err := b.inspect(ctx, infraName(token))
	if err != nil {
		t.Fatal(err)
	}
	info, err := b.engine.Info(ctx, client.InfoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	shm := filepath.Join(info.Info.DockerRootDir, "containers", before.ID, "mounts", "shm")
	if err := syscall.Unmount(shm, syscall.MNT_DETACH); err != nil {
		t.Fatalf("the test has to be where its engine is, and root: unmount %s: %v", shm, err)
	}
	if err := os.Remove(shm); err != nil {
		t.Fatal(err)
	}
	if killed {
		of := labels(request.Workload, roleContainer)
		of[labelContainer], of[labelN] = "main", "0"
		sandbox := "container:" + before.ID
		id, err := b.create(ctx, created{
			name:   containerName(token, "main", 0),
			config: container.Config{Image: testImage, Cmd: []string{"sh", "-c", "exit 7"}, Labels: of},
			host:   container.HostConfig{NetworkMode: container.NetworkMode(sandbox), IpcMode: container.IpcMode(sandbox)},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.engine.ContainerStart(ctx, id, client.ContainerStartOptions{}); err == nil || !isHollowSandbox(err.Error()) {
			t.Fatalf("the engine says: %v", err)
		}
	}

	harness.Eventually(t, time.Minute, "it ends", func() error {
		d, err := b.Drive(ctx, request)
		if err == nil && d.Phase != corev1.PodFailed {
			err = fmt.Errorf("it is %s: %+v", d.Phase, d.Containers)
		}
		request.Recorded.Phase, request.Recorded.Containers = d.Phase, d.Containers
		return err
	})
	for _, s := range request.Recorded.Containers {
		if end := s.State.Terminated; end == nil || end.ExitCode != map[string]int32{"main": 7, "side": 0}[s.Name] || s.RestartCount != 0 {
			t.Errorf("%s is %+v", s.Name, s.State)
		}
	}
	after, err := b.inspect(ctx, infraName(token))
	if err != nil || after.ID == before.ID || after.State.Status != container.StateRunning && after.State.Status != container.StateExited {
		t.Errorf("the infra container was %s and is %s, %s: %v", before.ID, after.ID, after.State.Status, err)
	}
}
