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
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// machine is a make-believe machine. It outlives the connections to it, as a real one outlives managers.
type machine struct {
	mu       sync.Mutex
	identity string
	jobs     map[string]*machineJob
	// submits counts the calls that named a token, and made the jobs that came of them.
	submits, made, drives, cancels map[string]int
	changed                        map[chan<- string]struct{}
	pruned                         []time.Time
	// far is set for a machine that drives its pods itself.
	far *farSide

	// away makes every call fail. submit, observe and drive, where set, are asked first: their error is the call's. loseAnswer makes
	// Submit do its work and fail all the same.
	away       error
	submit     func(token string) error
	observe    func() error
	drive      func(token string) error
	loseAnswer func(token string) bool
	// stopsAfter is how long containers take to end when told to.
	stopsAfter time.Duration
}

type machineJob struct {
	id       string
	workload *workload.Workload
	marker   bool
	// risen is a job that is there though it was cancelled.
	risen bool
	// started is zero before Drive has started the container, exit is set once it has ended.
	started, ended time.Time
	exit           *int32
	version        int
	// stops are the times from which the grace counted, as they were told.
	stops []time.Time
}

func newMachine(identity string) *machine {
	return &machine{
		identity: identity, jobs: map[string]*machineJob{}, changed: map[chan<- string]struct{}{},
		submits: map[string]int{}, made: map[string]int{}, drives: map[string]int{}, cancels: map[string]int{},
	}
}

func (m *machine) tell(token string) {
	for c := range m.changed {
		select {
		case c <- token:
		default:
		}
	}
}

// do changes the machine.
func (m *machine) do(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// exitWith ends the containers of a job.
func (m *machine) exitWith(token string, code int32) {
	m.do(func() {
		j := m.jobs[token]
		j.exit, j.ended = &code, time.Now()
		j.version++
		m.tell(token)
	})
}

// vanish takes a job away behind everybody's back.
func (m *machine) vanish(token string) {
	m.do(func() {
		delete(m.jobs, token)
		m.tell(token)
	})
}

func (m *machine) count(of map[string]int, token string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return of[token]
}

// holds tells whether more than a marker is there of a job.
func (m *machine) holds(token string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	j := m.jobs[token]
	return j != nil && !j.marker
}

// wire is one connection to a machine.
type wire struct {
	*machine
	closed chan struct{}
	once   sync.Once
}

var (
	_ backend.Backend = (*wire)(nil)
	_ backend.Driver  = (*wire)(nil)
	_ backend.Watcher = (*wire)(nil)
	_ backend.Pruner  = (*wire)(nil)
)

func (m *machine) connect() *wire { return &wire{machine: m, closed: make(chan struct{})} }

// enter takes the machine for one call, or fails as it is told to.
func (w *wire) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return backend.Unavailable("%w", err)
	}
	select {
	case <-w.closed:
		return backend.Unavailable("the connection is closed")
	default:
	}
	w.mu.Lock()
	if err := w.away; err != nil {
		w.mu.Unlock()
		return backend.Unavailable("%w", err)
	}
	return nil
}

func (w *wire) Check(ctx context.Context) (backend.Info, error) {
	if err := w.enter(ctx); err != nil {
		return backend.Info{}, err
	}
	defer w.mu.Unlock()
	return backend.Info{Version: "machine 1.0", Identity: w.identity, NodeName: "node-of-" + w.identity}, nil
}

func (w *wire) Abilities() workload.Abilities { return workload.Abilities{Backend: "Machine"} }

func (w *wire) Submit(ctx context.Context, what *workload.Workload) (string, error) {
	if err := w.enter(ctx); err != nil {
		return "", err
	}
	defer w.mu.Unlock()
	token := what.Token
	w.submits[token]++
	if w.machine.submit != nil {
		if err := w.machine.submit(token); err != nil {
			return "", err
		}
	}
	j := w.jobs[token]
	if j == nil {
		w.made[token]++
		j = &machineJob{id: fmt.Sprintf("id-%s-%d", token, w.made[token]), workload: what}
		w.jobs[token] = j
		w.tell(token)
	}
	if j.marker {
		return "", backend.Rejected(backend.ReasonCancelled, "the job was cancelled")
	}
	if w.loseAnswer != nil && w.loseAnswer(token) {
		return "", errors.New("the answer was lost")
	}
	return j.id, nil
}

func (w *wire) Observe(ctx context.Context) (backend.Snapshot, error) {
	if err := w.enter(ctx); err != nil {
		return backend.Snapshot{}, err
	}
	defer w.mu.Unlock()
	if w.machine.observe != nil {
		if err := w.machine.observe(); err != nil {
			return backend.Snapshot{}, err
		}
	}
	s := backend.Snapshot{Jobs: map[string]backend.ObservedJob{}}
	for token, j := range w.jobs {
		seen := backend.ObservedJob{JobID: j.id, Fingerprint: fmt.Sprint(j.version), Cancelled: j.marker, Risen: j.risen}
		if j.workload != nil {
			seen.Job, seen.Pod.Namespace, seen.Pod.Name = j.workload.Job, j.workload.Pod.Namespace, j.workload.Pod.Name
		}
		s.Jobs[token] = seen
	}
	return s, nil
}

func (w *wire) Cancel(ctx context.Context, ref backend.JobRef) (bool, error) {
	if err := w.enter(ctx); err != nil {
		return false, err
	}
	defer w.mu.Unlock()
	w.cancels[ref.Token]++
	w.jobs[ref.Token] = &machineJob{id: ref.JobID, marker: true}
	w.tell(ref.Token)
	return true, nil
}

func (w *wire) Logs(context.Context, backend.JobRef, string, corev1.PodLogOptions) (io.ReadCloser, error) {
	return nil, backend.NotFound("this machine keeps no logs")
}

func (w *wire) Capacity(ctx context.Context) (corev1.ResourceList, error) {
	if err := w.enter(ctx); err != nil {
		return nil, err
	}
	defer w.mu.Unlock()
	return corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2"), corev1.ResourceMemory: resource.MustParse("4Gi")}, nil
}

func (w *wire) Close() error {
	w.once.Do(func() { close(w.closed) })
	return nil
}

func (w *wire) Drive(ctx context.Context, req backend.DriveRequest) (podlifecycle.Decision, error) {
	if err := w.enter(ctx); err != nil {
		return podlifecycle.Decision{}, err
	}
	defer w.mu.Unlock()
	token := req.Workload.Token
	w.drives[token]++
	if w.machine.drive != nil {
		if err := w.machine.drive(token); err != nil {
			return podlifecycle.Decision{}, err
		}
	}
	j := w.jobs[token]
	if j == nil || j.marker {
		return podlifecycle.Decision{}, backend.NotFound("this machine holds nothing of the job")
	}
	if j.started.IsZero() && req.Stop == nil {
		j.started = time.Now()
		j.version++
	}
	var wake time.Time
	if req.Stop != nil && j.exit == nil {
		j.stops = append(j.stops, req.Stop.Since)
		if at := req.Stop.Since.Add(w.stopsAfter); time.Now().Before(at) {
			wake = at
		} else {
			code := int32(143)
			j.exit, j.ended = &code, time.Now()
			j.version++
		}
	}
	return j.decide(req, wake), nil
}

// decide is what the rules would say of a job whose containers do all the same.
func (j *machineJob) decide(req backend.DriveRequest, wake time.Time) podlifecycle.Decision {
	d := podlifecycle.Decision{Phase: corev1.PodPending, WakeAt: wake}
	ready := corev1.ConditionFalse
	for _, c := range req.Workload.Pod.Spec.Containers {
		s := corev1.ContainerStatus{Name: c.Name, Image: c.Image, ContainerID: "machine://" + j.id}
		switch {
		case j.exit != nil:
			s.State.Terminated = &corev1.ContainerStateTerminated{ExitCode: *j.exit, Reason: "Error", StartedAt: metav1.NewTime(j.started), FinishedAt: metav1.NewTime(j.ended)}
			d.Phase = corev1.PodFailed
			if *j.exit == 0 {
				d.Phase, s.State.Terminated.Reason = corev1.PodSucceeded, "Completed"
			}
		case !j.started.IsZero():
			s.State.Running = &corev1.ContainerStateRunning{StartedAt: metav1.NewTime(j.started)}
			s.Ready, ready, d.Phase = true, corev1.ConditionTrue, corev1.PodRunning
		default:
			s.State.Waiting = &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
		}
		d.Containers = append(d.Containers, s)
	}
	if req.Stop != nil && j.exit != nil {
		d.Reason, d.Message = req.Stop.Reason, req.Stop.Message
	}
	d.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}
	return d
}

func (w *wire) Retire(string) {}

func (w *wire) Watch(ctx context.Context, changed func(token string)) error {
	if err := w.enter(ctx); err != nil {
		return err
	}
	tokens := make(chan string, 1024)
	w.changed[tokens] = struct{}{}
	w.mu.Unlock()
	defer w.do(func() { delete(w.changed, tokens) })
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.closed:
			return errors.New("the connection is closed")
		case token := <-tokens:
			changed(token)
		}
	}
}

func (w *wire) PruneMarkers(ctx context.Context, before time.Time) error {
	if err := w.enter(ctx); err != nil {
		return err
	}
	defer w.mu.Unlock()
	w.pruned = append(w.pruned, before)
	return nil
}
