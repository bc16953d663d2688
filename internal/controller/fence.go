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
	"sync"
	"time"
)

// ErrNotLeading says that this manager can't be sure that it leads, and so changes nothing on a backend.
var ErrNotLeading = errors.New("this manager could not renew its lease and changes nothing on a backend")

// Fence lets calls that change a backend through.
type Fence interface {
	// Guard returns a context for one such call: it ends with the lease, or after at most so long. It fails when the lease is over.
	Guard(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc, error)
}

// OpenFence is the fence of a manager that runs without leader election.
type OpenFence struct{}

// Guard bounds the call's time, and nothing else.
func (OpenFence) Guard(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc, error) {
	guarded, cancel := context.WithTimeout(ctx, limit)
	return guarded, cancel, nil
}

// fenceMargin is how long before the end of the lease a call must have ended, for what is on its way to arrive.
const fenceMargin = 2 * time.Second

// LeaseFence lets calls through while the lease is held for sure: nobody else can take it for its duration from the moment at which
// its last renewal was sent. Its zero value is closed.
//
// Time goes by two clocks, and either ends the lease: the monotonic one stands still while the machine is suspended, and the calendar may be
// set back.
//
// A process that is stopped in the middle of a call and goes on later has its call cut as soon as it runs again; what the call had
// sent by then can still arrive. That window is closed by tokens, not by the fence.
type LeaseFence struct {
	mu    sync.Mutex
	until time.Time // by both clocks
	timer *time.Timer
	held  context.Context
	lapse context.CancelCauseFunc
}

// Renewed takes note of a renewal that succeeded: when it was sent, and for how long it holds.
func (f *LeaseFence) Renewed(sent time.Time, duration time.Duration) {
	until := sent.Add(duration - fenceMargin)
	f.mu.Lock()
	defer f.mu.Unlock()
	if !until.After(f.until) {
		return
	}
	f.until = until
	left := time.Until(until)
	if left <= 0 {
		return
	}
	if f.timer != nil {
		f.timer.Stop()
	}
	if f.held == nil || f.held.Err() != nil {
		f.held, f.lapse = context.WithCancelCause(context.Background())
	}
	// Each timer ends only what it was set for: one that fires while it is being replaced must not end the renewed lease.
	f.timer = time.AfterFunc(left, f.expire)
}

func (f *LeaseFence) expire() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lapse != nil && past(f.until, time.Now()) {
		f.lapse(ErrNotLeading)
	}
}

// Lost takes note that the lease was given up or taken.
func (f *LeaseFence) Lost() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.until = time.Time{}
	if f.lapse != nil {
		f.lapse(ErrNotLeading)
	}
}

// past tells whether a time has come by the monotonic clock or by the calendar.
func past(until, now time.Time) bool {
	return !now.Before(until) || !now.Round(0).Before(until.Round(0))
}

// Guard returns a context that ends with the lease.
func (f *LeaseFence) Guard(ctx context.Context, limit time.Duration) (context.Context, context.CancelFunc, error) {
	f.mu.Lock()
	held, until := f.held, f.until
	f.mu.Unlock()
	// The timer may be late, after the process was stopped: the clock decides.
	if held == nil || held.Err() != nil || past(until, time.Now()) {
		return nil, nil, ErrNotLeading
	}
	guarded, cancel := context.WithCancelCause(ctx)
	bounded, release := context.WithTimeout(guarded, limit)
	stop := context.AfterFunc(held, func() { cancel(ErrNotLeading) })
	return bounded, func() {
		stop()
		release()
		cancel(nil)
	}, nil
}
