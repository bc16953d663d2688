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
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// Total adds up what a pod's containers have: the app containers and sidecars side by side, or an init container and the sidecars before it,
// whichever is more. What a container may use at most counts, or what it asks for where it has no limit.
func Total(spec *corev1.PodSpec) corev1.ResourceList {
	total := corev1.ResourceList{}
	sidecars := corev1.ResourceList{}
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		need := need(&c.Resources)
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			plus(sidecars, need)
			atLeast(total, sidecars)
			continue
		}
		plus(need, sidecars)
		atLeast(total, need)
	}
	apps := sidecars.DeepCopy()
	for i := range spec.Containers {
		plus(apps, need(&spec.Containers[i].Resources))
	}
	atLeast(total, apps)
	return total
}

// need are a container's limits, and its requests of what it has no limit for.
func need(r *corev1.ResourceRequirements) corev1.ResourceList {
	need := corev1.ResourceList{}
	maps.Copy(need, r.Requests)
	maps.Copy(need, r.Limits)
	return need
}

func plus(sum, more corev1.ResourceList) {
	for name, quantity := range more {
		q := sum[name].DeepCopy()
		q.Add(quantity)
		sum[name] = q
	}
}

func atLeast(least, other corev1.ResourceList) {
	for name, quantity := range other {
		if have, ok := least[name]; !ok || have.Cmp(quantity) < 0 {
			least[name] = quantity
		}
	}
}

// Demand is what jobs have of what a backend's policy may bound.
type Demand struct {
	MilliCPUs, Memory, GPUs int64
}

// maxDemand is what a single job counts for at most, so that sums of many do not overflow.
const maxDemand = 1 << 44

// DemandOf is what a pod counts for.
func DemandOf(spec *corev1.PodSpec) Demand {
	total := Total(spec)
	cpu, memory, gpus := total[corev1.ResourceCPU], total[corev1.ResourceMemory], gpusIn(total)
	bound := func(n int64) int64 { return min(max(n, 0), maxDemand) }
	d := Demand{MilliCPUs: maxDemand, Memory: bound(memory.Value()), GPUs: bound(gpus.Value())}
	if cpu.Value() < maxDemand/1000 { // what is larger than any number has no thousandths
		d.MilliCPUs = bound(cpu.MilliValue())
	}
	return d
}

// gpusIn are all GPUs in a list of resources.
func gpusIn(list corev1.ResourceList) resource.Quantity {
	var sum resource.Quantity
	for name, quantity := range list {
		if isGPU(name) {
			sum.Add(quantity)
		}
	}
	return sum
}

// Plus adds another demand so many times; -1 takes it away.
func (d Demand) Plus(other Demand, times int64) Demand {
	return Demand{d.MilliCPUs + times*other.MilliCPUs, d.Memory + times*other.Memory, d.GPUs + times*other.GPUs}
}

// Within tells whether a demand is within a ceiling, which may be nil.
func (d Demand) Within(c *v1alpha1.ResourceCeiling) bool {
	if c == nil {
		return true
	}
	return (c.CPU == nil || d.MilliCPUs <= c.CPU.MilliValue()) && (c.Memory == nil || d.Memory <= c.Memory.Value()) && (c.GPUs == nil || d.GPUs <= *c.GPUs)
}

// Reduced are the resources of a container that DemandOf looks at, and nothing else.
func Reduced(r *corev1.ResourceRequirements) corev1.ResourceRequirements {
	var out corev1.ResourceRequirements
	for name, quantity := range need(r) {
		if name != corev1.ResourceCPU && name != corev1.ResourceMemory && !isGPU(name) || quantity.IsZero() {
			continue
		}
		if out.Limits == nil {
			out.Limits = corev1.ResourceList{}
		}
		out.Limits[name] = quantity
	}
	return out
}
