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

// cancelled has the pod asked to end at that time.
func cancelled(at time.Duration, grace ...time.Duration) func(*world) {
	return func(w *world) {
		w.at(at, func(w *world) {
			w.stop = &Stop{Since: w.now, Reason: "Cancelled", Message: "The pod was deleted"}
			if len(grace) > 0 {
				w.stop.GracePeriod = &grace[0]
			}
		})
	}
}

// pod-lifecycle, "Pod termination flow": the preStop hook, the stop signal, and SIGKILL when the grace period is over; sidecars after the
// app containers.
func TestAPodThatIsStopped(t *testing.T) {
	cases := []struct {
		name     string
		pod      *corev1.Pod
		script   map[string][]behaviour
		happens  func(*world)
		phase    corev1.PodPhase
		reason   string
		statuses []string
		log      []string
		messages map[string]string
	}{
		{
			name:     "A container that ends with 0 when it is asked to keeps its code, and the pod has failed",
			pod:      podOf(app("a")),
			happens:  cancelled(10 * time.Second),
			phase:    corev1.PodFailed,
			reason:   "Cancelled",
			statuses: []string{"a=Completed:0/0"},
			log:      []string{"0s sandbox", "0s start a/0", "10s stop a/0 Cancelled", "10s exit a/0 0"},
		},
		{
			name:     "A container that does not end is killed when the pod's grace period is over",
			pod:      podOf(graceOf(7), app("a")),
			script:   map[string][]behaviour{"a": {{ignoresTerm: true}}},
			happens:  cancelled(10 * time.Second),
			phase:    corev1.PodFailed,
			reason:   "Cancelled",
			statuses: []string{"a=Error:137/0"},
			log:      []string{"0s sandbox", "0s start a/0", "10s stop a/0 Cancelled", "17s exit a/0 137"},
		},
		{
			name:     "The stop's own grace period goes before the pod's",
			pod:      podOf(graceOf(300), app("a")),
			script:   map[string][]behaviour{"a": {{ignoresTerm: true}}},
			happens:  cancelled(10*time.Second, 5*time.Second),
			phase:    corev1.PodFailed,
			reason:   "Cancelled",
			statuses: []string{"a=Error:137/0"},
			log:      []string{"0s sandbox", "0s start a/0", "10s stop a/0 Cancelled", "15s exit a/0 137"},
		},
		{
			name:     "A grace period of 0 still leaves the least between signal and kill",
			pod:      podOf(app("a")),
			script:   map[string][]behaviour{"a": {{ignoresTerm: true}}},
			happens:  cancelled(10*time.Second, 0),
			phase:    corev1.PodFailed,
			reason:   "Cancelled",
			statuses: []string{"a=Error:137/0"},
			log:      []string{"0s sandbox", "0s start a/0", "10s stop a/0 Cancelled", "12s exit a/0 137"},
		},
		{
			name:     "A shorter grace period that comes later holds",
			pod:      podOf(graceOf(300), activeDeadline(20), app("a")),
			script:   map[string][]behaviour{"a": {{ignoresTerm: true}}},
			happens:  cancelled(30*time.Second, 5*time.Second),
			phase:    corev1.PodFailed,
			reason:   ReasonDeadlineExceeded,
			statuses: []string{"a=Error:137/0"},
			log:      []string{"0s sandbox", "0s start a/0", "20s stop a/0 DeadlineExceeded", "35s exit a/0 137"},
		},
		{
			name:     "What is not done by then ends with it, named after the stop",
			pod:      podOf(initc("i"), app("a")),
			script:   map[string][]behaviour{"i": {{onTerm: 143}}},
			happens:  cancelled(10 * time.Second),
			phase:    corev1.PodFailed,
			reason:   "Cancelled",
			statuses: []string{"i=Error:143/0", "a=Cancelled:137/0"},
			messages: map[string]string{"i": "The pod was deleted", "a": "not started: The pod was deleted"},
		},
		{
			name:     "A pod that is stopped before anything ran has failed",
			pod:      podOf(app("a")),
			happens:  func(w *world) { w.stop = &Stop{Since: epoch, Reason: "Cancelled", Message: "The pod was deleted"} },
			phase:    corev1.PodFailed,
			reason:   "Cancelled",
			statuses: []string{"a=Cancelled:137/0"},
		},
		{
			name:     "A termination message is not overwritten",
			pod:      podOf(app("a")),
			script:   map[string][]behaviour{"a": {{onTerm: 1, message: "saved at step 12"}}},
			happens:  cancelled(10 * time.Second),
			phase:    corev1.PodFailed,
			reason:   "Cancelled",
			statuses: []string{"a=Error:1/0"},
			messages: map[string]string{"a": "saved at step 12"},
		},
		{
			// The kubelet: a terminal pod has succeeded when all its containers ended with 0.
			name:     "A pod whose containers had succeeded and only waited to be run again has succeeded",
			pod:      podOf(always, app("a")),
			script:   map[string][]behaviour{"a": {exits(0)}},
			happens:  cancelled(5 * time.Second),
			phase:    corev1.PodSucceeded,
			statuses: []string{"a=Completed:0/1 last:Completed:0"},
		},
		{
			name:     "A pod whose container waited to be tried again after a failure has failed",
			pod:      podOf(always, app("a")),
			script:   map[string][]behaviour{"a": {exits(4)}},
			happens:  cancelled(5 * time.Second),
			phase:    corev1.PodFailed,
			reason:   "Cancelled",
			statuses: []string{"a=Error:4/1 last:Error:4"},
		},
		{
			name:     "A pod that had ended by itself before it was stopped keeps its end",
			pod:      podOf(never, sidecar("s"), app("a")),
			script:   map[string][]behaviour{"a": {exits(0)}, "s": {{ignoresTerm: true}}},
			happens:  cancelled(10 * time.Second),
			phase:    corev1.PodSucceeded,
			statuses: []string{"s=Error:137/0", "a=Completed:0/0"},
		},
		{
			name:     "One container that had succeeded does not make up for one that was stopped",
			pod:      podOf(never, app("a"), app("b")),
			script:   map[string][]behaviour{"a": {exits(0)}},
			happens:  cancelled(10 * time.Second),
			phase:    corev1.PodFailed,
			reason:   "Cancelled",
			statuses: []string{"a=Completed:0/0", "b=Completed:0/0"},
			messages: map[string]string{"a": "", "b": "The pod was deleted"},
		},
		{
			name:    "App containers are stopped at once, sidecars after them in reverse order",
			pod:     podOf(sidecar("s"), sidecar("u"), app("a"), app("b")),
			script:  map[string][]behaviour{"a": {{termTakes: 3 * time.Second}}, "b": {{termTakes: 5 * time.Second}}, "u": {{termTakes: time.Second}}},
			happens: cancelled(10 * time.Second),
			phase:   corev1.PodFailed,
			reason:  "Cancelled",
			statuses: []string{
				"s=Completed:0/0", "u=Completed:0/0", "a=Completed:0/0", "b=Completed:0/0",
			},
			log: []string{
				"0s sandbox", "0s start s/0", "0s start u/0", "0s start a/0", "0s start b/0", "10s stop a/0 Cancelled", "10s stop b/0 Cancelled",
				"13s exit a/0 0", "15s exit b/0 0", "15s stop u/0 Cancelled", "16s exit u/0 0", "16s stop s/0 Cancelled", "16s exit s/0 0",
			},
		},
		{
			name:     "Nothing is run again while the pod ends",
			pod:      podOf(always, app("a"), app("b", livenessProbe)),
			script:   map[string][]behaviour{"a": {{onTerm: 1}}, "b": {{termTakes: 20 * time.Second, livenessFails: 12 * time.Second}}},
			happens:  cancelled(10 * time.Second),
			phase:    corev1.PodFailed,
			reason:   "Cancelled",
			statuses: []string{"a=Error:1/0", "b=Completed:0/0"},
			log: []string{
				"0s sandbox", "0s start a/0", "0s start b/0", "10s stop a/0 Cancelled", "10s exit a/0 1", "10s stop b/0 Cancelled", "30s exit b/0 0",
			},
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
			for _, list := range [][]corev1.ContainerStatus{w.last.InitContainers, w.last.Containers} {
				for _, s := range list {
					if want, ok := c.messages[s.Name]; ok && s.State.Terminated.Message != want {
						t.Errorf("message of %s is %q, want %q", s.Name, s.State.Terminated.Message, want)
					}
				}
			}
		})
	}
}

func TestStopActionsSayHowLongAContainerHas(t *testing.T) {
	running := func(change func(*Instance)) map[string][]Instance {
		i := Instance{State: InstanceRunning, ID: "sim://a-0", StartedAt: epoch, PostStart: HookDone}
		if change != nil {
			change(&i)
		}
		return map[string][]Instance{"a": {i}}
	}
	liveness := func(seconds *int64) func(*corev1.Container) {
		return func(c *corev1.Container) { c.LivenessProbe = &corev1.Probe{TerminationGracePeriodSeconds: seconds} }
	}
	startup := func(seconds *int64) func(*corev1.Container) {
		return func(c *corev1.Container) { c.StartupProbe = &corev1.Probe{TerminationGracePeriodSeconds: seconds} }
	}
	cases := []struct {
		name      string
		pod       *corev1.Pod
		instances map[string][]Instance
		stop      *Stop
		want      []string
	}{
		{
			// KEP-2238: the probe's own terminationGracePeriodSeconds goes before the pod's.
			name:      "A failing liveness probe stops with the probe's own grace period",
			pod:       podOf(app("a", liveness(new(int64(5))), preStop)),
			instances: running(func(i *Instance) { i.Probes.Liveness = Failure }),
			want:      []string{"Stop a/0 LivenessProbe preStop by 1m5s"},
		},
		{
			name:      "A failing liveness probe without one stops with the pod's grace period",
			pod:       podOf(app("a", liveness(nil))),
			instances: running(func(i *Instance) { i.Probes.Liveness = Failure }),
			want:      []string{"Stop a/0 LivenessProbe by 1m30s"},
		},
		{
			name:      "A failing startup probe stops with the probe's own grace period",
			pod:       podOf(app("a", startup(new(int64(40))))),
			instances: running(func(i *Instance) { i.Probes.Startup = Failure }),
			want:      []string{"Stop a/0 StartupProbe by 1m40s"},
		},
		{
			// pod-lifecycle: the other probes do not count until the startup probe has succeeded.
			name:      "Liveness does not count before the startup probe has succeeded",
			pod:       podOf(app("a", liveness(nil), startup(nil))),
			instances: running(func(i *Instance) { i.Probes.Liveness = Failure }),
		},
		{
			name:      "Probes do not count before the postStart hook is done",
			pod:       podOf(app("a", liveness(nil), postStart)),
			instances: running(func(i *Instance) { i.Probes.Liveness, i.PostStart = Failure, HookRunning }),
		},
		{
			name:      "Nor does a startup probe",
			pod:       podOf(app("a", startup(nil), postStart)),
			instances: running(func(i *Instance) { i.Probes.Startup, i.PostStart = Failure, HookRunning }),
		},
		{
			name:      "A failure of which the container has no probe does not count",
			pod:       podOf(app("a")),
			instances: running(func(i *Instance) { i.Probes = Probes{Startup: Failure, Liveness: Failure, Readiness: Failure} }),
		},
		{
			name:      "A postStart hook is run once it is seen that it was not",
			pod:       podOf(app("a", postStart)),
			instances: running(func(i *Instance) { i.PostStart = HookNone }),
			want:      []string{"PostStart a/0"},
		},
		{
			name:      "A postStart hook that failed stops the container",
			pod:       podOf(app("a", postStart, preStop)),
			instances: running(func(i *Instance) { i.PostStart = HookFailed }),
			want:      []string{"Stop a/0 FailedPostStartHook preStop by 1m30s"},
		},
		{
			name:      "A stop that was begun for a probe goes on though the probe succeeds again",
			pod:       podOf(app("a", liveness(nil))),
			instances: running(func(i *Instance) { i.Stopping, i.StopReason, i.Probes.Liveness = true, StopLivenessProbe, Success }),
			want:      []string{"Stop a/0 LivenessProbe by 1m30s"},
		},
		{
			name:      "The grace period of a stop counts from when it was asked for",
			pod:       podOf(app("a", preStop)),
			instances: running(nil),
			stop:      &Stop{Since: after(50 * time.Second), Reason: "Cancelled"},
			want:      []string{"Stop a/0 Cancelled preStop by 1m20s"},
		},
		{
			name:      "Without a grace period there is no preStop hook",
			pod:       podOf(app("a", preStop)),
			instances: running(nil),
			stop:      &Stop{Since: after(time.Minute), GracePeriod: new(time.Duration(0)), Reason: "Cancelled"},
			want:      []string{"Stop a/0 Cancelled by 1m2s"},
		},
		{
			name:      "A stop that is carried out late still leaves the least of grace periods",
			pod:       podOf(app("a")),
			instances: running(nil),
			stop:      &Stop{Since: epoch, GracePeriod: new(5 * time.Second), Reason: "Cancelled"},
			want:      []string{"Stop a/0 Cancelled by 1m2s"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d := Decide(Input{Pod: c.pod, Now: after(time.Minute), Sandbox: Sandbox{State: SandboxReady}, Instances: c.instances, Stop: c.stop})
			equal(t, "actions", actionsOf(d), c.want)
		})
	}
}
