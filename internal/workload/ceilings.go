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
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// ceiling is one bound of a policy.
type ceiling struct {
	// policy is its field, what the resource in words and most the bound.
	policy, what string
	most         resource.Quantity
	// of is how much a list of resources has.
	of func(corev1.ResourceList) resource.Quantity
	// limited is the resource that containers must have a limit of; empty for GPUs, of which a container without a limit has none.
	limited corev1.ResourceName
	// flags are the options of docker run that would give containers more than their limits, where they are set.
	flags func(f *DockerFlags) string
}

// ceilings are the bounds of a policy that one pod is held against. A pod that is more than all jobs may have would wait for ever.
func ceilings(policy *v1alpha1.BackendPolicy) []ceiling {
	var out []ceiling
	for _, from := range []struct {
		field   string
		ceiling *v1alpha1.ResourceCeiling
	}{{"maxPerJob", policy.MaxPerJob}, {"maxInTotal", policy.MaxInTotal}} {
		c := from.ceiling
		if c == nil {
			continue
		}
		if c.CPU != nil {
			out = append(out, ceiling{from.field + ".cpu is " + c.CPU.String(), "cpu", *c.CPU, quantityOf(corev1.ResourceCPU), corev1.ResourceCPU, cpuFlags})
		}
		if c.Memory != nil {
			out = append(out, ceiling{from.field + ".memory is " + c.Memory.String(), "memory", *c.Memory, quantityOf(corev1.ResourceMemory), corev1.ResourceMemory, memoryFlags})
		}
		if c.GPUs != nil {
			out = append(out, ceiling{from.field + ".gpus is " + strconv.FormatInt(*c.GPUs, 10), "GPUs", *resource.NewQuantity(*c.GPUs, resource.DecimalSI), gpusIn, "", gpuFlags})
		}
	}
	return out
}

func quantityOf(name corev1.ResourceName) func(corev1.ResourceList) resource.Quantity {
	return func(list corev1.ResourceList) resource.Quantity { return list[name] }
}

func cpuFlags(f *DockerFlags) string { return named("--cpus", f.NanoCPUs != 0) }

func memoryFlags(f *DockerFlags) string {
	return named("--memory", f.Memory != 0) + named("--memory-swap", f.MemorySwap != 0)
}

func gpuFlags(f *DockerFlags) string { return named("--gpus", f.GPUs != "") }

func named(flag string, set bool) string {
	if set {
		return flag
	}
	return ""
}

// withinCeilings holds what the pod may use against the policy. Who has no limit could use any amount, so a bound asks for one.
func (c *checker) withinCeilings() *Refusal {
	for _, bound := range ceilings(&c.policy) {
		for _, check := range []func(ceiling) *Refusal{c.limited, c.withoutFlags, c.within} {
			if refusal := check(bound); refusal != nil {
				return refusal
			}
		}
	}
	return nil
}

func (c *checker) limited(bound ceiling) *Refusal {
	var refusal *Refusal
	eachContainer(&c.pod.Spec, func(at string, container *corev1.Container) {
		limit := container.Resources.Limits[bound.limited]
		if bound.limited != "" && limit.IsZero() && refusal == nil {
			refusal = forbidden(key(at+".resources.limits", bound.limited), bound.policy, "containers without a limit of %s", bound.what)
		}
	})
	return refusal
}

func (c *checker) withoutFlags(bound ceiling) *Refusal {
	if !c.abilities.Has(FeatureDockerFlags) {
		return nil
	}
	// What can't be read was refused by the annotation's own rule.
	if flags, err := ParseDockerFlags(c.pod.Annotations[AnnotationDockerFlags]); err == nil && bound.flags(flags) != "" {
		return forbidden("metadata.annotations["+AnnotationDockerFlags+"]", bound.policy, "%s in the place of limits", bound.flags(flags))
	}
	return nil
}

func (c *checker) within(bound ceiling) *Refusal {
	total := bound.of(Total(&c.pod.Spec))
	if total.Cmp(bound.most) <= 0 {
		return nil
	}
	return forbidden("spec.containers[*].resources.limits["+bound.what+"]", bound.policy, "pods that have %s of %s in all", total.String(), bound.what)
}
