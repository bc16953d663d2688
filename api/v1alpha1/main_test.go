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

package v1alpha1_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/remotejob-dev/remotejob-operator/test/harness/controlplane"
)

// The manager's ServiceAccount in config/default.
const managerUser = "system:serviceaccount:remotejob-system:remotejob-controller-manager"

var (
	plane *controlplane.ControlPlane
	// admin may do everything; manager too, by the name of the manager's ServiceAccount.
	admin, manager client.Client
)

func TestMain(m *testing.M) {
	os.Exit(runTests(m))
}

func runTests(m *testing.M) int {
	ctx := context.Background()
	if err := setUp(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		if plane != nil {
			_ = plane.Stop(ctx)
		}
		return 1
	}
	code := m.Run()
	if err := plane.Stop(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func setUp(ctx context.Context) (err error) {
	if plane, err = controlplane.Start(ctx, controlplane.Options{}); err != nil {
		return err
	}
	// All of what a cluster gets; no controller is here to make a pod of the Deployment.
	if out, err := kubectl(ctx, "apply", "-k", configDir("default")); err != nil {
		return fmt.Errorf("kubectl apply -k config/default: %w: %s", err, out)
	}
	if out, err := kubectl(ctx, "wait", "--for=condition=Established", "--timeout=30s",
		"crd/remotejobs.remotejob.dev", "crd/remotebackends.remotejob.dev"); err != nil {
		return fmt.Errorf("kubectl wait: %w: %s", err, out)
	}
	if admin, err = client.New(plane.Config, client.Options{}); err != nil {
		return err
	}
	cfg, err := plane.ConfigFor(managerUser, "system:masters")
	if err != nil {
		return err
	}
	manager, err = client.New(cfg, client.Options{})
	return err
}

func configDir(name string) string { return filepath.Join("..", "..", "config", name) }

func kubectl(ctx context.Context, args ...string) (string, error) {
	cmd := plane.Kubectl(ctx, args...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// mustKubectl returns what kubectl wrote to its standard output.
func mustKubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := plane.Kubectl(t.Context(), args...).Output()
	if err != nil {
		var stderr []byte
		if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // Output returns it as it is
			stderr = exit.Stderr
		}
		t.Fatalf("kubectl %s: %v: %s", strings.Join(args, " "), err, stderr)
	}
	return string(out)
}

// object is the object that the text says.
func object(t *testing.T, text string) *unstructured.Unstructured {
	t.Helper()
	o := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		t.Fatal(err)
	}
	return o
}

// set changes a field of an object by its path; a nil value removes it.
func set(t *testing.T, o *unstructured.Unstructured, value any, path ...string) {
	t.Helper()
	if value == nil {
		unstructured.RemoveNestedField(o.Object, path...)
		return
	}
	if err := unstructured.SetNestedField(o.Object, value, path...); err != nil {
		t.Fatal(err)
	}
}

// expect fails the test unless the error holds the words, or is nil where there are none.
func expect(t *testing.T, err error, words string) {
	t.Helper()
	switch {
	case words == "" && err != nil:
		t.Fatalf("refused: %v", err)
	case words != "" && err == nil:
		t.Fatalf("accepted; it should have been refused with %q", words)
	case words != "" && !strings.Contains(err.Error(), words):
		t.Fatalf("refused with %q, which lacks %q", err, words)
	}
}

// remove deletes an object at the end of a test, if it was made.
func remove(t *testing.T, o *unstructured.Unstructured) {
	t.Helper()
	t.Cleanup(func() {
		if o.GetName() == "" {
			return
		}
		if err := client.IgnoreNotFound(admin.Delete(context.Background(), o)); err != nil {
			t.Error(err)
		}
	})
}
