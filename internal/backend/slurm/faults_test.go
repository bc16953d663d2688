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
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	slurmcluster "github.com/remotejob-dev/remotejob-operator/test/harness/slurm"
)

// downFor is how long slurmctld is away.
const downFor = time.Minute

// ownCluster gives the world a cluster of its own.
func (w *world) ownCluster(t *testing.T, proctrack string) *slurmcluster.Cluster {
	t.Helper()
	own, err := slurmcluster.Start(t.Context(), slurmcluster.Options{Dir: filepath.Join(place, "own-"+randomID()), Proctrack: proctrack})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	w.env = append(w.env, own.Env()...)
	return own
}

func TestAControllerThatIsAwayForAMinuteHarmsNoPod(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	own := w.ownCluster(t, "cgroup")
	b := w.connect(t)
	hold := newGate()
	staying, ending := w.pod(t, untilGone), w.pod(t, "while [ ! -e "+string(hold)+" ]; do sleep 0.1; done; exit 0")
	id := staying.submit(b)
	staying.until(b, "the pod to run", isRunning)
	ending.submit(b)
	ending.until(b, "the pod to run", isRunning)

	down := time.Now()
	if err := own.StopController(t.Context()); err != nil {
		t.Fatal(err)
	}
	hold.open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if snapshot, err := b.Observe(ctx); !backend.IsUnavailable(err) {
		t.Errorf("a cluster whose controller is away shows %+v, %v", snapshot, err)
	}
	late := w.pod(t, "exit 0")
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if _, err := b.Submit(ctx, late.Workload); !backend.IsUnavailable(err) {
		t.Errorf("a submit while the controller is away was answered by %v", err)
	}
	<-time.After(time.Until(down.Add(downFor)))
	if err := own.StartController(t.Context()); err != nil {
		t.Fatal(err)
	}
	ending.succeeds(b)
	late.submit(b)
	late.succeeds(b)
	seen := staying.until(b, "the pod to run still", isRunning)
	if seen.JobID != id || seen.Requeues != 0 {
		t.Errorf("observed %s", describe(seen))
	}
	for _, p := range []*pod{ending, staying, late} {
		if n := p.ran(); n != 1 {
			t.Errorf("a pod ran %d times", n)
		}
		p.remove(b)
	}
}

func TestAControllerThatIsRestartedHarmsNoPod(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	own := w.ownCluster(t, "cgroup")
	b := w.connect(t)
	hold := newGate()
	p := w.pod(t, "while [ ! -e "+string(hold)+" ]; do sleep 0.1; done; exit 0")
	p.submit(b)
	p.until(b, "the pod to run", isRunning)
	if err := errors.Join(own.StopController(t.Context()), own.StartController(t.Context())); err != nil {
		t.Fatal(err)
	}
	hold.open(t)
	if seen := p.succeeds(b); p.ran() != 1 || seen.Requeues != 0 {
		t.Errorf("the pod ran %d times, observed %s", p.ran(), describe(seen))
	}
	p.remove(b)
}

// smallBase puts the world's base directory on a file system of its own that is soon full.
func (w *world) smallBase(t *testing.T) {
	t.Helper()
	options := "size=64m,mode=0700,uid=" + cluster.JobUser.Uid + ",gid=" + cluster.JobUser.Gid
	if err := syscall.Mount("tmpfs", w.base, "tmpfs", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(w.base, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// fill leaves no room on the file system of the base directory, and returns what gives it back.
func (w *world) fill(t *testing.T) (free func()) {
	t.Helper()
	name := filepath.Join(w.base, "full")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); err != nil {
			if !errors.Is(err, syscall.ENOSPC) {
				t.Fatal(err)
			}
			break
		}
	}
	return func() {
		if err := os.Remove(name); err != nil {
			t.Error(err)
		}
	}
}

func TestAFullBaseDirectoryHoldsUpNewPodsAndHarmsNoneThatRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.smallBase(t)
	b := w.connect(t)
	hold := newGate()
	p := w.pod(t, "echo before; while [ ! -e "+string(hold)+" ]; do sleep 0.1; done; echo after; exit 5")
	p.submit(b)
	p.until(b, "the pod to run", isRunning)
	free := w.fill(t)

	late := w.pod(t, "exit 0")
	if _, err := b.Submit(t.Context(), late.Workload); !backend.IsUnavailable(err) || !strings.Contains(err.Error(), "No space left on device") {
		t.Errorf("a submit onto a full file system was answered by %v", err)
	}
	if _, err := b.Cancel(t.Context(), w.pod(t, "exit 0").ref("")); !backend.IsUnavailable(err) {
		t.Errorf("a cancel on a full file system was answered by %v", err)
	}
	if half, err := filepath.Glob(filepath.Join(w.base, "done", ".*")); err != nil || len(half) > 0 {
		t.Errorf("a cancel on a full file system left %v, %v", half, err)
	}
	hold.open(t)
	seen := p.until(b, "the pod's end", hasEnded)
	if seen.Report == nil || seen.Report.Phase != corev1.PodFailed || seen.Report.Containers[0].State.Terminated.ExitCode != 5 {
		t.Errorf("the pod ended as %s", describe(seen))
	}
	free()
	late.submit(b)
	late.succeeds(b)
	for _, p := range []*pod{p, late} {
		if n := p.ran(); n != 1 {
			t.Errorf("a pod ran %d times", n)
		}
		p.remove(b)
	}
}
