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
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// Key names one run of a container.
type Key struct {
	// Token is the pod's.
	Token     string
	Container string
	N         int32
}

// Instance is what is needed to probe one run of a container.
type Instance struct {
	// Container as in the pod's spec, its variables literal.
	Container *corev1.Container
	// PodIP is where the pod's ports are reached from inside its network; empty for the loopback address.
	PodIP     string
	StartedAt time.Time
	// Resume is what was known of this very instance before, if it was probed by somebody who is gone.
	Resume podlifecycle.Probes
	Prober Prober
}

// WorkersOptions are what Workers may be given; the zero value does.
type WorkersOptions struct {
	// Changed is called when the results of a pod's probes have changed. It must not block.
	Changed func(token string)
	// Spread returns how long the first turn of a probe with the given period is held back, such as a random part of the period for
	// some time after a start, so that those of thousands of containers do not come at once. Nil holds none back.
	Spread func(period time.Duration) time.Duration
	// Log gets what probes say, failures at level 1, with the pod's token.
	Log logr.Logger
}

// Workers run the probes of many containers in the background, each at its own pace. The zero value is not usable.
type Workers struct {
	options WorkersOptions
	ctx     context.Context
	cancel  context.CancelFunc
	wait    sync.WaitGroup

	mu        sync.Mutex
	instances map[Key]*instance
	ending    map[string]bool
}

// NewWorkers returns Workers that probe nothing yet.
func NewWorkers(options WorkersOptions) *Workers {
	ctx, cancel := context.WithCancel(context.Background())
	return &Workers{options: options, ctx: ctx, cancel: cancel, instances: map[Key]*instance{}, ending: map[string]bool{}}
}

// Start probes an instance until it is stopped, and returns what its probes say at the moment. An instance that is being probed already
// goes on as it was.
func (w *Workers) Start(key Key, run Instance) podlifecycle.Probes {
	w.mu.Lock()
	defer w.mu.Unlock()
	if in := w.instances[key]; in != nil {
		return in.results()
	}
	now := time.Now()
	in := &instance{
		Instance: run,
		state:    NewState(run.Container, run.StartedAt, now, run.Resume),
		wake:     make(chan struct{}),
		log:      w.options.Log.WithValues("token", key.Token, "container", key.Container, "n", key.N),
		changed: func() {
			if w.options.Changed != nil {
				w.options.Changed(key.Token)
			}
		},
	}
	in.ctx, in.cancel = context.WithCancel(w.ctx)
	in.vital, in.cancelVital = context.WithCancel(in.ctx)
	w.instances[key] = in
	if w.ending[key.Token] {
		in.end()
	}
	for _, kind := range Kinds {
		timing, ok := in.state.Timing(kind)
		if !ok || w.ctx.Err() != nil {
			continue
		}
		if w.options.Spread != nil {
			in.state.Delay(kind, now.Add(w.options.Spread(timing.Period)))
		}
		w.wait.Go(func() { in.loop(kind) })
	}
	return in.results()
}

// Results are what the probes of an instance say; false where it is not being probed.
func (w *Workers) Results(key Key) (podlifecycle.Probes, bool) {
	w.mu.Lock()
	in := w.instances[key]
	w.mu.Unlock()
	if in == nil {
		return podlifecycle.Probes{}, false
	}
	return in.results(), true
}

// End says that a pod is ending: its containers are asked only whether they are ready, for as long as they run.
func (w *Workers) End(token string) {
	changed := false
	w.mu.Lock()
	if !w.ending[token] {
		w.ending[token] = true
		for key, in := range w.instances {
			if key.Token == token {
				changed = in.end() || changed
			}
		}
	}
	w.mu.Unlock()
	if changed && w.options.Changed != nil {
		w.options.Changed(token)
	}
}

// Stop ends the probes of an instance, one that is under way too, and forgets their results. It does not wait.
func (w *Workers) Stop(key Key) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stop(key)
}

// StopPod ends the probes of all of a pod's instances and forgets the pod. It does not wait.
func (w *Workers) StopPod(token string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.ending, token)
	for key := range w.instances {
		if key.Token == token {
			w.stop(key)
		}
	}
}

func (w *Workers) stop(key Key) {
	if in := w.instances[key]; in != nil {
		in.cancel()
		delete(w.instances, key)
	}
}

// Close ends all probes and waits until none is under way.
func (w *Workers) Close() {
	w.mu.Lock()
	w.cancel()
	clear(w.instances)
	w.mu.Unlock()
	w.wait.Wait()
}

// instance is one that is being probed: a goroutine for each of its probes, and their common record.
type instance struct {
	Instance
	log     logr.Logger
	changed func()
	// ctx ends with the instance, vital with the startup and liveness probes.
	ctx, vital          context.Context
	cancel, cancelVital context.CancelFunc

	mu    sync.Mutex
	state *State
	// wake is closed, and made anew, when a turn may have changed.
	wake chan struct{}
}

func (in *instance) results() podlifecycle.Probes {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.state.Results()
}

func (in *instance) end() (changed bool) {
	in.cancelVital()
	in.mu.Lock()
	defer in.mu.Unlock()
	in.signal()
	return in.state.End()
}

// signal needs in.mu.
func (in *instance) signal() {
	close(in.wake)
	in.wake = make(chan struct{})
}

func (in *instance) loop(kind Kind) {
	ctx := in.vital
	if kind == Readiness {
		ctx = in.ctx
	}
	for ctx.Err() == nil {
		in.mu.Lock()
		at, turn := in.state.Next(kind)
		wake := in.wake
		delay := time.Until(at)
		if turn == Due && delay <= 0 {
			in.state.Begin(kind, time.Now())
		}
		in.mu.Unlock()

		switch {
		case turn == Over:
			return
		case turn == Held:
			select {
			case <-wake:
			case <-ctx.Done():
			}
		case delay > 0:
			in.pause(ctx, delay, wake)
		default:
			in.ask(ctx, kind)
		}
	}
}

func (in *instance) pause(ctx context.Context, delay time.Duration, wake <-chan struct{}) {
	timer := time.NewTimer(delay)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-wake:
	case <-ctx.Done():
	}
}

func (in *instance) ask(ctx context.Context, kind Kind) {
	result, message := Run(ctx, in.Prober, kind.Of(in.Container), in.Container, in.PodIP)
	if ctx.Err() != nil {
		return // what an aborted probe says is not the container's word
	}
	switch result {
	case podlifecycle.Failure:
		in.log.V(1).Info("Probe failed", "probe", kind, "message", message)
	case podlifecycle.Unknown:
		in.log.Info("Probe could not be asked", "probe", kind, "message", message)
	}
	in.mu.Lock()
	changed := in.state.Observe(kind, result, message)
	if changed {
		in.signal()
	}
	in.mu.Unlock()
	if changed {
		in.changed()
	}
}
