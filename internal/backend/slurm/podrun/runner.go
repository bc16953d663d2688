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
	"os"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/proc"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/runtime"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/probe"
)

// runner runs one pod.
type runner struct {
	Options
	clock
	table *proc.Table
	claim jobdir.Claim
	log   func(format string, args ...any)

	// spec and pod are what to run; runtime starts containers, scratch is the job's directory on this node.
	spec    *jobdir.Spec
	pod     *corev1.Pod
	runtime runtime.Runtime
	host    runtime.Runtime
	// isRank is set in a program that runs one rank of a container.
	isRank  bool
	scratch string
	// hostname is the pod's; hosts and resolv are the files by which its containers resolve names, empty where the node's hold.
	hostname, hosts, resolv string
	volumes                 *volumes
	// guard is open as long as this program runs.
	guard *os.File

	// catchUp notes the signals that have come to this program.
	catchUp func()

	workers *probe.Workers
	hooks   *probe.Hooks
	changed chan struct{}
	// starts are under way, bounded by startCtx; awaits wait for ends.
	starts       sync.WaitGroup
	startCtx     context.Context
	cancelStarts context.CancelFunc
	awaits       sync.WaitGroup

	mu        sync.Mutex
	sandbox   podlifecycle.Sandbox
	making    bool
	ownOnce   sync.Mutex
	owned     bool
	instances map[string][]*instance
	troubles  map[string]trouble
	dirs      int
	stop      *podlifecycle.Stop
	// stopAgain is when to look again for the words of a stop, zero for never, and stopUntil is for how long.
	stopAgain, stopUntil time.Time

	// doubt has the loop look whether the pod is this job's.
	doubt atomic.Bool

	// What the loop alone uses.
	recorded podlifecycle.Recorded
	// before is what an earlier start of the job said last, nil where there was none.
	before   *podlifecycle.Decision
	sequence int64
	written  *jobdir.State
	unsaid   bool
	retrySay time.Time
	tryAt    time.Time
}

func newRunner(o Options, table *proc.Table, claim jobdir.Claim, before *jobdir.State, log func(string, ...any)) *runner {
	r := &runner{
		Options: o, clock: newClock(), table: table, claim: claim, log: log, changed: make(chan struct{}, 1),
		instances: map[string][]*instance{}, troubles: map[string]trouble{}, catchUp: func() {},
	}
	r.sequence = firstSequence(claim)
	if before != nil {
		r.sequence, r.before = max(r.sequence, before.Sequence), &before.Decision
	}
	r.startCtx, r.cancelStarts = context.WithCancel(context.Background())
	r.recorded.StartTime = r.now()
	r.workers = probe.NewWorkers(probe.WorkersOptions{Changed: func(string) { r.poke() }, Spread: probeDelay})
	r.hooks = probe.NewHooks(func(string) { r.poke() })
	r.sandbox.State = podlifecycle.SandboxNone
	return r
}

// probeDelay is how long a container's first probes are held back. A kubelet sees that a container runs a moment after it does, and pods
// are written for that: a probe that came with the command's first instruction would find nothing done yet.
func probeDelay(period time.Duration) time.Duration { return min(period, time.Second) }

// poke has the loop look again.
func (r *runner) poke() {
	select {
	case r.changed <- struct{}{}:
	default:
	}
}

// record writes down what was decided, where it says something new. A state that can't be written now is written later: the pod goes on.
func (r *runner) record(d podlifecycle.Decision, finished bool) error {
	d.Actions, d.WakeAt = nil, time.Time{}
	if r.written != nil && !r.unsaid && reflect.DeepEqual(r.written.Decision, d) && r.written.Finished == finished {
		return nil
	}
	now := r.now()
	if !finished && r.unsaid && now.Before(r.retrySay) {
		return nil
	}
	// One that could not be written may be there all the same: each try has a number of its own.
	r.sequence++
	state := jobdir.State{
		JobID: r.claim.JobID, RestartCount: r.claim.RestartCount, Sequence: r.sequence, Node: nodeName(r.Env),
		StartTime: r.recorded.StartTime.UTC(), Decision: d, Finished: finished, Updated: now.UTC(),
	}
	write := r.Dir.WriteState
	if finished {
		write = r.Dir.WriteLastState
	}
	if err := write(state); err != nil {
		r.unsaid, r.retrySay = true, now.Add(sayAgain)
		return err
	}
	r.written, r.unsaid = &state, false
	return nil
}
