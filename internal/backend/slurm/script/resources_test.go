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

package script

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

func TestResources(t *testing.T) {
	sidecar := func(resources string) corev1.Container {
		c := container(resources)
		c.RestartPolicy = new(corev1.ContainerRestartPolicyAlways)
		return c
	}
	for _, c := range []struct {
		name       string
		init, apps []corev1.Container
		cpu        int64
		memory     int64
	}{
		{"nothing", nil, one(""), 0, 0},
		{"limits and, where there are none, requests add up", nil, []corev1.Container{container("cpu=1 ~cpu=500m"), container("~cpu=250m memory=10")}, 1250, 10},
		{"an init container that needs more than the rest", one("cpu=4"), []corev1.Container{container("cpu=1"), container("cpu=1")}, 4000, 0},
		{"init containers run one after another", []corev1.Container{container("cpu=2"), container("cpu=2")}, one("cpu=1"), 2000, 0},
		{"a sidecar runs beside the apps", []corev1.Container{sidecar("cpu=1 memory=5")}, one("cpu=1 memory=5"), 2000, 10},
		{"and beside the init containers that come after it", []corev1.Container{container("cpu=3"), sidecar("cpu=1"), container("cpu=3")}, one("cpu=1"), 4000, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := resourcesOf(&corev1.PodSpec{InitContainers: c.init, Containers: c.apps})
			if got.milliCPUs != c.cpu || got.memory != c.memory {
				t.Errorf("got %d mCPU and %d bytes, want %d and %d", got.milliCPUs, got.memory, c.cpu, c.memory)
			}
		})
	}
}

func TestRecount(t *testing.T) {
	for _, c := range []struct{ gres, want string }{
		{"gpu", "gpu:4"}, {"gpu:1", "gpu:4"}, {"gpu:a100", "gpu:a100:4"}, {"gpu:a100:1,tmp:1", "gpu:a100:4,tmp:1"}, {"tmp:1", ""}, {"", ""}, {"gpu:1,gpu:2", ""},
	} {
		if got, ok := recount(c.gres, 4); ok != (c.want != "") || ok && got != c.want {
			t.Errorf("%q became %q, %v, want %q", c.gres, got, ok, c.want)
		}
	}
}

func TestMebibytes(t *testing.T) {
	for bytes, want := range map[int64]string{1: "1M", 1 << 20: "1M", 1<<20 + 1: "2M", 64 << 30: "65536M"} {
		if got := mebibytes(bytes); got != want {
			t.Errorf("%d bytes are %s, want %s", bytes, got, want)
		}
	}
}

func TestTimes(t *testing.T) {
	for _, c := range []struct {
		text string
		want time.Duration
	}{
		{"5", 5 * time.Minute}, {"5:30", 5*time.Minute + 30*time.Second}, {"1:02:03", time.Hour + 2*time.Minute + 3*time.Second},
		{"2-3", 51 * time.Hour}, {"2-3:04", 51*time.Hour + 4*time.Minute}, {"2-3:04:05", 51*time.Hour + 4*time.Minute + 5*time.Second},
		{"00:00:00", 0},
	} {
		if got, ok := ParseTime(c.text); !ok || got != c.want {
			t.Errorf("%s is %s, %v, want %s", c.text, got, ok, c.want)
		}
	}
	for _, bad := range []string{"", "UNLIMITED", "1:2:3:4", "-1", "1-", "x", "99999999999999999999"} {
		if got, ok := ParseTime(bad); ok {
			t.Errorf("%q was read as %s", bad, got)
		}
	}
	for d, want := range map[time.Duration]string{time.Second / 2: "00:00:01", 26*time.Hour + time.Second: "1-02:00:01", 90 * time.Minute: "01:30:00"} {
		if got := FormatTime(d); got != want {
			t.Errorf("%s is written %s, want %s", d, got, want)
		}
	}
}

func FuzzParseTime(f *testing.F) {
	for _, s := range []string{"5", "1:02:03", "2-3", "UNLIMITED", "-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, ok := ParseTime(s)
		if !ok {
			return
		}
		if again, ok := ParseTime(FormatTime(d)); !ok || again != d {
			t.Fatalf("%q is %s, which is written %s and read as %s", s, d, FormatTime(d), again)
		}
	})
}

func FuzzMostNodes(f *testing.F) {
	for _, s := range []string{"1", "1-4", "2,4", "2-8:2", "1k", "x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if n, err := mostNodes(s); err == nil && n <= 0 && s != "" {
			t.Fatalf("%q is %d nodes", s, n)
		}
	})
}
