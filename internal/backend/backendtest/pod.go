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

package backendtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// pod is one pod on the backend, and the part of a controller that brings it on: a loop that drives it and keeps what a ledger would
// hold. Only the ledger's part survives a restart of the manager.
type pod struct {
	env  *env
	work *workload.Workload

	wake chan struct{}
	stop context.CancelFunc
	loop sync.WaitGroup

	mu       sync.Mutex
	jobID    string
	recorded podlifecycle.Recorded
	last     podlifecycle.Decision
	stopping *podlifecycle.Stop
	history  []string
	driveErr error
}

// run submits the pod and begins to drive it.
func (e *env) run(spec *corev1.Pod, payload workload.Payload) *pod {
	e.Helper()
	p := e.prepare(spec, payload)
	p.submit()
	p.drive()
	return p
}

// prepare makes the workload, as the ledger does, and nothing on the backend.
func (e *env) prepare(spec *corev1.Pod, payload workload.Payload) *pod {
	e.Helper()
	w, err := e.resolve(spec, payload)
	if _, ok := workload.IsRefusal(err); ok && len(e.lacks) > 0 {
		e.Log(err)
		panic(refusal{})
	}
	if err != nil {
		e.Fatalf("the pod was refused: %v", err)
	}
	p := &pod{env: e, work: w, wake: make(chan struct{}, 1)}
	e.mu.Lock()
	e.pods = append(e.pods, p)
	e.mu.Unlock()
	return p
}

func (p *pod) token() string { return p.work.Token }

func (p *pod) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// submit hands the pod over; a backend that is away is asked again.
func (p *pod) submit() {
	p.env.Helper()
	p.env.eventually("the backend to take the pod", func() (bool, string) {
		c := p.env.connected()
		id, err := c.backend.Submit(c.ctx, p.work)
		if rejected, ok := backend.IsRejected(err); ok {
			p.env.Fatalf("the backend rejected the pod: %v", rejected)
		}
		if err != nil {
			return false, err.Error()
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.jobID != "" && p.jobID != id {
			p.env.Fatalf("the pod was submitted again as %s, and is %s", id, p.jobID)
		}
		p.jobID = id
		if p.recorded.StartTime.IsZero() {
			p.recorded.StartTime = time.Now()
		}
		return true, ""
	})
}

// drive begins the loop that a controller would be.
func (p *pod) drive() {
	ctx, cancel := context.WithCancel(context.Background())
	p.stop = cancel
	p.loop.Go(func() {
		for ctx.Err() == nil {
			next := p.step(ctx)
			timer := time.NewTimer(next)
			select {
			case <-ctx.Done():
			case <-p.wake:
			case <-timer.C:
			}
			timer.Stop()
		}
	})
}

// step drives once, records the decision, and says when to look again at the latest.
func (p *pod) step(ctx context.Context) time.Duration {
	c := p.env.connected()
	p.mu.Lock()
	req := backend.DriveRequest{Workload: p.work, Recorded: p.recorded, Stop: p.stopping}
	p.mu.Unlock()
	var d podlifecycle.Decision
	var err error
	if driver, ok := c.backend.(backend.Driver); ok {
		d, err = driver.Drive(ctx, req)
	} else {
		d, err = follow(ctx, c.backend, p.ref(), req)
	}

	// Between the decision and its record is where a killed manager hurts most.
	if p.env.mayKill(c) {
		return 0
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.driveErr = err
	if err != nil {
		return 100 * time.Millisecond
	}
	if went := wentBack(p.recorded, d); went != "" {
		p.env.Errorf("a status went backwards: %s", went)
	}
	p.last = d
	p.recorded.InitContainers, p.recorded.Containers = d.InitContainers, d.Containers
	p.recorded.Phase, p.recorded.Reason, p.recorded.Message = d.Phase, d.Reason, d.Message
	p.recorded.Finished = d.Finished()
	if line := fmt.Sprintf("%s %s %v %v", d.Phase, d.Reason, states(d.InitContainers), states(d.Containers)); len(p.history) == 0 || p.history[len(p.history)-1] != line {
		p.history = append(p.history, line)
		// What was just recorded may be all that the rules wait for.
		return 0
	}
	next := lookAgain
	if _, drives := c.backend.(backend.Driver); drives && !d.WakeAt.IsZero() {
		next = min(next, max(0, time.Until(d.WakeAt)))
	}
	return next
}

// halt ends the loop.
func (p *pod) halt() {
	if p.stop != nil {
		p.stop()
		p.loop.Wait()
	}
}

func (p *pod) decision() podlifecycle.Decision {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last
}

// until waits for a decision that the condition holds for.
func (p *pod) until(what string, condition func(podlifecycle.Decision) bool) podlifecycle.Decision {
	p.env.Helper()
	var found podlifecycle.Decision
	p.env.eventually(what, func() (bool, string) {
		found = p.decision()
		if condition(found) {
			return true, ""
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		return false, fmt.Sprintf("%v %v (last error: %v)", p.history, messages(found), p.driveErr)
	})
	return found
}

// end waits for the pod's end.
func (p *pod) end() podlifecycle.Decision {
	p.env.Helper()
	return p.until("the pod's end", func(d podlifecycle.Decision) bool { return d.Finished() })
}

// running waits until a container runs.
func (p *pod) running(container string) corev1.ContainerStatus {
	p.env.Helper()
	d := p.until("container "+container+" to run", func(d podlifecycle.Decision) bool {
		s, ok := find(d, container)
		return ok && s.State.Running != nil
	})
	s, _ := find(d, container)
	return s
}

// ask asks the pod to end.
func (p *pod) ask(grace time.Duration) {
	p.mu.Lock()
	p.stopping = &podlifecycle.Stop{Since: time.Now(), GracePeriod: &grace, Reason: "Deleted", Message: "the pod was deleted"}
	p.mu.Unlock()
	p.poke()
}

// mustBeRemoved cancels the job until nothing of it is left.
func (p *pod) mustBeRemoved() {
	p.env.Helper()
	p.env.eventually("the pod to be gone", func() (bool, string) {
		c := p.env.connected()
		gone, err := c.backend.Cancel(c.ctx, p.ref())
		return gone && err == nil, fmt.Sprintf("gone %t, %v", gone, err)
	})
}

func (p *pod) ref() backend.JobRef {
	p.mu.Lock()
	defer p.mu.Unlock()
	return backend.JobRef{Token: p.token(), JobID: p.jobID}
}

// logs reads a container's log.
func (p *pod) logs(container string, opts corev1.PodLogOptions) string {
	p.env.Helper()
	var b bytes.Buffer
	p.env.eventually("the log of "+container, func() (bool, string) {
		c := p.env.connected()
		err := func() error {
			b.Reset()
			r, err := c.backend.Logs(c.ctx, p.ref(), container, opts)
			if err != nil {
				return err
			}
			defer func() { _ = r.Close() }()
			_, err = io.Copy(&b, r)
			return err
		}()
		if err != nil && p.env.kills == nil {
			p.env.Fatalf("read the log of %s: %v; %v", container, err, messages(p.decision()))
		}
		return err == nil, fmt.Sprint(err)
	})
	return b.String()
}

// output waits for the pod's end and returns what container main wrote.
func (p *pod) output() string {
	p.env.Helper()
	p.end()
	return p.logs("main", corev1.PodLogOptions{})
}

// untilLogged waits until a container has written the text.
func (p *pod) untilLogged(container, text string) {
	p.env.Helper()
	p.running(container)
	p.env.eventually(fmt.Sprintf("%s to write %q", container, text), func() (bool, string) {
		out := p.logs(container, corev1.PodLogOptions{})
		return strings.Contains(out, text), out
	})
}
