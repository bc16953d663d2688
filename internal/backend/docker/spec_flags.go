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
	"maps"
	"strconv"

	"github.com/moby/moby/api/types/container"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// flagsOf are the options of docker run that the pod's annotation asks for; none where it has no such annotation.
func flagsOf(w *workload.Workload) (*workload.DockerFlags, error) {
	line := w.Pod.Annotations[workload.AnnotationDockerFlags]
	flags, err := workload.ParseDockerFlags(line)
	if err != nil {
		return nil, fmt.Errorf("metadata.annotations[%s]: %w", workload.AnnotationDockerFlags, err)
	}
	return flags, nil
}

// applyToSandbox adds what the options say of what the pod's containers share.
func applyToSandbox(f *workload.DockerFlags, s *created) {
	for name, value := range f.Sysctl {
		setKey(&s.host.Sysctls, name, value)
	}
	if f.SharedMemory > 0 {
		s.host.ShmSize = f.SharedMemory
	}
}

// applyToContainer adds what the options say of each container.
func applyToContainer(f *workload.DockerFlags, s *created) {
	s.config.Env = append(s.config.Env, f.Env...)
	for name, value := range f.Label {
		s.config.Labels[name] = value
	}
	h := &s.host
	h.CapAdd, h.CapDrop = append(h.CapAdd, f.CapAdd...), append(h.CapDrop, f.CapDrop...)
	h.SecurityOpt, h.GroupAdd = append(h.SecurityOpt, f.SecurityOpt...), append(h.GroupAdd, f.GroupAdd...)
	h.Privileged, h.ReadonlyRootfs = h.Privileged || f.Privileged, h.ReadonlyRootfs || f.ReadOnly
	h.Runtime = f.Runtime
	h.Tmpfs, h.StorageOpt = maps.Clone(f.Tmpfs), maps.Clone(f.StorageOpt)
	if f.Init {
		h.Init = &f.Init
	}
	h.CpusetCpus, h.CpusetMems, h.Ulimits = f.CPUSetCPUs, f.CPUSetMems, f.Ulimits
	if f.NanoCPUs > 0 {
		h.NanoCPUs = f.NanoCPUs
	}
	if f.Memory > 0 {
		h.Memory = f.Memory
	}
	if f.MemorySwap != 0 {
		h.MemorySwap = f.MemorySwap
	}
	h.MemoryReservation = f.MemoryReservation
	if f.PidsLimit != 0 {
		h.PidsLimit = &f.PidsLimit
	}
	for _, d := range f.Devices {
		h.Devices = append(h.Devices, container.DeviceMapping{PathOnHost: d.Host, PathInContainer: d.Container, CgroupPermissions: d.Permissions})
	}
	if f.GPUs != "" {
		h.DeviceRequests = append(h.DeviceRequests, gpuRequest(f.GPUs))
	}
}

// gpuRequest asks for all GPUs, or a number of them.
func gpuRequest(gpus string) container.DeviceRequest {
	count, err := strconv.Atoi(gpus)
	if err != nil {
		count = -1
	}
	return container.DeviceRequest{Driver: "nvidia", Count: count, Capabilities: [][]string{{"gpu"}}}
}

func setKey(m *map[string]string, key, value string) {
	if *m == nil {
		*m = map[string]string{}
	}
	(*m)[key] = value
}
