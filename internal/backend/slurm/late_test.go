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
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
)

// holdBack is an sbatch that does not return, and submits only when a gate is open: what a network that lost its way does to a call. It
// does so once; whoever comes later gets the real one.
func holdBack(hold, submitted gate) string {
	return fmt.Sprintf(`mkdir %[1]s.once 2>/dev/null || exec $REAL "$@"
cat >%[1]s.script
setsid sh -c ': >%[1]s.waits; while [ ! -e %[1]s ]; do sleep 0.1; done; '$REAL' "$@" <%[1]s.script >%[2]s.out 2>&1; : >%[2]s' late "$@" </dev/null >/dev/null 2>&1 &
sleep 600
`, hold, submitted)
}

// submitLate submits a pod whose sbatch is held back, and gives up on it.
func submitLate(t *testing.T, b *Backend, p *pod, hold gate) {
	t.Helper()
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	answer := make(chan error, 1)
	go func() {
		_, err := b.Submit(ctx, p.Workload)
		answer <- err
	}()
	eventually(t, "sbatch to be called", func() string {
		// What submits later is out of reach of the call's end from then on.
		if !gate(string(hold) + ".waits").isOpen() {
			return "it was not called"
		}
		return ""
	})
	giveUp()
	if err := <-answer; !backend.IsUnavailable(err) {
		t.Fatalf("a submit that was given up was answered by %v", err)
	}
}

func untilSubmitted(t *testing.T, submitted gate) {
	t.Helper()
	eventually(t, "the late job to go in", func() string {
		if !submitted.isOpen() {
			return "it has not"
		}
		return ""
	})
}

func TestAJobThatGoesInAfterItsDeleteRunsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hold, submitted := newGate(), newGate()
	w.wrap(t, "sbatch", holdBack(hold, submitted))
	b := w.connect(t)
	p := w.pod(t, "exit 0")
	submitLate(t, b, p, hold)
	p.remove(b)
	hold.open(t)
	untilSubmitted(t, submitted)
	eventually(t, "the late job to end", p.lingers)
	if n := p.ran(); n != 0 {
		t.Errorf("the pod ran %d times after its delete", n)
	}
	if out, err := filepath.Glob(filepath.Join(w.base, "out", "*")); err != nil || len(out) > 0 {
		t.Errorf("of a job that was late there is left: %v, %v", out, err)
	}
	if _, err := b.Submit(t.Context(), p.Workload); err == nil {
		t.Error("a pod that was deleted was submitted again")
	}
	p.remove(b)
}

func TestAJobThatGoesInAfterASecondOneRunsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hold, submitted := newGate(), newGate()
	w.wrap(t, "sbatch", holdBack(hold, submitted))
	p := w.pod(t, "while [ ! -e "+string(submitted)+" ]; do sleep 0.1; done; sleep 3; exit 0")
	submitLate(t, w.connect(t), p, hold)
	b := w.connect(t)
	second := p.submit(b)
	p.until(b, "the second job to run the pod", isRunning)
	hold.open(t)
	untilSubmitted(t, submitted)
	if seen := p.succeeds(b); seen.JobID != second {
		t.Errorf("the pod ran in job %s, want %s", seen.JobID, second)
	}
	eventually(t, "the late job to end", p.lingers)
	// The late one's end is not the pod's.
	if seen := p.succeeds(w.connect(t)); seen.JobID != second || p.ran() != 1 {
		t.Errorf("the pod ran %d times, observed %s", p.ran(), describe(seen))
	}
	p.remove(b)
}

func TestAnSbatchThatTimesOutButGoesInRunsThePodOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	once := newGate()
	w.wrap(t, "sbatch", fmt.Sprintf(`mkdir %[1]s 2>/dev/null || exec $REAL "$@"
$REAL "$@" >%[1]s/out || exit
echo 'sbatch: error: Batch job submission failed: Socket timed out on send/recv operation' >&2
exit 1
`, once))
	b := w.connect(t)
	p := w.pod(t, "exit 0")
	if _, err := b.Submit(t.Context(), p.Workload); !backend.IsUnavailable(err) {
		t.Fatalf("an sbatch that timed out was answered by %v", err)
	}
	// Whoever comes later finds what was done: this connection, and one that knows of nothing.
	first, second := p.submit(w.connect(t)), p.submit(b)
	if first != second || first == "" {
		t.Errorf("the pod is job %s and job %s", first, second)
	}
	p.succeeds(b)
	if n := p.ran(); n != 1 {
		t.Errorf("the pod ran %d times", n)
	}
	p.remove(b)
}

func TestAManagerThatIsKilledBetweenTheDirectoryAndTheJobLosesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	once := newGate()
	w.wrap(t, "sbatch", fmt.Sprintf("mkdir %[1]s 2>/dev/null || exec $REAL \"$@\"\nkill -KILL 0\n", once))
	p := w.pod(t, "exit 0")
	if _, err := w.connect(t).Submit(t.Context(), p.Workload); !backend.IsUnavailable(err) {
		t.Fatalf("the submit was answered by %v", err)
	}
	b := w.connect(t)
	p.submit(b)
	p.succeeds(b)
	if n := p.ran(); n != 1 {
		t.Errorf("the pod ran %d times", n)
	}
	p.remove(b)
}

func TestACancelThatIsKilledLeavesNothingOnceItIsRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	once := newGate()
	w.wrap(t, "mv", fmt.Sprintf("case $* in */done/*) mkdir %[1]s 2>/dev/null && kill -KILL 0 ;; esac\nexec $REAL \"$@\"\n", once))
	b := w.connect(t)
	p := w.pod(t, "exit 0")
	p.submit(b)
	p.succeeds(b)
	if gone, err := b.Cancel(t.Context(), backend.JobRef{Token: p.Token}); gone || err == nil || !once.isOpen() {
		t.Fatalf("a cancel that was killed: %t, %v", gone, err)
	}
	p.remove(b)
	if left, err := filepath.Glob(filepath.Join(w.base, "done", ".*")); err != nil || len(left) > 0 {
		t.Errorf("there is left: %v, %v", left, err)
	}
}

func TestARefusalComesBackWordForWord(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.connect(t)
	p := w.pod(t, "exit 0", flags("--partition=nowhere"))
	_, err := b.Submit(t.Context(), p.Workload)
	rejected, ok := backend.IsRejected(err)
	if !ok || rejected.Reason != ReasonRefused || rejected.Message != "sbatch: invalid partition specified: nowhere; Batch job submission failed: Invalid partition name specified" {
		t.Errorf("answered by %v", err)
	}
	p.remove(b)
}

func TestASubmitWhoseClusterIsAwayIsToBeRepeated(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.wrap(t, "sbatch", "echo 'sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)' >&2\nexit 1\n")
	p := w.pod(t, "exit 0")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := w.connect(t).Submit(ctx, p.Workload); !backend.IsUnavailable(err) {
		t.Errorf("answered by %v", err)
	}
}
