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

package slurm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/backendtest"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/runtime"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/skip"
	slurmcluster "github.com/remotejob-dev/remotejob-operator/test/harness/slurm"
)

// images are what the suite's pods run.
type images struct{ plain, entrypoint, server string }

// conform holds SLURM with a container runtime against what pods do wherever they run. It runs on the cluster alone: cases whose pods use
// the node's network would meet those of another run at the same ports.
func conform(t *testing.T, w *world, kind string, i images, registry backendtest.Registry, options ...string) {
	t.Helper()
	w.spec.Runtime = v1alpha1.SlurmRuntime{Type: kind, Options: options}
	hostDir := filepath.Join(shared(), "host-"+randomID())
	claim := "claim-" + randomID()
	volumes := filepath.Dir(filepath.Dir(jobdir.Base(w.base).Volume("x", "y")))
	for _, dir := range []string{hostDir, volumes, filepath.Dir(jobdir.Base(w.base).Volume("backendtest", claim)), jobdir.Base(w.base).Volume("backendtest", claim)} {
		if err := errors.Join(os.Mkdir(dir, 0o755), os.Chown(dir, jobUserID(t), -1)); err != nil { // the job's user has it
			t.Fatal(err)
		}
	}
	backendtest.Run(t, backendtest.Suite{
		Connect:         func(t *testing.T) backend.Backend { return w.dial(t) },
		Ledger:          w.ledger,
		Backend:         w.backend,
		Image:           i.plain,
		EntrypointImage: i.entrypoint,
		ServerImage:     i.server,
		Registry:        registry,
		HostDir:         hostDir,
		Claim:           claim,
		Policy:          v1alpha1.BackendPolicy{AllowPrivileged: true, AllowHostNetwork: true, AllowedHostPaths: []string{hostDir}},
		NoImages:        !runtime.HasImages(kind),
		NoEntrypoints:   !runtime.KnowsCommands(kind),
		NodeNetwork:     runtime.SharesNodeNetwork(kind),
		EndsUnfit:       true,
		PodLimits:       true,
		Parallel:        8, // they wait most of the time
	})
}

func TestPodsWithoutContainersBehaveAsOnAKubelet(t *testing.T) {
	w := newWorld(t)
	// The suite's programs are those of busybox, which come after the machine's own here.
	w.env = append(w.env, "PATH="+os.Getenv("PATH")+":"+filepath.Join(imageDirectory(t), "bin"))
	conform(t, w, runtime.None, images{plain: "any", entrypoint: "any", server: "any"}, backendtest.Registry{})
}

func TestPodsInCharliecloudBehaveAsOnAKubelet(t *testing.T) {
	w := newWorld(t)
	needProgram(t, "ch-run")
	dir := imageDirectory(t)
	conform(t, w, runtime.Charliecloud, images{plain: dir, entrypoint: dir, server: dir}, backendtest.Registry{})
}

// The next two are for machines that have these runtimes, which Debian has no packages of. Elsewhere their command lines are what is tested.
func TestPodsInApptainerBehaveAsOnAKubelet(t *testing.T) {
	w := newWorld(t)
	needUnpackaged(t, "apptainer")
	dir := imageDirectory(t)
	conform(t, w, runtime.Apptainer, images{plain: dir, entrypoint: dir, server: dir}, backendtest.Registry{})
}

func TestPodsInSingularityBehaveAsOnAKubelet(t *testing.T) {
	w := newWorld(t)
	needUnpackaged(t, "singularity")
	dir := imageDirectory(t)
	conform(t, w, runtime.Singularity, images{plain: dir, entrypoint: dir, server: dir}, backendtest.Registry{})
}

func TestPodsInPodmanBehaveAsOnAKubelet(t *testing.T) {
	w := newWorld(t)
	needProgram(t, "podman")
	registry := backendtest.ServeRegistry(t)
	trustRegistries(t, registry.Public, registry.Private)
	t.Cleanup(func() {
		for _, image := range []string{registry.Public, registry.Late, registry.Private, registry.Stalled} {
			podman(t, "rmi", "--force", "--ignore", image)
		}
	})
	conform(t, w, runtime.Podman, podmanImages(t), registry, slurmcluster.PodmanOptions()...)
}

// trustRegistries has podman, for the user who runs the jobs, speak to the registries of some images without TLS, as a site would set it up
// for one of its own. What the user had set is there again at the end.
func trustRegistries(t *testing.T, images ...string) {
	t.Helper()
	file := filepath.Join(cluster.JobUser.HomeDir, ".config", "containers", "registries.conf")
	conf := "unqualified-search-registries = []\n"
	for _, image := range images {
		host, _, _ := strings.Cut(image, "/")
		conf += fmt.Sprintf("[[registry]]\nlocation = %q\ninsecure = true\n", host)
	}
	before, missing := os.ReadFile(file)
	t.Cleanup(func() {
		if errors.Is(missing, fs.ErrNotExist) {
			_ = os.Remove(file)
		} else {
			_ = os.WriteFile(file, before, 0o644)
		}
	})
	err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(conf), 0o644)) // another user reads it
	for _, path := range []string{filepath.Dir(filepath.Dir(file)), filepath.Dir(file), file} {
		err = errors.Join(err, os.Chown(path, jobUserID(t), -1))
	}
	if err != nil {
		t.Fatal(err)
	}
}

func needProgram(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		skip.Lacking(t, "this machine has no %s", name)
	}
}

// needUnpackaged is needProgram for one that CI has no way to get, either.
func needUnpackaged(t testing.TB, name string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("this machine has no %s", name)
	}
}

// testImage is busybox with the suite's server.
func testImage(t *testing.T) *harness.Image {
	t.Helper()
	program := filepath.Join(t.TempDir(), "testserver")
	build := exec.Command("go", "build", "-trimpath", "-o", program, "github.com/remotejob-dev/remotejob-operator/internal/backend/backendtest/testserver")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the suite's server: %v: %s", err, out)
	}
	server, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	image, err := harness.BusyboxImage()
	if err == nil {
		image, err = image.With("bin/testserver", server)
	}
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// imageDirectory is an image that is a directory.
func imageDirectory(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(place, "image-"+randomID())
	if err := testImage(t).Unpack(dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

// podmanImages are loaded into the store of the user who runs the jobs.
func podmanImages(t *testing.T) images {
	t.Helper()
	plain := testImage(t)
	printer, err := plain.WithEntrypoint([]string{"/bin/sh", "-c", `for a in "$@"; do printf '%s\n' "$a"; done`, "entrypoint"}, []string{"default"})
	if err != nil {
		t.Fatal(err)
	}
	load := func(image *harness.Image) string {
		name := "localhost/remotejob-slurm-test:" + randomID()
		archive, err := image.Archive(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := cluster.LoadImage(t.Context(), archive); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { podman(t, "rmi", "--force", name) })
		return name
	}
	name := load(plain)
	return images{plain: name, entrypoint: load(printer), server: name}
}

// podman runs podman as the user who runs the jobs.
func podman(t *testing.T, args ...string) {
	t.Helper()
	if err := cluster.Podman(context.Background(), args...); err != nil { // also when the test has ended
		t.Error(err)
	}
}
