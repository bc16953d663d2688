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

package metrics_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/remotejob-dev/remotejob-operator/internal/metrics"
)

// series are all series of a registry with their values; a histogram's value is how much it has seen.
func series(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, family := range families {
		for _, m := range family.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, l.GetName()+"="+l.GetValue())
			}
			out[family.GetName()+"{"+strings.Join(labels, ",")+"}"] = value(m)
		}
	}
	return out
}

func value(m *dto.Metric) float64 {
	switch {
	case m.Counter != nil:
		return m.Counter.GetValue()
	case m.Gauge != nil:
		return m.Gauge.GetValue()
	}
	return float64(m.Histogram.GetSampleCount())
}

// useAll hands everything that a manager measures of one job to the metrics.
func useAll(m *metrics.Metrics, backend string) {
	m.Answered("create", "200", time.Millisecond)
	m.Payload(1000)
	m.Called(backend, metrics.CallSubmit, metrics.KindUnavailable, time.Second)
	m.Observed(backend, time.Now())
	m.Started(backend, time.Minute)
	m.Finished(backend, "Failed", time.Minute)
	m.Lost(backend, metrics.LostJob)
	m.Adopted(backend)
}

func TestNoLabelGrowsWithJobs(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := metrics.New(registry, "v1")
	if err != nil {
		t.Fatal(err)
	}
	m.AddBackend("docker")
	useAll(m, "docker")
	useAll(m, "a name that a job gave")
	before := slices.Sorted(maps.Keys(series(t, registry)))
	if len(before) < 15 {
		t.Fatalf("there are only %d series: %v", len(before), before)
	}
	for i := range 50 {
		useAll(m, "docker")
		useAll(m, fmt.Sprintf("backend-that-job-%d-names", i))
		m.Lost("docker", fmt.Sprintf("Reason%d", i))
	}
	if after := slices.Sorted(maps.Keys(series(t, registry))); !slices.Equal(before, after) {
		t.Errorf("the series were %v and are %v", before, after)
	}
}

func TestABackendsSeriesComeAndGoWithIt(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := metrics.New(registry, "v1")
	if err != nil {
		t.Fatal(err)
	}
	m.AddBackend("docker")
	if got, ok := series(t, registry)["remotejob_jobs_lost_total{backend=docker,reason=JobLost}"]; !ok || got != 0 {
		t.Errorf("the counter of lost jobs does not begin at 0: %v %v", got, ok)
	}
	useAll(m, "docker")
	if got := series(t, registry)["remotejob_jobs_lost_total{backend=docker,reason=JobLost}"]; got != 1 {
		t.Errorf("one job was lost, and %v are counted", got)
	}
	m.RemoveBackend("docker")
	for name := range series(t, registry) {
		if strings.Contains(name, "backend=docker") {
			t.Errorf("%s is left of a backend that is gone", name)
		}
	}
}

func TestAScrapeShowsTheStateOfBackends(t *testing.T) {
	registry := prometheus.NewRegistry()
	m, err := metrics.New(registry, "v1")
	if err != nil {
		t.Fatal(err)
	}
	m.Watch(func() []metrics.Backend {
		return []metrics.Backend{
			{Name: "docker", Ready: true, Jobs: map[string]int{"Running": 3}, Leftovers: 2},
			{Name: metrics.NoBackend, Jobs: map[string]int{"Pending": 1}},
		}
	})
	got := series(t, registry)
	for name, want := range map[string]float64{
		"remotejob_jobs{backend=docker,phase=Running}": 3, "remotejob_jobs{backend=-,phase=Pending}": 1,
		"remotejob_backend_ready{backend=docker}": 1, "remotejob_backend_leftovers{backend=docker}": 2,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if _, ok := got["remotejob_backend_ready{backend=-}"]; ok {
		t.Error("what is no backend is shown as one that is not ready")
	}
}

func TestWithoutMetricsNothingHappens(*testing.T) {
	var m *metrics.Metrics
	m.AddBackend("docker")
	useAll(m, "docker")
	m.Watch(nil)
	m.RemoveBackend("docker")
}
