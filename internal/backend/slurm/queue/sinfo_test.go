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

package queue

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestCapacity(t *testing.T) {
	out := line("n1", "up", "idle", "8", "1000", "gpu:a100:4(S:0-1),tmp:10G") +
		line("n1", "up", "idle", "8", "1000", "gpu:a100:4(S:0-1),tmp:10G") + // in a second partition
		line("n2", "up", "mixed-", "4", "500+", "gpu:mi250x:2(S:0,1)") +
		line("n3", "up", "allocated+", "4", "500", "gpu:1g.5gb:7") +
		line("n4", "up", "idle~", "4", "500", "gpu:1K") +
		line("n5", "up", "idle*", "100", "100", "gpu:8") +
		line("n6", "up", "drained", "100", "100", "(null)") +
		line("n7", "up", "draining", "100", "100", "(null)") +
		line("n8", "up", "down*", "100", "100", "(null)") +
		line("n9", "down", "idle", "100", "100", "(null)") +
		line("n10", "inact", "idle", "100", "100", "(null)") +
		line("n11", "up", "maint", "100", "100", "(null)") +
		line("n12", "up", "idle$", "100", "100", "(null)") +
		line("n13", "up", "reserved", "1", "1", "(null)")
	nodes, err := ParseSinfo([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	got := Capacity(nodes)
	want := map[corev1.ResourceName]int64{
		corev1.ResourceCPU: 21, corev1.ResourceMemory: 2501 << 20, "nvidia.com/gpu": 4 + 1024, "amd.com/gpu": 2, "nvidia.com/mig-1g.5gb": 7,
	}
	if len(got) != len(want) {
		t.Errorf("got %v", got)
	}
	for name, n := range want {
		if q := got[name]; q.Value() != n {
			t.Errorf("%s: got %d, want %d", name, q.Value(), n)
		}
	}
	if empty, err := ParseSinfo(nil); err != nil || len(empty) != 0 {
		t.Errorf("no nodes: %v, %v", empty, err)
	}
	for _, bad := range []string{
		line("n", "up", "idle", "x", "1", ""), line("n", "up", "idle", "1", "-1", ""), line("n", "up", "idle", "1", "1", "gpu:a:b"), line("n", "up"), "n up idle\n",
	} {
		if nodes, err := ParseSinfo([]byte(bad)); err == nil {
			t.Errorf("%q was read as %v", bad, nodes)
		}
	}
}

func TestStatesOfNodesThatTakeWork(t *testing.T) {
	for state, want := range map[string]bool{
		"idle": true, "IDLE": true, "mixed": true, "allocated": true, "allocated+": true, "completing": true, "planned": true, "reserved": true, "idle~": true,
		"idle#": true, "powering_up": true, "mixed-": true, "powered_down": true,
		"idle*": false, "allocated*": false, "idle$": false, "idle@": false, "idle^": false, "idle!": false, "idle%": false, "idle~*": false, "down": false,
		"drained": false, "draining": false, "fail": false, "failing": false, "future": false, "maint": false, "reboot": false, "unknown": false,
		"inval": false, "powering_down": false, "power_down": false, "blocked": false, "no_respond": false, "": false,
	} {
		if got := (Node{State: state, Up: true}).TakesWork(); got != want {
			t.Errorf("a node that is %q takes work: %v, want %v", state, got, want)
		}
	}
}

func TestGPUs(t *testing.T) {
	for gres, want := range map[string][]GPU{
		"(null)": nil, "": nil, "tmp:5": nil, "gpu": {{"", 1}}, "gpu:2": {{"", 2}}, "gpu:a100": {{"a100", 1}}, "gpu:a100:2": {{"a100", 2}},
		"gpu:tesla:2(S:0,1),gpu:kepler:1,mps:400": {{"tesla", 2}, {"kepler", 1}}, "gpu:nvidia_a100_3g.20gb:2(S:0)": {{"nvidia_a100_3g.20gb", 2}},
	} {
		got, err := parseGPUs(gres)
		if err != nil || len(got) != len(want) {
			t.Errorf("%q: got %v, %v", gres, got, err)
			continue
		}
		for i := range want {
			if got[i] != want[i] {
				t.Errorf("%q: got %v, want %v", gres, got, want)
			}
		}
	}
}
