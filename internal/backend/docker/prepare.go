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
	"path"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/remotejob-dev/remotejob-operator/internal/faultpoint"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// prepared is what has been seen to be complete: the volumes of an infra container, and the generation of its files.
type prepared struct {
	infraID string
	at      places
}

// unprepare has the next run look again whether the pod's files are there.
func (j *job) unprepare() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.prepared = nil
}

// prepare fills the pod's volumes, unless that has been done, and says where they are.
func (b *Backend) prepare(ctx context.Context, j *job, w *workload.Workload, v *view) (places, error) {
	j.preparing.Lock()
	defer j.preparing.Unlock()
	j.mu.Lock()
	done := j.prepared
	j.mu.Unlock()
	if done != nil && done.infraID == v.infra.ID {
		return done.at, nil
	}
	at := placesOf(v.infra)
	if err := b.prepareMachine(ctx, w); err != nil {
		return places{}, err
	}
	if err := b.prepareDNS(ctx, w.Pod, v.infra.ID); err != nil {
		return places{}, err
	}
	there, err := b.exists(ctx, v.infra.ID, "/"+volumesMarker)
	if err != nil {
		return places{}, err
	}
	if !there {
		if err := b.upload(ctx, v.infra.ID, volumesEntries(w)); err != nil {
			return places{}, err
		}
	}
	if len(w.Files) > 0 {
		if at.files, err = b.prepareFiles(ctx, w, v); err != nil {
			return places{}, err
		}
	}
	faultpoint.Hit(faultpoint.DockerAfterFiles)
	j.mu.Lock()
	j.prepared = &prepared{infraID: v.infra.ID, at: at}
	j.mu.Unlock()
	return at, nil
}

// prepareFiles finds or makes a generation of the pod's files that is complete, and returns its place.
//
// A tmpfs goes with the last container that mounts it. An engine that was restarted under running containers has even lost the mount of
// those that run: what is put into it then does not stay. So the latest generation is tried, and where its marker is not there after it
// has been filled, the next one.
func (b *Backend) prepareFiles(ctx context.Context, w *workload.Workload, v *view) (string, error) {
	k, latest := 0, *v.infra
	for generation, holder := range v.holders {
		if generation > k {
			k, latest = generation, holder
		}
	}
	if running(&latest) {
		ok, err := b.fillFiles(ctx, w, latest.ID)
		if err != nil {
			return "", err
		}
		if ok {
			return sourceOf(&latest, infraFiles), nil
		}
	}
	holder, err := b.newHolder(ctx, w, k+1)
	if err != nil {
		return "", err
	}
	ok, err := b.fillFiles(ctx, w, holder.ID)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", errors.New("the engine does not keep the pod's files: they are gone as soon as they have been put there")
	}
	return sourceOf(&holder, infraFiles), nil
}

// fillFiles puts the pod's files into a container's tmpfs where they are not complete, and tells whether they stayed.
func (b *Backend) fillFiles(ctx context.Context, w *workload.Workload, id string) (ok bool, err error) {
	marker := "/" + filesMarker
	if ok, err := b.exists(ctx, id, marker); ok || err != nil {
		return ok, err
	}
	if err := b.upload(ctx, id, filesEntries(w)); err != nil {
		return false, err
	}
	return b.exists(ctx, id, marker)
}

// newHolder makes and starts the container that keeps the k-th generation of the pod's files.
func (b *Backend) newHolder(ctx context.Context, w *workload.Workload, k int) (container.InspectResponse, error) {
	none := container.InspectResponse{}
	if err := b.ensureInfraImage(ctx); err != nil {
		return none, err
	}
	s := holderSpec(w, b.infraImage, k)
	if _, err := b.create(ctx, s); err != nil && !errdefs.IsConflict(err) {
		return none, engineError("make a container that keeps the pod's files", err)
	}
	holder, err := b.inspectMade(ctx, s.name)
	if err != nil {
		return none, err
	}
	if err := b.mustBelong(holder, w.Token, roleHolder); err != nil {
		return none, err
	}
	if err := b.undoIfCancelled(ctx, w.Token, holder.ID); err != nil {
		return none, err
	}
	if _, err := b.engine.ContainerStart(ctx, holder.ID, client.ContainerStartOptions{}); err != nil {
		return none, engineError("start a container that keeps the pod's files", err)
	}
	return b.inspect(ctx, holder.ID)
}

// placesOf are the places of the volumes that an infra container mounts.
func placesOf(infra *container.InspectResponse) places {
	at := places{files: sourceOf(infra, infraFiles), messages: sourceOf(infra, infraMessages), volumes: map[string]string{}}
	for _, m := range infra.Mounts {
		if dir, name := path.Split(m.Destination); strings.TrimSuffix(dir, "/") == infraVolumes {
			at.volumes[name] = m.Source
		}
	}
	return at
}

// sourceOf is the place on the engine's machine of what a container mounts at target.
func sourceOf(c *container.InspectResponse, target string) string {
	for _, m := range c.Mounts {
		if m.Destination == target {
			return m.Source
		}
	}
	return ""
}

func running(c *container.InspectResponse) bool {
	return c.State.Status == container.StateRunning || c.State.Status == container.StatePaused
}
