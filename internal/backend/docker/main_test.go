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
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/moby/moby/client"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/program"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// The images that the tests' pods run. All are made on the spot and removed at the end.
var (
	testImage       = "remotejob-docker-test-" + randomID() + ":1"
	entrypointImage = "remotejob-docker-test-" + randomID() + ":entrypoint"
	serverImage     = "remotejob-docker-test-" + randomID() + ":server"
	podrunner       *program.Program
)

func TestMain(m *testing.M) {
	flag.Parse()
	if fuzz := flag.Lookup("test.fuzz"); fuzz != nil && fuzz.Value.String() != "" {
		os.Exit(m.Run()) // fuzzing needs no engine, and each of its workers comes by here
	}
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	dir, err := os.MkdirTemp("", "docker-test-")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary, err := build(dir, "cmd/podrunner")
	if err != nil {
		return 0, err
	}
	if podrunner, err = program.Open(binary); err != nil {
		return 0, err
	}
	if binary, err = build(dir, "internal/backend/backendtest/testserver"); err != nil {
		return 0, err
	}
	testserver, err := os.ReadFile(binary)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	way, err := connect(testHost(), nil, nil)
	if err != nil {
		return 0, err
	}
	defer func() { _ = way.close() }()
	engine := way.engine
	busybox, err := harness.BusyboxImage()
	if err != nil {
		return 0, err
	}
	if err := busybox.Load(ctx, engine, testImage); err != nil {
		return 0, fmt.Errorf("the tests need a Docker engine at %s: %w", testHost(), err)
	}
	if err := loadEntrypointImage(ctx, engine, busybox.Layer); err != nil {
		return 0, err
	}
	if err := loadServerImage(ctx, engine, busybox.Layer, testserver); err != nil {
		return 0, err
	}
	defer func() {
		for _, image := range []string{testImage, entrypointImage, serverImage} {
			_, _ = engine.ImageRemove(context.Background(), image, client.ImageRemoveOptions{Force: true})
		}
		_ = engine.Close()
	}()
	// The suite bounds its parallel cases by itself.
	flag.Parse()
	if err := flag.Set("test.parallel", "100"); err != nil {
		return 0, err
	}
	return m.Run(), nil
}

// build builds a program of this module and returns its path.
func build(dir, pkg string) (string, error) {
	binary := filepath.Join(dir, filepath.Base(pkg))
	cmd := exec.Command("go", "build", "-trimpath", "-o", binary, "github.com/remotejob-dev/remotejob-operator/"+pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", pkg, err, out)
	}
	return binary, nil
}

// testHost is the engine that the tests run on.
func testHost() string {
	if host := os.Getenv("DOCKER_HOST"); host != "" {
		return host
	}
	return "unix:///var/run/docker.sock"
}

// loadEntrypointImage loads an image that prints its arguments, one a line, by its entrypoint, and whose default argument is "default".
func loadEntrypointImage(ctx context.Context, engine *client.Client, layer []byte) error {
	return loadImage(ctx, engine, entrypointImage, map[string]any{
		"Entrypoint": []string{"/bin/sh", "-c", `for a in "$@"; do printf '%s\n' "$a"; done`, "entrypoint"},
		"Cmd":        []string{"default"}, "Env": []string{"PATH=/bin", "FROM_IMAGE=yes"}, "StopSignal": "SIGTERM",
	}, layer)
}

// loadServerImage loads an image with the suite's server in it.
func loadServerImage(ctx context.Context, engine *client.Client, layer, server []byte) error {
	second, err := tarOf([]tarEntry{{name: "bin/testserver", mode: 0o755, data: server}})
	if err != nil {
		return err
	}
	return loadImage(ctx, engine, serverImage, map[string]any{"Env": []string{"PATH=/bin"}}, layer, second)
}

func loadImage(ctx context.Context, engine *client.Client, name string, config map[string]any, layers ...[]byte) error {
	var entries []tarEntry
	var ids, names []string
	for i, layer := range layers {
		sum := sha256.Sum256(layer)
		ids, names = append(ids, "sha256:"+hex.EncodeToString(sum[:])), append(names, fmt.Sprintf("layer%d.tar", i))
		entries = append(entries, tarEntry{name: names[i], mode: 0o644, data: layer})
	}
	image, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "config": config, "rootfs": map[string]any{"type": "layers", "diff_ids": ids},
	})
	if err != nil {
		return err
	}
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": []string{name}, "Layers": names}})
	if err != nil {
		return err
	}
	archive, err := tarOf(append(entries, tarEntry{name: "config.json", mode: 0o644, data: image}, tarEntry{name: "manifest.json", mode: 0o644, data: manifest}))
	if err != nil {
		return err
	}
	loaded, err := engine.ImageLoad(ctx, bytes.NewReader(archive), client.ImageLoadWithQuiet(true))
	if err != nil {
		return err
	}
	defer loaded.Close()
	return streamError(loaded)
}

func randomID() string {
	var id [6]byte
	_, _ = rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

// world is a ledger and a RemoteBackend of a test's own, so that tests neither see nor disturb each other's jobs.
type world struct {
	ledger  string
	backend types.UID
}

func newWorld() world {
	return world{ledger: "ledger-" + randomID(), backend: types.UID("backend-" + randomID())}
}

// connect is one connection of the world to the engine. What the world leaves there is removed, and reported, at the end of the test.
func (w world) connect(t testing.TB) *Backend {
	t.Helper()
	b, err := New(Options{Host: testHost(), Ledger: w.ledger, Backend: w.backend, Podrunner: podrunner})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// cancelAfterwards has nothing of a job be left when the test has ended.
func cancelAfterwards(t *testing.T, b *Backend, token string) {
	t.Helper()
	t.Cleanup(func() {
		harness.Eventually(t, time.Minute, "nothing is left", func() error {
			gone, err := b.Cancel(context.Background(), backend.JobRef{Token: token})
			if err == nil && !gone {
				err = backend.Unavailable("it is not gone")
			}
			return err
		})
	})
}

// untilWritten waits until a container has written something, and no more: it has come that far.
func untilWritten(ctx context.Context, t *testing.T, b *Backend, token, container, want string) {
	t.Helper()
	harness.Eventually(t, time.Minute, container+" has begun", func() error {
		log, err := b.Logs(ctx, backend.JobRef{Token: token}, container, corev1.PodLogOptions{})
		if err != nil {
			return err
		}
		defer func() { _ = log.Close() }()
		if out, err := io.ReadAll(log); err != nil || string(out) != want {
			return fmt.Errorf("it wrote %q, %w", out, err)
		}
		return nil
	})
}
