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
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
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
	stopAgain time.Time

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
		instances: map[string][]*instance{}, troubles: map[string]trouble{},
	}
	if before != nil {
		r.sequence, r.before = before.Sequence, &before.Decision
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

// prepare reads what to run and makes what it needs. What goes wrong ends the pod with words, as a Stop does.
func (r *runner) prepare(ctx context.Context, terms <-chan os.Signal) {
	spec, err := r.Dir.ReadSpec()
	if err != nil {
		// There is no pod to tell of: one without containers ends at once.
		r.spec, r.pod = &jobdir.Spec{}, &corev1.Pod{}
		r.fail("SpecUnreadable", err)
		return
	}
	r.spec, r.pod = spec, spec.Pod
	if spec.JobScript != "" {
		r.spec, r.pod = scripted(spec)
	}
	if r.pod.Spec.RestartPolicy == corev1.RestartPolicyNever && r.before != nil && hasBegun(r.before) {
		// Such jobs are submitted to be started once, but a SLURM that lost its memory, or an administrator, may start one again.
		r.recorded.InitContainers, r.recorded.Containers = r.before.InitContainers, r.before.Containers
		if r.before.Finished() {
			r.recorded.Finished, r.recorded.Phase, r.recorded.Reason, r.recorded.Message = true, r.before.Phase, r.before.Reason, r.before.Message
		}
		r.fail("JobRestarted", fmt.Errorf("SLURM started the job again (start %d) after containers of the pod had run, and its restartPolicy is Never", r.claim.RestartCount))
		return
	}
	// Without room for the last word a pod is not begun.
	if err := whenThereIsRoom(terms, r.log, r.Dir.MakeReserve); err != nil {
		r.log("%v", err)
		if jobdir.IsFull(err) {
			r.readStop(true)
		}
	}
	if err := r.keepOldLogs(); err != nil {
		r.log("%v", err)
	}
	if err := r.makeScratch(); err != nil {
		r.fail("ScratchUnavailable", err)
		return
	}
	r.killLeftovers(ctx)
	if err := r.startGuard(); err != nil {
		r.log("start what cleans up should this program be killed: %v", err)
	}
	if err := r.preExec(ctx, terms); err != nil {
		r.fail("PreExecFailed", err)
		return
	}
	if err := r.equip(ctx); err != nil {
		r.fail("NodeUnfit", err)
		return
	}
	if r.limited() {
		go r.watchMemory(ctx)
	}
}

// hasBegun tells whether any container of the pod has run.
func hasBegun(d *podlifecycle.Decision) bool {
	return slices.ContainsFunc(slices.Concat(d.InitContainers, d.Containers), func(s corev1.ContainerStatus) bool {
		return s.RestartCount > 0 || s.State.Running != nil || s.State.Terminated != nil && !s.State.Terminated.StartedAt.IsZero()
	})
}

// equip makes what containers need on this node: a runtime, and the pod's volumes.
func (r *runner) equip(ctx context.Context) error {
	node := runtime.Node{
		Table: r.table, Self: r.Self, Scratch: r.scratch, Env: r.Env, Credentials: runtime.CredentialsOf(r.spec.PullSecrets), Log: r.log,
	}
	var err error
	// What starts ranks, and a job script, are programs of the node that see the node as it is.
	if r.host, err = runtime.New(jobdir.Runtime{Type: runtime.None}, node); err != nil {
		return err
	}
	if r.spec.JobScript != "" {
		if err := r.writeScript(); err != nil {
			return err
		}
		r.runtime = r.host
	} else {
		if r.spec.Runtime.Type == runtime.None || r.spec.Runtime.Type == runtime.Charliecloud {
			node.Spaces = runtime.FindSpaces(ctx, &node)
		}
		if r.runtime, err = runtime.New(r.spec.Runtime, node); err != nil {
			return err
		}
	}
	if err := r.makeNames(); err != nil {
		return err
	}
	if err := r.host.Prepare(ctx, r.sharedPod()); err != nil {
		return err
	}
	r.volumes, err = r.makeVolumes()
	return err
}

// fail ends a pod that can't be run.
func (r *runner) fail(reason string, err error) {
	r.log("%s: %v", reason, err)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stop == nil {
		zero := time.Duration(0)
		r.stop = &podlifecycle.Stop{Since: r.now(), GracePeriod: &zero, Reason: reason, Message: err.Error()}
	}
}

// makeScratch makes the job's directory on this node. Its path is short, since sockets lie in it.
func (r *runner) makeScratch() error {
	const maxPath = 60
	name := scratchName(r.spec.Token) + "-" + fmt.Sprint(r.claim.RestartCount)
	if r.isRank {
		name += "-" + fmt.Sprint(os.Getpid())
	}
	var errs []error
	for _, dir := range []string{lookup(r.Env, "SLURM_TMPDIR"), lookup(r.Env, "TMPDIR"), "/tmp", "/var/tmp", "/dev/shm"} {
		if dir == "" || !filepath.IsAbs(dir) || len(dir) > maxPath {
			continue
		}
		path := filepath.Join(dir, name)
		// One that is there was left by the same start of the same job, or is somebody else's.
		_ = os.RemoveAll(path)
		if err := os.Mkdir(path, jobdir.DirMode); err != nil {
			errs = append(errs, err)
			continue
		}
		r.scratch = path
		return os.Mkdir(filepath.Join(path, "c"), jobdir.DirMode)
	}
	return fmt.Errorf("make a directory on this node: %w", cmp.Or(errors.Join(errs...), errors.New("there is no place for one")))
}

// keepOldLogs sets aside the logs of the job's earlier start, whose containers are not these.
func (r *runner) keepOldLogs() error {
	if r.claim.RestartCount == 0 {
		return nil
	}
	aside := r.Dir.Logs() + ".before"
	if err := os.RemoveAll(aside); err != nil {
		return fmt.Errorf("set the logs of the job's earlier start aside: %w", err)
	}
	if err := os.Rename(r.Dir.Logs(), aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("set the logs of the job's earlier start aside: %w", err)
	}
	return nil
}

// sayAgain is how long to wait before a state that could not be written is written again.
const sayAgain = 2 * time.Second

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
	state := jobdir.State{
		JobID: r.claim.JobID, RestartCount: r.claim.RestartCount, Sequence: r.sequence + 1, Node: nodeName(r.Env),
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
	r.sequence, r.written, r.unsaid = state.Sequence, &state, false
	return nil
}

// overtaken tells whether the pod is not this job's any more. It was cancelled, which SLURM may have had nothing to tell this job about: a
// slurmctld that was killed may have forgotten it. Or the claim is another's: the job was started anew elsewhere while this node was thought
// to be lost. A claim that is older was put there by a start that should not run any more, and is taken again.
func (r *runner) overtaken() bool {
	if base, token, err := jobdir.BaseOf(r.Dir); err == nil {
		if done, err := base.IsDone(token); err == nil && done {
			return true
		}
	}
	holder, err := r.Dir.ReadClaim()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// Without its directory the pod is nobody's: it was removed under the job.
		_, err := os.Stat(string(r.Dir))
		return errors.Is(err, fs.ErrNotExist)
	case err != nil || holder.Same(r.claim):
		return false
	case r.claim.Supersedes(holder):
		if err := r.Dir.Retake(r.claim); err != nil {
			r.log("%v", err)
		}
		return false
	}
	return true
}
