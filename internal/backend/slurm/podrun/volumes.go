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

package podrun

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/runtime"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/stage"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// volumes are the pod's on this node.
type volumes struct {
	// paths by volume name.
	paths map[string]string
	// files are those made of files, which are never written.
	files map[string]bool
	// memory is the directory of what is kept in memory, empty where there is none.
	memory string
	// made are those that are the pod's own, and whose group is the pod's.
	made []string
}

// makeVolumes makes the volumes that are the pod's own. Those of the node are looked at when a container mounts them.
func (r *runner) makeVolumes() (*volumes, error) {
	v := &volumes{paths: map[string]string{}, files: map[string]bool{}}
	for _, dir := range []string{"v", "f"} {
		if err := os.Mkdir(filepath.Join(r.scratch, dir), jobdir.DirMode); err != nil {
			return nil, fmt.Errorf("make the pod's volumes: %w", err)
		}
	}
	for i := range r.pod.Spec.Volumes {
		if err := r.makeVolume(v, &r.pod.Spec.Volumes[i]); err != nil {
			return nil, fmt.Errorf("make the volume %s: %w", r.pod.Spec.Volumes[i].Name, err)
		}
	}
	return v, nil
}

func (r *runner) makeVolume(v *volumes, volume *corev1.Volume) error {
	if content, ok := r.spec.Files[volume.Name]; ok {
		// Each rank writes its own, on its node.
		v.paths[volume.Name], v.files[volume.Name] = filepath.Join(r.scratch, "f", volume.Name), true
		v.made = append(v.made, v.paths[volume.Name])
		return writeFiles(v.paths[volume.Name], content)
	}
	switch {
	case volume.EmptyDir != nil:
		dir := filepath.Join(r.scratch, "v")
		if len(r.spec.Launch) > 0 {
			dir = r.Dir.Volumes() // ranks on other nodes share it
		} else if volume.EmptyDir.Medium == corev1.StorageMediumMemory {
			var err error
			if dir, err = r.memoryDir(v); err != nil {
				return err
			}
		}
		v.paths[volume.Name] = filepath.Join(dir, volume.Name)
		v.made = append(v.made, v.paths[volume.Name])
		return makeDir(v.paths[volume.Name], emptyDirMode(volume.EmptyDir))
	case volume.HostPath != nil:
		v.paths[volume.Name] = volume.HostPath.Path
		return hostPath(volume.HostPath)
	case volume.PersistentVolumeClaim != nil:
		base, _, err := jobdir.BaseOf(r.Dir)
		if err != nil {
			return err
		}
		v.paths[volume.Name] = base.Volume(r.pod.Namespace, volume.PersistentVolumeClaim.ClaimName)
		info, err := os.Stat(v.paths[volume.Name])
		if err == nil && !info.IsDir() {
			err = errors.New("it is not a directory")
		}
		if err != nil {
			return fmt.Errorf("the claim %s has no directory %s, which whoever runs the backend makes: %w",
				volume.PersistentVolumeClaim.ClaimName, v.paths[volume.Name], err)
		}
		return nil
	default:
		// One of files that no container mounts was not resolved.
		v.paths[volume.Name] = filepath.Join(r.scratch, "f", volume.Name)
		return makeDir(v.paths[volume.Name], 0o755)
	}
}

func (r *runner) memoryDir(v *volumes) (string, error) {
	if v.memory == "" {
		v.memory = filepath.Join("/dev/shm", filepath.Base(r.scratch)+"-m") //nolint:gocritic // the root is a path of its own
		_ = os.RemoveAll(v.memory)
		if err := os.Mkdir(v.memory, jobdir.DirMode); err != nil {
			v.memory = ""
			return "", err
		}
	}
	return v.memory, nil
}

// emptyDirMode is the mode of an emptyDir: any user of the pod may write to it unless the pod says otherwise. The directory above keeps
// others out.
func emptyDirMode(e *corev1.EmptyDirVolumeSource) os.FileMode {
	if e.Mode == nil {
		return 0o777
	}
	mode := os.FileMode(*e.Mode & 0o777)
	if *e.Mode&0o1000 != 0 {
		mode |= os.ModeSticky
	}
	return mode
}

func makeDir(name string, mode os.FileMode) error {
	if err := os.MkdirAll(name, jobdir.DirMode); err != nil {
		return err
	}
	return os.Chmod(name, mode)
}

// writeFiles makes a volume of files.
func writeFiles(dir string, content workload.FileVolume) error {
	if err := makeDir(dir, 0o755); err != nil {
		return err
	}
	for _, file := range content.Files {
		name := filepath.Join(dir, filepath.FromSlash(file.Path))
		for up := path.Dir(file.Path); up != "."; up = path.Dir(up) {
			if err := makeDir(filepath.Join(dir, filepath.FromSlash(up)), 0o755); err != nil {
				return err
			}
		}
		if err := writeMode(name, file.Data, os.FileMode(file.Mode&0o777)); err != nil {
			return err
		}
	}
	return nil
}

// kindWords are the kinds of a path in words, as a kubelet has them.
var kindWords = map[corev1.HostPathType]string{
	corev1.HostPathDirectory: "directory", corev1.HostPathDirectoryOrCreate: "directory",
	corev1.HostPathFile: "file", corev1.HostPathFileOrCreate: "file",
	corev1.HostPathSocket: "socket file", corev1.HostPathCharDev: "character device", corev1.HostPathBlockDev: "block device",
}

// hostPath sees to it that a path of the node is what the pod says it is.
func hostPath(h *corev1.HostPathVolumeSource) error {
	kind := corev1.HostPathUnset
	if h.Type != nil {
		kind = *h.Type
	}
	info, err := os.Stat(h.Path)
	if errors.Is(err, fs.ErrNotExist) {
		switch kind {
		case corev1.HostPathDirectoryOrCreate, corev1.HostPathUnset:
			return os.MkdirAll(h.Path, 0o755) //nolint:gosec // as a kubelet makes it
		case corev1.HostPathFileOrCreate:
			return os.WriteFile(h.Path, nil, 0o644) //nolint:gosec // as a kubelet makes it
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s does not exist", h.Path)
	}
	if err != nil {
		return err
	}
	ok := true
	switch mode := info.Mode(); kind {
	case corev1.HostPathDirectory, corev1.HostPathDirectoryOrCreate:
		ok = mode.IsDir()
	case corev1.HostPathFile, corev1.HostPathFileOrCreate:
		ok = mode.IsRegular()
	case corev1.HostPathSocket:
		ok = mode&fs.ModeSocket != 0
	case corev1.HostPathCharDev:
		ok = mode&fs.ModeCharDevice != 0
	case corev1.HostPathBlockDev:
		ok = mode&fs.ModeDevice != 0 && mode&fs.ModeCharDevice == 0
	}
	if !ok {
		return fmt.Errorf("%s is not a %s", h.Path, kindWords[kind])
	}
	return nil
}

// mounts are those of a container: its volumes, its termination message, and the files by which names are resolved.
func (r *runner) mounts(ctx context.Context, i *instance) ([]stage.Mount, error) {
	if err := r.own(ctx); err != nil {
		return nil, err
	}
	var mounts []stage.Mount
	if path := i.spec.TerminationMessagePath; path != "" && !r.linksMessage(path) && !mountedAt(i.spec, path) {
		mounts = append(mounts, stage.Mount{Source: filepath.Join(i.made.Dir, "agent", "message"), Target: filepath.Clean(path), File: true})
	}
	for target, file := range map[string]string{"/etc/hosts": r.hosts, "/etc/resolv.conf": r.resolv} {
		if file != "" && !mountedAt(i.spec, target) {
			mounts = append(mounts, stage.Mount{Source: file, Target: target, File: true, ReadOnly: true})
		}
	}
	for _, vm := range i.spec.VolumeMounts {
		m, err := r.volumeMount(vm)
		if err != nil {
			return nil, fmt.Errorf("mount the volume %s at %s: %w", vm.Name, vm.MountPath, err)
		}
		mounts = append(mounts, m)
	}
	return mounts, nil
}

// linksMessage tells whether the path of the termination message is made a link by the agent: these runtimes show a /dev of the node, or of
// their own making, in which nothing can be mounted.
func (r *runner) linksMessage(path string) bool {
	switch r.spec.Runtime.Type {
	case runtime.Apptainer, runtime.Singularity, runtime.Enroot:
		return strings.HasPrefix(filepath.Clean(path), "/dev/")
	}
	return false
}

func mountedAt(c *corev1.Container, path string) bool {
	for _, vm := range c.VolumeMounts {
		if filepath.Clean(vm.MountPath) == filepath.Clean(path) {
			return true
		}
	}
	return false
}

// volumeMount is what a container sees of a volume. A subPath never leads out of it, whatever links lie in it.
func (r *runner) volumeMount(vm corev1.VolumeMount) (stage.Mount, error) {
	source, ok := r.volumes.paths[vm.Name]
	if !ok {
		return stage.Mount{}, errors.New("there is no such volume")
	}
	m := stage.Mount{Source: source, Target: filepath.Clean(vm.MountPath), ReadOnly: vm.ReadOnly || r.volumes.files[vm.Name]}
	if claim := claimOf(r.pod, vm.Name); claim != nil && claim.ReadOnly {
		m.ReadOnly = true
	}
	if sub := filepath.Clean(vm.SubPath); vm.SubPath != "" && sub != "." {
		var err error
		if m.Source, err = subPath(source, sub, r.volumes.files[vm.Name]); err != nil {
			return m, err
		}
	}
	info, err := os.Stat(m.Source)
	if err != nil {
		return m, err
	}
	m.File = !info.IsDir()
	return m, nil
}

// subPath is a path in a volume; it is made where it is missing and may be.
func subPath(volume, sub string, readOnly bool) (string, error) {
	root, err := os.OpenRoot(volume)
	if err != nil {
		return "", err
	}
	defer func() { _ = root.Close() }()
	if _, err := root.Stat(sub); errors.Is(err, fs.ErrNotExist) && !readOnly {
		if err := root.MkdirAll(sub, 0o755); err != nil {
			return "", err
		}
	} else if err != nil {
		return "", err
	}
	return stage.Below(volume, sub)
}

func claimOf(pod *corev1.Pod, name string) *corev1.PersistentVolumeClaimVolumeSource {
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].Name == name {
			return pod.Spec.Volumes[i].PersistentVolumeClaim
		}
	}
	return nil
}

// groupOwner is a runtime that can give files to a group of the pod.
type groupOwner interface {
	Own(ctx context.Context, paths []string, group int64) error
}

// own gives the pod's own volumes to its fsGroup, once.
func (r *runner) own(ctx context.Context) error {
	context := r.pod.Spec.SecurityContext
	owner, ok := r.runtime.(groupOwner)
	r.ownOnce.Lock()
	defer r.ownOnce.Unlock()
	if r.owned || !ok || context == nil || context.FSGroup == nil || len(r.volumes.made) == 0 {
		return nil
	}
	for _, dir := range r.volumes.made {
		if err := openToGroup(dir, r.volumes.files[filepath.Base(dir)]); err != nil {
			return err
		}
	}
	if err := owner.Own(ctx, r.volumes.made, *context.FSGroup); err != nil {
		return err
	}
	r.owned = true
	return nil
}

// openToGroup lets the group do what the owner may, and has what is made in directories be the group's.
func openToGroup(dir string, readOnly bool) error {
	return filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil || info.Mode()&fs.ModeSymlink != 0 {
			return err
		}
		mode := info.Mode().Perm() | 0o440
		if !readOnly {
			mode |= 0o660
		}
		if info.IsDir() {
			mode |= 0o110 | info.Mode()&fs.ModeSticky | fs.ModeSetgid
		}
		return os.Chmod(name, mode) //nolint:gosec // the walk is below a directory that only the job's user can write
	})
}
