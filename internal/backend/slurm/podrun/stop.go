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

package podrun

import (
	"context"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/grace"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/proc"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/probe"
)

// stopping is the end of a container under way.
type stopping struct {
	reason   string
	deadline *grace.Deadline
	// hooked is set where a preStop hook is run first, which may have it end, and killed once it was killed.
	hooked, killed bool
	// inVain is set where the container turned out to have ended by itself.
	inVain bool
}

// endedBefore takes back a reason of the container's own for a stop of which nothing reached it. The end of a container has its hooks and
// probes fail first, which is no reason to run it again then. The caller holds the runner's lock.
func (s *stopping) endedBefore() {
	s.inVain = podlifecycle.IsFailing(s.reason) && !s.hooked && !s.killed
}

// stopContainer begins to end a run, or moves the end of one that is ending already: the earliest deadline holds.
func (r *runner) stopContainer(a podlifecycle.Action) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i := r.find(a.Container, a.N)
	// What has ended by itself is not ended by this, though it takes a moment to take down how.
	if i == nil || i.state != podlifecycle.InstanceRunning || i.hasEnded() {
		return
	}
	if s := i.stopping; s != nil {
		s.deadline.Sooner(a.Deadline)
		return
	}
	i.stopping = &stopping{reason: a.Reason, deadline: grace.NewDeadline(a.Deadline, r.now), hooked: a.RunPreStop}
	r.awaits.Go(func() { r.endContainer(i, a) })
	r.poke()
}

// endContainer runs the preStop hook, sends the stop signal, and kills when the time is over.
func (r *runner) endContainer(i *instance, a podlifecycle.Action) {
	if a.RunPreStop {
		ctx, cancel := context.WithDeadline(context.Background(), a.Deadline)
		done := r.hook(ctx, a, probe.PreStop)
		i.stopping.deadline.Wait(done, i.agent.Done())
		cancel()
	}
	_ = i.agent.Signal(stopSignal(i))
	i.stopping.deadline.Signalled()
	if !i.stopping.deadline.Wait(nil, i.agent.Done()) {
		return
	}
	r.mu.Lock()
	i.stopping.killed = true
	r.mu.Unlock()
	r.kill(i)
}

// Between the ways to kill a container, each harder than the one before.
const (
	killCommandWait = 2 * time.Second
	killAgentWait   = 3 * time.Second
	killTreeEvery   = time.Second
)

// kill ends a container: its command by the agent, then the agent, which takes all with it, then all of its processes from outside.
func (r *runner) kill(i *instance) {
	_ = i.agent.Signal(syscall.SIGKILL)
	if ends(i.agent.Done(), killCommandWait) {
		return
	}
	i.agent.Close()
	if ends(i.agent.Done(), killAgentWait) {
		return
	}
	for {
		killTree(i.agentStat)
		if ends(i.agent.Done(), killTreeEvery) {
			return
		}
	}
}

func ends(done <-chan struct{}, within time.Duration) bool {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}

// killTree kills a process and all below it, unless its number is another's by now.
func killTree(root proc.Stat) {
	all, err := proc.All()
	if err != nil || !slices.ContainsFunc(all, func(s proc.Stat) bool { return s.Pid == root.Pid && s.Start == root.Start }) {
		return
	}
	for _, s := range append(proc.Below(all, root.Pid), root) {
		_ = proc.Kill(s, syscall.SIGKILL)
	}
}

// stopSignal is the pod's own for a container, or its image's, or TERM.
func stopSignal(i *instance) syscall.Signal {
	name := i.image.StopSignal
	if l := i.spec.Lifecycle; l != nil && l.StopSignal != nil {
		name = string(*l.StopSignal)
	}
	if s := signalOf(name); s != 0 {
		return s
	}
	return syscall.SIGTERM
}

// signalOf reads a signal's name, with or without SIG, its number, or a real-time signal as an offset; 0 where it is none.
func signalOf(name string) syscall.Signal {
	name = strings.ToUpper(strings.TrimSpace(name))
	if name == "" {
		return 0
	}
	if !strings.HasPrefix(name, "SIG") {
		name = "SIG" + name
	}
	if s := unix.SignalNum(name); s != 0 {
		return s
	}
	const first, last = 34, 64
	rest, ok := strings.CutPrefix(name, "SIGRTMIN")
	base := first
	if !ok {
		if rest, ok = strings.CutPrefix(name, "SIGRTMAX"); !ok {
			rest, base = strings.TrimPrefix(name, "SIG"), 0
		} else {
			base = last
		}
	}
	offset := 0
	if rest != "" {
		sign := 1
		switch rest[0] {
		case '-':
			sign, rest = -1, rest[1:]
		case '+':
			rest = rest[1:]
		}
		for _, digit := range rest {
			if digit < '0' || digit > '9' || offset > last {
				return 0
			}
			offset = offset*10 + int(digit-'0')
		}
		offset *= sign
	}
	if s := base + offset; s > 0 && s <= last {
		return syscall.Signal(s)
	}
	return 0
}
