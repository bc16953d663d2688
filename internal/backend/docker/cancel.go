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
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/faultpoint"
)

// Cancel kills and removes all that carries the job's token, once the marker stands that keeps more from coming.
func (b *Backend) Cancel(ctx context.Context, ref backend.JobRef) (bool, error) {
	if err := b.mark(ctx, ref.Token); err != nil {
		return false, err
	}
	faultpoint.Hit(faultpoint.DockerAfterMarker)
	b.Retire(ref.Token)
	containersGone, err := b.removeContainers(ctx, ref.Token)
	if err != nil || !containersGone {
		return false, err
	}
	faultpoint.Hit(faultpoint.DockerAfterContainersRemoved)
	volumesGone, err := b.removeVolumes(ctx, ref.Token)
	if err != nil || !volumesGone {
		return false, err
	}
	faultpoint.Hit(faultpoint.DockerAfterVolumesRemoved)
	return true, nil
}

// removeContainers removes the job's containers, the infra container last: the others are in its network. It looks again afterwards.
func (b *Backend) removeContainers(ctx context.Context, token string) (gone bool, err error) {
	list, err := b.containers(ctx, token)
	if err != nil {
		return false, err
	}
	var infra []string
	var failed []error
	for _, c := range list {
		if c.Labels[labelRole] == roleInfra {
			infra = append(infra, c.ID)
			continue
		}
		failed = append(failed, b.removeContainer(ctx, c.ID))
	}
	for _, id := range infra {
		failed = append(failed, b.removeContainer(ctx, id))
	}
	if err := errors.Join(failed...); err != nil {
		return false, err
	}
	list, err = b.containers(ctx, token)
	return err == nil && len(list) == 0, err
}

// removeContainer kills and removes a container and the nameless volumes that its image asked for.
func (b *Backend) removeContainer(ctx context.Context, id string) error {
	_, err := b.engine.ContainerRemove(ctx, id, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	if isBeingRemoved(err) {
		return nil
	}
	return engineError("remove a container", err)
}

// isBeingRemoved tells whether a container could not be removed since somebody else has done it, or is about to.
func isBeingRemoved(err error) bool {
	return errdefs.IsNotFound(err) || errdefs.IsConflict(err) && strings.Contains(err.Error(), "already in progress")
}

// removeIdle removes a container that does not run. One that does, since somebody else has started it, is left alone: that is a conflict.
func (b *Backend) removeIdle(ctx context.Context, id string) error {
	_, err := b.engine.ContainerRemove(ctx, id, client.ContainerRemoveOptions{RemoveVolumes: true})
	if isBeingRemoved(err) {
		return nil
	}
	return engineError("remove a container that does not run", err)
}

// removeVolumes removes the job's volumes but for the marker. It is not gone while a volume is in use.
func (b *Backend) removeVolumes(ctx context.Context, token string) (gone bool, err error) {
	list, err := b.volumes(ctx, token)
	if err != nil {
		return false, err
	}
	gone = true
	for _, v := range list {
		if v.Labels[labelRole] == roleMarker {
			continue
		}
		switch err := b.removeVolume(ctx, v.Name); {
		case err == nil:
		case isStuckVolume(err):
			// An engine that was restarted under running containers (20.10 with live-restore) does not get rid of such a volume before its next
			// restart. It holds nothing any more: the job is gone. PruneMarkers tries again.
			log.FromContext(ctx).Info("the engine can't remove an empty volume yet; it will be tried again", "volume", v.Name, "error", err.Error())
		case errdefs.IsConflict(err):
			gone = false
		default:
			return false, err
		}
	}
	return gone, nil
}

// removeVolume removes a volume, with what it takes where its engine can't as it is.
func (b *Backend) removeVolume(ctx context.Context, name string) error {
	_, err := b.engine.VolumeRemove(ctx, name, client.VolumeRemoveOptions{})
	if err != nil && isHollowVolume(err) {
		if err := b.refill(ctx, name); err != nil {
			return err
		}
		_, err = b.engine.VolumeRemove(ctx, name, client.VolumeRemoveOptions{})
	}
	if errdefs.IsNotFound(err) {
		return nil
	}
	return engineError("remove a volume", err)
}

// isHollowVolume tells whether an engine can't remove a volume since the volume's directory is gone: it was killed after it had removed the
// directory, and before it forgot the volume. Of a volume with a file system of its own (tmpfs) it insists on unmounting that first.
func isHollowVolume(err error) bool {
	return strings.Contains(err.Error(), "umount ") && strings.Contains(err.Error(), "no such file or directory")
}

// refill makes the directory of such a volume anew, by the one call of the engine's API that does: who starts a container with a bind gets
// its source made where that is not there.
func (b *Backend) refill(ctx context.Context, name string) error {
	seen, err := b.engine.VolumeInspect(ctx, name, client.VolumeInspectOptions{})
	if errdefs.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return engineError("look at a volume", err)
	}
	if err := b.ensureInfraImage(ctx); err != nil {
		return err
	}
	labels := maps.Clone(seen.Volume.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	labels[labelRole] = roleHelper
	// One that a manager left that was killed in here.
	if err := b.removeContainer(ctx, refillName(name)); err != nil {
		return err
	}
	id, err := b.create(ctx, created{
		name:   refillName(name),
		config: container.Config{Image: b.infraImage, Cmd: []string{"version"}, Labels: labels},
		host:   container.HostConfig{NetworkMode: "none", Binds: []string{seen.Volume.Mountpoint + ":" + infraVolumes}},
	})
	if err != nil {
		return engineError("make a container that gives a volume its directory back", err)
	}
	_, err = b.engine.ContainerStart(ctx, id, client.ContainerStartOptions{})
	return errors.Join(engineError("give a volume its directory back", err), b.removeContainer(context.WithoutCancel(ctx), id))
}

// isStuckVolume tells the complaint of an engine that has miscounted who mounts a volume from that about a volume in use.
func isStuckVolume(err error) bool {
	return strings.Contains(err.Error(), "active mounts")
}

// Retire ends what is under way for a job in the background and drops it from memory.
func (b *Backend) Retire(token string) {
	b.jobs.drop(token)
	b.probes.StopPod(token)
	b.hooks.StopPod(token)
}
