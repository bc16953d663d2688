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
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

func sortedResources(list corev1.ResourceList) []corev1.ResourceName {
	return slices.Sorted(maps.Keys(list))
}

func checkLimits(c *checker, at string, limits corev1.ResourceList) *Refusal {
	for _, name := range sortedResources(limits) {
		if name == corev1.ResourceEphemeralStorage && !c.abilities.Has(FeatureEphemeralStorage) {
			return c.unable(key(at, name), FeatureEphemeralStorage)
		}
		if refusal := c.resource(key(at, name), name, limits); refusal != nil {
			return refusal
		}
	}
	return nil
}

func checkRequests(c *checker, at string, requests corev1.ResourceList) *Refusal {
	for _, name := range sortedResources(requests) {
		if refusal := c.resource(key(at, name), name, requests); refusal != nil {
			return refusal
		}
	}
	return nil
}

// resource refuses those that no backend knows, and devices where this one has none. A request for none of it asks for nothing.
func (c *checker) resource(at string, name corev1.ResourceName, list corev1.ResourceList) *Refusal {
	quantity := list[name]
	switch {
	case name == corev1.ResourceCPU || name == corev1.ResourceMemory || name == corev1.ResourceEphemeralStorage || quantity.IsZero():
		return nil
	case isGPU(name) && !c.abilities.Has(FeatureGPUs):
		return c.unable(at, FeatureGPUs)
	case isGPU(name):
		return nil
	}
	return refuse(at, ReasonUnsupported, "the resource %s is not known outside of the cluster", name)
}

// isGPU tells whether a resource is a GPU: nvidia.com/gpu, amd.com/gpu, or a slice of one.
func isGPU(name corev1.ResourceName) bool {
	domain, device, ok := strings.Cut(string(name), "/")
	return ok && domain != "" && (device == "gpu" || strings.HasPrefix(device, "mig-"))
}

// validResources refuses quantities that can't be.
func validResources(at string, container *corev1.Container) *Refusal {
	for _, list := range []struct {
		at   string
		list corev1.ResourceList
	}{{at + ".resources.limits", container.Resources.Limits}, {at + ".resources.requests", container.Resources.Requests}} {
		for _, name := range sortedResources(list.list) {
			quantity := list.list[name]
			if quantity.Sign() < 0 {
				return refuse(key(list.at, name), ReasonInvalid, "%s is negative", quantity.String())
			}
			if isGPU(name) && quantity.MilliValue()%1000 != 0 {
				return refuse(key(list.at, name), ReasonInvalid, "%s is no whole number", quantity.String())
			}
		}
	}
	for _, name := range sortedResources(container.Resources.Requests) {
		request := container.Resources.Requests[name]
		limit, ok := container.Resources.Limits[name]
		if ok && request.Cmp(limit) > 0 {
			return refuse(key(at+".resources.requests", name), ReasonInvalid, "%s is more than the limit %s", request.String(), limit.String())
		}
	}
	return nil
}

// key is the path of an element of a map.
func key[T ~string](at string, name T) string { return fmt.Sprintf("%s[%s]", at, name) }
