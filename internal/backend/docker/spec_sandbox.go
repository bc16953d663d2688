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
	"net/netip"
	"strings"

	"github.com/moby/moby/api/types/network"
	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/sandbox"
)

// sandboxSpec adds what the pod says of its network and namespaces: all of it is the infra container's, and the others share it.
func sandboxSpec(pod *corev1.Pod, s *created) error {
	if pod.Spec.HostNetwork {
		s.host.NetworkMode = network.NetworkHost // and the machine's own name
	} else {
		var err error
		if s.config.Hostname, s.config.Domainname, err = sandbox.Hostnames(pod); err != nil {
			return err
		}
	}
	if pod.Spec.SecurityContext != nil {
		for _, sysctl := range pod.Spec.SecurityContext.Sysctls {
			setKey(&s.host.Sysctls, strings.ReplaceAll(sysctl.Name, "/", "."), sysctl.Value)
		}
	}
	for _, alias := range pod.Spec.HostAliases {
		for _, name := range alias.Hostnames {
			s.host.ExtraHosts = append(s.host.ExtraHosts, name+":"+alias.IP)
		}
	}
	return sandboxPorts(pod, s)
}

// sandboxPorts publishes the ports of the machine that the containers ask for.
func sandboxPorts(pod *corev1.Pod, s *created) error {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			for _, p := range list[i].Ports {
				if p.HostPort == 0 || pod.Spec.HostNetwork {
					continue
				}
				if err := publish(p, s); err != nil {
					return fmt.Errorf("container %q, hostPort %d: %w", list[i].Name, p.HostPort, err)
				}
			}
		}
	}
	return nil
}

func publish(p corev1.ContainerPort, s *created) error {
	protocol := p.Protocol
	if protocol == "" {
		protocol = corev1.ProtocolTCP
	}
	port, err := network.ParsePort(fmt.Sprintf("%d/%s", p.ContainerPort, protocol))
	if err != nil {
		return err
	}
	binding := network.PortBinding{HostPort: fmt.Sprint(p.HostPort)}
	if p.HostIP != "" {
		if binding.HostIP, err = netip.ParseAddr(p.HostIP); err != nil {
			return err
		}
	}
	if s.config.ExposedPorts == nil {
		s.config.ExposedPorts, s.host.PortBindings = network.PortSet{}, network.PortMap{}
	}
	s.config.ExposedPorts[port] = struct{}{}
	s.host.PortBindings[port] = append(s.host.PortBindings[port], binding)
	return nil
}
