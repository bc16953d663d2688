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

import "time"

// Timings are the intervals and bounds that the controllers keep. The zero value of each means its default.
type Timings struct {
	// ObserveEvery is how often a backend is observed though it tells of no change. Default 30 s.
	ObserveEvery time.Duration
	// SuspectEvery is how often it is observed while a job that should be there is not. Default 20 s.
	SuspectEvery time.Duration
	// CheckEvery is how often a backend that is ready is asked whether it still is. Default 30 s.
	CheckEvery time.Duration
	// LostAfter is how long, and LostPolls in how many good observations, a job must be absent to be called lost. Default 60 s and 3.
	LostAfter time.Duration
	LostPolls int
	// LeftoverAfter is how long a job without an owner is listed before it is removed. Default 24 h.
	LeftoverAfter time.Duration
	// MarkersKept is how long the markers of cancelled jobs stay on a backend. Default 7 days.
	MarkersKept time.Duration
	// TombstonesKept is how long a RemoteJob that was cancelled from birth is kept. Default 10 min.
	TombstonesKept time.Duration
	// LateKept is how long a RemoteJob is kept whose pod had been deleted when it came: its /create has to be answered. Default 1 min.
	LateKept time.Duration
	// SweepEvery is how often payload Secrets without a RemoteJob are looked for. Default 5 min.
	SweepEvery time.Duration
	// UnaskedAfter is how long nobody must have asked about a job of a pod for it to be called unasked. 0 for never.
	UnaskedAfter time.Duration
	// CountEvery is the shortest time between two writes of a RemoteBackend's job counts. Default 2 s.
	CountEvery time.Duration
}

func (t Timings) withDefaults() Timings {
	set := func(field *time.Duration, value time.Duration) {
		if *field == 0 {
			*field = value
		}
	}
	set(&t.ObserveEvery, 30*time.Second)
	set(&t.SuspectEvery, min(20*time.Second, t.ObserveEvery))
	set(&t.CheckEvery, 30*time.Second)
	set(&t.LostAfter, time.Minute)
	set(&t.LeftoverAfter, 24*time.Hour)
	set(&t.MarkersKept, 7*24*time.Hour)
	set(&t.TombstonesKept, 10*time.Minute)
	set(&t.LateKept, time.Minute)
	set(&t.SweepEvery, 5*time.Minute)
	set(&t.CountEvery, 2*time.Second)
	if t.LostPolls == 0 {
		t.LostPolls = 3
	}
	return t
}

// The bounds of single calls to a backend. Each ends with the lease too.
const (
	checkTimeout   = 10 * time.Second
	observeTimeout = 30 * time.Second
	submitTimeout  = 2 * time.Minute
	driveTimeout   = 30 * time.Second
	cancelTimeout  = 30 * time.Second
	pruneTimeout   = time.Minute
)
