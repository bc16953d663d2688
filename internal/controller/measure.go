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
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/metrics"
)

// timed makes a call to a backend and takes its time, and the kind of its error.
func timed[T any](m *metrics.Metrics, backend, call string, do func() (T, error)) (T, error) {
	begun := time.Now()
	out, err := do()
	m.Called(backend, call, kindOf(err), time.Since(begun))
	return out, err
}

// kindOf is the kind of a call's error. That there is no such job is an answer, and so is an end that we asked for.
func kindOf(err error) string {
	if _, rejected := backend.IsRejected(err); rejected {
		return metrics.KindRejected
	}
	if err == nil || backend.IsNotFound(err) || errors.Is(err, context.Canceled) {
		return ""
	}
	return metrics.KindUnavailable
}

// measure counts and times what became of a job with a write of its status.
func measure(m *metrics.Metrics, before, after *v1alpha1.RemoteJob) {
	name := after.Spec.BackendName
	began := firstStart(&after.Status)
	if !began.IsZero() && firstStart(&before.Status).IsZero() && before.Status.Requeues == 0 {
		m.Started(name, began.Sub(after.CreationTimestamp.Time))
	}
	if before.Finished() || !after.Finished() {
		return
	}
	var ran time.Duration
	if end := after.Status.CompletionTime; end != nil && !began.IsZero() {
		ran = max(end.Sub(began), time.Nanosecond) // the API keeps whole seconds
	}
	m.Finished(name, string(after.Status.Phase), ran)
	m.Lost(name, after.Status.Reason)
}

// firstStart is when the first of a job's containers was started that is still known of, zero where none was.
func firstStart(status *v1alpha1.RemoteJobStatus) time.Time {
	var first time.Time
	for i := range status.InitContainerStatuses {
		first = earlier(first, startOf(&status.InitContainerStatuses[i]))
	}
	for i := range status.ContainerStatuses {
		first = earlier(first, startOf(&status.ContainerStatuses[i]))
	}
	return first
}

func startOf(s *corev1.ContainerStatus) time.Time {
	var first time.Time
	for _, state := range []corev1.ContainerState{s.LastTerminationState, s.State} {
		if state.Running != nil {
			first = earlier(first, state.Running.StartedAt.Time)
		}
		if state.Terminated != nil {
			first = earlier(first, state.Terminated.StartedAt.Time)
		}
	}
	return first
}

// earlier is the earlier of two times of which either may be zero.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// phases are all that a job can be in: a scrape shows each of them, so that none is missing where there are no jobs in it.
var phases = []v1alpha1.RemoteJobPhase{
	v1alpha1.PhasePending, v1alpha1.PhaseQueued, v1alpha1.PhaseRunning, v1alpha1.PhaseSucceeded, v1alpha1.PhaseFailed,
}

// state is what a scrape shows of the backends. Replicas that do not lead know of no jobs, and show none.
func (w *wiring) state() []metrics.Backend {
	jobs := w.roster.tallies()
	out := []metrics.Backend{}
	others := metrics.Backend{Name: metrics.NoBackend}
	states := w.connector.states()
	for name, t := range jobs {
		if _, ok := states[name]; !ok {
			t.addTo(&others)
		}
	}
	for name, state := range states {
		b := metrics.Backend{Name: name, Ready: state.ready}
		if t, ok := jobs[name]; ok {
			t.addTo(&b)
		}
		left, _ := w.observers.leftovers(name)
		b.Leftovers = len(left)
		out = append(out, b)
	}
	if len(others.Jobs) > 0 {
		out = append(out, others)
	}
	slices.SortFunc(out, func(a, b metrics.Backend) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

func (t tally) addTo(b *metrics.Backend) {
	if b.Jobs == nil {
		b.Jobs = make(map[string]int, len(phases))
	}
	for _, phase := range phases {
		b.Jobs[string(phase)] += t.phases[phase]
	}
	b.Unasked += t.unasked
}
