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
	"cmp"
	"maps"
	"slices"
	"time"
)

// behaviour is what one run of a container does.
type behaviour struct {
	// runsFor is how long it runs, zero for ever; it ends with exit.
	runsFor time.Duration
	exit    int32
	// Once it gets its stop signal it ends with onTerm after termTakes; never where ignoresTerm.
	onTerm      int32
	termTakes   time.Duration
	ignoresTerm bool
	oom         bool
	// message is its termination message.
	message string
	// makingTakes is how long nothing is to be seen of it after it was asked for, and startTakes how long it is then only created.
	makingTakes, startTakes time.Duration
	// startError is the runtime's word when it can't be started.
	startError string
	// hookTakes is how long its postStart hook takes; it fails where hookFails.
	hookTakes time.Duration
	hookFails bool
	// The probes succeed from these times after the start on; liveness fails from livenessFails on, where that is not zero.
	startupAfter, readyAfter, livenessFails time.Duration
	startupFails                            bool
}

// process is an instance in the world.
type process struct {
	Instance
	behaviour
	// startAt is when it starts by itself, since somebody is at it.
	startAt, hookSince, termAt, killAt time.Time
	preStops                           int
}

// observe fills in what probes say at that time.
func (p *process) observe(i *Instance, now time.Time) {
	if i.State != InstanceRunning {
		return
	}
	since := now.Sub(p.StartedAt)
	switch {
	case p.startupFails:
		i.Probes.Startup = Failure
	case since >= p.startupAfter:
		i.Probes.Startup = Success
	}
	if p.livenessFails > 0 && since >= p.livenessFails {
		i.Probes.Liveness = Failure
	}
	i.Probes.Readiness = Failure
	if since >= p.readyAfter {
		i.Probes.Readiness = Success
	}
}

// settle brings the processes, and what happens from outside, to the present.
func (w *world) settle() {
	for len(w.events) > 0 && !w.events[0].at.After(w.now) {
		e := w.events[0]
		w.events = w.events[1:]
		e.do(w)
	}
	for _, a := range slices.SortedFunc(maps.Keys(w.making), func(a, b Action) int { return cmp.Compare(a.Container, b.Container) }) {
		if !w.making[a].After(w.now) {
			delete(w.making, a)
			w.make(a)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.made)) {
		for _, p := range w.made[name] {
			if p.State == InstanceCreated && !p.startAt.IsZero() && !p.startAt.After(w.now) && w.sandbox.State == SandboxReady {
				w.note("start %s/%d", name, p.N)
				p.startAt, p.Instance.StartError = time.Time{}, p.behaviour.startError
				if p.StartError == "" {
					p.State, p.StartedAt = InstanceRunning, w.now
				}
			}
			if p.State != InstanceRunning {
				continue
			}
			if p.PostStart == HookRunning && !p.hookSince.Add(p.hookTakes).After(w.now) {
				p.PostStart = HookDone
				if p.hookFails {
					p.PostStart, p.PostStartMessage = HookFailed, "the hook failed"
				}
			}
			if at, code := p.end(); !at.IsZero() && !at.After(w.now) {
				p.State, p.FinishedAt, p.ExitCode, p.OOMKilled, p.Message = InstanceExited, at, code, p.oom, p.message
				w.note("exit %s/%d %d", name, p.N, code)
			}
		}
	}
}

// end is when a running process will end as things stand, and how; zero for never.
func (p *process) end() (time.Time, int32) {
	var at time.Time
	var code int32
	earlier := func(t time.Time, c int32) {
		if !t.IsZero() && (at.IsZero() || t.Before(at)) {
			at, code = t, c
		}
	}
	if p.runsFor > 0 {
		earlier(p.StartedAt.Add(p.runsFor), p.exit)
	}
	if !p.termAt.IsZero() && !p.ignoresTerm {
		earlier(p.termAt.Add(p.termTakes), p.onTerm)
	}
	earlier(p.killAt, 137)
	return at, code
}
