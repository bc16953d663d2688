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

package podlifecycle

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// exitedAt is a run of that container that ended with the code at that time.
func exitedAt(at time.Duration, code int32) []Instance {
	return []Instance{{State: InstanceExited, ID: "sim://x", StartedAt: epoch, FinishedAt: after(at), ExitCode: code}}
}

func stillRunning() []Instance {
	return []Instance{{State: InstanceRunning, ID: "sim://x", StartedAt: epoch}}
}

func TestWhatEndedAfterTheStopHasNotSucceeded(t *testing.T) {
	in := Input{
		Pod: podOf(always, app("a")), Now: after(time.Minute), Sandbox: Sandbox{State: SandboxReady},
		Stop: &Stop{Since: after(10 * time.Second), Reason: "Cancelled"}, Instances: map[string][]Instance{"a": exitedAt(11*time.Second, 0)},
	}
	for _, c := range []struct {
		pod  *corev1.Pod
		at   time.Duration
		want corev1.PodPhase
	}{
		{podOf(always, app("a")), 11 * time.Second, corev1.PodFailed},
		{podOf(always, app("a")), 9 * time.Second, corev1.PodSucceeded},
		{podOf(never, app("a")), 11 * time.Second, corev1.PodFailed},
		{podOf(never, app("a")), 9 * time.Second, corev1.PodSucceeded},
	} {
		in.Pod, in.Instances = c.pod, map[string][]Instance{"a": exitedAt(c.at, 0)}
		if d := Decide(in); d.Phase != c.want {
			t.Errorf("a container that ended with 0 after %s, the stop being after 10s, with %s: %s, want %s", c.at, c.pod.Spec.RestartPolicy, d.Phase, c.want)
		}
	}
	t.Run("Though the clocks differ, who was asked to end has not succeeded", func(t *testing.T) {
		in.Pod, in.Instances = podOf(never, app("a")), map[string][]Instance{"a": exitedAt(9*time.Second, 0)}
		in.Instances["a"][0].Stopping, in.Instances["a"][0].StopReason = true, "Cancelled"
		if d := Decide(in); d.Phase != corev1.PodFailed || d.Reason != "Cancelled" {
			t.Errorf("%s %q, want Failed Cancelled", d.Phase, d.Reason)
		}
	})
}

func TestOfTwoEndsTheFirstCountsAndTheShortestGraceHolds(t *testing.T) {
	in := Input{
		Pod: podOf(graceOf(5), activeDeadline(20), app("a", preStop)), Now: after(21 * time.Second), Sandbox: Sandbox{State: SandboxReady},
		Recorded: Recorded{StartTime: epoch}, Instances: map[string][]Instance{"a": stillRunning()},
		Stop: &Stop{Since: after(10 * time.Second), GracePeriod: new(300 * time.Second), Reason: "Cancelled"},
	}
	d := Decide(in)
	equal(t, "stopped before the deadline", actionsOf(d), []string{"Stop a/0 Cancelled preStop by 25s"})
	if !d.WakeAt.Equal(after(25 * time.Second)) {
		t.Errorf("wakes after %s, want 25s", d.WakeAt.Sub(epoch))
	}
	in.Stop.Since, in.Stop.GracePeriod = after(21*time.Second), new(2*time.Second)
	equal(t, "stopped after the deadline", actionsOf(Decide(in)), []string{"Stop a/0 DeadlineExceeded preStop by 23s"})
	in.Stop.GracePeriod = new(time.Duration(0))
	equal(t, "stopped after the deadline without grace", actionsOf(Decide(in)), []string{"Stop a/0 DeadlineExceeded by 23s"})
}

func TestTheDeadlineIsWokenFor(t *testing.T) {
	in := Input{
		Pod: podOf(activeDeadline(20), app("a")), Now: after(5 * time.Second), Sandbox: Sandbox{State: SandboxReady},
		Recorded: Recorded{StartTime: epoch}, Instances: map[string][]Instance{"a": stillRunning()},
	}
	if d := Decide(in); !d.WakeAt.Equal(after(20 * time.Second)) {
		t.Errorf("wakes after %s, want 20s", d.WakeAt.Sub(epoch))
	}
	in.Recorded.StartTime = time.Time{}
	if d := Decide(in); !d.WakeAt.Equal(after(25 * time.Second)) {
		t.Errorf("without a start time it wakes after %s, want 20s from now", d.WakeAt.Sub(in.Now))
	}
}

// A manager that was away must not take an end that came in time for one that was forced.
func TestAnEndThatCameBeforeTheDeadlineStandsThoughItIsSeenLater(t *testing.T) {
	d := Decide(Input{
		Pod: podOf(never, activeDeadline(20), app("a")), Now: after(time.Hour), Sandbox: Sandbox{State: SandboxReady},
		Recorded: Recorded{StartTime: epoch}, Instances: map[string][]Instance{"a": exitedAt(19*time.Second, 0)},
	})
	if d.Phase != corev1.PodSucceeded {
		t.Errorf("%s %s, want Succeeded", d.Phase, d.Reason)
	}
}

// KEP-753: when the grace period is over, sidecars are stopped whether it is their turn or not.
func TestWhenTheGracePeriodIsOverSidecarsDoNotWait(t *testing.T) {
	in := Input{
		Pod: podOf(graceOf(10), sidecar("s", preStop), sidecar("u", preStop), app("a")), Sandbox: Sandbox{State: SandboxReady},
		Instances: map[string][]Instance{"s": stillRunning(), "u": stillRunning(), "a": stillRunning()},
		Stop:      &Stop{Since: epoch, Reason: "Cancelled"}, Now: after(9 * time.Second),
	}
	d := Decide(in)
	equal(t, "actions before", actionsOf(d), []string{"Stop a/0 Cancelled by 11s", "PreStop u/0 by 10s", "PreStop s/0 by 10s"})
	if !d.WakeAt.Equal(after(10 * time.Second)) {
		t.Errorf("wakes after %s, want 10s", d.WakeAt.Sub(epoch))
	}
	in.Now = after(10 * time.Second)
	equal(t, "actions then", actionsOf(Decide(in)), []string{"Stop a/0 Cancelled by 12s", "Stop u/0 Cancelled by 12s", "Stop s/0 Cancelled by 12s"})
}

func TestWordsAreNotPutIntoAnEndThatIsOnRecord(t *testing.T) {
	in := Input{
		Pod: podOf(never, app("a"), app("b")), Now: after(time.Minute), Sandbox: Sandbox{State: SandboxReady},
		Instances: map[string][]Instance{"a": exitedAt(11*time.Second, 1), "b": stillRunning()},
	}
	in.Recorded.Containers = Decide(in).Containers
	in.Stop = &Stop{Since: after(10 * time.Second), Reason: "Cancelled", Message: "The pod was deleted"}
	if got := Decide(in).Containers[0].State.Terminated.Message; got != "" {
		t.Errorf("the message became %q", got)
	}
}

// Of a pod that could not be read nothing has run.
func TestAPodWithoutContainersThatIsStoppedHasFailed(t *testing.T) {
	for name, now := range map[string]time.Duration{"at once": 0, "later": time.Second} {
		d := Decide(Input{Pod: &corev1.Pod{}, Now: after(now), Stop: &Stop{Since: epoch, GracePeriod: new(time.Duration(0)), Reason: "SpecUnreadable", Message: "it is empty"}})
		if d.Phase != corev1.PodFailed || d.Reason != "SpecUnreadable" || d.Message != "it is empty" {
			t.Errorf("%s: %s %q %q, want Failed SpecUnreadable", name, d.Phase, d.Reason, d.Message)
		}
	}
}
