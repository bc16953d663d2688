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
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	corev1 "k8s.io/api/core/v1"
)

// resourceNvidia is the one kind of GPU that engines are asked for.
const resourceNvidia corev1.ResourceName = "nvidia.com/gpu"

// unsupportedGPUs finds GPUs that the engine was not said to have.
func unsupportedGPUs(pod *corev1.Pod, gpus string) error {
	var failed error
	eachContainer(pod, func(at string, c *corev1.Container) {
		for _, name := range slices.Sorted(maps.Keys(c.Resources.Limits)) {
			// Only devices have names with a slash, and of those only GPUs come this far.
			if !strings.Contains(string(name), "/") || failed != nil || name == resourceNvidia && gpus == GPUsNvidia {
				continue
			}
			if quantity := c.Resources.Limits[name]; !quantity.IsZero() {
				failed = fmt.Errorf("%s.resources.limits[%s]: the RemoteBackend does not say that its engine has such GPUs (spec.docker.gpus)", at, name)
			}
		}
	})
	return failed
}

// deviceRequests are the GPUs of a container. The engine chooses which, and may give the same ones to others.
func deviceRequests(c *corev1.Container) []container.DeviceRequest {
	count := c.Resources.Limits[resourceNvidia]
	if count.IsZero() {
		return nil
	}
	return []container.DeviceRequest{gpuRequest(count.String())}
}
