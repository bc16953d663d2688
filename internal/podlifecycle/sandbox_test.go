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

// init-containers, "Pod restart reasons": when the pod's infrastructure container is restarted, all init containers run again. The kubelet
// stops what runs in a sandbox that is gone, and makes a new one where something is left to run.
func TestAPodThatLosesItsSandbox(t *testing.T) {
	at10s := func(w *world) { w.at(10*time.Second, (*world).killSandbox) }
	cases := []struct {
		name     string
		pod      *corev1.Pod
		script   map[string][]behaviour
		happens  func(*world)
		phase    corev1.PodPhase
		reason   string
		statuses []string
		log      []string
	}{
		{
			name:     "Containers are stopped, and made again in a new one after the init containers",
			pod:      podOf(onFailure, initc("i"), sidecar("s"), app("a")),
			script:   map[string][]behaviour{"i": {exits(0)}, "a": {{onTerm: 143}, exits(0)}},
			happens:  at10s,
			phase:    corev1.PodSucceeded,
			statuses: []string{"i=Completed:0/1 last:Completed:0 ready", "s=Completed:0/1 last:SandboxChanged:137", "a=Completed:0/1 last:Error:143"},
			log: []string{
				"0s sandbox", "0s start i/0", "1s exit i/0 0", "1s start s/0", "1s start a/0", "10s sandbox dies", "10s stop a/0 SandboxChanged",
				"10s exit a/0 143", "10s stop s/0 SandboxChanged", "10s exit s/0 0", "10s sandbox", "10s start i/1", "11s exit i/1 0",
				"11s start s/1", "11s start a/1", "12s exit a/1 0", "12s stop s/1 PodCompleted", "12s exit s/1 0",
			},
		},
		{
			name:     "A container that ends with 0 when it is cut off has not succeeded",
			pod:      podOf(onFailure, app("a")),
			script:   map[string][]behaviour{"a": {{onTerm: 0}, exits(0)}},
			happens:  at10s,
			phase:    corev1.PodSucceeded,
			statuses: []string{"a=Completed:0/1 last:SandboxChanged:137"},
		},
		{
			name:     "With Never, a container that was cut off has failed, and the pod with it",
			pod:      podOf(never, app("a")),
			script:   map[string][]behaviour{"a": {{onTerm: 0}}},
			happens:  at10s,
			phase:    corev1.PodFailed,
			reason:   ReasonSandboxChanged,
			statuses: []string{"a=SandboxChanged:137/0"},
		},
		{
			name:     "That it was cut off is known even if nobody remembers who stopped it",
			pod:      podOf(never, app("a")),
			script:   map[string][]behaviour{"a": {{onTerm: 0, termTakes: 3 * time.Second}}},
			happens:  func(w *world) { at10s(w); w.at(11*time.Second, (*world).forget) },
			phase:    corev1.PodFailed,
			reason:   ReasonSandboxChanged,
			statuses: []string{"a=SandboxChanged:137/0"},
		},
		{
			name:    "What is done needs no new one",
			pod:     podOf(onFailure, sidecar("s"), app("a"), app("b")),
			script:  map[string][]behaviour{"a": {exits(0)}, "b": {{runsFor: 10 * time.Second}}},
			happens: at10s,
			phase:   corev1.PodSucceeded,
			statuses: []string{
				"s=Completed:0/0", "a=Completed:0/0", "b=Completed:0/0",
			},
		},
		{
			name:     "What had succeeded is not run again where the policy is OnFailure",
			pod:      podOf(onFailure, app("a"), app("b")),
			script:   map[string][]behaviour{"a": {exits(0)}, "b": {{onTerm: 143}, exits(0)}},
			happens:  at10s,
			phase:    corev1.PodSucceeded,
			statuses: []string{"a=Completed:0/0", "b=Completed:0/1 last:Error:143"},
		},
		{
			name:     "An init container that was cut off is tried again",
			pod:      podOf(onFailure, initc("i"), app("a")),
			script:   map[string][]behaviour{"i": {{onTerm: 0}, exits(0)}, "a": {exits(0)}},
			happens:  at10s,
			phase:    corev1.PodSucceeded,
			statuses: []string{"i=Completed:0/1 last:SandboxChanged:137 ready", "a=Completed:0/0"},
		},
		{
			name:     "With Never, init containers that have run are not run again",
			pod:      podOf(never, initc("i"), initc("j"), app("a")),
			script:   map[string][]behaviour{"i": {exits(0)}, "j": {{runsFor: time.Hour}}},
			happens:  func(w *world) { w.at(time.Second, (*world).killSandbox) },
			phase:    corev1.PodFailed,
			reason:   ReasonSandboxChanged,
			statuses: []string{"i=Completed:0/0 ready", "j=SandboxChanged:137/0", "a=SandboxChanged:137/0"},
			log:      []string{"0s sandbox", "0s start i/0", "1s sandbox dies", "1s exit i/0 0"},
		},
		{
			name:     "With Never, a pod of which nothing has run gets another one",
			pod:      podOf(never, app("a")),
			script:   map[string][]behaviour{"a": {exits(0)}},
			happens:  func(w *world) { w.at(0, (*world).killSandbox) },
			phase:    corev1.PodSucceeded,
			statuses: []string{"a=Completed:0/0"},
		},
		{
			name:     "With Never, an init container that was cut off fails the pod",
			pod:      podOf(never, initc("i"), app("a")),
			happens:  at10s,
			phase:    corev1.PodFailed,
			reason:   ReasonSandboxChanged,
			statuses: []string{"i=SandboxChanged:137/0", "a=InitContainerFailed:137/0"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.pod, scripts(c.script))
			c.happens(w)
			w.run(time.Hour)
			expectEnd(t, w, c.phase, c.reason, c.statuses...)
			if c.log != nil {
				equal(t, "log", w.log, c.log)
			}
		})
	}
}

func TestANewSandboxWaitsUntilEveryEndIsOnRecord(t *testing.T) {
	in := Input{
		Pod: podOf(app("a")), Now: after(time.Minute), Sandbox: Sandbox{State: SandboxDead, EndedAt: after(10 * time.Second)},
		Instances: map[string][]Instance{"a": {{
			State: InstanceExited, ID: "sim://a-0", StartedAt: epoch, FinishedAt: after(11 * time.Second), ExitCode: 143,
		}}},
		Recorded: Recorded{Containers: []corev1.ContainerStatus{{
			Name: "a", ContainerID: "sim://a-0", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: seconds(epoch)}},
		}}},
	}
	d := Decide(in)
	equal(t, "actions", actionsOf(d), nil)
	if !d.WakeAt.Equal(in.Now) {
		t.Errorf("wakes at %s, want at once", d.WakeAt)
	}
	in.Recorded.Containers = d.Containers
	equal(t, "actions once recorded", actionsOf(Decide(in)), []string{"NewSandbox"})
}

func TestACutOffContainerIsKnownByWhenItEnded(t *testing.T) {
	in := Input{
		Pod: podOf(never, app("a")), Now: after(time.Minute), Sandbox: Sandbox{State: SandboxDead, EndedAt: after(10 * time.Second)},
		Instances: map[string][]Instance{"a": {{State: InstanceExited, StartedAt: epoch, FinishedAt: after(11 * time.Second)}}},
	}
	d := Decide(in)
	equal(t, "statuses", summaries(d), []string{"a=SandboxChanged:137/0"})
	if d.Phase != corev1.PodFailed {
		t.Errorf("phase %s, want Failed", d.Phase)
	}
	in.Instances["a"][0].FinishedAt = after(9 * time.Second)
	d = Decide(in)
	equal(t, "statuses of one that ended before", summaries(d), []string{"a=Completed:0/0"})
	if d.Phase != corev1.PodSucceeded {
		t.Errorf("phase %s, want Succeeded", d.Phase)
	}
}

func TestInANewSandboxWhatHasToRunAgainWaits(t *testing.T) {
	ended := func(name string, code int32) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: name, ContainerID: "sim://" + name, State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: ReasonCompleted, ContainerID: "sim://" + name},
		}}
	}
	in := Input{
		Pod: podOf(onFailure, initc("i"), sidecar("s", startupProbe), initc("j"), app("a")), Now: epoch, Sandbox: Sandbox{State: SandboxReady},
		Recorded: Recorded{
			InitContainers: []corev1.ContainerStatus{ended("i", 0), ended("s", 0), ended("j", 0)},
			Containers:     []corev1.ContainerStatus{ended("a", 1)},
		},
	}
	d := Decide(in)
	equal(t, "statuses", summaries(d), []string{
		"i=PodInitializing/0 last:Completed:0", "s=PodInitializing/0 last:Completed:0", "j=PodInitializing/0 last:Completed:0",
		"a=ContainerCreating/0 last:Completed:1",
	})
	equal(t, "actions", actionsOf(d), []string{"Start i/1"})

	in.Instances = map[string][]Instance{
		"i": {{N: 1, State: InstanceExited, StartedAt: epoch, FinishedAt: epoch}}, "s": {{N: 1, State: InstanceRunning, StartedAt: epoch}},
	}
	d = Decide(in)
	equal(t, "statuses", summaries(d), []string{
		"i=Completed:0/1 last:Completed:0 ready", "s=running/1 last:Completed:0", "j=PodInitializing/0 last:Completed:0",
		"a=ContainerCreating/0 last:Completed:1",
	})
	equal(t, "actions", actionsOf(d), nil)
	if d.Phase != corev1.PodPending {
		t.Errorf("phase %s, want Pending until the sidecar has started", d.Phase)
	}
}

// node-shutdown and pod garbage collection: the pods of a node that is lost have failed, whatever their containers would have done.
func TestAPodWhoseMachineWentAway(t *testing.T) {
	lost := Sandbox{State: SandboxDead, NodeLost: true, Message: "the engine was started anew"}
	ended := func(name string, code int32) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: name, ContainerID: "sim://" + name, State: corev1.ContainerState{
			Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Reason: ReasonCompleted, ContainerID: "sim://" + name},
		}}
	}
	going := func(name string) corev1.ContainerStatus {
		return corev1.ContainerStatus{Name: name, ContainerID: "sim://" + name, State: corev1.ContainerState{
			Running: &corev1.ContainerStateRunning{StartedAt: seconds(epoch)},
		}}
	}
	exited := func(name string, code int32) []Instance {
		return []Instance{{State: InstanceExited, ID: "sim://" + name, StartedAt: epoch, FinishedAt: after(time.Second), ExitCode: code}}
	}
	cases := []struct {
		name      string
		pod       *corev1.Pod
		recorded  Recorded
		instances map[string][]Instance
		stop      *Stop
		statuses  []string
	}{
		{
			name:      "A container that ran ends with 137, not with the code that the engine shows",
			pod:       podOf(always, app("a")),
			recorded:  Recorded{Containers: []corev1.ContainerStatus{going("a")}},
			instances: map[string][]Instance{"a": exited("a", 0)},
			statuses:  []string{"a=NodeLost:137/0"},
		},
		{
			name:      "What was recorded as ended keeps its end, and the pod has still failed",
			pod:       podOf(never, app("a"), app("b")),
			recorded:  Recorded{Containers: []corev1.ContainerStatus{ended("a", 0), going("b")}},
			instances: map[string][]Instance{"a": exited("a", 0), "b": exited("b", 0)},
			statuses:  []string{"a=Completed:0/0", "b=NodeLost:137/0"},
		},
		{
			name:      "An end that nobody had recorded is the machine's doing",
			pod:       podOf(never, initc("i"), app("a")),
			recorded:  Recorded{InitContainers: []corev1.ContainerStatus{going("i")}},
			instances: map[string][]Instance{"i": exited("i", 0)},
			statuses:  []string{"i=NodeLost:137/0", "a=NodeLost:137/0"},
		},
		{
			name:     "Nothing is left to be seen",
			pod:      podOf(never, app("a")),
			recorded: Recorded{Containers: []corev1.ContainerStatus{going("a")}},
			statuses: []string{"a=NodeLost:137/0"},
		},
		{
			name: "A container that waited to be run again ends too",
			pod:  podOf(always, app("a")),
			recorded: Recorded{Containers: []corev1.ContainerStatus{{
				Name: "a", RestartCount: 2, State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: ReasonCrashLoopBackOff}},
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 1, Reason: ReasonError}},
			}}},
			statuses: []string{"a=NodeLost:137/2 last:Error:1"},
		},
		{
			name:     "A pod that was being stopped has lost its node all the same",
			pod:      podOf(never, app("a")),
			recorded: Recorded{Containers: []corev1.ContainerStatus{going("a")}},
			stop:     &Stop{Since: epoch, Reason: "Cancelled"},
			statuses: []string{"a=NodeLost:137/0"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := Decide(Input{
				Pod: c.pod, Now: after(time.Minute), Recorded: c.recorded, Sandbox: lost, Instances: c.instances, Stop: c.stop,
			})
			if d.Phase != corev1.PodFailed || d.Reason != ReasonNodeLost || d.Message != lost.Message {
				t.Errorf("ended %s %s %q, want Failed NodeLost with the sandbox's message", d.Phase, d.Reason, d.Message)
			}
			equal(t, "statuses", summaries(d), c.statuses)
			equal(t, "actions", actionsOf(d), nil)
			for _, s := range append(d.InitContainers, d.Containers...) {
				if s.State.Terminated.Reason == ReasonNodeLost && s.State.Terminated.Message != lost.Message {
					t.Errorf("%s ends with the words %q", s.Name, s.State.Terminated.Message)
				}
			}
		})
	}

	t.Run("What still runs on it is stopped before the pod ends", func(t *testing.T) {
		d := Decide(Input{
			Pod: podOf(app("a")), Now: epoch, Sandbox: lost,
			Instances: map[string][]Instance{"a": {{State: InstanceRunning, StartedAt: epoch, ID: "sim://a"}}},
		})
		if d.Finished() {
			t.Errorf("the pod has ended while a container runs")
		}
		equal(t, "actions", actionsOf(d), []string{"Stop a/0 NodeLost by 2s"})
	})
}
