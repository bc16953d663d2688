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
	"crypto/rand"
	"encoding/hex"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/remote"
	"github.com/remotejob-dev/remotejob-operator/internal/program"
	"github.com/remotejob-dev/remotejob-operator/test/harness/skip"
	slurmcluster "github.com/remotejob-dev/remotejob-operator/test/harness/slurm"
)

// The real SLURM that the tests share, where the machine can run one; missing says why not.
var (
	cluster   *slurmcluster.Cluster
	missing   string
	podrunner *program.Program
	// place is a directory that other users may pass, for all that the tests leave on the file system.
	place string
)

func TestMain(m *testing.M) {
	code, err := runTests(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runTests(m *testing.M) (code int, err error) {
	// The suite bounds its parallel cases by itself.
	flag.Parse()
	if err := flag.Set("test.parallel", "100"); err != nil {
		return 0, err
	}
	if place, err = os.MkdirTemp("", "slurm-backend-"); err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(place) }()
	if err := os.Chmod(place, 0o755); err != nil { // jobs and munged run as other users
		return 0, err
	}
	if err := os.Mkdir(shared(), 0o777); err != nil { // jobs write there
		return 0, err
	}
	if err := os.Chmod(shared(), 0o777); err != nil {
		return 0, err
	}
	if lacks := slurmcluster.Missing(); len(lacks) > 0 {
		missing = "this machine lacks the packages " + strings.Join(lacks, ", ")
	} else if os.Geteuid() != 0 {
		missing = "a SLURM of the tests' own needs root"
	}
	if missing != "" {
		fmt.Fprintln(os.Stderr, "the tests on a real SLURM are left out:", missing)
		return m.Run(), nil
	}
	binary := filepath.Join(place, "podrunner")
	build := exec.Command("go", "build", "-trimpath", "-o", binary, "github.com/remotejob-dev/remotejob-operator/cmd/podrunner")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("build podrunner: %w\n%s", err, out)
	}
	if podrunner, err = program.Open(binary); err != nil {
		return 0, err
	}
	ctx := context.Background()
	if cluster, err = slurmcluster.Start(ctx, slurmcluster.Options{Dir: filepath.Join(place, "cluster")}); err != nil {
		return 0, err
	}
	defer func() {
		if stopErr := cluster.Stop(ctx); stopErr != nil && err == nil {
			err = stopErr
		}
	}()
	return m.Run(), nil
}

// shared is a directory that everybody may write in.
func shared() string { return filepath.Join(place, "shared") }

// needCluster leaves a test out where there is no SLURM.
func needCluster(t testing.TB) {
	t.Helper()
	if missing != "" {
		skip.Lacking(t, "%s", missing)
	}
}

// world is a ledger, a RemoteBackend and a base directory of a test's own, so that tests neither see nor disturb each other's jobs.
type world struct {
	ledger  string
	backend types.UID
	base    string
	spec    v1alpha1.SlurmBackend
	settle  time.Duration
	// env are further variables for the commands on the cluster's side.
	env []string
}

func newWorld(t testing.TB) *world {
	t.Helper()
	needCluster(t)
	w := &world{ledger: "ledger-" + randomID(), backend: types.UID("backend-" + randomID()), base: filepath.Join(place, "base-"+randomID()), settle: 2 * time.Second}
	uid, _ := strconv.Atoi(cluster.JobUser.Uid)
	gid, _ := strconv.Atoi(cluster.JobUser.Gid)
	if err := os.Mkdir(w.base, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(w.base, uid, gid); err != nil {
		t.Fatal(err)
	}
	memory := resource.MustParse("256Mi")
	w.spec = v1alpha1.SlurmBackend{
		Connection:    v1alpha1.SlurmConnection{Local: &v1alpha1.LocalConnection{}},
		BaseDirectory: w.base,
		Runtime:       v1alpha1.SlurmRuntime{Type: "None"},
		Defaults:      v1alpha1.SlurmDefaults{Memory: &memory},
		AllowedFlags:  []string{"--time", "--partition", "--nodes", "--ntasks", "--begin", "--hold"},
	}
	return w
}

// connect is one connection of the world to the cluster, which ends with the test.
func (w *world) connect(t testing.TB) *Backend {
	t.Helper()
	b := w.dial(t)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// dial is one connection of the world to the cluster.
func (w *world) dial(t testing.TB) *Backend {
	t.Helper()
	run, err := remote.NewLocal(remote.LocalOptions{User: cluster.JobUser.Username, Env: append(cluster.Env(), w.env...)})
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(Options{
		Spec: w.spec, Runner: run, Ledger: w.ledger, Backend: w.backend, Podrunner: map[string]*program.Program{runtime.GOARCH: podrunner}, Settle: w.settle,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func randomID() string {
	var id [6]byte
	_, _ = rand.Read(id[:])
	return hex.EncodeToString(id[:])
}

// patience bounds every wait. It is long since it is only ever used up by a failure.
const patience = 4 * time.Minute

// eventually waits until a condition holds. The condition returns what is missing, empty for nothing.
func eventually(t testing.TB, what string, condition func() string) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		lacks := condition()
		if lacks == "" {
			return
		}
		select {
		case <-deadline.C:
			t.Fatalf("waited %s for %s: %s", patience, what, lacks)
		case <-tick.C:
		}
	}
}
