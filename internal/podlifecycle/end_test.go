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
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func TestAStatusCarriesWhatTheRuntimeTells(t *testing.T) {
	d := Decide(Input{
		Pod: podOf(never, app("a"), app("b")), Now: after(time.Minute), Sandbox: Sandbox{State: SandboxReady},
		Instances: map[string][]Instance{
			"a": {{
				State: InstanceExited, ID: "docker://1", ImageID: "docker://sha256:1", StartedAt: after(1500 * time.Millisecond),
				FinishedAt: after(2500 * time.Millisecond), ExitCode: 143, Signal: 15, Message: "last words",
			}},
			"b": {{State: InstanceRunning, ID: "docker://2", ImageID: "docker://sha256:2", StartedAt: after(1500 * time.Millisecond)}},
		},
	})
	a, b := d.Containers[0], d.Containers[1]
	want := corev1.ContainerStateTerminated{
		ExitCode: 143, Signal: 15, Reason: ReasonError, Message: "last words", StartedAt: seconds(after(time.Second)),
		FinishedAt: seconds(after(2 * time.Second)), ContainerID: "docker://1",
	}
	if *a.State.Terminated != want {
		t.Errorf("terminated is %+v, want %+v", *a.State.Terminated, want)
	}
	if a.ContainerID != "docker://1" || a.ImageID != "docker://sha256:1" || a.Image != "img" {
		t.Errorf("ids of a: %+v", a)
	}
	if b.ContainerID != "docker://2" || !b.State.Running.StartedAt.Time.Equal(after(time.Second)) {
		t.Errorf("status of b: %+v", b)
	}
}

func TestAnEndThatWasBroughtAboutHasWords(t *testing.T) {
	for reason, words := range map[string]string{
		StopLivenessProbe:    "liveness probe (connection refused)",
		StopStartupProbe:     "startup probe (connection refused)",
		StopPostStartHook:    "postStart hook failed (exit code 1)",
		ReasonSandboxChanged: "sandbox ended",
	} {
		t.Run(reason, func(t *testing.T) {
			in := Input{Pod: podOf(never, app("a")), Now: epoch, Sandbox: Sandbox{State: SandboxReady}}
			in.Instances = map[string][]Instance{"a": {{
				State: InstanceExited, FinishedAt: epoch, ExitCode: 143, Stopping: true, StopReason: reason,
				Probes: Probes{Message: "connection refused"}, PostStartMessage: "exit code 1",
			}}}
			if got := Decide(in).Containers[0].State.Terminated.Message; !strings.Contains(got, words) {
				t.Errorf("message is %q, want it to tell of %q", got, words)
			}
			in.Instances["a"][0].Message = "its own"
			if got := Decide(in).Containers[0].State.Terminated.Message; got != "its own" {
				t.Errorf("message is %q, want the container's own", got)
			}
		})
	}
}
