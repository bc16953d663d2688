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
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/queue"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// forgetful is a squeue that knows of no job.
const forgetful = "case $* in *--format*) exit 0 ;; esac\nexec $REAL \"$@\"\n"

// untilGone is a container's script that runs until it is told to end.
const untilGone = `trap 'exit 0' TERM; while :; do sleep 0.1; done`

func TestAJobThatIsRequeuedIsQueuedAgainAndRunsAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.connect(t)
	p := w.pod(t, `[ $(wc -l <"$RUNS") -gt 1 ] && exit 0; `+untilGone, restartOnFailure, func(p *corev1.Pod) {
		c := &p.Spec.Containers[0]
		runs := strings.TrimSuffix(strings.Fields(c.Command[2])[2], ";")
		c.Env = []corev1.EnvVar{{Name: "RUNS", Value: strings.TrimPrefix(runs, ">>")}}
	})
	id := p.submit(b)
	p.until(b, "the pod to run", isRunning)
	// Held, it is there to be seen in the queue until it is released.
	slurm(t, "scontrol", "requeuehold", id)
	seen := p.until(b, "the job to be queued again", func(seen backend.ObservedJob) bool {
		if hasEnded(seen) {
			t.Fatalf("a job that was requeued has ended: %s", describe(seen))
		}
		return seen.Word != nil && seen.Requeues == 1
	})
	if seen.NodeName != "" || seen.Report != nil {
		t.Errorf("observed %s", describe(seen))
	}
	slurm(t, "scontrol", "release", id)
	seen = p.succeeds(b)
	if seen.JobID != id || seen.Requeues != 1 || p.ran() != 2 {
		t.Errorf("the pod ran %d times, observed %s", p.ran(), describe(seen))
	}
	p.remove(b)
}

func TestAJobThatSomebodyElseCancelsFailsAndSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.connect(t)
	p := w.pod(t, untilGone)
	id := p.submit(b)
	p.until(b, "the pod to run", isRunning)
	slurm(t, "scancel", id)
	seen := p.fails(b, queue.ReasonCancelled)
	if seen.Report != nil && !strings.Contains(seen.Report.Message, "was cancelled") {
		t.Errorf("observed %s", describe(seen))
	}
	p.remove(b)
}

func TestAJobThatSomebodyElseCancelsInTheQueueFailsAndSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.connect(t)
	p := w.pod(t, "exit 0", flags("--hold"))
	id := p.submit(b)
	held := p.until(b, "the pod to be held", func(seen backend.ObservedJob) bool { return seen.Word != nil })
	if held.Word.Reason != queue.ReasonHeld || held.Word.Ended {
		t.Errorf("observed %s", describe(held))
	}
	slurm(t, "scancel", id)
	seen := p.fails(b, queue.ReasonCancelled)
	if seen.Word == nil || seen.Word.ExitCode == 0 || p.ran() != 0 {
		t.Errorf("the pod ran %d times, observed %s", p.ran(), describe(seen))
	}
	p.remove(b)
}

func TestAJobThatReachesItsTimeLimitFailsAndSaysSo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.connect(t)
	p := w.pod(t, untilGone, flags("--time=1"))
	p.submit(b)
	p.fails(b, queue.ReasonTimeLimit)
	p.remove(b)
}

func TestAJobThatTakesMoreMemoryThanItHasIsKilledForIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.connect(t)
	p := w.pod(t, "dd if=/dev/zero of=/dev/null bs=512M count=1; exit $?", func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi")}
	})
	p.submit(b)
	seen := p.until(b, "the pod's end", hasEnded)
	if seen.Report == nil || seen.Report.Phase != corev1.PodFailed || seen.Report.Containers[0].State.Terminated.ExitCode != 137 {
		t.Errorf("the pod ended as %s", describe(seen))
	}
	p.remove(b)
}

func TestAPodIsStoppedWithItsGraceAndItsHookBeforeItsJobIsCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.connect(t)
	p := w.pod(t, `trap 'sleep 1; exit 7' TERM; while :; do sleep 0.1; done`, func(p *corev1.Pod) {
		grace := int64(120)
		p.Spec.TerminationGracePeriodSeconds = &grace
		p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{
			Command: []string{"sh", "-c", strings.Split(p.Spec.Containers[0].Command[2], ";")[0]},
		}}}
	})
	id := p.submit(b)
	p.until(b, "the pod to run", isRunning)
	for range 2 {
		if ending, err := b.Stop(t.Context(), p.ref(id), podlifecycle.Stop{Since: time.Now(), Reason: "Cancelled", Message: "by its owner"}); !ending || err != nil {
			t.Fatalf("ending %t, %v", ending, err)
		}
	}
	seen := p.fails(b, "Cancelled")
	if code := seen.Report.Containers[0].State.Terminated.ExitCode; code != 7 || seen.Report.Message != "by its owner" || p.ran() != 2 {
		t.Errorf("the hook and the container ran %d times, the pod ended as %s", p.ran(), describe(seen))
	}
	p.remove(b)
}

func TestAPodThatOnlyWaitsIsStoppedByTakingItsClaim(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	b := w.connect(t)
	p := w.pod(t, "exit 0", flags("--hold"))
	id := p.submit(b)
	if ending, err := b.Stop(t.Context(), p.ref(id), podlifecycle.Stop{Reason: "Cancelled"}); ending || err != nil {
		t.Fatalf("ending %t, %v", ending, err)
	}
	slurm(t, "scontrol", "release", id)
	eventually(t, "the job to end", p.lingers)
	if n := p.ran(); n != 0 {
		t.Errorf("the pod ran %d times though it was stopped before", n)
	}
	if ending, err := b.Stop(t.Context(), p.ref(id), podlifecycle.Stop{Reason: "Cancelled"}); ending || err != nil {
		t.Errorf("again: ending %t, %v", ending, err)
	}
	p.remove(b)
}

func TestAJobOfAnotherOperatorIsNeitherSeenNorTouched(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	other := *w
	other.ledger = "ledger-" + randomID()
	b, theirs := w.connect(t), other.connect(t)
	p := w.pod(t, untilGone)
	p.submit(b)
	p.until(b, "the pod to run", isRunning)
	snapshot, err := theirs.Observe(t.Context())
	if err != nil || len(snapshot.Jobs) != 0 {
		t.Errorf("another ledger sees %+v, %v", snapshot.Jobs, err)
	}
	p.remove(b)
}

func TestAnEndIsFoundByAManagerThatWasAwayForLong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pod(t, "exit 4")
	p.submit(w.connect(t))
	eventually(t, "the job to end", p.lingers)
	// The queue has forgotten the job by now.
	w.wrap(t, "squeue", forgetful)
	seen := p.fails(w.connect(t), "Error")
	if code := seen.Report.Containers[0].State.Terminated.ExitCode; code != 4 || seen.Pod.Name != p.Pod.Name || seen.Job != p.Job {
		t.Errorf("observed %s", describe(seen))
	}
}

func TestAJobThatVanishedLeavesRemains(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pod(t, untilGone)
	b := w.connect(t)
	p.submit(b)
	p.until(b, "the pod to run", isRunning)
	blind := *w
	blind.wrap(t, "squeue", forgetful)
	seen := p.until(blind.connect(t), "remains", func(seen backend.ObservedJob) bool { return seen.Remains })
	if hasEnded(seen) || seen.Pod.Name != p.Pod.Name {
		t.Errorf("observed %s", describe(seen))
	}
	p.remove(b)
}

func TestAPollThatFailsSaysNothingOfAnyJob(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.pod(t, untilGone)
	b := w.connect(t)
	p.submit(b)
	blind := *w
	broken := blind.connect(t)
	if _, err := broken.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	for name, script := range map[string]string{
		"squeue fails":                 "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1\n",
		"squeue is killed":             "kill -KILL $$\n",
		"squeue writes half an answer": "$REAL \"$@\" | head -c 10\nexit 1\n",
	} {
		blind := *w
		blind.wrap(t, "squeue", script)
		broken := blind.connect(t)
		broken.machine = b.known()
		if !broken.machine.ready {
			if _, err := b.Check(t.Context()); err != nil {
				t.Fatal(err)
			}
			broken.machine = b.known()
		}
		if snapshot, err := broken.Observe(t.Context()); !backend.IsUnavailable(err) {
			t.Errorf("%s: %+v, %v", name, snapshot, err)
		}
	}
	p.remove(b)
}
