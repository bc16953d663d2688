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

// Package stage sets the scene for a program: namespaces of its own in which it sees the machine's file tree with a pod's volumes where
// the pod wants them. No privilege is needed, only a kernel that lets users have user namespaces. It gives runtime None its volumes and
// its host name, and Charliecloud a root directory that can be written and that has every mount point.
package stage

import (
	"os"
	"path"
	"slices"
	"strings"
	"syscall"
)

// Config is the scene, and what to run in it. It travels as JSON over file descriptor ConfigFD.
type Config struct {
	// Root is an empty directory that the new root is mounted on while it is put together.
	Root string `json:"root"`
	// Mounts of the machine's files at places of the new tree.
	Mounts []Mount `json:"mounts,omitempty"`
	// Image is a directory that is shown at ImageAt with all of ImageMounts' targets in it, and can be written without being changed.
	Image         string  `json:"image,omitempty"`
	ImageAt       string  `json:"imageAt,omitempty"`
	ImageScratch  string  `json:"imageScratch,omitempty"`
	ImageMounts   []Mount `json:"imageMounts,omitempty"`
	ImageReadOnly bool    `json:"imageReadOnly,omitempty"`
	// Hostname, empty for the machine's.
	Hostname string `json:"hostname,omitempty"`
	// OwnProcesses is set where the program got a PID namespace: /proc then shows that one.
	OwnProcesses bool `json:"ownProcesses,omitempty"`
	// Path, Args, Env and Dir are the program, run in place of this one.
	Path string   `json:"path"`
	Args []string `json:"args"`
	Env  []string `json:"env"`
	Dir  string   `json:"dir,omitempty"`
}

// ConfigFD is the file descriptor that a Config is read from.
const ConfigFD = 3

// Mount shows a file or directory of the machine at another place too.
type Mount struct {
	// Source is empty where there is nothing to show, and the target has only to be there.
	Source   string `json:"source,omitempty"`
	Target   string `json:"target"`
	ReadOnly bool   `json:"readOnly,omitempty"`
	// File is set where the source is no directory.
	File bool `json:"file,omitempty"`
}

// Sorted are mounts in an order in which none hides another: outer ones first, and of two for the same target the later one counts.
func Sorted(mounts []Mount) []Mount {
	out := slices.Clone(mounts)
	for i := range out {
		out[i].Target = path.Clean(out[i].Target)
	}
	slices.SortStableFunc(out, func(a, b Mount) int {
		return strings.Count(strings.TrimSuffix(a.Target, "/"), "/") - strings.Count(strings.TrimSuffix(b.Target, "/"), "/")
	})
	return out
}

// Spaces are the namespaces that a machine lets its users have.
type Spaces struct {
	// Mounts tells that there are user namespaces, and in them mounts and host names.
	Mounts bool
	// Processes tells that there are PID namespaces with a /proc of their own.
	Processes bool
}

// capabilities that are kept over the exec of this program into the scene that it sets, by their numbers: CAP_CHOWN, CAP_DAC_OVERRIDE and
// CAP_SYS_ADMIN of the new user namespace. They mean nothing outside of it.
var capabilities = []uintptr{0, 1, 21}

// Attributes are those of a process that is to set the scene.
func (s Spaces) Attributes() *syscall.SysProcAttr {
	if !s.Mounts {
		return &syscall.SysProcAttr{}
	}
	flags := uintptr(syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS)
	if s.Processes {
		flags |= syscall.CLONE_NEWPID
	}
	uid, gid := os.Geteuid(), os.Getegid()
	return &syscall.SysProcAttr{
		Cloneflags:  flags,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: gid, HostID: gid, Size: 1}},
		AmbientCaps: capabilities,
	}
}
