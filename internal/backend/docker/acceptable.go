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
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/sandbox"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// acceptable finds what this engine will never be able to do for the pod, where the rules for all Docker engines let it pass.
func acceptable(pod *corev1.Pod, m machine, gpus string) error {
	for _, find := range []func() error{
		func() error { return foreignClaim(pod) },
		func() error { return unsupportedMount(pod) },
		func() error { return unsupportedSubPath(pod, m) },
		func() error { return unsupportedGPUs(pod, gpus) },
		func() error { return unsupportedMapped(pod, m) },
		func() error { _, _, err := sandbox.Hostnames(pod); return err },
	} {
		if err := find(); err != nil {
			return backend.Rejected("UnsupportedByEngine", "%v", err)
		}
	}
	var failed error
	eachContainer(pod, func(at string, c *corev1.Container) {
		if _, err := imageReference(c.Image); err != nil && failed == nil {
			failed = backend.Rejected("InvalidImageName", "%s.image: %v", at, err)
		}
	})
	return failed
}

// eachContainer calls f with each container and its path in the pod.
func eachContainer(pod *corev1.Pod, f func(at string, c *corev1.Container)) {
	for i := range pod.Spec.InitContainers {
		f(fmt.Sprintf("spec.initContainers[%d]", i), &pod.Spec.InitContainers[i])
	}
	for i := range pod.Spec.Containers {
		f(fmt.Sprintf("spec.containers[%d]", i), &pod.Spec.Containers[i])
	}
}

// volumeOf is the pod's volume of that name, nil where there is none.
func volumeOf(pod *corev1.Pod, name string) *corev1.Volume {
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].Name == name {
			return &pod.Spec.Volumes[i]
		}
	}
	return nil
}

// tokenName is what names of the operator's own volumes begin with.
var tokenName = regexp.MustCompile(`^rj-[0-9a-f]{32}$`)

// foreignClaim finds claims that would be another job's volume: a claim is the engine's volume NAMESPACE_CLAIM, a job's files are TOKEN_f0,
// and somebody can call a namespace like a token.
func foreignClaim(pod *corev1.Pod) error {
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].PersistentVolumeClaim != nil && tokenName.MatchString(pod.Namespace) {
			return fmt.Errorf("spec.volumes[%d].persistentVolumeClaim: the namespace %s is named like a job, whose own volumes it would reach", i, pod.Namespace)
		}
	}
	return nil
}

// unsupportedMount finds mounts of a kind that no engine has.
func unsupportedMount(pod *corev1.Pod) error {
	var failed error
	eachContainer(pod, func(at string, c *corev1.Container) {
		for i := range c.VolumeMounts {
			vm := &c.VolumeMounts[i]
			v := volumeOf(pod, vm.Name)
			if failed != nil || v == nil {
				continue
			}
			at := fmt.Sprintf("%s.volumeMounts[%d]", at, i)
			switch {
			case propagates(vm) && v.HostPath == nil:
				failed = fmt.Errorf("%s.mountPropagation: Docker propagates mounts in hostPath volumes only", at)
			case v.HostPath != nil && vm.SubPath != "":
				failed = fmt.Errorf("%s.subPath: Docker can't keep a part of a hostPath volume inside of it: let hostPath.path name the part", at)
			}
		}
	})
	return failed
}

func propagates(vm *corev1.VolumeMount) bool {
	return vm.MountPropagation != nil && *vm.MountPropagation != corev1.MountPropagationNone
}

// unsupportedMapped finds what an engine does not do whose containers' users are others on the machine.
func unsupportedMapped(pod *corev1.Pod, m machine) error {
	if !m.mapsUsers {
		return nil
	}
	var failed error
	for _, shared := range []struct {
		field string
		asked bool
	}{{"spec.hostNetwork", pod.Spec.HostNetwork}, {"spec.hostPID", pod.Spec.HostPID}, {"spec.hostIPC", pod.Spec.HostIPC}} {
		if shared.asked && failed == nil {
			failed = fmt.Errorf("%s: the engine maps users (userns-remap), and then shares nothing of the machine's", shared.field)
		}
	}
	eachContainer(pod, func(at string, c *corev1.Container) {
		if s := c.SecurityContext; s != nil && s.Privileged != nil && *s.Privileged && failed == nil {
			failed = fmt.Errorf("%s.securityContext.privileged: the engine maps users (userns-remap), and then has no privileged containers", at)
		}
	})
	flags, err := workload.ParseDockerFlags(pod.Annotations[workload.AnnotationDockerFlags])
	if err == nil && flags.Privileged && failed == nil {
		failed = fmt.Errorf("metadata.annotations[%s]: --privileged: the engine maps users (userns-remap), and then has no privileged containers", workload.AnnotationDockerFlags)
	}
	return failed
}

// use is one mount of a volume.
type use struct {
	at, sub  string
	readOnly bool
}

// unsupportedSubPath finds a subPath of a writable volume that can't be had on an engine that knows no subpaths. There it is a bind of a
// path in the volume; a container that can write above that path could put a symbolic link in its place, and the bind would then show the
// machine's files. It is safe where no container of the pod can write to the volume anywhere above it.
func unsupportedSubPath(pod *corev1.Pod, m machine) error {
	if m.subpath {
		return nil
	}
	var failed error
	uses := map[string][]use{}
	eachContainer(pod, func(at string, c *corev1.Container) {
		for i := range c.VolumeMounts {
			vm := &c.VolumeMounts[i]
			v := volumeOf(pod, vm.Name)
			if v == nil || v.EmptyDir == nil && v.PersistentVolumeClaim == nil {
				continue
			}
			u := use{at: fmt.Sprintf("%s.volumeMounts[%d]", at, i), readOnly: vm.ReadOnly}
			var err error
			if u.sub, err = cleanSubPath(vm.SubPath); err != nil {
				failed = err
			}
			if u.sub != "" && v.PersistentVolumeClaim != nil {
				failed = fmt.Errorf("%s.subPath: parts of a persistentVolumeClaim need an engine with API 1.45 or later", u.at)
			}
			uses[vm.Name] = append(uses[vm.Name], u)
		}
	})
	for _, all := range uses {
		for _, u := range all {
			if above, ok := writableAbove(all, u); ok && failed == nil {
				failed = fmt.Errorf("%s.subPath: it needs an engine with API 1.45 or later, since %s can write to the volume above %q", u.at, above.at, u.sub)
			}
		}
	}
	return failed
}

// writableAbove is a mount through which the path of another can be replaced.
func writableAbove(all []use, u use) (use, bool) {
	for _, above := range all {
		if u.sub != "" && !above.readOnly && above.sub != u.sub && (above.sub == "" || strings.HasPrefix(u.sub, above.sub+"/")) {
			return above, true
		}
	}
	return use{}, false
}
