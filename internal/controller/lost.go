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

// absence is what good observations say of a job that is recorded as submitted and that the backend does not show.
type absence struct {
	// polls in a row that did not show it. A poll that failed is none.
	polls int
	// since is when the first of them was begun.
	since time.Time
}

// next is the absence after one more good poll that did not show the job.
func (a absence) next(begun time.Time) absence {
	if a.polls == 0 {
		a.since = begun
	}
	a.polls++
	return a
}

// lost tells whether the job is to be called lost.
func (a absence) lost(now time.Time, t Timings) bool {
	return a.polls >= t.LostPolls && now.Sub(a.since) >= t.LostAfter
}
