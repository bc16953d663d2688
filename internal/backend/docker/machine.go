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
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/client"
	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// waits is why the pod's volumes can't be mounted for now.
type waits struct{ podlifecycle.Waiting }

func (w *waits) Error() string { return w.Message }

func waitFor(format string, args ...any) error {
	return &waits{podlifecycle.Waiting{Reason: podlifecycle.ReasonContainerCreating, Message: fmt.Sprintf(format, args...)}}
}

// helperTarget is where the helper container mounts what it is there for.
const helperTarget = "/x"

// prepareMachine looks whether what the pod mounts of the machine is there and of the type that it says, and makes what it says to make.
func (b *Backend) prepareMachine(ctx context.Context, w *workload.Workload) error {
	for i := range w.Pod.Spec.Volumes {
		v := &w.Pod.Spec.Volumes[i]
		var err error
		switch {
		case v.HostPath != nil:
			err = b.prepareHostPath(ctx, w, v.HostPath)
		case v.PersistentVolumeClaim != nil:
			err = b.findVolume(ctx, claimVolume(w.Pod, v.PersistentVolumeClaim))
		}
		if err != nil {
			return fmt.Errorf("volume %q: %w", v.Name, err)
		}
	}
	return nil
}

// findVolume waits for a volume that whoever runs the engine has to make.
func (b *Backend) findVolume(ctx context.Context, name string) error {
	_, err := b.engine.VolumeInspect(ctx, name, client.VolumeInspectOptions{})
	if errdefs.IsNotFound(err) {
		return waitFor("the engine has no volume %s: whoever runs it can make one (docker volume create %s)", name, name)
	}
	return engineError("look for a volume", err)
}

// prepareHostPath looks at a path of the machine through a container that is never started: so it is the engine that follows the path, as
// it will when it mounts it.
func (b *Backend) prepareHostPath(ctx context.Context, w *workload.Workload, h *corev1.HostPathVolumeSource) error {
	kind := corev1.HostPathUnset
	if h.Type != nil {
		kind = *h.Type
	}
	p := path.Clean(h.Path)
	mode, there, err := b.statHostPath(ctx, w, p, kind == corev1.HostPathUnset || kind == corev1.HostPathDirectoryOrCreate)
	if err == nil && !there && kind == corev1.HostPathFileOrCreate {
		err = b.makeHostFile(ctx, w, p)
		there = err == nil
	}
	switch {
	case err != nil:
		return err
	case !there:
		return waitFor("hostPath type check failed: %s does not exist", p)
	}
	if word := wrongType(kind, mode); word != "" {
		return waitFor("hostPath type check failed: %s is not %s", p, word)
	}
	return nil
}

// wrongType is what a path should be and is not, empty where it is.
func wrongType(kind corev1.HostPathType, mode os.FileMode) string {
	for _, t := range []struct {
		kinds []corev1.HostPathType
		word  string
		is    bool
	}{
		{[]corev1.HostPathType{corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate}, "a directory", mode.IsDir()},
		{[]corev1.HostPathType{corev1.HostPathFile, corev1.HostPathFileOrCreate}, "a file", mode.IsRegular()},
		{[]corev1.HostPathType{corev1.HostPathSocket}, "a socket file", mode&os.ModeSocket != 0},
		{[]corev1.HostPathType{corev1.HostPathCharDev}, "a character device", mode&os.ModeCharDevice != 0},
		{[]corev1.HostPathType{corev1.HostPathBlockDev}, "a block device", mode&os.ModeDevice != 0 && mode&os.ModeCharDevice == 0},
	} {
		for _, k := range t.kinds {
			if k == kind && !t.is {
				return t.word
			}
		}
	}
	return ""
}

// statHostPath tells what a path of the machine is. With create it is made, as a directory, where it is not there.
func (b *Backend) statHostPath(ctx context.Context, w *workload.Workload, p string, create bool) (mode os.FileMode, there bool, err error) {
	err = b.withHelper(ctx, w, p, create, func(id string) error {
		stat, err := b.engine.ContainerStatPath(ctx, id, client.ContainerStatPathOptions{Path: helperTarget})
		mode = stat.Stat.Mode
		return engineError("look at a path of the machine", err)
	})
	if err != nil && strings.Contains(err.Error(), "bind source path does not exist") {
		return 0, false, nil
	}
	return mode, err == nil, err
}

// makeHostFile makes an empty file of the machine, in a directory that must be there.
func (b *Backend) makeHostFile(ctx context.Context, w *workload.Workload, p string) error {
	err := b.withHelper(ctx, w, path.Dir(p), false, func(id string) error {
		return b.upload(ctx, id, []tarEntry{{name: path.Join(strings.TrimPrefix(helperTarget, "/"), path.Base(p)), mode: 0o644}})
	})
	if err != nil && strings.Contains(err.Error(), "bind source path does not exist") {
		return waitFor("hostPath type check failed: the directory of %s does not exist", p)
	}
	return err
}

// withHelper calls f with a container that mounts a path of the machine and is never started.
func (b *Backend) withHelper(ctx context.Context, w *workload.Workload, p string, create bool, f func(id string) error) error {
	s := helperSpec(w, b.infraImage, p, create)
	id, err := b.create(ctx, s)
	if errdefs.IsConflict(err) {
		// It was left behind by somebody who ended.
		if err := b.removeContainer(ctx, s.name); err != nil {
			return err
		}
		id, err = b.create(ctx, s)
	}
	if err != nil {
		return engineError("look at a path of the machine", err)
	}
	defer func() { _ = b.removeContainer(ctx, id) }()
	return f(id)
}

// helperSpec is a container that only mounts a path of the machine.
func helperSpec(w *workload.Workload, image, p string, create bool) created {
	s := created{
		name:   helperName(w.Token),
		config: container.Config{Image: image, Cmd: []string{"version"}, Labels: labels(w, roleHelper)},
		host: container.HostConfig{
			NetworkMode: "none", LogConfig: container.LogConfig{Type: "none"}, CapDrop: []string{"ALL"},
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
		},
	}
	if create {
		s.host.Binds = []string{p + ":" + helperTarget}
	} else {
		s.host.Mounts = []mount.Mount{{Type: mount.TypeBind, Source: p, Target: helperTarget}}
	}
	return s
}

// claimVolume is the engine's volume that a claim of the pod's namespace stands for. No two namespaces share one, since neither
// part can have an underscore in it; foreignClaim sees to it that it is no job's own volume.
func claimVolume(pod *corev1.Pod, claim *corev1.PersistentVolumeClaimVolumeSource) string {
	return pod.Namespace + "_" + claim.ClaimName
}
