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

package docker

import (
	"sync"
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/docker/inside"
	"github.com/remotejob-dev/remotejob-operator/internal/probe"
)

// tracker holds what is in memory of the jobs, and tells those that watch when there is reason to look at one again.
type tracker struct {
	mu       sync.Mutex
	jobs     map[string]*job
	watchers map[*func(string)]struct{}
	closed   chan struct{}
}

// job is what is in memory of one job. All of it can be made again from what the engine shows.
type job struct {
	token string
	// driving is held while the job is driven, preparing while its volumes are filled, noting while notes are written.
	driving, preparing, noting sync.Mutex

	mu sync.Mutex
	// changes counts the changes that the engine does not show; it is part of the job's fingerprint.
	changes uint64
	// ended are the inspections of containers that have ended, by ID: they do not change any more.
	ended map[string]container.InspectResponse
	// outlived are the ends that the engine has been seen to outlive, by container: see ended.go.
	outlived map[string]string
	// messages are the termination messages of containers that have ended, by ID.
	messages map[string]string
	pulls    map[string]*pull
	stops    map[string]*stop
	// runs are the containers' runs, by ID.
	runs map[string]*runMemory
	// network asks questions from inside the pod's network, through the infra container networkID; nil before the first.
	network   *inside.Network
	networkID string
	// prepared is what has been seen to be complete of the pod's volumes, nil before.
	prepared *prepared
	// storage watches what the pod takes of the disk, nil where that is not watched.
	storage *storageWatch
	// wake is when to drive the job again; zero for never.
	wake time.Time
	// troubles are why containers could not be made, by name.
	troubles map[string]trouble
}

func (t *tracker) init() {
	t.jobs = map[string]*job{}
	t.watchers = map[*func(string)]struct{}{}
	t.closed = make(chan struct{})
}

// job returns the memory of a job, new where there is none.
func (t *tracker) job(token string) *job {
	t.mu.Lock()
	defer t.mu.Unlock()
	j := t.jobs[token]
	if j == nil {
		j = &job{
			token: token, ended: map[string]container.InspectResponse{}, messages: map[string]string{}, outlived: map[string]string{},
			pulls: map[string]*pull{}, stops: map[string]*stop{}, runs: map[string]*runMemory{}, troubles: map[string]trouble{},
		}
		t.jobs[token] = j
	}
	return j
}

// known returns the memory of a job, nil where there is none.
func (t *tracker) known(token string) *job {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.jobs[token]
}

// drop forgets a job and ends what is under way for it.
func (t *tracker) drop(token string) {
	t.mu.Lock()
	j := t.jobs[token]
	delete(t.jobs, token)
	t.mu.Unlock()
	if j != nil {
		j.end()
	}
}

// changed notes a change that the engine does not show, and tells those that watch.
func (t *tracker) changed(token string) {
	if j := t.known(token); j != nil {
		j.mu.Lock()
		j.changes++
		j.mu.Unlock()
	}
	t.tell(token)
}

// tell tells those that watch that a job may have changed.
func (t *tracker) tell(token string) {
	t.mu.Lock()
	watchers := make([]*func(string), 0, len(t.watchers))
	for w := range t.watchers {
		watchers = append(watchers, w)
	}
	t.mu.Unlock()
	for _, w := range watchers {
		(*w)(token)
	}
}

// watch adds a watcher until the returned function is called.
func (t *tracker) watch(changed func(token string)) (end func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.watchers[&changed] = struct{}{}
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		delete(t.watchers, &changed)
	}
}

// close ends what is under way for all jobs.
func (t *tracker) close() {
	t.mu.Lock()
	jobs := t.jobs
	t.jobs = map[string]*job{}
	select {
	case <-t.closed:
	default:
		close(t.closed)
	}
	t.mu.Unlock()
	for _, j := range jobs {
		j.end()
	}
}

// end ends what is under way in the background for the job.
func (j *job) end() {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, p := range j.pulls {
		p.cancel()
	}
	for _, s := range j.stops {
		s.cancel()
	}
	if j.storage != nil {
		j.storage.cancel()
	}
	j.closeNetwork()
}

// forget drops what is held of containers that are gone, and returns the runs that they were.
func (j *job) forget(present map[string]bool) (gone []probe.Key) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for id, m := range j.runs {
		if !present[id] {
			gone = append(gone, m.key)
			delete(j.runs, id)
		}
	}
	for id := range j.ended {
		if !present[id] {
			delete(j.ended, id)
			delete(j.messages, id)
		}
	}
	for id := range j.outlived {
		if !present[id] {
			delete(j.outlived, id)
		}
	}
	for id, s := range j.stops {
		if !present[id] {
			s.cancel()
			delete(j.stops, id)
		}
	}
	return gone
}
