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

// Package manifests holds what users apply against a real API server.
package manifests

import (
	"context"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/controlplane"
)

// TestEverythingThatIsAppliedIsTakenByAnAPIServer applies config/default and holds all else against the API server: unknown fields, values
// that are not allowed, and pods that are not restricted are errors.
func TestEverythingThatIsAppliedIsTakenByAnAPIServer(t *testing.T) {
	plane, err := controlplane.Start(t.Context(), controlplane.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = plane.Stop(context.Background()) })
	config := filepath.Join(harness.Root(), "config")
	apply := func(t *testing.T, args ...string) (string, error) {
		t.Helper()
		out, err := plane.Kubectl(t.Context(), append([]string{"apply", "--server-side", "--force-conflicts", "--validate=strict", "--warnings-as-errors"}, args...)...).CombinedOutput()
		return string(out), err
	}
	for _, args := range [][]string{
		{"-f", filepath.Join("testdata", "prometheus_crds.yaml")},
		{"-k", filepath.Join(config, "crd")},
	} {
		if out, err := apply(t, args...); err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
	}
	wait := plane.Kubectl(t.Context(), "wait", "--for=condition=Established", "--timeout=1m", "crd", "--all")
	if out, err := wait.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if out, err := apply(t, "-k", filepath.Join(config, "default")); err != nil {
		t.Fatalf("config/default: %v: %s", err, out)
	}

	for _, dir := range overlays(t, config) {
		t.Run(dir, func(t *testing.T) {
			if out, err := apply(t, "--dry-run=server", "-k", filepath.Join(config, dir)); err != nil {
				t.Errorf("%v: %s", err, out)
			}
		})
	}
	t.Run("all that is opt-in", func(t *testing.T) {
		if out, err := apply(t, "--dry-run=server", "-k", optedIn(t, config)); err != nil {
			t.Errorf("%v: %s", err, out)
		} else if !strings.Contains(out, "servicemonitor.monitoring.coreos.com/") {
			t.Errorf("nothing was opted in: %s", out)
		}
	})
	// What is held against the API server can fail.
	t.Run("a pod that is not restricted", func(t *testing.T) {
		if out, err := apply(t, "--dry-run=server", "-k", filepath.Join("testdata", "unrestricted")); err == nil || !strings.Contains(out, "allowPrivilegeEscalation") {
			t.Errorf("it is taken (%v): %s", err, out)
		}
	})
}

// overlays are the directories that users apply.
func overlays(t *testing.T, config string) []string {
	t.Helper()
	dirs := []string{"default", "dev", "namespaced", "samples"}
	entries, err := os.ReadDir(filepath.Join(config, "overlays"))
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		dirs = append(dirs, filepath.Join("overlays", entry.Name()))
	}
	return dirs
}

// optedIn is config/default with the comments taken away from all that is opt-in there.
func optedIn(t *testing.T, config string) string {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "config")
	if err := os.CopyFS(copied, os.DirFS(config)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(copied, "default", "kustomization.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "\n#-", "\n-")), fs.FileMode(0o600)); err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(file)
}

// TestAnImageIsNamedWithoutChangingFiles has the kustomization that make deploy writes name images in all their forms.
func TestAnImageIsNamedWithoutChangingFiles(t *testing.T) {
	for image, want := range map[string]string{
		"registry.example.org:5000/a/remotejob-operator:1.2":   "image: registry.example.org:5000/a/remotejob-operator:1.2",
		"registry.example.org:5000/remotejob-operator":         "image: registry.example.org:5000/remotejob-operator:latest",
		"remotejob-operator@sha256:" + strings.Repeat("a", 64): "image: remotejob-operator@sha256:" + strings.Repeat("a", 64),
	} {
		dir := filepath.Join(harness.Root(), "bin", "test", "manifests")
		script := exec.CommandContext(t.Context(), filepath.Join(harness.Root(), "hack", "kustomization.sh"), dir, "config/default", image)
		if out, err := script.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		build := exec.CommandContext(t.Context(), filepath.Join(harness.Root(), "bin", "k8s", "kubectl"), "kustomize", dir)
		out, err := build.CombinedOutput()
		if err != nil || !strings.Contains(string(out), want+"\n") {
			t.Errorf("%s: %v; there is no %q in what is built", image, err, want)
		}
	}
}
