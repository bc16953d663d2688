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

package metrics

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// Backend is what a scrape shows of one RemoteBackend.
type Backend struct {
	// Name is NoBackend for the jobs that name none that is there.
	Name string
	// Ready is not shown of NoBackend.
	Ready bool
	// Jobs by phase.
	Jobs map[string]int
	// Unasked is how many jobs of pods nobody asks about.
	Unasked int
	// Leftovers is how many jobs the backend holds without an owner.
	Leftovers int
}

// Watch tells where scrapes take the state of backends from. state must be quick: what it counts has to be counted already.
func (m *Metrics) Watch(state func() []Backend) {
	if m == nil {
		return
	}
	m.state.mu.Lock()
	defer m.state.mu.Unlock()
	m.state.backends = state
}

// Reachable registers a gauge of whether the ledger's API server answers.
func Reachable(registry prometheus.Registerer, reachable func() bool) error {
	return registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "remotejob_ledger_up", Help: "1 while the API server that keeps the ledger answers.",
	}, func() float64 { return number(reachable()) }))
}

var (
	jobsDesc      = prometheus.NewDesc("remotejob_jobs", "RemoteJobs that are there.", []string{"backend", "phase"}, nil)
	readyDesc     = prometheus.NewDesc("remotejob_backend_ready", "1 while the backend can take jobs.", []string{"backend"}, nil)
	unaskedDesc   = prometheus.NewDesc("remotejob_jobs_unasked", "Jobs of pods that nobody has asked about for long.", []string{"backend"}, nil)
	leftoversDesc = prometheus.NewDesc("remotejob_backend_leftovers", "Jobs on the backend that no RemoteJob owns.", []string{"backend"}, nil)
)

// stateCollector shows the state of backends as it is at the time of a scrape.
type stateCollector struct {
	mu       sync.Mutex
	backends func() []Backend
}

// Describe lists the metrics.
func (c *stateCollector) Describe(descriptions chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{jobsDesc, readyDesc, unaskedDesc, leftoversDesc} {
		descriptions <- d
	}
}

// Collect shows the state.
func (c *stateCollector) Collect(out chan<- prometheus.Metric) {
	c.mu.Lock()
	state := c.backends
	c.mu.Unlock()
	if state == nil {
		return
	}
	for _, b := range state() {
		show := func(desc *prometheus.Desc, value float64, labels ...string) {
			out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, append([]string{b.Name}, labels...)...)
		}
		for phase, n := range b.Jobs {
			show(jobsDesc, float64(n), phase)
		}
		if len(b.Jobs) > 0 {
			show(unaskedDesc, float64(b.Unasked))
		}
		if b.Name != NoBackend {
			show(readyDesc, number(b.Ready))
			show(leftoversDesc, float64(b.Leftovers))
		}
	}
}

func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
