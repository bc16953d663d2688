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
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// pod-lifecycle, "Container restarts": "the kubelet restarts them with an exponential backoff delay (10s, 20s, 40s, …), that is capped at 300
// seconds", and "once a container has executed for 10 minutes without any problems, the kubelet resets the restart backoff timer".
func TestWaitsBetweenRestarts(t *testing.T) {
	second := behaviour{runsFor: time.Second, exit: 1}
	long := behaviour{runsFor: 11 * time.Minute, exit: 1}
	cases := []struct {
		name string
		runs []behaviour
		want []time.Duration
	}{
		{
			name: "At once, then 10 seconds, doubled each time, and never more than 5 minutes",
			runs: []behaviour{second},
			want: []time.Duration{
				0, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 300 * time.Second, 300 * time.Second,
				300 * time.Second,
			},
		},
		{
			name: "A run of more than 10 minutes starts it over",
			runs: []behaviour{second, second, second, second, long, second},
			want: []time.Duration{0, 10 * time.Second, 20 * time.Second, 40 * time.Second, 0, 10 * time.Second, 20 * time.Second},
		},
		{
			name: "A run of less than 10 minutes does not",
			runs: []behaviour{second, second, second, {runsFor: 9 * time.Minute, exit: 1}, second},
			want: []time.Duration{0, 10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second},
		},
		{
			name: "A container that can't be started waits just so",
			runs: []behaviour{{startError: "no such file"}},
			want: []time.Duration{0, 10 * time.Second, 20 * time.Second, 40 * time.Second},
		},
		{
			name: "One that takes long to be made waits no longer for it",
			runs: []behaviour{{runsFor: time.Second, exit: 1, startTakes: 8 * time.Second}},
			want: []time.Duration{0, 10 * time.Second, 20 * time.Second, 40 * time.Second},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, podOf(always, app("a")), scripts(map[string][]behaviour{"a": c.runs}))
			var waits []time.Duration
			for n := int32(0); len(waits) < len(c.want); {
				if w.run(w.now.Sub(epoch) + 250*time.Millisecond) {
					t.Fatal("the pod has ended")
				}
				for _, p := range w.made["a"] {
					if p.N != n+1 {
						continue
					}
					before := w.find("a", n)
					ended := before.FinishedAt
					if ended.IsZero() {
						ended = before.CreatedAt
					}
					waits = append(waits, p.CreatedAt.Sub(ended))
					n++
				}
			}
			if !slices.Equal(waits, c.want) {
				t.Errorf("waits %v, want %v", waits, c.want)
			}
		})
	}
}

func TestABackOffIsShownAndWokenFrom(t *testing.T) {
	exited := func(n int32, start, end time.Duration) Instance {
		return Instance{N: n, State: InstanceExited, ID: "sim://a", StartedAt: after(start), FinishedAt: after(end), ExitCode: 1}
	}
	in := Input{
		Pod: podOf(always, app("a")), Sandbox: Sandbox{State: SandboxReady}, Now: after(8 * time.Second),
		Instances: map[string][]Instance{"a": {exited(0, 0, time.Second), exited(1, time.Second, 2*time.Second)}},
	}
	d := Decide(in)
	want := corev1.ContainerStateWaiting{
		Reason: ReasonCrashLoopBackOff, Message: "back-off 10s restarting failed container=a pod=p_ns(u)",
	}
	if got := d.Containers[0].State.Waiting; got == nil || *got != want {
		t.Errorf("waiting is %+v, want %+v", got, want)
	}
	if !d.WakeAt.Equal(after(12 * time.Second)) {
		t.Errorf("wakes after %s, want 12s", d.WakeAt.Sub(epoch))
	}
	equal(t, "actions", actionsOf(d), nil)

	in.Now = after(12 * time.Second)
	equal(t, "actions when it is over", actionsOf(Decide(in)), []string{"Start a/2"})

	t.Run("A clock that is ahead does not stretch it", func(t *testing.T) {
		in := in
		in.Now = after(-time.Hour)
		if d := Decide(in); !d.WakeAt.Equal(in.Now.Add(10 * time.Second)) {
			t.Errorf("wakes %s from now, want 10s", d.WakeAt.Sub(in.Now))
		}
	})

	t.Run("With nothing but the record left it is what the number of runs allows", func(t *testing.T) {
		first := Decide(in)
		in := in
		in.Instances = nil
		in.Now = after(11 * time.Second)
		in.Recorded.Containers = first.Containers
		if d := Decide(in); !d.WakeAt.Equal(after(12 * time.Second)) {
			t.Errorf("wakes after %s, want 12s", d.WakeAt.Sub(epoch))
		}
	})
}

// The wait is measured by our clock, the gap between two runs by the engine's: where these differ the wait must grow all the same.
func TestAWaitThatTheEnginesClockFindsShorterStillGrows(t *testing.T) {
	exited := func(n int32, start, end time.Duration) Instance {
		return Instance{N: n, State: InstanceExited, ID: "sim://a", StartedAt: after(start), FinishedAt: after(end), ExitCode: 1}
	}
	d := Decide(Input{
		Pod: podOf(always, app("a")), Sandbox: Sandbox{State: SandboxReady}, Now: after(30 * time.Second),
		Instances: map[string][]Instance{"a": {exited(1, time.Second, 10*time.Second), exited(2, 18*time.Second, 20*time.Second)}},
	})
	if !d.WakeAt.Equal(after(40 * time.Second)) {
		t.Errorf("wakes after %s, want 40s", d.WakeAt.Sub(epoch))
	}
}
