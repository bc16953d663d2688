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

package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	crclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/test/faults/history"
	"github.com/remotejob-dev/remotejob-operator/test/faults/plan"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

type disturbance = harness.Disturbance

const (
	undisturbed = harness.Undisturbed
	conflict    = harness.Conflict
	tooMany     = harness.TooMany
	lostAnswer  = harness.LostAnswer
)

// The backends that a machine's faults strike.
var (
	onSLURM  = []string{string(plan.SLURM), string(plan.Podman)}
	onDocker = []string{string(plan.Docker)}
)

// pastLease is longer than the lease of a leader.
const pastLease = 18 * time.Second

func (c *chaos) victim(f plan.Fault) *harness.Manager {
	return c.stage.managers[f.Pick%uint64(len(c.stage.managers))]
}

func (c *chaos) killManager(ctx context.Context, f plan.Fault) (history.Fault, error) {
	m := c.victim(f)
	m.Kill()
	if f.Kind == plan.KillManagerLong {
		wait(ctx, 2*f.For)
	}
	return history.Fault{}, m.Start()
}

func (c *chaos) pauseManager(ctx context.Context, f plan.Fault) (history.Fault, error) {
	m := c.victim(f)
	if err := m.Signal(syscall.SIGSTOP); err != nil {
		return history.Fault{}, err
	}
	if len(c.stage.managers) > 1 {
		wait(ctx, pastLease)
	}
	wait(ctx, f.For)
	return history.Fault{}, m.Signal(syscall.SIGCONT)
}

// killLeader kills the manager that leads and starts it again when another one does, or could have done so for long.
func (c *chaos) killLeader(ctx context.Context, _ plan.Fault) (history.Fault, error) {
	m := c.leader()
	if m == nil {
		return history.Fault{}, errNobody
	}
	m.Kill()
	c.untilAnotherLeads(ctx, m)
	return history.Fault{}, m.Start()
}

// pauseLeader has the manager that leads go on when another one has taken its place.
func (c *chaos) pauseLeader(ctx context.Context, f plan.Fault) (history.Fault, error) {
	m := c.leader()
	if m == nil {
		return history.Fault{}, errNobody
	}
	if err := m.Signal(syscall.SIGSTOP); err != nil {
		return history.Fault{}, err
	}
	c.untilAnotherLeads(ctx, m)
	wait(ctx, f.For)
	return history.Fault{}, m.Signal(syscall.SIGCONT)
}

// leader is the manager that says that it leads, nil for none.
func (c *chaos) leader(but ...*harness.Manager) *harness.Manager {
	for i, m := range c.stage.managers {
		if slices.Contains(but, m) {
			continue
		}
		if now, err := measure(c.stage.metrics[i]); err == nil && now.leads {
			return m
		}
	}
	return nil
}

// untilAnotherLeads gives up after a time: nobody leads where the API server is away, too.
func (c *chaos) untilAnotherLeads(ctx context.Context, m *harness.Manager) {
	for end := c.stage.clock.now() + 2*pastLease; c.stage.clock.now() < end && c.leader(m) == nil && wait(ctx, time.Second); {
	}
}

func (c *chaos) stopAPIServer(ctx context.Context, f plan.Fault) (history.Fault, error) {
	err := c.stage.plane.StopAPIServer(ctx)
	wait(ctx, f.For)
	return history.Fault{}, errors.Join(err, c.stage.plane.StartAPIServer(context.WithoutCancel(ctx)))
}

func (c *chaos) stopEtcd(ctx context.Context, f plan.Fault) (history.Fault, error) {
	err := c.stage.plane.StopEtcd(ctx)
	wait(ctx, f.For)
	return history.Fault{}, errors.Join(err, c.stage.plane.StartEtcd(context.WithoutCancel(ctx)))
}

// administer is SLURM's administrator, who looks now and then at what slurmctld leaves to people after a crash: it drains a node whose jobs
// it has lost track of, and holds jobs that it could not start there.
func (c *chaos) administer(ctx context.Context) {
	// Where slurmctld is away there is nothing to do.
	lines := func(name string, args ...string) []string {
		out, _ := c.stage.cluster.Command(ctx, name, args...).Output()
		return strings.Split(string(out), "\n")
	}
	for wait(ctx, 2*time.Second) {
		for _, node := range lines("sinfo", "--noheader", "--Node", "--states=drain,down", "--format=%N") {
			if node != "" {
				lines("scontrol", "update", "NodeName="+node, "State=RESUME")
			}
		}
		for _, line := range lines("squeue", "--noheader", "--states=pending", "--format=%A %r") {
			if id, reason, _ := strings.Cut(line, " "); strings.Contains(reason, "held") {
				lines("scontrol", "release", id)
			}
		}
	}
}

// killController takes slurmctld away as a crash would. What it had not written down yet it has lost: jobs, and that jobs had begun, which it
// then puts back into the queue.
func (c *chaos) killController(ctx context.Context, _ plan.Fault) (history.Fault, error) {
	err := c.stage.cluster.KillController()
	return history.Fault{Backends: onSLURM, May: history.MayLose | history.MayRequeue}, errors.Join(err, c.stage.cluster.StartController(context.WithoutCancel(ctx)))
}

func (c *chaos) stopController(ctx context.Context, f plan.Fault) (history.Fault, error) {
	err := c.stage.cluster.StopController(ctx)
	wait(ctx, 2*f.For)
	return history.Fault{}, errors.Join(err, c.stage.cluster.StartController(context.WithoutCancel(ctx)))
}

func (c *chaos) cutLine(ctx context.Context, f plan.Fault) (history.Fault, error) {
	// Now, and in the middle of what is said next.
	c.stage.line.Cut()
	wait(ctx, f.For/2)
	c.stage.line.CutAfter(int(f.Pick % 8192))
	return history.Fault{}, nil
}

func (c *chaos) refuseLine(ctx context.Context, f plan.Fault) (history.Fault, error) {
	c.stage.line.Refuse(true)
	c.stage.line.Cut()
	wait(ctx, f.For)
	c.stage.line.Refuse(false)
	return history.Fault{}, nil
}

func (c *chaos) stallLine(ctx context.Context, f plan.Fault) (history.Fault, error) {
	c.stage.line.Stall(true)
	wait(ctx, f.For)
	c.stage.line.Stall(false)
	return history.Fault{}, nil
}

func (c *chaos) spoilCommands(ctx context.Context, f plan.Fault) (history.Fault, error) {
	names, mode := []string{wrapped[f.Pick%uint64(len(wrapped))]}, ""
	switch f.Kind {
	case plan.SlowCommands:
		names, mode = wrapped, "slow"
	case plan.FailCommands:
		mode = "fail"
	case plan.LoseAnswers:
		mode = "lost"
		if names[0] == "squeue" {
			names[0] = "sbatch" // it has no effect that could be lost
		}
	case plan.LateSubmission:
		names, mode = []string{"sbatch"}, "late"
	}
	var errs []error
	for _, name := range names {
		errs = append(errs, c.stage.commands.set(name, mode))
	}
	wait(ctx, f.For)
	for _, name := range names {
		errs = append(errs, c.stage.commands.set(name, ""))
	}
	return history.Fault{}, errors.Join(errs...)
}

// requeue puts the job of a pod that may run again back into the queue.
func (c *chaos) requeue(ctx context.Context, f plan.Fault) (history.Fault, error) {
	t, err := c.pick(f, func(t *track) bool {
		now := t.read()
		return t.plan.Backend != plan.Docker && t.actor.pod.Spec.RestartPolicy != corev1.RestartPolicyNever && now.Ended == 0
	})
	if err != nil {
		return history.Fault{}, err
	}
	struck := history.Fault{Pod: t.pod.UID, May: history.MayRepeat}
	out, err := c.stage.cluster.Command(ctx, "squeue", "--noheader", "--name="+t.token(c.stage), "--states=running", "--format=%A").Output()
	ids := strings.Fields(string(out))
	if err != nil || len(ids) == 0 {
		return struck, errNobody
	}
	// It may have ended by now, or slurmctld may be away; or its answer comes too late, and the job is back in the queue all the same. So the
	// pod may run again whatever is answered.
	_ = c.stage.cluster.Command(ctx, "scontrol", "requeue", ids[0]).Run()
	return struck, nil
}

func (c *chaos) deleteRemoteJob(ctx context.Context, f plan.Fault) (history.Fault, error) {
	t, err := c.pick(f, func(*track) bool { return true })
	if err != nil {
		return history.Fault{}, err
	}
	job, err := c.stage.ledger.Job(ctx, t.actor.pod)
	if err != nil {
		return history.Fault{}, errNobody // the API server is away, or somebody was faster
	}
	t.held.Lock()
	defer t.held.Unlock()
	t.cancelled = true
	_ = c.stage.ledger.Delete(ctx, job)
	return history.Fault{Pod: t.pod.UID, May: history.MayEnd}, nil
}

func (c *chaos) deletePayload(ctx context.Context, f plan.Fault) (history.Fault, error) {
	t, err := c.pick(f, func(t *track) bool { return t.plan.Class == plan.Files })
	if err != nil {
		return history.Fault{}, err
	}
	job, err := c.stage.ledger.Job(ctx, t.actor.pod)
	if err != nil {
		return history.Fault{}, errNobody
	}
	for _, name := range job.Spec.PayloadSecretNames {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
		_ = crclient.IgnoreNotFound(c.stage.ledger.Delete(ctx, secret))
	}
	return history.Fault{Pod: t.pod.UID, May: history.MayEnd}, nil
}

// fullBase fills the file system of the base directory.
func (c *chaos) fullBase(ctx context.Context, f plan.Fault) (history.Fault, error) {
	struck := history.Fault{Backends: onSLURM, May: history.MayMute}
	name := filepath.Join(c.stage.disk, "full")
	file, err := os.Create(name)
	if err != nil {
		return struck, err
	}
	deadline := time.Now().Add(f.For)
	for block := make([]byte, 1<<20); err == nil || time.Now().Before(deadline); {
		if _, err = file.Write(block); errors.Is(err, syscall.ENOSPC) && len(block) > 4096 {
			block = block[:4096] // to the last bit, and again when somebody has freed something
		} else if err != nil && !wait(ctx, 20*time.Millisecond) {
			break
		}
	}
	return struck, errors.Join(file.Close(), os.Remove(name))
}

// restartEngine restarts dockerd; its containers go on. It may miss how one ends meanwhile, and one that is killed while it starts a container
// may lose track of that.
func (c *chaos) restartEngine(ctx context.Context, f plan.Fault) (history.Fault, error) {
	stop, struck := c.stage.engine.Stop, history.Fault{Backends: onDocker, May: history.MayMiss}
	if f.Kind == plan.KillEngine {
		stop, struck.May = c.stage.engine.Kill, history.MayMiss|history.MayLose
	}
	err := stop()
	wait(ctx, f.For/2)
	return struck, errors.Join(err, c.stage.engine.Start(context.WithoutCancel(ctx), "--live-restore"))
}

// loseNode restarts dockerd so that its containers end, as those of a machine that is restarted do.
func (c *chaos) loseNode(ctx context.Context, _ plan.Fault) (history.Fault, error) {
	ctx = context.WithoutCancel(ctx)
	e := c.stage.engine
	// Whether containers go on is decided by how the one that stops was started.
	err := errors.Join(e.Stop(), e.Start(ctx), e.Stop(), e.Start(ctx, "--live-restore"))
	return history.Fault{Backends: onDocker, May: history.MayLose | history.MayMute}, err
}
