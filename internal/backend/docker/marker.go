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
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
)

// A token is cancelled by a marker: an empty volume of a name that is made of the token. Whoever makes or starts a container looks for
// the marker after the container is made and before it is started. So of a Cancel and a late Submit that meet, one sees the other:
// either the container was made before the marker, and Cancel finds and removes it, or the marker was there before the container was
// made, and whoever made it removes it again.

// mark makes the marker. One that is there stays as it is.
func (b *Backend) mark(ctx context.Context, token string) error {
	_, err := b.engine.VolumeCreate(ctx, client.VolumeCreateOptions{
		Name:   markerVolume(token),
		Driver: "local",
		Labels: map[string]string{
			labelLedger: b.opts.Ledger, labelBackend: string(b.opts.Backend), labelToken: token, labelRole: roleMarker,
			labelTime: time.Now().UTC().Format(time.RFC3339),
		},
	})
	return engineError("leave the marker of the cancelled job", err)
}

// marked tells whether the token has been cancelled.
func (b *Backend) marked(ctx context.Context, token string) (bool, error) {
	_, err := b.engine.VolumeInspect(ctx, markerVolume(token), client.VolumeInspectOptions{})
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, engineError("look for the marker of a cancelled job", err)
}

// errCancelled is what a token that has been cancelled gets.
func errCancelled() error {
	return backend.Rejected(backend.ReasonCancelled, "the job has been cancelled")
}

// PruneMarkers removes the markers that Cancel left before the given time, and what is left of the volumes of all jobs that were cancelled,
// where the engine lets it. A marker stays as long as another volume of its job.
func (b *Backend) PruneMarkers(ctx context.Context, before time.Time) error {
	all, err := b.volumes(ctx, "")
	if err != nil {
		return err
	}
	left := map[string][]string{}
	for _, v := range all {
		if v.Labels[labelRole] != roleMarker {
			left[v.Labels[labelToken]] = append(left[v.Labels[labelToken]], v.Name)
		}
	}
	for _, v := range all {
		if v.Labels[labelRole] != roleMarker {
			continue
		}
		tidy := true
		for _, name := range left[v.Labels[labelToken]] {
			switch err := b.removeVolume(ctx, name); {
			case err == nil:
			case errdefs.IsConflict(err) || isStuckVolume(err):
				tidy = false
			default:
				return err
			}
		}
		if !tidy || !markedBefore(v.Labels[labelTime], before) {
			continue
		}
		if err := b.removeVolume(ctx, v.Name); err != nil {
			return err
		}
	}
	return nil
}

// markedBefore tells whether a marker is old enough to go. One whose time can't be read is of no use to anybody's count, and goes.
func markedBefore(made string, before time.Time) bool {
	t, err := time.Parse(time.RFC3339, made)
	return err != nil || t.Before(before)
}
