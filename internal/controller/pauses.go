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
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// pauses are the times before which jobs are not submitted again. A failed attempt changes the job's status, which asks for a visit at
// once, and so may what the attempt left on the backend; neither is a reason to try earlier. Another manager may.
type pauses struct {
	mu    sync.Mutex
	times map[types.UID]time.Time
}

func newPauses() *pauses { return &pauses{times: map[types.UID]time.Time{}} }

func (p *pauses) until(job types.UID) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.times[job]
}

func (p *pauses) put(job types.UID, until time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.times[job] = until
}

func (p *pauses) forget(job types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.times, job)
}
