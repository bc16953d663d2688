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
	"errors"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/volume"
	"github.com/moby/moby/client"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
)

// TestWhatAnEngineDidNotLetGoIsRemovedLater has a volume of a cancelled job be left: in use at first, as far as the engine knows.
func TestWhatAnEngineDidNotLetGoIsRemovedLater(t *testing.T) {
	w := newWorld()
	b := w.connect(t)
	ctx := t.Context()
	const token = "rj-00000000000000000000000000000001"
	name := token + "_f0"
	labels := map[string]string{labelLedger: w.ledger, labelBackend: string(w.backend), labelToken: token}
	if _, err := b.engine.VolumeCreate(ctx, client.VolumeCreateOptions{Name: name, Driver: "local", Labels: labels}); err != nil {
		t.Fatal(err)
	}
	user, err := b.engine.ContainerCreate(ctx, client.ContainerCreateOptions{
		Config:     &container.Config{Image: testImage},
		HostConfig: &container.HostConfig{Mounts: []mount.Mount{{Type: mount.TypeVolume, Source: name, Target: "/v"}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	remove := func() {
		if err := b.removeContainer(context.WithoutCancel(ctx), user.ID); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(func() {
		remove()
		for _, name := range []string{name, markerVolume(token)} {
			if err := b.removeVolume(context.WithoutCancel(ctx), name); err != nil {
				t.Error(err)
			}
		}
	})
	if err := b.mark(ctx, token); err != nil {
		t.Fatal(err)
	}
	tidied := func(before time.Time, untidy bool, left int) {
		t.Helper()
		if err := b.PruneMarkers(ctx, before); err != nil {
			t.Fatal(err)
		}
		seen, err := b.Observe(ctx)
		if err != nil {
			t.Fatal(err)
		}
		volumes, err := b.volumes(ctx, token)
		if err != nil || len(volumes) != left || seen.Untidy != untidy || seen.Jobs[token].Cancelled != (left > 0) {
			t.Errorf("there are %d volumes (%v), and a look shows %+v", len(volumes), err, seen)
		}
	}
	longAgo, later := time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	tidied(longAgo, true, 2)
	tidied(later, true, 2) // the marker says why the volume is there
	remove()
	tidied(longAgo, false, 1)
	tidied(later, false, 0)
}

// TestAVolumeWhoseDirectoryIsGoneIsRemoved has an engine be as one that was killed in the middle of removing a tmpfs.
func TestAVolumeWhoseDirectoryIsGoneIsRemoved(t *testing.T) {
	w := newWorld()
	b := w.connect(t)
	ctx := t.Context()
	const token = "rj-00000000000000000000000000000002"
	name := filesVolume(token, 0)
	labels := map[string]string{labelLedger: w.ledger, labelBackend: string(w.backend), labelToken: token, labelRole: roleVolume}
	for what, remove := range map[string]func(t *testing.T) error{
		"by a cancel": func(*testing.T) error {
			gone, err := b.Cancel(ctx, backend.JobRef{Token: token})
			if err == nil && !gone {
				err = errors.New("it is not gone")
			}
			return err
		},
		// As PruneMarkers does, which removes no containers.
		"after a manager was killed that did so": func(t *testing.T) error {
			t.Helper()
			helper := maps.Clone(labels)
			helper[labelRole] = roleHelper
			if err := b.ensureInfraImage(ctx); err != nil {
				t.Fatal(err)
			}
			if _, err := b.create(ctx, created{name: refillName(name), config: container.Config{Image: b.infraImage, Cmd: []string{"version"}, Labels: helper}}); err != nil {
				t.Fatal(err)
			}
			return b.removeVolume(ctx, name)
		},
	} {
		t.Run(what, func(t *testing.T) {
			made, err := b.engine.VolumeCreate(ctx, client.VolumeCreateOptions{
				Name: name, Driver: "local", DriverOpts: map[string]string{"type": "tmpfs", "device": "tmpfs", "o": "size=1m"}, Labels: labels,
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				for _, name := range []string{name, markerVolume(token)} {
					if err := b.removeVolume(context.WithoutCancel(ctx), name); err != nil {
						t.Error(err)
					}
				}
			})
			if err := os.Remove(made.Volume.Mountpoint); err != nil {
				t.Fatalf("the test has to be where its engine is, and root: %v", err)
			}
			if _, err := b.engine.VolumeRemove(ctx, name, client.VolumeRemoveOptions{}); err == nil || !isHollowVolume(err) {
				t.Fatalf("the engine says: %v", err)
			}
			if err := remove(t); err != nil {
				t.Fatal(err)
			}
			volumes, err := b.volumes(ctx, token)
			if err != nil || slices.ContainsFunc(volumes, func(v volume.Volume) bool { return v.Name != markerVolume(token) }) {
				t.Errorf("there are %+v (%v)", volumes, err)
			}
			if containers, err := b.containers(ctx, token); err != nil || len(containers) > 0 {
				t.Errorf("there are %+v (%v)", containers, err)
			}
		})
	}
}
