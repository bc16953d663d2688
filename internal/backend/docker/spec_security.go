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
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// containerSecurity adds what the security contexts of pod and container say; the container's word goes first. What they leave open is
// left to the engine, whose default seccomp profile and capabilities are those of other container runtimes.
func containerSecurity(pod *corev1.Pod, c *corev1.Container, image imageFacts, s *created) error {
	of := pod.Spec.SecurityContext
	if of == nil {
		of = &corev1.PodSecurityContext{}
	}
	own := c.SecurityContext
	if own == nil {
		own = &corev1.SecurityContext{}
	}
	user, group := first(own.RunAsUser, of.RunAsUser), first(own.RunAsGroup, of.RunAsGroup)
	if nonRoot := first(own.RunAsNonRoot, of.RunAsNonRoot); nonRoot != nil && *nonRoot {
		if err := mustNotBeRoot(c.Name, user, image.user); err != nil {
			return err
		}
	}
	s.config.User = userOf(user, group, image.user)
	if of.FSGroup != nil {
		s.host.GroupAdd = append(s.host.GroupAdd, strconv.FormatInt(*of.FSGroup, 10))
	}
	for _, g := range of.SupplementalGroups {
		s.host.GroupAdd = append(s.host.GroupAdd, strconv.FormatInt(g, 10))
	}
	if own.Capabilities != nil {
		for _, capability := range own.Capabilities.Add {
			s.host.CapAdd = append(s.host.CapAdd, string(capability))
		}
		for _, capability := range own.Capabilities.Drop {
			s.host.CapDrop = append(s.host.CapDrop, string(capability))
		}
	}
	s.host.Privileged = own.Privileged != nil && *own.Privileged
	s.host.ReadonlyRootfs = own.ReadOnlyRootFilesystem != nil && *own.ReadOnlyRootFilesystem
	if own.AllowPrivilegeEscalation != nil && !*own.AllowPrivilegeEscalation {
		s.host.SecurityOpt = append(s.host.SecurityOpt, "no-new-privileges")
	}
	switch profile := first(own.SeccompProfile, of.SeccompProfile); {
	case profile == nil, profile.Type == corev1.SeccompProfileTypeRuntimeDefault:
	case profile.Type == corev1.SeccompProfileTypeUnconfined:
		s.host.SecurityOpt = append(s.host.SecurityOpt, "seccomp=unconfined")
	default:
		return fmt.Errorf("container %q: seccomp profiles of the machine can't be named", c.Name)
	}
	return nil
}

// mustNotBeRoot refuses root in the kubelet's words. What an image says by name can't be checked, since its own files say who that is.
func mustNotBeRoot(container string, user *int64, image string) error {
	if user != nil {
		if *user == 0 {
			return fmt.Errorf("container's runAsUser breaks non-root policy (container: %s)", container)
		}
		return nil
	}
	name, _, _ := strings.Cut(image, ":")
	uid, err := strconv.ParseInt(name, 10, 64)
	switch {
	case name == "", err == nil && uid == 0:
		return fmt.Errorf("container has runAsNonRoot and image will run as root (container: %s)", container)
	case err != nil:
		return fmt.Errorf("container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root (container: %s)", name, container)
	}
	return nil
}

// userOf is the user that the engine is told, empty for the image's own. A group alone goes with the image's user.
func userOf(user, group *int64, image string) string {
	name, _, _ := strings.Cut(image, ":")
	switch {
	case user == nil && group == nil:
		return ""
	case user != nil && group == nil:
		return strconv.FormatInt(*user, 10)
	case user != nil:
		name = strconv.FormatInt(*user, 10)
	case name == "":
		name = "0"
	}
	return name + ":" + strconv.FormatInt(*group, 10)
}

// first is the first of the values that is set.
func first[T any](values ...*T) *T {
	for _, v := range values {
		if v != nil {
			return v
		}
	}
	return nil
}
