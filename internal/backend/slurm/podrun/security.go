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
	"errors"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/runtime"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/sbatch"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// security takes over what the pod says of the user and the rights of a container.
func (r *runner) security(i *instance) error {
	m, pod, own := &i.made, r.pod.Spec.SecurityContext, i.spec.SecurityContext
	if pod == nil {
		pod = &corev1.PodSecurityContext{}
	}
	if own == nil {
		own = &corev1.SecurityContext{}
	}
	user, group := first(own.RunAsUser, pod.RunAsUser), first(own.RunAsGroup, pod.RunAsGroup)
	switch {
	case user != nil && group != nil:
		m.User = fmt.Sprintf("%d:%d", *user, *group)
	case user != nil:
		m.User = strconv.FormatInt(*user, 10)
	case group != nil:
		name, _, _ := strings.Cut(i.image.User, ":")
		if name == "" {
			name = "0"
		}
		m.User = fmt.Sprintf("%s:%d", name, *group)
	}
	m.Groups = append(m.Groups, pod.SupplementalGroups...)
	if pod.FSGroup != nil {
		m.Groups = append(m.Groups, *pod.FSGroup)
	}
	if nonRoot := first(own.RunAsNonRoot, pod.RunAsNonRoot); nonRoot != nil && *nonRoot {
		if err := nonRootUser(user, i.image.User); err != nil {
			return err
		}
	}
	m.ReadOnlyRoot = isTrue(own.ReadOnlyRootFilesystem)
	m.Privileged = isTrue(own.Privileged)
	m.NoNewPrivs = own.AllowPrivilegeEscalation != nil && !*own.AllowPrivilegeEscalation
	if c := own.Capabilities; c != nil {
		for _, name := range c.Add {
			m.CapAdd = append(m.CapAdd, string(name))
		}
		for _, name := range c.Drop {
			m.CapDrop = append(m.CapDrop, string(name))
		}
	}
	profile := own.SeccompProfile
	if profile == nil {
		profile = pod.SeccompProfile
	}
	m.Unconfined = profile != nil && profile.Type == corev1.SeccompProfileTypeUnconfined
	return nil
}

// nonRootUser tells why a container that must not run as root would, or might.
func nonRootUser(user *int64, imageUser string) error {
	if user != nil {
		if *user == 0 {
			return errors.New("the container has runAsNonRoot, and runAsUser 0")
		}
		return nil
	}
	name, _, _ := strings.Cut(imageUser, ":")
	uid, err := strconv.ParseInt(name, 10, 64)
	switch {
	case name == "" || err == nil && uid == 0:
		return errors.New("container has runAsNonRoot and image will run as root")
	case err != nil:
		return fmt.Errorf("container has runAsNonRoot and image has non-numeric user (%s), cannot verify user is non-root", name)
	}
	return nil
}

func first[T any](a, b *T) *T {
	if a != nil {
		return a
	}
	return b
}

func isTrue(b *bool) bool { return b != nil && *b }

// resources takes over a container's limits and devices.
func (r *runner) resources(i *instance) {
	i.made.MemoryBytes = memoryLimit(i.spec)
	if cpu, ok := i.spec.Resources.Limits[corev1.ResourceCPU]; ok {
		i.made.CPUMillis = cpu.MilliValue()
	}
	for name, quantity := range i.spec.Resources.Limits {
		switch {
		case quantity.IsZero():
		case strings.HasPrefix(string(name), "nvidia.com/"):
			i.made.Devices.Nvidia = true
		case strings.HasPrefix(string(name), "amd.com/"):
			i.made.Devices.AMD = true
		}
	}
}

func memoryLimit(c *corev1.Container) int64 {
	if memory, ok := c.Resources.Limits[corev1.ResourceMemory]; ok {
		return memory.Value()
	}
	return 0
}

const annotationImageRoot = workload.AnnotationSlurmImageRoot

// annotations takes over what users of other plugins write for the runtime itself.
func (r *runner) annotations(i *instance) {
	words := func(name string) []string {
		list, err := sbatch.Words(r.pod.Annotations[name])
		if err != nil {
			r.log("annotation %s: %v", name, err)
		}
		return list
	}
	switch r.spec.Runtime.Type {
	case runtime.Apptainer, runtime.Singularity:
		i.made.ExtraMounts, i.made.ExtraOptions = words(workload.AnnotationSingularityMounts), words(workload.AnnotationSingularityOptions)
		i.made.CommandPrefix = words(workload.AnnotationSingularityCommands)
	case runtime.Enroot:
		i.made.ExtraMounts, i.made.ExtraOptions = words(workload.AnnotationEnrootMounts), words(workload.AnnotationEnrootOptions)
	}
}

// sharedPod is what all containers of the pod share.
func (r *runner) sharedPod() runtime.Pod {
	spec := &r.pod.Spec
	shared := runtime.Pod{
		Token: r.spec.Token, Hostname: r.hostname, ShareProcesses: isTrue(spec.ShareProcessNamespace) || spec.HostPID, HostNetwork: spec.HostNetwork,
	}
	for _, alias := range spec.HostAliases {
		shared.Hosts = append(shared.Hosts, runtime.Host{IP: alias.IP, Names: alias.Hostnames})
	}
	if dns := spec.DNSConfig; dns != nil {
		shared.DNSServers, shared.DNSSearches = dns.Nameservers, dns.Searches
		for _, option := range dns.Options {
			text := option.Name
			if option.Value != nil {
				text += ":" + *option.Value
			}
			shared.DNSOptions = append(shared.DNSOptions, text)
		}
	}
	return shared
}

func initNames(pod *corev1.Pod) []string { return names(pod.Spec.InitContainers) }
func appNames(pod *corev1.Pod) []string  { return names(pod.Spec.Containers) }

func names(containers []corev1.Container) []string {
	var out []string
	for i := range containers {
		out = append(out, containers[i].Name)
	}
	return out
}
