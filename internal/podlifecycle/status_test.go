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
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// pod-lifecycle, "Container states", "Container probes" and "Pod conditions".
func TestWhatAStatusShows(t *testing.T) {
	running := func(change func(*Instance)) []Instance {
		i := Instance{State: InstanceRunning, ID: "sim://x", ImageID: "sha256:1", StartedAt: epoch}
		if change != nil {
			change(&i)
		}
		return []Instance{i}
	}
	exited := func(code int32, change func(*Instance)) []Instance {
		i := Instance{State: InstanceExited, ID: "sim://x", StartedAt: epoch, FinishedAt: after(5 * time.Second), ExitCode: code}
		if change != nil {
			change(&i)
		}
		return []Instance{i}
	}
	yes := map[corev1.PodConditionType]string{
		corev1.PodInitialized: "True", corev1.ContainersReady: "True", corev1.PodReady: "True",
	}
	cases := []struct {
		name       string
		pod        *corev1.Pod
		instances  map[string][]Instance
		waiting    map[string]Waiting
		statuses   []string
		phase      corev1.PodPhase
		reason     string
		conditions map[corev1.PodConditionType]string
	}{
		{
			name:     "A container that is being made is ContainerCreating",
			pod:      podOf(app("a")),
			statuses: []string{"a=ContainerCreating/0"},
			phase:    corev1.PodPending,
			conditions: map[corev1.PodConditionType]string{
				corev1.PodInitialized: "True", corev1.ContainersReady: "False ContainersNotReady containers with unready status: [a]",
				corev1.PodReady: "False ContainersNotReady containers with unready status: [a]",
			},
		},
		{
			name:      "With init containers all that has not run is PodInitializing",
			pod:       podOf(initc("i"), initc("j"), app("a")),
			instances: map[string][]Instance{"i": running(nil)},
			statuses:  []string{"i=running/0 started", "j=PodInitializing/0", "a=PodInitializing/0"},
			phase:     corev1.PodPending,
			conditions: map[corev1.PodConditionType]string{
				corev1.PodInitialized: "False ContainersNotInitialized containers with incomplete status: [i j]",
			},
		},
		{
			name:     "What keeps a container from being made is its reason, and the pod's",
			pod:      podOf(app("a"), app("b")),
			waiting:  map[string]Waiting{"b": {Reason: "ImagePullBackOff", Message: "Back-off pulling image \"img\""}},
			statuses: []string{"a=ContainerCreating/0", "b=ImagePullBackOff/0"},
			phase:    corev1.PodPending,
			reason:   "ImagePullBackOff",
		},
		{
			name:       "A pod whose containers run is Running and ready",
			pod:        podOf(app("a"), app("b")),
			instances:  map[string][]Instance{"a": running(nil), "b": running(nil)},
			statuses:   []string{"a=running/0 started ready", "b=running/0 started ready"},
			phase:      corev1.PodRunning,
			conditions: yes,
		},
		{
			// pod-lifecycle, "Pod readiness": nobody here sets the conditions that gates name.
			name:      "A pod with readiness gates has ready containers and is not ready",
			pod:       podOf(app("a"), func(p *corev1.Pod) { p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "x/y"}} }),
			instances: map[string][]Instance{"a": running(nil)},
			statuses:  []string{"a=running/0 started ready"},
			phase:     corev1.PodRunning,
			conditions: map[corev1.PodConditionType]string{
				corev1.ContainersReady: "True",
				corev1.PodReady:        "False ReadinessGatesNotReady corresponding condition of pod readiness gate \"x/y\" does not exist.",
			},
		},
		{
			name:      "A pod is Pending while one of its containers has not run yet",
			pod:       podOf(app("a"), app("b")),
			instances: map[string][]Instance{"a": running(nil)},
			statuses:  []string{"a=running/0 started ready", "b=ContainerCreating/0"},
			phase:     corev1.PodPending,
		},
		{
			// v1.ContainerStatus.started: false until the postStart hook is done.
			name:      "A container has not started before its postStart hook is done",
			pod:       podOf(app("a", postStart)),
			instances: map[string][]Instance{"a": running(func(i *Instance) { i.PostStart = HookRunning })},
			statuses:  []string{"a=running/0"},
			phase:     corev1.PodRunning,
		},
		{
			name: "A container has not started before its startup probe has succeeded, and is not ready though its readiness probe succeeds",
			pod:  podOf(app("a", startupProbe, readinessProbe)),
			instances: map[string][]Instance{"a": running(func(i *Instance) {
				i.Probes.Readiness = Success
			})},
			statuses: []string{"a=running/0"},
			phase:    corev1.PodRunning,
		},
		{
			name: "A container that has started is not ready before its readiness probe has succeeded",
			pod:  podOf(app("a", startupProbe, readinessProbe)),
			instances: map[string][]Instance{"a": running(func(i *Instance) {
				i.Probes.Startup = Success
			})},
			statuses: []string{"a=running/0 started"},
			phase:    corev1.PodRunning,
		},
		{
			name: "A failing readiness probe makes it unready and does not stop it",
			pod:  podOf(app("a", readinessProbe)),
			instances: map[string][]Instance{"a": running(func(i *Instance) {
				i.Probes.Readiness = Failure
			})},
			statuses: []string{"a=running/0 started"},
			phase:    corev1.PodRunning,
		},
		{
			name: "Started, and its readiness probe succeeds: ready",
			pod:  podOf(app("a", startupProbe, readinessProbe)),
			instances: map[string][]Instance{"a": running(func(i *Instance) {
				i.Probes.Startup, i.Probes.Readiness = Success, Success
			})},
			statuses:   []string{"a=running/0 started ready"},
			phase:      corev1.PodRunning,
			conditions: yes,
		},
		{
			// KEP-753: readiness of sidecars counts for the pod.
			name: "A sidecar that is not ready keeps the pod from being ready",
			pod:  podOf(sidecar("s", readinessProbe), app("a")),
			instances: map[string][]Instance{
				"s": running(nil), "a": running(nil),
			},
			statuses: []string{"s=running/0 started", "a=running/0 started ready"},
			phase:    corev1.PodRunning,
			conditions: map[corev1.PodConditionType]string{
				corev1.PodInitialized: "True", corev1.ContainersReady: "False ContainersNotReady containers with unready status: [s]",
			},
		},
		{
			// KEP-753: a sidecar that is restarted does not take an initialized pod back.
			name: "A sidecar that is run again leaves the pod initialized and Running",
			pod:  podOf(sidecar("s"), app("a")),
			instances: map[string][]Instance{
				"s": exited(1, nil), "a": running(nil),
			},
			statuses:   []string{"s=ContainerCreating/0 last:Error:1", "a=running/0 started ready"},
			phase:      corev1.PodRunning,
			conditions: map[corev1.PodConditionType]string{corev1.PodInitialized: "True"},
		},
		{
			// Whoever reads the answers takes terminated for the end: it is shown only where there is no next run.
			name:      "A container that will be run again at once waits for it",
			pod:       podOf(always, app("a")),
			instances: map[string][]Instance{"a": exited(0, nil)},
			statuses:  []string{"a=ContainerCreating/0 last:Completed:0"},
			phase:     corev1.PodRunning,
		},
		{
			name: "A container in its back-off is CrashLoopBackOff",
			pod:  podOf(always, app("a")),
			instances: map[string][]Instance{
				"a": {exited(1, nil)[0], {N: 1, State: InstanceExited, StartedAt: after(5 * time.Second), FinishedAt: after(9 * time.Second), ExitCode: 2}},
			},
			statuses: []string{"a=CrashLoopBackOff/1 last:Error:2"},
			phase:    corev1.PodRunning,
			reason:   ReasonCrashLoopBackOff,
		},
		{
			name: "In its back-off a container waits for nothing else",
			pod:  podOf(always, app("a")),
			instances: map[string][]Instance{
				"a": {exited(1, nil)[0], {N: 1, State: InstanceExited, StartedAt: after(5 * time.Second), FinishedAt: after(9 * time.Second), ExitCode: 2}},
			},
			waiting:  map[string]Waiting{"a": {Reason: "ErrImagePull"}},
			statuses: []string{"a=CrashLoopBackOff/1 last:Error:2"},
			phase:    corev1.PodRunning,
			reason:   ReasonCrashLoopBackOff,
		},
		{
			name:      "After its back-off it waits for what keeps it from being made",
			pod:       podOf(always, app("a")),
			instances: map[string][]Instance{"a": exited(1, nil)},
			waiting:   map[string]Waiting{"a": {Reason: "ErrImagePull"}},
			statuses:  []string{"a=ErrImagePull/0 last:Error:1"},
			phase:     corev1.PodRunning,
			reason:    "ErrImagePull",
		},
		{
			// KEP-753, and the kubelet's getPhase: once the pod has been initialized, a sidecar that starts anew does not make it Pending.
			name: "A sidecar that has not started again leaves the pod Running",
			pod:  podOf(sidecar("s", startupProbe), app("a")),
			instances: map[string][]Instance{
				"s": {exited(1, nil)[0], {N: 1, State: InstanceRunning, ID: "sim://x", StartedAt: after(6 * time.Second)}}, "a": running(nil),
			},
			statuses:   []string{"s=running/1 last:Error:1", "a=running/0 started ready"},
			phase:      corev1.PodRunning,
			conditions: map[corev1.PodConditionType]string{corev1.PodInitialized: "True"},
		},
		{
			name: "A container that could not be started is RunContainerError",
			pod:  podOf(always, app("a")),
			instances: map[string][]Instance{"a": {{
				State: InstanceCreated, CreatedAt: epoch, StartError: "exec: \"/nope\": no such file or directory",
			}}},
			statuses: []string{"a=RunContainerError/0 last:StartError:128"},
			phase:    corev1.PodRunning,
			reason:   ReasonRunContainerError,
		},
		{
			name:      "A container whose postStart hook failed is PostStartHookError",
			pod:       podOf(always, app("a", postStart)),
			instances: map[string][]Instance{"a": exited(143, func(i *Instance) { i.StopReason, i.PostStart = StopPostStartHook, HookFailed })},
			statuses:  []string{"a=PostStartHookError/0 last:Error:143"},
			phase:     corev1.PodRunning,
			reason:    ReasonPostStartHookError,
		},
		{
			name:      "A container that is done beside one that runs is shown as ended",
			pod:       podOf(onFailure, app("a"), app("b")),
			instances: map[string][]Instance{"a": exited(0, nil), "b": running(nil)},
			statuses:  []string{"a=Completed:0/0", "b=running/0 started ready"},
			phase:     corev1.PodRunning,
		},
		{
			name:      "Killed for its memory goes before the code",
			pod:       podOf(never, app("a"), app("b")),
			instances: map[string][]Instance{"a": exited(137, func(i *Instance) { i.OOMKilled = true }), "b": running(nil)},
			statuses:  []string{"a=OOMKilled:137/0", "b=running/0 started ready"},
			phase:     corev1.PodRunning,
		},
		{
			name:      "A pod that has failed is initialized where its containers ran",
			pod:       podOf(never, initc("i"), app("a")),
			instances: map[string][]Instance{"i": exited(0, nil), "a": exited(1, nil)},
			statuses:  []string{"i=Completed:0/0 ready", "a=Error:1/0"},
			phase:     corev1.PodFailed,
			reason:    ReasonError,
			conditions: map[corev1.PodConditionType]string{
				corev1.PodInitialized: "True", corev1.ContainersReady: "False PodFailed ", corev1.PodReady: "False PodFailed ",
			},
		},
		{
			name:      "A pod that has failed in an init container never was initialized",
			pod:       podOf(never, initc("i"), app("a")),
			instances: map[string][]Instance{"i": exited(1, nil)},
			statuses:  []string{"i=Error:1/0", "a=InitContainerFailed:137/0"},
			phase:     corev1.PodFailed,
			reason:    ReasonError,
			conditions: map[corev1.PodConditionType]string{
				corev1.PodInitialized: "False ContainersNotInitialized containers with incomplete status: [i]",
			},
		},
		{
			name:      "A pod that has succeeded is completed, not ready",
			pod:       podOf(never, app("a")),
			instances: map[string][]Instance{"a": exited(0, nil)},
			statuses:  []string{"a=Completed:0/0"},
			phase:     corev1.PodSucceeded,
			conditions: map[corev1.PodConditionType]string{
				corev1.PodInitialized: "True PodCompleted ", corev1.ContainersReady: "False PodCompleted ", corev1.PodReady: "False PodCompleted ",
			},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := Decide(Input{
				Pod: c.pod, Now: after(10 * time.Second), Sandbox: Sandbox{State: SandboxReady}, Instances: c.instances, Waiting: c.waiting,
			})
			equal(t, "statuses", summaries(d), c.statuses)
			if d.Phase != c.phase || d.Reason != c.reason {
				t.Errorf("%s %q, want %s %q", d.Phase, d.Reason, c.phase, c.reason)
			}
			seen := map[corev1.PodConditionType]string{}
			for _, cond := range d.Conditions {
				s := string(cond.Status)
				if cond.Reason != "" {
					s += fmt.Sprintf(" %s %s", cond.Reason, cond.Message)
				}
				seen[cond.Type] = s
			}
			if len(seen) != 3 {
				t.Errorf("conditions %v, want three", seen)
			}
			for k, want := range c.conditions {
				if seen[k] != want {
					t.Errorf("condition %s is %q, want %q", k, seen[k], want)
				}
			}
		})
	}
}
