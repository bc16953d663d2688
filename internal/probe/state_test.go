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

package probe

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

var t0 = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func sec(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// said is one answer of a probe.
type said struct {
	kind   Kind
	result podlifecycle.Result
	words  string
}

const (
	yes  = podlifecycle.Success
	no   = podlifecycle.Failure
	void = podlifecycle.Unknown
)

func TestStateAppliesThresholds(t *testing.T) {
	probe := func(success, failure int32) *corev1.Probe {
		return &corev1.Probe{PeriodSeconds: 10, SuccessThreshold: success, FailureThreshold: failure}
	}
	tests := []struct {
		name      string
		container corev1.Container
		resume    podlifecycle.Probes
		said      []said
		end       bool
		want      podlifecycle.Probes
	}{
		{
			// kubelet: prober.newWorker's initial values.
			name:      "before the first answer a container is alive, not ready, and nobody knows whether it has started",
			container: corev1.Container{StartupProbe: probe(1, 3), LivenessProbe: probe(1, 3), ReadinessProbe: probe(1, 3)},
			want:      podlifecycle.Probes{Startup: void, Liveness: yes, Readiness: no},
		},
		{
			name: "a container without probes says nothing",
			want: podlifecycle.Probes{},
		},
		{
			// "failureThreshold: After a probe fails failureThreshold times in a row, Kubernetes considers that the overall check has failed."
			name:      "liveness fails at the third failure in a row by default",
			container: corev1.Container{LivenessProbe: &corev1.Probe{}},
			said:      []said{{Liveness, no, "a"}, {Liveness, no, "b"}},
			want:      podlifecycle.Probes{Liveness: yes},
		},
		{
			name:      "the failure that counts gives the message",
			container: corev1.Container{LivenessProbe: &corev1.Probe{}},
			said:      []said{{Liveness, no, "a"}, {Liveness, no, "b"}, {Liveness, no, "c"}},
			want:      podlifecycle.Probes{Liveness: no, Message: "Liveness probe failed: c"},
		},
		{
			name:      "a success in between begins the count anew",
			container: corev1.Container{LivenessProbe: probe(1, 3)},
			said:      []said{{Liveness, no, ""}, {Liveness, no, ""}, {Liveness, yes, ""}, {Liveness, no, ""}, {Liveness, no, ""}},
			want:      podlifecycle.Probes{Liveness: yes},
		},
		{
			// kubelet: "Prober error, throw away the result."
			name:      "a probe that could not be asked neither counts nor breaks the run",
			container: corev1.Container{LivenessProbe: probe(1, 2)},
			said:      []said{{Liveness, no, "a"}, {Liveness, void, "engine away"}, {Liveness, no, "b"}},
			want:      podlifecycle.Probes{Liveness: no, Message: "Liveness probe failed: b"},
		},
		{
			name:      "probes that can't be asked never fail a container",
			container: corev1.Container{LivenessProbe: probe(1, 1), ReadinessProbe: probe(1, 1)},
			said:      []said{{Liveness, void, ""}, {Readiness, void, ""}},
			want:      podlifecycle.Probes{Liveness: yes, Readiness: no},
		},
		{
			// "successThreshold: Minimum consecutive successes for the probe to be considered successful after having failed."
			name:      "readiness needs successThreshold successes in a row",
			container: corev1.Container{ReadinessProbe: probe(3, 1)},
			said:      []said{{Readiness, yes, ""}, {Readiness, yes, ""}, {Readiness, no, "x"}, {Readiness, yes, ""}, {Readiness, yes, ""}},
			want:      podlifecycle.Probes{Readiness: no, Message: "Readiness probe failed: x"},
		},
		{
			name:      "readiness comes and goes",
			container: corev1.Container{ReadinessProbe: probe(1, 2)},
			said:      []said{{Readiness, yes, ""}, {Readiness, no, "x"}, {Readiness, no, "y"}, {Readiness, yes, ""}},
			want:      podlifecycle.Probes{Readiness: yes, Message: "Readiness probe failed: y"},
		},
		{
			// kubelet: onHold after a liveness failure, until there is a new container.
			name:      "a liveness probe that has failed takes nothing back",
			container: corev1.Container{LivenessProbe: probe(1, 1)},
			said:      []said{{Liveness, no, "x"}, {Liveness, yes, ""}},
			want:      podlifecycle.Probes{Liveness: no, Message: "Liveness probe failed: x"},
		},
		{
			name:      "a later readiness failure does not hide why the container is restarted",
			container: corev1.Container{LivenessProbe: probe(1, 1), ReadinessProbe: probe(1, 1)},
			said:      []said{{Readiness, no, "r"}, {Liveness, no, "l"}, {Readiness, no, "r2"}},
			want:      podlifecycle.Probes{Liveness: no, Readiness: no, Message: "Liveness probe failed: l"},
		},
		{
			// KEP-950: the startup probe fails after failureThreshold * periodSeconds.
			name:      "a startup probe fails at its threshold",
			container: corev1.Container{StartupProbe: probe(1, 2), LivenessProbe: probe(1, 1)},
			said:      []said{{Startup, no, "a"}, {Startup, no, "b"}},
			want:      podlifecycle.Probes{Startup: no, Liveness: yes, Message: "Startup probe failed: b"},
		},
		{
			name:      "a container that has started is not asked again",
			container: corev1.Container{StartupProbe: probe(1, 1)},
			said:      []said{{Startup, yes, ""}, {Startup, no, "late"}},
			want:      podlifecycle.Probes{Startup: yes},
		},
		{
			// kubelet: results of a container that ran before the kubelet started are not reset, so that it does not flap.
			name:      "what was known before is not forgotten",
			container: corev1.Container{StartupProbe: probe(1, 1), LivenessProbe: probe(1, 1), ReadinessProbe: probe(1, 2)},
			resume:    podlifecycle.Probes{Startup: yes, Liveness: yes, Readiness: yes},
			said:      []said{{Startup, no, ""}, {Readiness, no, ""}},
			want:      podlifecycle.Probes{Startup: yes, Liveness: yes, Readiness: yes},
		},
		{
			name:      "what was known of probes that the container does not have is",
			container: corev1.Container{LivenessProbe: probe(1, 1)},
			resume:    podlifecycle.Probes{Startup: yes, Readiness: yes},
			want:      podlifecycle.Probes{Liveness: yes},
		},
		{
			name:      "a liveness failure of old is looked for again",
			container: corev1.Container{LivenessProbe: probe(1, 1)},
			resume:    podlifecycle.Probes{Liveness: no},
			want:      podlifecycle.Probes{Liveness: yes},
		},
		{
			// kubelet: "Graceful shutdown of the pod": liveness and startup become successes, readiness goes on.
			name:      "no failure ends a pod that is ending, but it may become not ready",
			container: corev1.Container{StartupProbe: probe(1, 1), LivenessProbe: probe(1, 1), ReadinessProbe: probe(1, 1)},
			resume:    podlifecycle.Probes{Readiness: yes},
			end:       true,
			said:      []said{{Startup, no, "s"}, {Liveness, no, "l"}, {Readiness, no, "r"}},
			want:      podlifecycle.Probes{Startup: yes, Liveness: yes, Readiness: no, Message: "Readiness probe failed: r"},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := NewState(&tt.container, t0, t0, tt.resume)
			if tt.end {
				s.End()
			}
			for i, a := range tt.said {
				before := s.Results()
				changed := s.Observe(a.kind, a.result, a.words)
				after := s.Results()
				before.Message, after.Message = "", ""
				if changed != (before != after) {
					t.Errorf("answer %d: changed is %v, from %+v to %+v", i, changed, before, after)
				}
			}
			if got := s.Results(); got != tt.want {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestStateSaysWhenToAsk(t *testing.T) {
	full := corev1.Container{
		StartupProbe:   &corev1.Probe{InitialDelaySeconds: 2, PeriodSeconds: 3, FailureThreshold: 2},
		LivenessProbe:  &corev1.Probe{InitialDelaySeconds: 20, PeriodSeconds: 5},
		ReadinessProbe: &corev1.Probe{PeriodSeconds: 7},
	}
	plain := corev1.Container{LivenessProbe: full.LivenessProbe, ReadinessProbe: full.ReadinessProbe}
	tests := []struct {
		name      string
		container corev1.Container
		resume    podlifecycle.Probes
		now       time.Duration // since the container's start
		do        func(s *State)
		kind      Kind
		at        float64
		turn      Turn
	}{
		{name: "the first turn comes after the delay", container: plain, kind: Liveness, at: 20},
		{name: "without a delay it comes at once", container: plain, kind: Readiness, at: 0},
		{name: "of a probe that is not there it never comes", container: plain, kind: Startup, turn: Over},
		{name: "the delay counts from the container's start, not from when it was seen", container: plain, now: sec(30), kind: Liveness, at: 20},
		{name: "a container that started in the future started now", container: plain, now: -sec(600), kind: Liveness, at: -580},
		{name: "the next turn is a period after the last one began", container: plain, kind: Readiness, at: 11,
			do: func(s *State) { s.Begin(Readiness, t0.Add(sec(4))) }},
		{name: "a first turn can be held back", container: plain, kind: Readiness, at: 3,
			do: func(s *State) { s.Delay(Readiness, t0.Add(sec(3))) }},
		{name: "holding back never shortens the delay", container: plain, kind: Liveness, at: 20,
			do: func(s *State) { s.Delay(Liveness, t0.Add(sec(3))) }},
		{name: "only the first turn is held back", container: plain, kind: Readiness, at: 7,
			do: func(s *State) { s.Delay(Readiness, t0.Add(sec(100))); s.Begin(Readiness, t0) }},

		// "If such a probe is configured, it disables liveness and readiness checks until it succeeds."
		{name: "a startup probe comes first", container: full, kind: Startup, at: 2},
		{name: "liveness waits for it", container: full, kind: Liveness, turn: Held},
		{name: "readiness waits for it", container: full, kind: Readiness, turn: Held},
		{name: "a startup probe below its threshold is asked again", container: full, kind: Startup, at: 5,
			do: func(s *State) { s.Begin(Startup, t0.Add(sec(2))); s.Observe(Startup, no, "") }},
		{name: "once it has succeeded it is not asked again", container: full, kind: Startup, turn: Over,
			do: func(s *State) { s.Observe(Startup, yes, "") }},
		{name: "and the others are let go", container: full, kind: Readiness, at: 0,
			do: func(s *State) { s.Observe(Startup, yes, "") }},
		{name: "with their delay counted from the container's start", container: full, kind: Liveness, at: 20,
			do: func(s *State) { s.Observe(Startup, yes, "") }},
		{name: "when it has failed it is not asked again either", container: full, kind: Startup, turn: Over,
			do: func(s *State) { s.Observe(Startup, no, ""); s.Observe(Startup, no, "") }},
		{name: "and the others stay held", container: full, kind: Liveness, turn: Held,
			do: func(s *State) { s.Observe(Startup, no, ""); s.Observe(Startup, no, "") }},
		{name: "a container known to have started is not asked whether it has", container: full, resume: podlifecycle.Probes{Startup: yes}, kind: Startup, turn: Over},
		{name: "but whether it is alive", container: full, resume: podlifecycle.Probes{Startup: yes}, kind: Liveness, at: 20},
		{name: "a container that is to be restarted is left alone", container: plain, kind: Liveness, turn: Over,
			do: func(s *State) {
				for range 3 {
					s.Observe(Liveness, no, "")
				}
			}},
		{name: "in a pod that is ending liveness is over", container: full, kind: Liveness, turn: Over, do: func(s *State) { s.End() }},
		{name: "in a pod that is ending the startup probe is over", container: full, kind: Startup, turn: Over, do: func(s *State) { s.End() }},
		{name: "in a pod that is ending readiness goes on", container: full, kind: Readiness, at: 0, do: func(s *State) { s.End() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := NewState(&tt.container, t0, t0.Add(tt.now), tt.resume)
			if tt.do != nil {
				tt.do(s)
			}
			at, turn := s.Next(tt.kind)
			if turn != tt.turn {
				t.Fatalf("turn %v, want %v", turn, tt.turn)
			}
			if want := t0.Add(sec(tt.at)); turn == Due && !at.Equal(want) {
				t.Errorf("due %s after the start, want %s", at.Sub(t0), want.Sub(t0))
			}
		})
	}
}
