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
	"github.com/moby/moby/api/types/container"
	corev1 "k8s.io/api/core/v1"
)

const (
	// sharesPerCPU and minimumShares are how the kubelet turns requests of cpu into shares.
	sharesPerCPU  = 1024
	minimumShares = 2
	// minimumNanoCPUs is the smallest limit that the kubelet sets, a hundredth of a cpu.
	minimumNanoCPUs = 10_000_000
)

// resources are the limits of a container. A limit of more cpus than the machine has is none.
func resources(c *corev1.Container, m machine) container.Resources {
	r := container.Resources{CPUShares: minimumShares, DeviceRequests: deviceRequests(c)}
	if request := c.Resources.Requests.Cpu(); !request.IsZero() {
		r.CPUShares = max(minimumShares, request.MilliValue()*sharesPerCPU/1000)
	}
	if limit := c.Resources.Limits.Cpu(); !limit.IsZero() {
		if nano := limit.MilliValue() * 1_000_000; m.cpus == 0 || nano < int64(m.cpus)*1_000_000_000 {
			r.NanoCPUs = max(minimumNanoCPUs, nano)
		}
	}
	if limit := c.Resources.Limits.Memory(); !limit.IsZero() {
		r.Memory = limit.Value()
		if m.swap {
			r.MemorySwap = limit.Value() // of memory and swap together, so: no swap
		}
	}
	return r
}

// oomScore has the kernel choose between containers, when the machine runs out of memory, as it does under a kubelet. Those that a kubelet
// keeps before all others get the score of any process: an engine without all capabilities (one in a container, a rootless one) can't give
// less, and would not start them.
func oomScore(pod *corev1.Pod, c *corev1.Container, m machine) int {
	const guaranteed, least, bestEffort = 0, 3, 1000
	switch qosClass(pod) {
	case corev1.PodQOSGuaranteed:
		return guaranteed
	case corev1.PodQOSBestEffort:
		return bestEffort
	}
	if m.memory == 0 {
		return bestEffort - 1
	}
	request := c.Resources.Requests.Memory().Value()
	score := 1000 - (1000*request)/m.memory
	return int(min(max(score, least), bestEffort-1))
}

// qosClass is a pod's class by the requests and limits of all its containers.
func qosClass(pod *corev1.Pod) corev1.PodQOSClass {
	guaranteed, some := true, false
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
				request, limit := list[i].Resources.Requests[name], list[i].Resources.Limits[name]
				some = some || !request.IsZero() || !limit.IsZero()
				guaranteed = guaranteed && !limit.IsZero() && (request.IsZero() || request.Cmp(limit) == 0)
			}
		}
	}
	switch {
	case !some:
		return corev1.PodQOSBestEffort
	case guaranteed:
		return corev1.PodQOSGuaranteed
	default:
		return corev1.PodQOSBurstable
	}
}
