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

package controller

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/metrics"
)

// measured has the world's managers measure, and returns a function that reads all series: a histogram by how much it has seen.
func (w *world) measured() func() map[string]float64 {
	registry := prometheus.NewRegistry()
	m, err := metrics.New(registry, "v1")
	if err != nil {
		w.t.Fatal(err)
	}
	w.metrics = m
	return func() map[string]float64 {
		families, err := registry.Gather()
		if err != nil {
			w.t.Fatal(err)
		}
		out := map[string]float64{}
		for _, family := range families {
			for _, m := range family.Metric {
				name := family.GetName()
				for _, l := range m.Label {
					name += " " + l.GetValue()
				}
				switch {
				case m.Counter != nil:
					out[name] = m.Counter.GetValue()
				case m.Gauge != nil:
					out[name] = m.Gauge.GetValue()
				default:
					out[name] = float64(m.Histogram.GetSampleCount())
				}
			}
		}
		return out
	}
}

func TestWhatBecomesOfJobsIsMeasured(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	read := w.measured()
	rb := w.backend(host)
	w.startManager()
	w.backendUntil(rb, metav1.ConditionTrue, reasonConnected, "")
	ends, vanishes, stays := w.job(rb.Name), w.job(rb.Name), w.job(rb.Name)
	for _, job := range []*v1alpha1.RemoteJob{ends, vanishes, stays} {
		w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))
	}
	m.exitWith(w.token(ends), 0)
	m.vanish(w.token(vanishes))
	w.jobUntil(ends, "succeeded", hasPhase(v1alpha1.PhaseSucceeded))
	w.jobUntil(vanishes, "lost", hasPhase(v1alpha1.PhaseFailed))
	// Jobs that name backends which are not there make no series of their own.
	for i := range 5 {
		w.job(fmt.Sprintf("no-such-backend-%d", i))
	}
	of := func(name string, rest ...string) string {
		name = "remotejob_" + name + " " + rb.Name
		for _, word := range rest {
			name += " " + word
		}
		return name
	}
	want := map[string]float64{
		of("jobs", "Running"): 1, of("jobs", "Succeeded"): 1, of("jobs", "Failed"): 1, of("jobs", "Pending"): 0, "remotejob_jobs - Pending": 5,
		of("jobs_finished_total", "Succeeded"): 1, of("jobs_finished_total", "Failed"): 1, of("jobs_lost_total", "JobLost"): 1,
		of("job_queue_wait_seconds"): 3, of("job_run_seconds", "Succeeded"): 1, of("backend_call_duration_seconds", "submit"): 3,
		of("backend_ready"): 1, of("backend_call_errors_total", "submit", "unavailable"): 0,
	}
	w.until("measured", func() string {
		got := read()
		for name, value := range want {
			if got[name] != value {
				return fmt.Sprintf("%s is %v, want %v", name, got[name], value)
			}
		}
		return ""
	})
	if at := read()[of("backend_last_observation_timestamp_seconds")]; time.Since(time.UnixMilli(int64(at*1000))) > patience {
		t.Errorf("the last good observation is said to have been at %v", at)
	}
	for name := range read() {
		for _, job := range []*v1alpha1.RemoteJob{ends, vanishes, stays} {
			if strings.Contains(name, job.Name) || strings.Contains(name, w.token(job)) {
				t.Errorf("the series %s names a job", name)
			}
		}
	}
	m.do(func() { m.away = fmt.Errorf("it is away") })
	w.until("not ready, and its calls fail", func() string {
		got := read()
		if got[of("backend_ready")] != 0 || got[of("backend_call_errors_total", "check", "unavailable")] == 0 {
			return fmt.Sprint(got)
		}
		return ""
	})
}

func TestAJobsTimesAreTakenOnce(t *testing.T) {
	born := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(seconds int) metav1.Time { return metav1.NewTime(born.Add(time.Duration(seconds) * time.Second)) }
	job := func(phase v1alpha1.RemoteJobPhase, states ...corev1.ContainerState) *v1alpha1.RemoteJob {
		out := &v1alpha1.RemoteJob{ObjectMeta: metav1.ObjectMeta{CreationTimestamp: metav1.NewTime(born)}}
		out.Spec.BackendName, out.Status.Phase = "b", phase
		for _, s := range states {
			out.Status.ContainerStatuses = append(out.Status.ContainerStatuses, corev1.ContainerStatus{State: s})
		}
		if out.Finished() {
			end := at(20)
			out.Status.CompletionTime = &end
		}
		return out
	}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: at(5)}}
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{StartedAt: at(5)}}
	never := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "InitContainerFailed"}}
	queued := job(v1alpha1.PhaseQueued, corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{}})
	for _, tt := range []struct {
		name          string
		before, after *v1alpha1.RemoteJob
		waits, ran    float64 // seconds
	}{
		{"it begins", queued, job(v1alpha1.PhaseRunning, running), 5, 0},
		{"it goes on", job(v1alpha1.PhaseRunning, running), job(v1alpha1.PhaseRunning, running, running), 0, 0},
		{"it ends", job(v1alpha1.PhaseRunning, running), job(v1alpha1.PhaseSucceeded, ended), 0, 15},
		{"it ends before it was seen to run", queued, job(v1alpha1.PhaseFailed, ended), 5, 15},
		{"it never ran", queued, job(v1alpha1.PhaseFailed, never), 0, 0},
	} {
		registry := prometheus.NewRegistry()
		m, err := metrics.New(registry, "v1")
		if err != nil {
			t.Fatal(err)
		}
		measure(m, tt.before, tt.after)
		sums := map[string]float64{}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			for _, m := range family.Metric {
				if m.Histogram != nil {
					sums[family.GetName()] += m.Histogram.GetSampleSum()
				}
			}
		}
		if sums["remotejob_job_queue_wait_seconds"] != tt.waits || sums["remotejob_job_run_seconds"] != tt.ran {
			t.Errorf("%s: %v, want a wait of %v and a run of %v", tt.name, sums, tt.waits, tt.ran)
		}
	}
}
