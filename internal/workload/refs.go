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
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// References are the names of the ConfigMaps and Secrets that a pod refers to in its env, in the volumes that its containers mount, and
// for pulling its images; sorted, no name twice. Those that are optional are among them: it is for Resolve to miss them or not.
func References(spec *corev1.PodSpec) (configMaps, secrets []string) {
	configs, keys := map[string]bool{}, map[string]bool{}
	for _, ref := range spec.ImagePullSecrets {
		keys[ref.Name] = true
	}
	mounted := mountedVolumes(spec)
	for _, volume := range spec.Volumes {
		if !mounted[volume.Name] {
			continue
		}
		switch {
		case volume.ConfigMap != nil:
			configs[volume.ConfigMap.Name] = true
		case volume.Secret != nil:
			keys[volume.Secret.SecretName] = true
		case volume.Projected != nil:
			for _, source := range volume.Projected.Sources {
				switch {
				case source.ConfigMap != nil:
					configs[source.ConfigMap.Name] = true
				case source.Secret != nil:
					keys[source.Secret.Name] = true
				}
			}
		}
	}
	eachContainer(spec, func(_ string, c *corev1.Container) {
		for _, from := range c.EnvFrom {
			switch {
			case from.ConfigMapRef != nil:
				configs[from.ConfigMapRef.Name] = true
			case from.SecretRef != nil:
				keys[from.SecretRef.Name] = true
			}
		}
		for _, variable := range c.Env {
			switch {
			case variable.Value != "" || variable.ValueFrom == nil:
			case variable.ValueFrom.ConfigMapKeyRef != nil:
				configs[variable.ValueFrom.ConfigMapKeyRef.Name] = true
			case variable.ValueFrom.SecretKeyRef != nil:
				keys[variable.ValueFrom.SecretKeyRef.Name] = true
			}
		}
	})
	delete(configs, "")
	delete(keys, "")
	return slices.Sorted(maps.Keys(configs)), slices.Sorted(maps.Keys(keys))
}

// mountedVolumes are the volumes that some container mounts. A kubelet leaves the others alone.
func mountedVolumes(spec *corev1.PodSpec) map[string]bool {
	mounted := map[string]bool{}
	eachContainer(spec, func(_ string, c *corev1.Container) {
		for _, mount := range c.VolumeMounts {
			mounted[mount.Name] = true
		}
	})
	return mounted
}
