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
	"encoding/hex"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
)

// Observe lists all our jobs, by one call for the containers and one for the volumes.
func (b *Backend) Observe(ctx context.Context) (backend.Snapshot, error) {
	// The volumes come first: what is cancelled in between then shows its containers still, rather than neither.
	volumes, err := b.volumes(ctx, "")
	if err != nil {
		return backend.Snapshot{}, err
	}
	containers, err := b.containers(ctx, "")
	if err != nil {
		return backend.Snapshot{}, err
	}
	return snapshot(containers, volumes, b.changes), nil
}

// changes counts a job's changes that the engine does not show.
func (b *Backend) changes(token string) uint64 {
	j := b.jobs.known(token)
	if j == nil {
		return 0
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.changes
}

// snapshot sorts containers and volumes by job. Volumes that are left without any container are no job: they hold nothing that runs.
func snapshot(containers []container.Summary, volumes []volume.Volume, changes func(token string) uint64) backend.Snapshot {
	byToken := map[string][]container.Summary{}
	for _, c := range containers {
		token := c.Labels[labelToken]
		byToken[token] = append(byToken[token], c)
	}
	s := backend.Snapshot{Jobs: map[string]backend.ObservedJob{}}
	for token, all := range byToken {
		s.Jobs[token] = backend.ObservedJob{
			JobID: token, Pod: podOf(all[0].Labels), Job: jobOf(all[0].Labels), Fingerprint: fingerprint(all, changes(token)),
		}
	}
	for _, v := range volumes {
		token := v.Labels[labelToken]
		if _, ok := s.Jobs[token]; !ok && v.Labels[labelRole] == roleMarker {
			s.Jobs[token] = backend.ObservedJob{JobID: token, Fingerprint: "cancelled", Cancelled: true}
		}
	}
	for _, v := range volumes {
		s.Untidy = s.Untidy || v.Labels[labelRole] != roleMarker && s.Jobs[v.Labels[labelToken]].Cancelled
	}
	return s
}

// fingerprint sums up the states of a job's containers. Their times do not enter: an ID is enough to tell one run from another.
func fingerprint(containers []container.Summary, changes uint64) string {
	lines := make([]string, 0, len(containers))
	for _, c := range containers {
		line := c.ID + " " + string(c.State)
		if c.State == container.StateExited || c.State == container.StateDead {
			line += " " + c.Status[:max(strings.IndexByte(c.Status, ')'), 0)] // "Exited (1", without how long ago
		}
		lines = append(lines, line)
	}
	slices.Sort(lines)
	sum := fnv.New128a()
	_, _ = sum.Write([]byte(strings.Join(lines, "\n") + "\n" + strconv.FormatUint(changes, 10)))
	return hex.EncodeToString(sum.Sum(nil))
}

// containers lists our containers, of one job if token is not empty.
func (b *Backend) containers(ctx context.Context, token string) ([]container.Summary, error) {
	list, err := b.engine.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: b.filters(token)})
	if err != nil {
		return nil, engineError("list the containers", err)
	}
	// The engine's filters are trusted to leave nothing out, not to let nothing else in.
	return slices.DeleteFunc(list.Items, func(c container.Summary) bool {
		return !b.ours(c.Labels) || c.Labels[labelToken] == "" || token != "" && c.Labels[labelToken] != token
	}), nil
}

// volumes lists our volumes, of one job if token is not empty.
func (b *Backend) volumes(ctx context.Context, token string) ([]volume.Volume, error) {
	list, err := b.engine.VolumeList(ctx, client.VolumeListOptions{Filters: b.filters(token)})
	if err != nil {
		return nil, engineError("list the volumes", err)
	}
	return slices.DeleteFunc(list.Items, func(v volume.Volume) bool {
		return !b.ours(v.Labels) || v.Labels[labelToken] == "" || token != "" && v.Labels[labelToken] != token
	}), nil
}
