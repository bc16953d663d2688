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

package workload

import (
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// maxUIDLength bounds a pod's UID, which need not be a UUID, as the RemoteJob does.
const maxUIDLength = 253

// validMetadata is what a pod of any cluster has.
func (c *checker) validMetadata() *Refusal {
	pod := c.pod
	for _, field := range []struct{ at, value string }{
		{"metadata.name", pod.Name}, {"metadata.namespace", pod.Namespace}, {"metadata.uid", string(pod.UID)},
	} {
		if field.value == "" {
			return empty(field.at)
		}
	}
	if refusal := invalid("metadata.name", pod.Name, validation.IsDNS1123Subdomain(pod.Name)); refusal != nil {
		return refusal
	}
	if refusal := invalid("metadata.namespace", pod.Namespace, validation.IsDNS1123Label(pod.Namespace)); refusal != nil {
		return refusal
	}
	switch uid := string(pod.UID); {
	case len(uid) > maxUIDLength:
		return refuse("metadata.uid", ReasonInvalid, "it must be no longer than %d bytes", maxUIDLength)
	case !utf8.ValidString(uid) || strings.ContainsFunc(uid, func(r rune) bool { return !unicode.IsGraphic(r) }):
		return refuse("metadata.uid", ReasonInvalid, "it must consist of visible characters")
	}
	return nil
}

// validContainers is what an API server would say of the containers, where no rule of a field says it.
func (c *checker) validContainers() *Refusal {
	spec := &c.pod.Spec
	if len(spec.Containers) == 0 {
		return refuse("spec.containers", ReasonInvalid, "a pod has at least one container")
	}
	if spec.DNSPolicy == corev1.DNSNone && (spec.DNSConfig == nil || len(spec.DNSConfig.Nameservers) == 0) {
		return refuse("spec.dnsConfig.nameservers", ReasonInvalid, "there must be one when dnsPolicy is None")
	}
	names := map[string]bool{}
	var refusal *Refusal
	eachContainer(spec, func(at string, container *corev1.Container) {
		if refusal != nil {
			return
		}
		if names[container.Name] {
			refusal = refuse(at+".name", ReasonInvalid, "there are two containers of the name %q", container.Name)
			return
		}
		names[container.Name] = true
		for _, valid := range []func(string, *corev1.Container) *Refusal{validNames, validPorts, validEnv, c.validMounts, validHandlers, validResources} {
			if refusal = valid(at, container); refusal != nil {
				return
			}
		}
	})
	if refusal != nil {
		return refusal
	}
	if refusal := validHostPorts(spec); refusal != nil {
		return refusal
	}
	for i := range spec.InitContainers {
		if refusal := validInit(index("spec.initContainers", i), &spec.InitContainers[i]); refusal != nil {
			return refusal
		}
	}
	return nil
}

// validNames wants a container's name and image, and no rules of restart by themselves.
func validNames(at string, container *corev1.Container) *Refusal {
	if refusal := invalid(at+".name", container.Name, validation.IsDNS1123Label(container.Name)); refusal != nil {
		return refusal
	}
	if container.Image == "" {
		return empty(at + ".image")
	}
	if len(container.RestartPolicyRules) > 0 && container.RestartPolicy == nil {
		return refuse(at+".restartPolicyRules", ReasonInvalid, "may not be set without restartPolicy")
	}
	return nil
}

// validInit refuses what only sidecars among the init containers may have.
func validInit(at string, container *corev1.Container) *Refusal {
	if container.RestartPolicy != nil && *container.RestartPolicy == corev1.ContainerRestartPolicyAlways {
		return nil
	}
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"lifecycle", container.Lifecycle != nil},
		{"livenessProbe", container.LivenessProbe != nil},
		{"readinessProbe", container.ReadinessProbe != nil},
		{"startupProbe", container.StartupProbe != nil},
	} {
		if field.set {
			return refuse(at+"."+field.name, ReasonInvalid, "may not be set for init containers without restartPolicy=Always")
		}
	}
	return nil
}

func validPorts(at string, container *corev1.Container) *Refusal {
	names := map[string]bool{}
	for i, port := range container.Ports {
		at := index(at+".ports", i)
		if port.Name != "" {
			if refusal := invalid(at+".name", port.Name, validation.IsValidPortName(port.Name)); refusal != nil {
				return refusal
			}
			if names[port.Name] {
				return refuse(at+".name", ReasonInvalid, "there are two ports of the name %q", port.Name)
			}
			names[port.Name] = true
		}
		if problems := validation.IsValidPortNum(int(port.ContainerPort)); len(problems) > 0 {
			return refuse(at+".containerPort", ReasonInvalid, "%d: %s", port.ContainerPort, problems[0])
		}
	}
	return nil
}

// validHostPorts refuses two containers that want the same port of the machine.
func validHostPorts(spec *corev1.PodSpec) *Refusal {
	type hostPort struct {
		protocol corev1.Protocol
		ip       string
		port     int32
	}
	taken := map[hostPort]bool{}
	for i := range spec.Containers {
		for j, port := range spec.Containers[i].Ports {
			if port.HostPort == 0 {
				continue
			}
			key := hostPort{port.Protocol, port.HostIP, port.HostPort}
			if taken[key] {
				return refuse(index(index("spec.containers", i)+".ports", j)+".hostPort", ReasonInvalid, "%d is taken by another port of the pod", port.HostPort)
			}
			taken[key] = true
		}
	}
	return nil
}

func (c *checker) validMounts(at string, container *corev1.Container) *Refusal {
	taken := map[string]bool{}
	for i, mount := range container.VolumeMounts {
		at := index(at+".volumeMounts", i)
		if c.volume(mount.Name) == nil {
			return refuse(at+".name", ReasonInvalid, "the pod has no volume %q", mount.Name)
		}
		if mount.MountPath == "" {
			return empty(at + ".mountPath")
		}
		if taken[path.Clean(mount.MountPath)] {
			return refuse(at+".mountPath", ReasonInvalid, "%q is taken by another mount of the container", mount.MountPath)
		}
		taken[path.Clean(mount.MountPath)] = true
		if mount.SubPath != "" && mount.SubPathExpr != "" {
			return refuse(at+".subPathExpr", ReasonInvalid, "may not be set together with subPath")
		}
	}
	return nil
}
