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
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// TestAContainerWhoseStartItsEngineForgotIsNotRunTwice takes from an engine what it would not have written down yet, had it been killed right
// after it started a container.
func TestAContainerWhoseStartItsEngineForgotIsNotRunTwice(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	image, err := harness.BusyboxImage()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := harness.StartDockerd(ctx, image, "--live-restore")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	if err := image.Load(ctx, engine.Client, testImage); err != nil {
		t.Fatal(err)
	}
	w := newWorld()
	b := w.at(t, engine.Host)
	request := w.pod("forgotten", "echo run >>/seen/runs; echo it runs; exit 3", corev1.RestartPolicyNever)
	seen := t.TempDir()
	spec := &request.Workload.Pod.Spec
	spec.Volumes = append(spec.Volumes, corev1.Volume{Name: "seen", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: seen}}})
	spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "seen", MountPath: "/seen"}}
	first := request
	if _, err := b.Submit(ctx, request.Workload); err != nil {
		t.Fatal(err)
	}
	driveTo(ctx, t, b, &request, corev1.PodFailed)
	run, err := b.inspect(ctx, containerName(request.Workload.Token, "main", 0))
	if err != nil {
		t.Fatal(err)
	}
	info, err := engine.Client.Info(ctx, client.InfoOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := engine.Kill(); err != nil {
		t.Fatal(err)
	}
	forget(t, filepath.Join(info.Info.DockerRootDir, "containers", run.ID, "config.v2.json"))
	if err := engine.Start(ctx, "--live-restore"); err != nil {
		t.Fatal(err)
	}

	next := w.at(t, engine.Host)
	if again, err := next.inspect(ctx, run.ID); err != nil || again.State.Status != "created" {
		t.Fatalf("the engine shows it as %+v, %v", again.State, err)
	}
	harness.Eventually(t, time.Minute, "it ends", func() error {
		d, err := next.Drive(ctx, first)
		if err == nil && d.Phase != corev1.PodFailed {
			err = backend.Unavailable("it is %s: %+v", d.Phase, d.Containers)
		}
		first.Recorded.Phase, first.Recorded.Containers = d.Phase, d.Containers
		return err
	})
	if end := first.Recorded.Containers[0].State.Terminated; end == nil || end.ExitCode != 128 || end.Message != forgottenStart {
		t.Errorf("it ended as %+v", first.Recorded.Containers[0].State)
	}
	runs, err := os.ReadFile(filepath.Join(seen, "runs"))
	if got := strings.Count(string(runs), "run\n"); err != nil || got != 1 {
		t.Errorf("it ran %d times, %v", got, err)
	}
}

// forget has an engine know of a container that it was made, and no more.
func forget(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]any
	if err := json.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	state, ok := config["State"].(map[string]any)
	if !ok {
		t.Fatalf("%s holds no state", file)
	}
	never := time.Time{}.Format(time.RFC3339)
	for key, value := range map[string]any{
		"Running": false, "Pid": 0, "ExitCode": 0, "StartedAt": never, "FinishedAt": never, "HasBeenStartedBefore": false, "HasBeenManuallyStopped": false,
	} {
		state[key] = value
	}
	if text, err = json.Marshal(config); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
