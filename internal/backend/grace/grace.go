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

// Package grace is the time that a container has to end once it has been told to.
package grace

import (
	"sync"
	"time"
)

// Least is what a container has at least between its stop signal and SIGKILL, as on a kubelet.
const Least = 2 * time.Second

// Deadline is when a container is killed. The earliest of those that it is given holds, but for the least grace.
type Deadline struct {
	now func() time.Time

	mu        sync.Mutex
	at, least time.Time
	moved     chan struct{}
}

// NewDeadline is a deadline by the clock now.
func NewDeadline(at time.Time, now func() time.Time) *Deadline {
	return &Deadline{now: now, at: at, moved: make(chan struct{}, 1)}
}

// Sooner moves the deadline where that is earlier, and not into the least grace.
func (d *Deadline) Sooner(at time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at.Before(d.least) {
		at = d.least
	}
	if at.Before(d.at) {
		d.set(at)
	}
}

// Signalled says that the stop signal was sent just now: from now on the container has the least grace, however long it took to get there.
func (d *Deadline) Signalled() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.least = d.now().Add(Least)
	if d.at.Before(d.least) {
		d.set(d.least)
	}
}

// Again sets another deadline, for one that has come and did not help.
func (d *Deadline) Again(after time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.set(d.now().Add(after))
}

// set is called with the lock held.
func (d *Deadline) set(at time.Time) {
	d.at = at
	select {
	case d.moved <- struct{}{}:
	default:
	}
}

// Wait waits for the deadline, wherever it is moved to, and tells whether it came: it did not where one of the others was closed before.
func (d *Deadline) Wait(done, ended <-chan struct{}) bool {
	for {
		d.mu.Lock()
		timer := time.NewTimer(d.at.Sub(d.now()))
		d.mu.Unlock()
		select {
		case <-timer.C:
			return true
		case <-d.moved:
		case <-done:
			timer.Stop()
			return false
		case <-ended:
			timer.Stop()
			return false
		}
		timer.Stop()
	}
}
