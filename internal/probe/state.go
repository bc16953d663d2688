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
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// State is what the probes of one run of a container have said so far, thresholds applied, and when each is due next. It has no clock
// and asks nobody, so it can be tested by tables. It is not safe for concurrent use.
type State struct {
	startedAt time.Time
	probes    map[Kind]*counter
	ending    bool
	message   string
	// final is set when message belongs to a failure that ends the instance, which no later failure may hide.
	final bool
}

// counter is the record of one probe.
type counter struct {
	timing Timing
	value  podlifecycle.Result
	// last said so run times in a row.
	last podlifecycle.Result
	run  int32
	// over is set once the probe is not asked again for this instance.
	over bool
	// began is when it was last asked; notBefore holds the first one back.
	began, notBefore time.Time
}

// Turn says whether a probe is to be asked.
type Turn int

// The turns of a probe.
const (
	// Due means that it is to be asked at the time that goes with it.
	Due Turn = iota
	// Held means that it waits for the startup probe.
	Held
	// Over means that it is not asked again for this instance.
	Over
)

// NewState begins the record of a container that runs since startedAt. Resume is what is known of this very instance from before, by
// whoever was here then: a container that had started is not asked again whether it has, and one that was ready stays so until its
// probe says otherwise, as after a restart of the kubelet.
func NewState(c *corev1.Container, startedAt, now time.Time, resume podlifecycle.Probes) *State {
	if startedAt.IsZero() || startedAt.After(now) {
		startedAt = now // a machine whose clock is ahead must not hold the probes back
	}
	s := &State{startedAt: startedAt, probes: map[Kind]*counter{}, message: resume.Message}
	for _, kind := range Kinds {
		p := kind.Of(c)
		if p == nil {
			continue
		}
		n := &counter{timing: TimingOf(p)}
		switch kind {
		case Startup:
			if resume.Startup == podlifecycle.Success {
				n.value, n.over = podlifecycle.Success, true
			}
		case Liveness:
			n.value = podlifecycle.Success
		case Readiness:
			n.value = podlifecycle.Failure
			if resume.Readiness == podlifecycle.Success {
				n.value = podlifecycle.Success
			}
		}
		s.probes[kind] = n
	}
	return s
}

// Delay holds a probe's first turn back until the given time.
func (s *State) Delay(kind Kind, until time.Time) {
	if n := s.probes[kind]; n != nil {
		n.notBefore = until
	}
}

// Timing returns the timing of a probe that the container has.
func (s *State) Timing(kind Kind) (Timing, bool) {
	n := s.probes[kind]
	if n == nil {
		return Timing{}, false
	}
	return n.timing, true
}

// Next says when the probe is to be asked. A time that has passed means now.
func (s *State) Next(kind Kind) (time.Time, Turn) {
	n := s.probes[kind]
	if n == nil || n.over || s.quiet(kind) {
		return time.Time{}, Over
	}
	if startup := s.probes[Startup]; kind != Startup && startup != nil && startup.value != podlifecycle.Success {
		return time.Time{}, Held
	}
	// The delay counts from the container's start for all three, as the kubelet counts it, although the documentation lets those that
	// wait for the startup probe begin theirs only then.
	at := s.startedAt.Add(n.timing.InitialDelay)
	if n.began.IsZero() {
		return later(at, n.notBefore), Due
	}
	return later(at, n.began.Add(n.timing.Period)), Due
}

// Begin notes that the probe is being asked.
func (s *State) Begin(kind Kind, now time.Time) {
	if n := s.probes[kind]; n != nil {
		n.began = now
	}
}

// Observe takes in what a probe said and tells whether the results changed by it. Unknown, a probe that could not be carried out, is
// thrown away: it neither counts nor breaks a run.
func (s *State) Observe(kind Kind, result podlifecycle.Result, message string) (changed bool) {
	n := s.probes[kind]
	if n == nil || n.over || s.quiet(kind) || result == podlifecycle.Unknown {
		return false
	}
	if n.last == result {
		n.run++
	} else {
		n.last, n.run = result, 1
	}
	threshold := n.timing.SuccessThreshold
	if result == podlifecycle.Failure {
		threshold = n.timing.FailureThreshold
	}
	if n.run < threshold {
		return false
	}
	changed = n.value != result
	n.value = result
	if kind == Startup || kind == Liveness && result == podlifecycle.Failure {
		n.over = true // a container that has started, or is to be restarted, is left alone
	}
	if result == podlifecycle.Failure && !s.final {
		s.message = string(kind) + " probe failed: " + message
		s.final = kind != Readiness
	}
	return changed
}

// End says that the pod is ending: from now on nothing is asked of it but whether it is ready, and no failure ends it any more.
func (s *State) End() (changed bool) {
	s.ending = true
	for _, kind := range []Kind{Startup, Liveness} {
		if n := s.probes[kind]; n != nil && n.value != podlifecycle.Success {
			n.value, changed = podlifecycle.Success, true
		}
	}
	return changed
}

func (s *State) quiet(kind Kind) bool { return s.ending && kind != Readiness }

// Results are what the probes say, thresholds applied. A probe that the container does not have is Unknown.
func (s *State) Results() podlifecycle.Probes {
	value := func(kind Kind) podlifecycle.Result {
		if n := s.probes[kind]; n != nil {
			return n.value
		}
		return podlifecycle.Unknown
	}
	return podlifecycle.Probes{Startup: value(Startup), Liveness: value(Liveness), Readiness: value(Readiness), Message: s.message}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
