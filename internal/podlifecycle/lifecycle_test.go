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

// Whole lives of pods. The rules that the cases hold are those of
//   - https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/ (phases, states, restarts, termination),
//   - https://kubernetes.io/docs/concepts/workloads/pods/init-containers/,
//   - https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/ and KEP-753,
//   - KEP-5307 (container restart rules) and KEP-5532 (restart all containers).
func TestALifeEnds(t *testing.T) {
	cases := []struct {
		name     string
		pod      *corev1.Pod
		script   map[string][]behaviour
		phase    corev1.PodPhase
		reason   string
		statuses []string
		log      []string
	}{
		{
			// pod-lifecycle, "Pod phase": Succeeded when all containers have terminated in success and will not be restarted.
			name:     "A pod whose containers all end with 0 has succeeded",
			pod:      podOf(never, app("a"), app("b")),
			script:   map[string][]behaviour{"a": {exits(0)}, "b": {{runsFor: 3 * time.Second}}},
			phase:    corev1.PodSucceeded,
			statuses: []string{"a=Completed:0/0", "b=Completed:0/0"},
			log:      []string{"0s sandbox", "0s start a/0", "0s start b/0", "1s exit a/0 0", "3s exit b/0 0"},
		},
		{
			// pod-lifecycle, "Pod phase": Failed when all have terminated and at least one in failure.
			name:     "A pod of which one container fails has failed once all have ended",
			pod:      podOf(never, app("a"), app("b")),
			script:   map[string][]behaviour{"a": {exits(3)}, "b": {{runsFor: 3 * time.Second}}},
			phase:    corev1.PodFailed,
			reason:   ReasonError,
			statuses: []string{"a=Error:3/0", "b=Completed:0/0"},
		},
		{
			name:     "A container that was killed for its memory says so",
			pod:      podOf(never, app("a")),
			script:   map[string][]behaviour{"a": {{runsFor: time.Second, exit: 137, oom: true}}},
			phase:    corev1.PodFailed,
			reason:   ReasonOOMKilled,
			statuses: []string{"a=OOMKilled:137/0"},
		},
		{
			name:     "A container that cannot be started has ended with 128",
			pod:      podOf(never, app("a")),
			script:   map[string][]behaviour{"a": {{startError: "exec: no such file"}}},
			phase:    corev1.PodFailed,
			reason:   ReasonStartError,
			statuses: []string{"a=StartError:128/0"},
		},
		{
			// pod-lifecycle, "Container restarts": 10 s, doubled each time; the first restart comes at once.
			name:     "OnFailure runs a container again until it ends with 0",
			pod:      podOf(onFailure, app("a")),
			script:   map[string][]behaviour{"a": {exits(1), exits(2), exits(3), exits(0)}},
			phase:    corev1.PodSucceeded,
			statuses: []string{"a=Completed:0/3 last:Error:3"},
			log: []string{
				"0s sandbox", "0s start a/0", "1s exit a/0 1", "1s start a/1", "2s exit a/1 2", "12s start a/2", "13s exit a/2 3",
				"33s start a/3", "34s exit a/3 0",
			},
		},
		{
			// init-containers: each must complete before the next starts.
			name:     "Init containers run one after the other, then the app containers together",
			pod:      podOf(never, initc("i"), initc("j"), app("a"), app("b")),
			script:   map[string][]behaviour{"i": {exits(0)}, "j": {exits(0)}, "a": {exits(0)}, "b": {exits(0)}},
			phase:    corev1.PodSucceeded,
			statuses: []string{"i=Completed:0/0 ready", "j=Completed:0/0 ready", "a=Completed:0/0", "b=Completed:0/0"},
			log: []string{
				"0s sandbox", "0s start i/0", "1s exit i/0 0", "1s start j/0", "2s exit j/0 0", "2s start a/0", "2s start b/0",
				"3s exit a/0 0", "3s exit b/0 0",
			},
		},
		{
			// init-containers: with restartPolicy Never a failing init container fails the pod.
			name:   "An init container that fails for good ends the pod, and what never ran ends with it",
			pod:    podOf(never, initc("i"), initc("j"), initc("k"), app("a")),
			script: map[string][]behaviour{"i": {exits(0)}, "j": {exits(7)}},
			phase:  corev1.PodFailed,
			reason: ReasonError,
			statuses: []string{
				"i=Completed:0/0 ready", "j=Error:7/0", "k=InitContainerFailed:137/0", "a=InitContainerFailed:137/0",
			},
		},
		{
			// init-containers: "if the Pod restartPolicy is set to Always, the init containers use restartPolicy OnFailure".
			name:     "A failing init container is tried again, and is not run again once it has succeeded",
			pod:      podOf(onFailure, initc("i"), app("a")),
			script:   map[string][]behaviour{"i": {exits(1), exits(1), exits(0)}, "a": {exits(0)}},
			phase:    corev1.PodSucceeded,
			statuses: []string{"i=Completed:0/2 last:Error:1 ready", "a=Completed:0/0"},
			log: []string{
				"0s sandbox", "0s start i/0", "1s exit i/0 1", "1s start i/1", "2s exit i/1 1", "12s start i/2", "13s exit i/2 0",
				"13s start a/0", "14s exit a/0 0",
			},
		},
		{
			// KEP-753: sidecars start in order with init containers, run beside the app, and are stopped after it in reverse order.
			name:     "Sidecars start in order, and stop in reverse order once the app containers are done",
			pod:      podOf(never, sidecar("s"), initc("i"), sidecar("u"), app("a")),
			script:   map[string][]behaviour{"i": {exits(0)}, "a": {exits(0)}, "u": {{termTakes: 5 * time.Second}}},
			phase:    corev1.PodSucceeded,
			statuses: []string{"s=Completed:0/0", "i=Completed:0/0 ready", "u=Completed:0/0", "a=Completed:0/0"},
			log: []string{
				"0s sandbox", "0s start s/0", "0s start i/0", "1s exit i/0 0", "1s start u/0", "1s start a/0", "2s exit a/0 0",
				"2s stop u/0 PodCompleted", "7s exit u/0 0", "7s stop s/0 PodCompleted", "7s exit s/0 0",
			},
		},
		{
			// KEP-753: the exit code of a sidecar does not matter to the pod's phase.
			name:     "A sidecar's exit code does not fail the pod",
			pod:      podOf(never, sidecar("s"), app("a")),
			script:   map[string][]behaviour{"s": {{onTerm: 143}}, "a": {exits(0)}},
			phase:    corev1.PodSucceeded,
			statuses: []string{"s=Error:143/0", "a=Completed:0/0"},
		},
		{
			// KEP-753: sidecars are restarted whatever the pod's restartPolicy.
			name:     "A sidecar that ends is run again while the app runs, even with Never",
			pod:      podOf(never, sidecar("s"), app("a")),
			script:   map[string][]behaviour{"s": {exits(1), exits(0), runs()}, "a": {{runsFor: time.Minute}}},
			phase:    corev1.PodSucceeded,
			statuses: []string{"s=Completed:0/2 last:Completed:0", "a=Completed:0/0"},
			log: []string{
				"0s sandbox", "0s start s/0", "0s start a/0", "1s exit s/0 1", "1s start s/1", "2s exit s/1 0", "12s start s/2",
				"1m0s exit a/0 0", "1m0s stop s/2 PodCompleted", "1m0s exit s/2 0",
			},
		},
		{
			// KEP-753: a startup probe, and the postStart hook, of a sidecar hold back what comes after it.
			name: "What comes after a sidecar waits for its postStart hook and its startup probe",
			pod:  podOf(never, sidecar("s", startupProbe, postStart), initc("i"), app("a")),
			script: map[string][]behaviour{
				"s": {{hookTakes: 4 * time.Second, startupAfter: 10 * time.Second}}, "i": {exits(0)}, "a": {exits(0)},
			},
			phase:    corev1.PodSucceeded,
			statuses: []string{"s=Completed:0/0", "i=Completed:0/0 ready", "a=Completed:0/0"},
			log: []string{
				"0s sandbox", "0s start s/0", "10s start i/0", "11s exit i/0 0", "11s start a/0", "12s exit a/0 0",
				"12s stop s/0 PodCompleted", "12s exit s/0 0",
			},
		},
		{
			// KEP-753: at the end of the grace period sidecars that had to wait are stopped at once, with the least of grace periods.
			name: "Sidecars that outlast the grace period are killed",
			pod:  podOf(never, graceOf(10), sidecar("s"), sidecar("u"), app("a")),
			script: map[string][]behaviour{
				"a": {exits(0)}, "s": {{ignoresTerm: true}}, "u": {{ignoresTerm: true}},
			},
			phase:    corev1.PodSucceeded,
			statuses: []string{"s=Error:137/0", "u=Error:137/0", "a=Completed:0/0"},
			log: []string{
				"0s sandbox", "0s start s/0", "0s start u/0", "0s start a/0", "1s exit a/0 0", "1s stop u/0 PodCompleted",
				"11s exit u/0 137", "11s stop s/0 PodCompleted", "13s exit s/0 137",
			},
		},
		{
			// KEP-753: a sidecar's preStop hook begins with the end of the pod, its stop signal waits for its turn.
			name: "PreStop hooks of sidecars run before their turn comes, and once",
			pod:  podOf(never, sidecar("s", preStop), sidecar("u", preStop), app("a")),
			script: map[string][]behaviour{
				"a": {exits(0)}, "u": {{termTakes: 3 * time.Second}},
			},
			phase:    corev1.PodSucceeded,
			statuses: []string{"s=Completed:0/0", "u=Completed:0/0", "a=Completed:0/0"},
			log: []string{
				"0s sandbox", "0s start s/0", "0s start u/0", "0s start a/0", "1s exit a/0 0", "1s stop u/0 PodCompleted",
				"1s preStop s/0", "4s exit u/0 0", "4s stop s/0 PodCompleted", "4s exit s/0 0",
			},
		},
		{
			// KEP-753: a failing init container ends the pod, sidecars that run are stopped.
			name:     "Sidecars are stopped when an init container after them fails for good",
			pod:      podOf(never, sidecar("s"), initc("i"), app("a")),
			script:   map[string][]behaviour{"i": {exits(1)}},
			phase:    corev1.PodFailed,
			reason:   ReasonError,
			statuses: []string{"s=Completed:0/0", "i=Error:1/0", "a=InitContainerFailed:137/0"},
		},
		{
			// KEP-5307: a container's own policy goes before the pod's.
			name: "A container's own restart policy goes before the pod's",
			pod: podOf(never, app("a", restartPolicy(corev1.ContainerRestartPolicyOnFailure)),
				app("b", restartPolicy(corev1.ContainerRestartPolicyNever))),
			script:   map[string][]behaviour{"a": {exits(1), exits(0)}, "b": {exits(1)}},
			phase:    corev1.PodFailed,
			reason:   ReasonError,
			statuses: []string{"a=Completed:0/1 last:Error:1", "b=Error:1/0"},
		},
		{
			// KEP-5307: the first rule that matches decides, and where none does the container's policy.
			name: "A restart rule runs a container again for the codes that it names",
			pod: podOf(never, app("a", restartPolicy(corev1.ContainerRestartPolicyNever),
				rule(corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleOnExitCodesOpIn, 42, 43))),
			script:   map[string][]behaviour{"a": {exits(42), exits(43), exits(44)}},
			phase:    corev1.PodFailed,
			reason:   ReasonError,
			statuses: []string{"a=Error:44/2 last:Error:43"},
		},
		{
			// KEP-5532: all containers are ended and removed, and the pod begins anew from its first init container.
			name: "RestartAllContainers runs the whole pod again, what had succeeded too",
			pod: podOf(never, initc("i"), sidecar("s"), app("a", restartPolicy(corev1.ContainerRestartPolicyNever),
				rule(corev1.ContainerRestartRuleActionRestartAllContainers, corev1.ContainerRestartRuleOnExitCodesOpIn, 42)), app("b"), app("c")),
			script: map[string][]behaviour{
				"i": {exits(0)}, "a": {{runsFor: 5 * time.Second, exit: 42}, exits(0)}, "b": {exits(0)}, "c": {{onTerm: 143}, exits(0)},
			},
			phase: corev1.PodSucceeded,
			statuses: []string{
				"i=Completed:0/1 last:Completed:0 ready", "s=Completed:0/1 last:Completed:0", "a=Completed:0/1 last:Error:42",
				"b=Completed:0/1 last:Completed:0", "c=Completed:0/1 last:Error:143",
			},
		},
		{
			// pod-lifecycle, "Container probes": liveness kills, the container is subject to its restart policy.
			name: "A failing liveness probe has the container stopped and run again, whatever it ends with",
			pod:  podOf(onFailure, app("a", livenessProbe)),
			script: map[string][]behaviour{
				"a": {{livenessFails: 5 * time.Second, onTerm: 0}, exits(0)},
			},
			phase:    corev1.PodSucceeded,
			statuses: []string{"a=Completed:0/1 last:Completed:0"},
			log: []string{
				"0s sandbox", "0s start a/0", "5s stop a/0 LivenessProbe", "5s exit a/0 0", "5s start a/1", "6s exit a/1 0",
			},
		},
		{
			name:     "A failing startup probe ends a container for good with Never",
			pod:      podOf(never, app("a", startupProbe)),
			script:   map[string][]behaviour{"a": {{startupFails: true, onTerm: 143}}},
			phase:    corev1.PodFailed,
			reason:   ReasonError,
			statuses: []string{"a=Error:143/0"},
		},
		{
			// container-lifecycle-hooks: "if either a PostStart or PreStop hook fails, it kills the Container".
			name: "A failing postStart hook has the container stopped and run again",
			pod:  podOf(onFailure, app("a", postStart)),
			script: map[string][]behaviour{
				"a": {{hookTakes: 2 * time.Second, hookFails: true, onTerm: 143}, {hookTakes: time.Second, runsFor: 3 * time.Second}},
			},
			phase:    corev1.PodSucceeded,
			statuses: []string{"a=Completed:0/1 last:Error:143"},
			log: []string{
				"0s sandbox", "0s start a/0", "2s stop a/0 FailedPostStartHook", "2s exit a/0 143", "2s start a/1", "5s exit a/1 0",
			},
		},
		{
			// pod-lifecycle, "Pod lifetime"; jobs, "Job termination": past activeDeadlineSeconds the pod is Failed, DeadlineExceeded.
			name:     "A pod that is active for too long is stopped, and has failed though its container ends with 0",
			pod:      podOf(always, activeDeadline(60), app("a")),
			phase:    corev1.PodFailed,
			reason:   ReasonDeadlineExceeded,
			statuses: []string{"a=Completed:0/0"},
			log:      []string{"0s sandbox", "0s start a/0", "1m0s stop a/0 DeadlineExceeded", "1m0s exit a/0 0"},
		},
		{
			name:     "The deadline counts while init containers run, and ends what never ran too",
			pod:      podOf(never, graceOf(5), activeDeadline(60), initc("i"), app("a")),
			script:   map[string][]behaviour{"i": {{ignoresTerm: true}}},
			phase:    corev1.PodFailed,
			reason:   ReasonDeadlineExceeded,
			statuses: []string{"i=Error:137/0", "a=DeadlineExceeded:137/0"},
			log:      []string{"0s sandbox", "0s start i/0", "1m0s stop i/0 DeadlineExceeded", "1m5s exit i/0 137"},
		},
		{
			name:     "A deadline that comes after the end changes nothing",
			pod:      podOf(never, activeDeadline(60), app("a")),
			script:   map[string][]behaviour{"a": {{runsFor: 59 * time.Second}}},
			phase:    corev1.PodSucceeded,
			statuses: []string{"a=Completed:0/0"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, c.pod, scripts(c.script))
			w.run(24 * time.Hour)
			expectEnd(t, w, c.phase, c.reason, c.statuses...)
			if c.log != nil {
				equal(t, "log", w.log, c.log)
			}
		})
	}
}
