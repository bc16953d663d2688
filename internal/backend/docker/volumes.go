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
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/moby/api/types/mount"
	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// Where a pod's volumes are on the engine's machine.
//
// An emptyDir is a volume of the engine. All files that come with the pod (ConfigMaps, Secrets, …) are in one tmpfs, a directory per
// volume, and containers get those directories as read-only binds: so no container can show another path of the machine by changing
// what a bind's source is, a part of a volume (subPath) is no different from the whole, and an engine that has lost the tmpfs refuses to
// start the container instead of showing it an empty directory.

// places are where the engine has a pod's volumes, as paths of its machine.
type places struct {
	// files is the tmpfs of the pod's files, messages the directory of the termination messages.
	files, messages string
	// volumes are the emptyDir volumes by name.
	volumes map[string]string
}

// volumeMount mounts a volume of the job. The engine makes it where it is not there, with the labels by which it is found again.
func volumeMount(w *workload.Workload, name, target string, options map[string]string) mount.Mount {
	return mount.Mount{
		Type: mount.TypeVolume, Source: name, Target: target,
		VolumeOptions: &mount.VolumeOptions{
			NoCopy:       true,
			Labels:       labels(w, roleVolume),
			DriverConfig: &mount.Driver{Name: "local", Options: options},
		},
	}
}

// infraMounts are what the infra container mounts: all volumes of the job, so that they are filled, read and kept through it.
func infraMounts(w *workload.Workload) []mount.Mount {
	mounts := []mount.Mount{volumeMount(w, messagesVolume(w.Token), infraMessages, nil)}
	if len(w.Files) > 0 {
		mounts = append(mounts, filesMount(w, 0))
	}
	for i := range w.Pod.Spec.Volumes {
		v := &w.Pod.Spec.Volumes[i]
		if v.EmptyDir != nil {
			mounts = append(mounts, volumeMount(w, emptyDirVolume(w.Token, v.Name), path.Join(infraVolumes, v.Name), emptyDirOptions(w.Pod, v.EmptyDir)))
		}
	}
	return mounts
}

// filesMount mounts the k-th generation of the tmpfs with the pod's files.
func filesMount(w *workload.Workload, k int) mount.Mount {
	return volumeMount(w, filesVolume(w.Token, k), infraFiles, map[string]string{
		"type": "tmpfs", "device": "tmpfs", "o": "mode=0700,nosuid,nodev,size=" + strconv.FormatInt(filesSize(w), 10),
	})
}

// filesSize is a bound for the tmpfs that the pod's files fit in: whole pages for their content, and room for what a file costs besides.
func filesSize(w *workload.Workload) int64 {
	const page, perFile = 4096, 4096
	size := int64(1 << 20)
	for _, v := range w.Files {
		for _, f := range v.Files {
			size += (int64(len(f.Data))+page-1)/page*page + perFile
		}
	}
	return size
}

// emptyDirOptions are those of the volume that is an emptyDir, nil for one on the engine's disk.
func emptyDirOptions(pod *corev1.Pod, e *corev1.EmptyDirVolumeSource) map[string]string {
	if e.Medium != corev1.StorageMediumMemory {
		return nil
	}
	mode := fmt.Sprintf("mode=%#o,nosuid,nodev", emptyDirMode(pod, e))
	if e.SizeLimit != nil && !e.SizeLimit.IsZero() {
		mode += ",size=" + strconv.FormatInt(e.SizeLimit.Value(), 10)
	}
	if group := fsGroup(pod); group != nil {
		mode += ",gid=" + strconv.FormatInt(*group, 10)
	}
	return map[string]string{"type": "tmpfs", "device": "tmpfs", "o": mode}
}

// emptyDirMode is that of a new emptyDir: anybody may write unless the pod says otherwise, and what is made in it belongs to the pod's
// group, if it has one.
func emptyDirMode(pod *corev1.Pod, e *corev1.EmptyDirVolumeSource) int64 {
	mode := int64(0o777)
	if e.Mode != nil {
		mode = int64(*e.Mode)
	}
	if fsGroup(pod) != nil {
		mode |= 0o2070
	}
	return mode
}

func fsGroup(pod *corev1.Pod) *int64 {
	if pod.Spec.SecurityContext == nil {
		return nil
	}
	return pod.Spec.SecurityContext.FSGroup
}

// containerMounts are what a container mounts.
func containerMounts(w *workload.Workload, c *corev1.Container, at places, m machine) ([]mount.Mount, error) {
	var mounts []mount.Mount
	for i := range c.VolumeMounts {
		vm := &c.VolumeMounts[i]
		j := slices.IndexFunc(w.Pod.Spec.Volumes, func(v corev1.Volume) bool { return v.Name == vm.Name })
		if j < 0 {
			return nil, fmt.Errorf("volumeMounts %q: the pod has no such volume", vm.Name)
		}
		one, err := containerMount(w, vm, &w.Pod.Spec.Volumes[j], at, m)
		if err != nil {
			return nil, fmt.Errorf("volumeMounts %q: %w", vm.Name, err)
		}
		mounts = append(mounts, one)
	}
	return mounts, nil
}

func containerMount(w *workload.Workload, vm *corev1.VolumeMount, v *corev1.Volume, at places, m machine) (mount.Mount, error) {
	sub, err := cleanSubPath(vm.SubPath)
	if err != nil {
		return mount.Mount{}, err
	}
	target := path.Clean(vm.MountPath)
	switch {
	case isFileVolume(w, v):
		return bind(path.Join(at.files, v.Name, sub), target, true), nil
	case v.EmptyDir != nil:
		one := volumeMount(w, emptyDirVolume(w.Token, v.Name), target, emptyDirOptions(w.Pod, v.EmptyDir))
		one.ReadOnly = vm.ReadOnly
		return subPathMount(one, at.volumes[v.Name], sub, m)
	case v.HostPath != nil:
		one := bind(path.Clean(v.HostPath.Path), target, vm.ReadOnly)
		if propagates(vm) {
			one.BindOptions = &mount.BindOptions{Propagation: propagation(*vm.MountPropagation)}
		}
		return one, nil
	case v.PersistentVolumeClaim != nil:
		one := mount.Mount{
			Type: mount.TypeVolume, Source: claimVolume(w.Pod, v.PersistentVolumeClaim), Target: target,
			ReadOnly: vm.ReadOnly || v.PersistentVolumeClaim.ReadOnly, VolumeOptions: &mount.VolumeOptions{NoCopy: true},
		}
		return subPathMount(one, "", sub, m)
	default:
		return mount.Mount{}, fmt.Errorf("volumes of this kind can't be mounted on Docker")
	}
}

// subPathMount narrows the mount of a volume down to a part of it. Engines that can't do that safely by themselves get a bind of the
// part, which unsupportedSubPath has found to be safe.
func subPathMount(one mount.Mount, source, sub string, m machine) (mount.Mount, error) {
	switch {
	case sub == "":
		return one, nil
	case m.subpath:
		one.VolumeOptions.Subpath = sub
		return one, nil
	case source == "":
		return mount.Mount{}, fmt.Errorf("subPath %q of this volume needs an engine with API 1.45 or later", sub)
	default:
		return bind(path.Join(source, sub), one.Target, one.ReadOnly), nil
	}
}

// bind mounts a part of one of the job's volumes. The engine does not take binds of what it keeps itself that are private, and chooses
// better by itself.
func bind(source, target string, readOnly bool) mount.Mount {
	return mount.Mount{Type: mount.TypeBind, Source: source, Target: target, ReadOnly: readOnly}
}

func propagation(mode corev1.MountPropagationMode) mount.Propagation {
	if mode == corev1.MountPropagationBidirectional {
		return mount.PropagationRShared
	}
	return mount.PropagationRSlave
}

// isFileVolume tells whether a volume is made of the files that come with the pod.
func isFileVolume(w *workload.Workload, v *corev1.Volume) bool {
	_, ok := w.Files[v.Name]
	return ok
}

// cleanSubPath is a subPath without what leads nowhere, empty for the whole volume.
func cleanSubPath(sub string) (string, error) {
	if sub == "" {
		return "", nil
	}
	if path.IsAbs(sub) || slices.Contains(strings.Split(sub, "/"), "..") {
		return "", fmt.Errorf("subPath %q leads out of the volume", sub)
	}
	if sub = path.Clean(sub); sub == "." {
		return "", nil
	}
	return sub, nil
}
