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

// What is recorded is all that is left of instances that can't be seen any more.
func TestWhatIsRecordedIsRemembered(t *testing.T) {
	ready := Sandbox{State: SandboxReady}
	terminated := func(code int32) *corev1.ContainerStateTerminated {
		reason := ReasonCompleted
		if code != 0 {
			reason = ReasonError
		}
		return &corev1.ContainerStateTerminated{
			ExitCode: code, Reason: reason, StartedAt: seconds(epoch), FinishedAt: seconds(after(30 * time.Second)), ContainerID: "sim://a",
		}
	}
	going := func(n int32) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: "a", RestartCount: n, ContainerID: "sim://a", State: corev1.ContainerState{
			Running: &corev1.ContainerStateRunning{StartedAt: seconds(epoch)},
		}}
	}
	done := func(n, code int32) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: "a", RestartCount: n, ContainerID: "sim://a", State: corev1.ContainerState{Terminated: terminated(code)}}
	}
	crashed := func(n, code int32) corev1.ContainerStatus {
		return corev1.ContainerStatus{
			Name: "a", RestartCount: n, ContainerID: "sim://a",
			State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: ReasonCrashLoopBackOff}},
			LastTerminationState: corev1.ContainerState{Terminated: terminated(code)},
		}
	}
	instance := func(n int32, s InstanceState) Instance {
		i := Instance{N: n, State: s, ID: "sim://a", CreatedAt: epoch}
		if s != InstanceCreated {
			i.StartedAt = epoch
		}
		if s == InstanceExited {
			i.FinishedAt, i.ExitCode = after(30*time.Second), 1
		}
		return i
	}
	one := func(s corev1.ContainerStatus) []corev1.ContainerStatus { return []corev1.ContainerStatus{s} }

	cases := []struct {
		name      string
		pod       *corev1.Pod
		recorded  []corev1.ContainerStatus
		instances []Instance
		statuses  []string
		actions   []string
		phase     corev1.PodPhase
		wake      time.Duration
	}{
		{
			// The kubelet's words: "The container could not be located when the pod was deleted.  The container used to be Running".
			name:     "A container that ran and is gone has ended, nobody knows how, and is run again",
			pod:      podOf(always, app("a")),
			recorded: one(going(0)),
			statuses: []string{"a=ContainerCreating/0 last:ContainerStatusUnknown:137"},
			actions:  []string{"Start a/1"},
			phase:    corev1.PodRunning,
		},
		{
			name:     "With Never, a container that ran and is gone has failed",
			pod:      podOf(never, app("a")),
			recorded: one(going(0)),
			statuses: []string{"a=ContainerStatusUnknown:137/0"},
			phase:    corev1.PodFailed,
		},
		{
			name:      "A container that has ended stays ended though it is seen running, and that is stopped",
			pod:       podOf(never, app("a")),
			recorded:  one(done(0, 0)),
			instances: []Instance{instance(0, InstanceRunning)},
			statuses:  []string{"a=Completed:0/0"},
			actions:   []string{"Stop a/0 Superseded by 2m30s"},
			phase:     corev1.PodRunning,
		},
		{
			name:     "An end of which nothing is left but the record is still the end",
			pod:      podOf(never, app("a")),
			recorded: one(done(3, 5)),
			statuses: []string{"a=Error:5/3"},
			phase:    corev1.PodFailed,
		},
		{
			name:     "The count of restarts goes on from the record when no instance is left",
			pod:      podOf(onFailure, app("a")),
			recorded: one(crashed(5, 1)),
			statuses: []string{"a=CrashLoopBackOff/5 last:Error:1"},
			phase:    corev1.PodRunning,
			wake:     30*time.Second + 160*time.Second,
		},
		{
			name: "A count of which the end is not on record goes on all the same",
			pod:  podOf(always, app("a")),
			recorded: one(corev1.ContainerStatus{Name: "a", RestartCount: 1, State: corev1.ContainerState{
				Waiting: &corev1.ContainerStateWaiting{Reason: ReasonContainerCreating},
			}}),
			statuses: []string{"a=CrashLoopBackOff/1 last:ContainerStatusUnknown:137"},
			actions:  []string{"Start a/2"},
			phase:    corev1.PodRunning,
		},
		{
			name:      "An instance that is only made does not bear the number of a run that has ended",
			pod:       podOf(always, app("a")),
			recorded:  one(crashed(1, 1)),
			instances: []Instance{instance(0, InstanceCreated), instance(1, InstanceCreated)},
			statuses:  []string{"a=CrashLoopBackOff/1 last:Error:1"},
			actions:   []string{"Start a/2", "Remove a/0"},
			phase:     corev1.PodRunning,
		},
		{
			// Whoever decided to run it again knew why; that may be forgotten.
			name:      "A next run that is made takes place though the last one had ended with 0",
			pod:       podOf(onFailure, app("a", livenessProbe)),
			recorded:  one(crashed(0, 0)),
			instances: []Instance{instance(1, InstanceCreated)},
			statuses:  []string{"a=Completed:0/0"},
			actions:   []string{"Start a/1"},
			phase:     corev1.PodRunning,
		},
		{
			name:      "A restored ledger that knows less than the engine takes the engine's word",
			pod:       podOf(always, app("a")),
			recorded:  one(going(1)),
			instances: []Instance{instance(3, InstanceExited), instance(4, InstanceRunning)},
			statuses:  []string{"a=running/4 last:Error:1 started ready"},
			phase:     corev1.PodRunning,
		},
		{
			name:      "An instance that is made and not started is started, under its own number",
			pod:       podOf(always, app("a")),
			instances: []Instance{instance(0, InstanceCreated)},
			statuses:  []string{"a=ContainerCreating/0"},
			actions:   []string{"Start a/0"},
			phase:     corev1.PodPending,
		},
		{
			name:      "The next instance that is made and not started is started without another back-off",
			pod:       podOf(always, app("a")),
			recorded:  one(crashed(5, 1)),
			instances: []Instance{instance(5, InstanceExited), instance(6, InstanceCreated)},
			statuses:  []string{"a=CrashLoopBackOff/5 last:Error:1"},
			actions:   []string{"Start a/6"},
			phase:     corev1.PodRunning,
		},
		{
			name:      "Of two that run the later one stays",
			pod:       podOf(always, app("a")),
			recorded:  one(going(0)),
			instances: []Instance{instance(0, InstanceRunning), instance(1, InstanceRunning)},
			statuses:  []string{"a=running/1 started ready"},
			actions:   []string{"Stop a/0 Superseded by 2m30s"},
			phase:     corev1.PodRunning,
		},
		{
			name:      "Nothing is started beside an older one that still runs",
			pod:       podOf(always, app("a")),
			instances: []Instance{instance(0, InstanceRunning), instance(1, InstanceExited)},
			statuses:  []string{"a=CrashLoopBackOff/1 last:Error:1"},
			actions:   []string{"Stop a/0 Superseded by 2m30s"},
			phase:     corev1.PodRunning,
		},
		{
			name:      "The order in which instances are given does not matter",
			pod:       podOf(always, app("a")),
			instances: []Instance{instance(2, InstanceRunning), instance(0, InstanceExited), instance(1, InstanceExited)},
			statuses:  []string{"a=running/2 last:Error:1 started ready"},
			phase:     corev1.PodRunning,
		},
		{
			// Logs of the run before the last stay readable, as with kubectl logs --previous.
			name:      "All but the last two runs are removed once what followed is on record",
			pod:       podOf(always, app("a")),
			recorded:  one(going(3)),
			instances: []Instance{instance(0, InstanceExited), instance(1, InstanceExited), instance(2, InstanceExited), instance(3, InstanceRunning)},
			statuses:  []string{"a=running/3 last:Error:1 started ready"},
			actions:   []string{"Remove a/0", "Remove a/1"},
			phase:     corev1.PodRunning,
		},
		{
			name:      "What is not on record yet is not removed",
			pod:       podOf(always, app("a")),
			instances: []Instance{instance(0, InstanceExited), instance(1, InstanceExited), instance(2, InstanceRunning)},
			statuses:  []string{"a=running/2 last:Error:1 started ready"},
			phase:     corev1.PodRunning,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := Decide(Input{
				Pod: c.pod, Now: after(2 * time.Minute), Sandbox: ready, Recorded: Recorded{StartTime: epoch, Containers: c.recorded},
				Instances: map[string][]Instance{"a": c.instances},
			})
			equal(t, "statuses", summaries(d), c.statuses)
			equal(t, "actions", actionsOf(d), c.actions)
			if d.Phase != c.phase {
				t.Errorf("phase %s, want %s", d.Phase, c.phase)
			}
			if want := after(c.wake); c.wake != 0 && !d.WakeAt.Equal(want) {
				t.Errorf("wakes at %s, want %s", d.WakeAt, want)
			}
		})
	}
}

func TestAFinishedPodStaysAsItIs(t *testing.T) {
	in := Input{
		Pod: podOf(always, app("a")), Now: epoch, Sandbox: Sandbox{State: SandboxDead, NodeLost: true, Message: "gone"},
		Stop: &Stop{Since: epoch, Reason: "Cancelled"},
		Recorded: Recorded{
			Finished: true, Phase: corev1.PodSucceeded, Reason: "R", Message: "M",
			Containers: []corev1.ContainerStatus{{Name: "a", RestartCount: 4, State: corev1.ContainerState{
				Terminated: &corev1.ContainerStateTerminated{Reason: ReasonCompleted},
			}}},
		},
		Instances: map[string][]Instance{"a": {
			{N: 2, State: InstanceExited, FinishedAt: epoch}, {N: 3, State: InstanceExited, FinishedAt: epoch}, {N: 4, State: InstanceExited, FinishedAt: epoch},
		}},
	}
	d := Decide(in)
	if d.Phase != corev1.PodSucceeded || d.Reason != "R" || d.Message != "M" || !d.Finished() {
		t.Errorf("the end became %s %s %s", d.Phase, d.Reason, d.Message)
	}
	equal(t, "statuses", summaries(d), []string{"a=Completed:0/4"})
	equal(t, "actions", actionsOf(d), []string{"Remove a/2"})

	t.Run("What runs all the same is stopped", func(t *testing.T) {
		in.Instances = map[string][]Instance{"a": {{N: 5, State: InstanceRunning, StartedAt: epoch}}}
		equal(t, "actions", actionsOf(Decide(in)), []string{"Stop a/5 Superseded by 30s"})
	})
}

// init-containers: init containers that are done are not run again though nothing is left of them, unless nothing is left of what came after
// them either.
func TestInitContainersThatAreRemovedBehindOurBack(t *testing.T) {
	done := []Instance{{State: InstanceExited, ID: "sim://x", StartedAt: epoch, FinishedAt: epoch}}
	running := []Instance{{State: InstanceRunning, ID: "sim://x", StartedAt: epoch}}
	pod := podOf(initc("i"), sidecar("s"), initc("j"), app("a"))
	cases := []struct {
		name      string
		instances map[string][]Instance
		statuses  []string
		actions   []string
	}{
		{
			name:      "An app container that runs means that all of them are done",
			instances: map[string][]Instance{"a": running, "s": running},
			statuses:  []string{"i=Completed:0/0 ready", "s=running/0 started ready", "j=Completed:0/0 ready", "a=running/0 started ready"},
		},
		{
			name:      "A sidecar of which nothing is left is started again",
			instances: map[string][]Instance{"a": running},
			statuses:  []string{"i=Completed:0/0 ready", "s=PodInitializing/0", "j=Completed:0/0 ready", "a=running/0 started ready"},
			actions:   []string{"Start s/0"},
		},
		{
			name:      "A later one that is done means that those before it are",
			instances: map[string][]Instance{"j": done, "s": running},
			statuses:  []string{"i=Completed:0/0 ready", "s=running/0 started ready", "j=Completed:0/0 ready", "a=PodInitializing/0"},
			actions:   []string{"Start a/0"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := Decide(Input{Pod: pod, Now: epoch, Sandbox: Sandbox{State: SandboxReady}, Instances: c.instances})
			equal(t, "statuses", summaries(d), c.statuses)
			equal(t, "actions", actionsOf(d), c.actions)
		})
	}
}
