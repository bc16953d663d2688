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
	"context"
	"encoding/json"
	"fmt"
	"path"
	"strings"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/docker/inside"
	"github.com/remotejob-dev/remotejob-operator/internal/probe"
)

// notes are what has been done to a run that the engine does not show. They are written beside its termination message, so that a manager
// that comes after a crash does not run a hook again, nor take an end that a probe brought about for the container's own.
type notes struct {
	// PostStart and PreStop are set once the hook has been run.
	PostStart bool `json:"postStart,omitempty"`
	PreStop   bool `json:"preStop,omitempty"`
	// StopReason is why the container alone was asked to end.
	StopReason string `json:"stopReason,omitempty"`
}

// runMemory is what is in memory of one run beside what the engine shows.
type runMemory struct {
	key probe.Key
	// notes are nil before they have been read.
	notes *notes
	// reach runs commands in it, nil before the first.
	reach *inside.Container
	// outcome is what was known when it ended, nil before.
	outcome *outcome
	// forgotten is set where it has run though the engine shows it as never started: see forgotten.go.
	forgotten bool
}

// run is the memory of one run. The caller holds the job's lock.
func (j *job) run(name string, r *seenRun) *runMemory {
	return j.runByID(probe.Key{Token: j.token, Container: name, N: r.n}, r.ID)
}

func (j *job) runByID(key probe.Key, id string) *runMemory {
	m := j.runs[id]
	if m == nil {
		m = &runMemory{key: key}
		j.runs[id] = m
	}
	return m
}

func notesFile(container string, n int32) string { return messageName(container, n) + ".notes" }

// notesOf reads what has been noted of a run, once.
func (b *Backend) notesOf(ctx context.Context, j *job, v *view, name string, r *seenRun) (notes, error) {
	j.mu.Lock()
	known := j.run(name, r).notes
	j.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	text, err := b.readTail(ctx, v.infra.ID, path.Join(infraMessages, notesFile(name, r.n)))
	if err != nil {
		return notes{}, err
	}
	var found notes
	if err := json.Unmarshal([]byte(text), &found); err != nil {
		found = notes{} // none, or one that was being written when its writer ended
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if m := j.run(name, r); m.notes == nil {
		m.notes = &found
	}
	return *j.run(name, r).notes, nil
}

// note changes what is noted of a run, and writes it down. The change is in memory even where that fails.
func (b *Backend) note(ctx context.Context, j *job, v *view, name string, r *seenRun, change func(*notes)) error {
	j.noting.Lock()
	defer j.noting.Unlock()
	j.mu.Lock()
	m := j.run(name, r)
	if m.notes == nil {
		m.notes = &notes{}
	}
	changed := *m.notes
	change(&changed)
	m.notes = &changed
	j.mu.Unlock()
	text, err := json.Marshal(changed)
	if err != nil {
		return fmt.Errorf("note what was done to a container: %w", err)
	}
	file := path.Join(strings.TrimPrefix(infraMessages, "/"), notesFile(name, r.n))
	return b.upload(ctx, v.infra.ID, []tarEntry{{name: file, mode: 0o600, data: text}})
}
