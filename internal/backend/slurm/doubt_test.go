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
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

func TestAJobThatGoesInAfterASecondOneWasRefusedRunsNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hold, submitted := newGate(), newGate()
	refuse := `{ echo 'sbatch: error: Batch job submission failed: Invalid account or account/partition combination specified' >&2; exit 1; }`
	w.wrap(t, "sbatch", strings.Replace(holdBack(hold, submitted), `exec $REAL "$@"`, refuse, 1))
	b := w.connect(t)
	p := w.pod(t, "exit 0")
	submitLate(t, b, p, hold)
	_, err := b.Submit(t.Context(), p.Workload)
	rejected, ok := backend.IsRejected(err)
	if !ok || rejected.Reason != ReasonRefused {
		t.Fatalf("answered by %v", err)
	}
	// A manager that comes after one that did not write that down is told the same.
	_, err = w.connect(t).Submit(t.Context(), p.Workload)
	if again, ok := backend.IsRejected(err); !ok || *again != *rejected {
		t.Errorf("the next manager is answered by %v", err)
	}
	if _, err := os.Stat(jobdir.Base(w.base).Job(p.Token).Spec()); !os.IsNotExist(err) {
		t.Errorf("what it was to run is still there: %v", err)
	}
	hold.open(t)
	untilSubmitted(t, submitted)
	eventually(t, "the late job to end", p.lingers)
	if n := p.ran(); n != 0 {
		t.Errorf("a pod that was refused ran %d times", n)
	}
	p.remove(b)
}

func TestAStopIsNotSentToAnotherPodsJobThatHasTheIDNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.connect(t)
	end := newGate()
	theirs := w.pod(t, "while [ ! -e "+string(end)+" ]; do sleep 0.1; done; exit 0")
	id := theirs.submit(b)
	theirs.until(b, "the other pod to run", isRunning)
	forgotten := w.pod(t, "exit 0", flags("--hold"))
	forgotten.submit(b)
	claim := fmt.Sprintf(`{"jobID":%q,"restartCount":0,"host":"gone","time":"2026-01-01T00:00:00Z","nonce":"n"}`, id)
	if err := os.WriteFile(jobdir.Base(w.base).Job(forgotten.Token).Claim(), []byte(claim), 0o644); err != nil { // another user reads it
		t.Fatal(err)
	}
	if ending, err := b.Stop(t.Context(), forgotten.ref(id), podlifecycle.Stop{Reason: "Cancelled"}); ending || err != nil {
		t.Errorf("ending %t, %v", ending, err)
	}
	end.open(t)
	theirs.succeeds(b)
	theirs.remove(b)
	forgotten.remove(b)
}

func TestAListingThatFailsSaysNothingOfAnyJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pod(t, "exit 4")
	p.submit(w.connect(t))
	eventually(t, "the job to end", p.lingers)
	// The queue has forgotten the job by now.
	once := newGate()
	w.wrap(t, "squeue", forgetful)
	w.wrap(t, "ls", fmt.Sprintf("mkdir %s 2>/dev/null || exec $REAL \"$@\"\necho 'ls: reading directory: Stale file handle' >&2\nexit 2\n", once))
	b := w.connect(t)
	if _, err := b.Observe(t.Context()); !backend.IsUnavailable(err) {
		t.Fatalf("a listing that failed was answered by %v", err)
	}
	// An owner that can't be read is looked for again soon.
	owner := filepath.Join(string(jobdir.Base(w.base).Job(p.Token)), ownerFile)
	if err := os.Rename(owner, owner+".away"); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Observe(t.Context()); err != nil {
		t.Fatal(err)
	}
	if next := time.Until(b.jobs.listed.Add(listEvery)); next > relistEvery {
		t.Errorf("the directories are listed again in %s", next)
	}
	if err := os.Rename(owner+".away", owner); err != nil {
		t.Fatal(err)
	}
	p.fails(b, "Error")
	p.remove(b)
}
