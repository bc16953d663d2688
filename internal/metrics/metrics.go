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

// Package metrics counts and times what the operator does, for Prometheus. It knows nothing of the rest of the project: those who measure
// hand it numbers. All methods may be called on a nil *Metrics, and then do nothing.
//
// No label's values grow with jobs: backends are named as long as their RemoteBackend is there, and all else comes from fixed lists.
package metrics

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// NoBackend is the label of what belongs to no RemoteBackend that is there. None can have such a name.
const NoBackend = "-"

// Calls to a backend.
const (
	CallCheck   = "check"
	CallObserve = "observe"
	CallSubmit  = "submit"
	CallDrive   = "drive"
	CallStop    = "stop"
	CallCancel  = "cancel"
)

// Kinds of errors that calls to a backend end with.
const (
	// KindRejected means that the backend will never do what it was asked for.
	KindRejected = "rejected"
	// KindUnavailable means that it did not do it now.
	KindUnavailable = "unavailable"
)

// Reasons for which jobs are lost.
const (
	LostJob     = "JobLost"
	LostNode    = "NodeLost"
	LostPayload = "PayloadLost"
)

var (
	calls   = []string{CallCheck, CallObserve, CallSubmit, CallDrive, CallStop, CallCancel}
	kinds   = []string{KindRejected, KindUnavailable}
	reasons = []string{LostJob, LostNode, LostPayload}
)

// Metrics are the metrics of one manager.
type Metrics struct {
	requests       *prometheus.CounterVec
	requestSeconds *prometheus.HistogramVec
	payloadBytes   prometheus.Histogram
	callSeconds    *prometheus.HistogramVec
	callErrors     *prometheus.CounterVec
	observed       *prometheus.GaugeVec
	waitSeconds    *prometheus.HistogramVec
	runSeconds     *prometheus.HistogramVec
	finished       *prometheus.CounterVec
	lost           *prometheus.CounterVec
	adopted        *prometheus.CounterVec

	state stateCollector

	mu       sync.RWMutex
	backends map[string]struct{}
}

// New makes the metrics and registers them.
func New(registry prometheus.Registerer, version string) (*Metrics, error) {
	m := &Metrics{
		requests:       counter("endpoint_requests_total", "Calls that the plugin endpoint answered.", "endpoint", "code"),
		requestSeconds: histogram("endpoint_request_duration_seconds", "Time from a call's arrival to the beginning of its answer.", requestBuckets, "endpoint"),
		payloadBytes: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "remotejob_payload_bytes", Help: "Size of what came with a pod and is kept in payload Secrets.", Buckets: prometheus.ExponentialBuckets(256, 4, 10),
		}),
		callSeconds: histogram("backend_call_duration_seconds", "Time that calls to a backend took, those that failed among them.", callBuckets, "backend", "call"),
		callErrors:  counter("backend_call_errors_total", "Calls to a backend that failed.", "backend", "call", "kind"),
		observed:    gauge("backend_last_observation_timestamp_seconds", "When the last good observation of a backend was begun.", "backend"),
		waitSeconds: histogram("job_queue_wait_seconds", "Time from a RemoteJob's creation to the start of its first container.", waitBuckets, "backend"),
		runSeconds:  histogram("job_run_seconds", "Time from the start of a job's first container to the job's end.", runBuckets, "backend", "phase"),
		finished:    counter("jobs_finished_total", "Jobs that ended.", "backend", "phase"),
		lost:        counter("jobs_lost_total", "Jobs that ended because they, their machine or their payload were gone.", "backend", "reason"),
		adopted:     counter("jobs_adopted_total", "Submissions that found their job on the backend: an earlier answer had been lost.", "backend"),
		backends:    map[string]struct{}{},
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "remotejob_build_info", Help: "1, with the version of the manager.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	for _, c := range []prometheus.Collector{
		m.requests, m.requestSeconds, m.payloadBytes, m.callSeconds, m.callErrors, m.observed, m.waitSeconds, m.runSeconds, m.finished, m.lost, m.adopted,
		&m.state, build,
	} {
		if err := registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

var (
	requestBuckets = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120}
	callBuckets    = []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 120}
	waitBuckets    = []float64{.5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 12 * 3600, 24 * 3600, 72 * 3600}
	runBuckets     = []float64{1, 5, 10, 30, 60, 300, 900, 1800, 3600, 2 * 3600, 4 * 3600, 8 * 3600, 24 * 3600, 72 * 3600, 168 * 3600}
)

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "remotejob_" + name, Help: help}, labels)
}

func gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "remotejob_" + name, Help: help}, labels)
}

func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "remotejob_" + name, Help: help, Buckets: buckets}, labels)
}

// AddBackend makes a backend's series, so that what happens first is seen as a change from 0.
func (m *Metrics) AddBackend(name string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.backends[name] = struct{}{}
	for _, call := range calls {
		for _, kind := range kinds {
			m.callErrors.WithLabelValues(name, call, kind)
		}
	}
	for _, reason := range reasons {
		m.lost.WithLabelValues(name, reason)
	}
	m.adopted.WithLabelValues(name)
}

// RemoveBackend takes away the series of a backend whose RemoteBackend is gone.
func (m *Metrics) RemoveBackend(name string) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.backends, name)
	of := prometheus.Labels{"backend": name}
	for _, vec := range []*prometheus.MetricVec{
		m.callSeconds.MetricVec, m.callErrors.MetricVec, m.observed.MetricVec, m.waitSeconds.MetricVec, m.runSeconds.MetricVec, m.finished.MetricVec,
		m.lost.MetricVec, m.adopted.MetricVec,
	} {
		vec.DeletePartialMatch(of)
	}
}

// label is the label of a backend by the name that a job gives: anybody can write any name into a RemoteJob.
func (m *Metrics) label(backend string) string {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if _, ok := m.backends[backend]; ok {
		return backend
	}
	return NoBackend
}

// Answered counts a call to the endpoint, whose answer began after so long. endpoint is one of a fixed list.
func (m *Metrics) Answered(endpoint, code string, took time.Duration) {
	if m == nil {
		return
	}
	m.requests.WithLabelValues(endpoint, code).Inc()
	m.requestSeconds.WithLabelValues(endpoint).Observe(took.Seconds())
}

// Payload takes the size of the payload of a pod that was recorded.
func (m *Metrics) Payload(bytes int) {
	if m != nil {
		m.payloadBytes.Observe(float64(bytes))
	}
}

// Called takes how long a call to a backend took, and the kind of its error, empty for none.
func (m *Metrics) Called(backend, call, kind string, took time.Duration) {
	if m == nil {
		return
	}
	backend = m.label(backend)
	m.callSeconds.WithLabelValues(backend, call).Observe(took.Seconds())
	if kind != "" {
		m.callErrors.WithLabelValues(backend, call, kind).Inc()
	}
}

// Observed takes when the last good observation of a backend was begun.
func (m *Metrics) Observed(backend string, begun time.Time) {
	if m != nil {
		m.observed.WithLabelValues(m.label(backend)).Set(float64(begun.UnixMilli()) / 1000)
	}
}

// Started takes how long a job waited for its first container to start.
func (m *Metrics) Started(backend string, waited time.Duration) {
	if m != nil {
		m.waitSeconds.WithLabelValues(m.label(backend)).Observe(max(waited, 0).Seconds())
	}
}

// Finished counts a job that ended in a phase, after it ran for so long; 0 for one that never did.
func (m *Metrics) Finished(backend, phase string, ran time.Duration) {
	if m == nil {
		return
	}
	backend = m.label(backend)
	m.finished.WithLabelValues(backend, phase).Inc()
	if ran > 0 {
		m.runSeconds.WithLabelValues(backend, phase).Observe(ran.Seconds())
	}
}

// Lost counts a job that ended for one of the reasons above. Others are not counted.
func (m *Metrics) Lost(backend, reason string) {
	if m == nil {
		return
	}
	for _, known := range reasons {
		if reason == known {
			m.lost.WithLabelValues(m.label(backend), reason).Inc()
		}
	}
}

// Adopted counts a submission that found its job on the backend.
func (m *Metrics) Adopted(backend string) {
	if m != nil {
		m.adopted.WithLabelValues(m.label(backend)).Inc()
	}
}
