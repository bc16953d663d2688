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
	"path"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// The files that say that what stands beside them is complete. They are written last, and no container mounts the directories that they
// are in.
const (
	filesMarker   = "files/.complete"
	volumesMarker = "messages/.complete"
)

// filesEntries are the files that come with the pod, and their marker, as entries below the infra container's root.
func filesEntries(w *workload.Workload) []tarEntry {
	var entries []tarEntry
	for i := range w.Pod.Spec.Volumes {
		v := &w.Pod.Spec.Volumes[i]
		if isFileVolume(w, v) {
			entries = append(entries, fileVolumeEntries(w, v.Name)...)
		}
	}
	return append(entries, tarEntry{name: filesMarker, mode: 0o400})
}

// fileVolumeEntries are one volume: directories before what is in them.
func fileVolumeEntries(w *workload.Workload, volume string) []tarEntry {
	group := fsGroup(w.Pod)
	root := path.Join(strings.TrimPrefix(infraFiles, "/"), volume)
	made := map[string]bool{}
	var entries []tarEntry
	var dir func(p string)
	dir = func(p string) {
		if p == "." || p == "/" || made[p] {
			return
		}
		if p != root {
			dir(path.Dir(p))
		}
		made[p] = true
		e := tarEntry{name: p + "/", mode: 0o755, dir: true}
		if group != nil {
			e.gid, e.mode = int(*group), 0o2755
		}
		entries = append(entries, e)
	}
	dir(root)
	for _, f := range w.Files[volume].Files {
		p := path.Join(root, f.Path)
		dir(path.Dir(p))
		e := tarEntry{name: p, mode: int64(f.Mode) & 0o777, data: f.Data}
		if f.User != nil {
			e.uid = int(*f.User)
		}
		if group != nil {
			e.gid = int(*group)
			e.mode |= 0o440
		}
		entries = append(entries, e)
	}
	// A subPath that names nothing is an empty directory, as on a kubelet.
	for _, sub := range subPaths(w.Pod, volume) {
		if p := path.Join(root, sub); !slices.ContainsFunc(w.Files[volume].Files, func(f workload.File) bool {
			return f.Path == sub || strings.HasPrefix(sub, f.Path+"/")
		}) {
			dir(p)
		}
	}
	return entries
}

// subPaths are the parts of a volume that the pod's containers mount.
func subPaths(pod *corev1.Pod, volume string) []string {
	var subs []string
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		for _, vm := range c.VolumeMounts {
			if sub, err := cleanSubPath(vm.SubPath); err == nil && sub != "" && vm.Name == volume {
				subs = append(subs, sub)
			}
		}
	}
	return subs
}

// volumesEntries are the emptyDir volumes as they are to be at first, the containers' first termination messages, and the marker of both.
func volumesEntries(w *workload.Workload) []tarEntry {
	var entries []tarEntry
	for i := range w.Pod.Spec.Volumes {
		v := &w.Pod.Spec.Volumes[i]
		if v.EmptyDir == nil || v.EmptyDir.Medium == corev1.StorageMediumMemory {
			continue
		}
		e := tarEntry{name: path.Join(strings.TrimPrefix(infraVolumes, "/"), v.Name) + "/", mode: emptyDirMode(w.Pod, v.EmptyDir), dir: true}
		if group := fsGroup(w.Pod); group != nil {
			e.gid = int(*group)
		}
		entries = append(entries, e)
	}
	for _, c := range slices.Concat(w.Pod.Spec.InitContainers, w.Pod.Spec.Containers) {
		entries = append(entries, messageEntry(c.Name, 0))
	}
	return append(entries, tarEntry{name: volumesMarker, mode: 0o400})
}

// messageName is the file in the volume of termination messages that the n-th run of a container writes to.
func messageName(container string, n int32) string {
	return container + "-" + strconv.Itoa(int(n))
}

// messageEntry is that file, empty and open to any user, as the kubelet makes it.
func messageEntry(container string, n int32) tarEntry {
	return tarEntry{name: path.Join(strings.TrimPrefix(infraMessages, "/"), messageName(container, n)), mode: 0o666}
}
