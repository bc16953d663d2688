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
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// validVolumes is what an API server would say of the volumes, where no rule of a field says it.
func (c *checker) validVolumes() *Refusal {
	names := map[string]bool{}
	for i := range c.pod.Spec.Volumes {
		volume := &c.pod.Spec.Volumes[i]
		at := index("spec.volumes", i)
		if refusal := invalid(at+".name", volume.Name, validation.IsDNS1123Label(volume.Name)); refusal != nil {
			return refusal
		}
		if names[volume.Name] {
			return refuse(at+".name", ReasonInvalid, "there are two volumes of the name %q", volume.Name)
		}
		names[volume.Name] = true
		if kinds := setFields(volume.VolumeSource); len(kinds) > 1 {
			return refuse(at, ReasonInvalid, "a volume is of one kind, and this one is of %s", strings.Join(kinds, " and "))
		}
		if refusal := validVolume(at, volume); refusal != nil {
			return refusal
		}
	}
	return nil
}

// setFields are the names of the fields of a union that are set.
func setFields(union any) []string {
	var names []string
	v := reflect.ValueOf(union)
	for i := range v.NumField() {
		if !v.Field(i).IsNil() {
			names = append(names, jsonName(v.Type().Field(i)))
		}
	}
	return names
}

func validVolume(at string, v *corev1.Volume) *Refusal {
	switch {
	case v.HostPath != nil && v.HostPath.Path == "":
		return empty(at + ".hostPath.path")
	case v.PersistentVolumeClaim != nil && v.PersistentVolumeClaim.ClaimName == "":
		return empty(at + ".persistentVolumeClaim.claimName")
	case v.EmptyDir != nil && v.EmptyDir.SizeLimit != nil && v.EmptyDir.SizeLimit.Sign() < 0:
		return refuse(at+".emptyDir.sizeLimit", ReasonInvalid, "must not be negative")
	case v.ConfigMap != nil:
		if v.ConfigMap.Name == "" {
			return empty(at + ".configMap.name")
		}
		return validKeys(at+".configMap", v.ConfigMap.Items)
	case v.Secret != nil:
		if v.Secret.SecretName == "" {
			return empty(at + ".secret.secretName")
		}
		return validKeys(at+".secret", v.Secret.Items)
	case v.DownwardAPI != nil:
		return validDownward(at+".downwardAPI", v.DownwardAPI.Items)
	case v.Projected != nil:
		for i := range v.Projected.Sources {
			if refusal := validSource(index(at+".projected.sources", i), &v.Projected.Sources[i]); refusal != nil {
				return refusal
			}
		}
	}
	return nil
}

func validSource(at string, source *corev1.VolumeProjection) *Refusal {
	kinds := setFields(*source)
	if len(kinds) != 1 {
		return refuse(at, ReasonInvalid, "a source is of exactly one kind, and this one is of %d", len(kinds))
	}
	switch {
	case source.ConfigMap != nil:
		if source.ConfigMap.Name == "" {
			return empty(at + ".configMap.name")
		}
		return validKeys(at+".configMap", source.ConfigMap.Items)
	case source.Secret != nil:
		if source.Secret.Name == "" {
			return empty(at + ".secret.name")
		}
		return validKeys(at+".secret", source.Secret.Items)
	case source.DownwardAPI != nil:
		return validDownward(at+".downwardAPI", source.DownwardAPI.Items)
	case source.ServiceAccountToken != nil && source.ServiceAccountToken.Path == "":
		return empty(at + ".serviceAccountToken.path")
	}
	return nil
}

func validKeys(at string, items []corev1.KeyToPath) *Refusal {
	for i, item := range items {
		at := index(at+".items", i)
		if item.Key == "" {
			return empty(at + ".key")
		}
		if item.Path == "" {
			return empty(at + ".path")
		}
	}
	return nil
}

func validDownward(at string, items []corev1.DownwardAPIVolumeFile) *Refusal {
	for i, item := range items {
		at := index(at+".items", i)
		if item.Path == "" {
			return empty(at + ".path")
		}
		if (item.FieldRef == nil) == (item.ResourceFieldRef == nil) {
			return refuse(at, ReasonInvalid, "must have exactly one of fieldRef and resourceFieldRef")
		}
		if item.FieldRef != nil && !downwardFile(item.FieldRef.FieldPath) {
			return refuse(at+".fieldRef.fieldPath", ReasonInvalid, "%s is no field that a file of the downward API can have", item.FieldRef.FieldPath)
		}
		if item.ResourceFieldRef != nil && item.ResourceFieldRef.ContainerName == "" {
			return empty(at + ".resourceFieldRef.containerName")
		}
	}
	return nil
}

// downwardFile tells whether the downward API has files of a field: of metadata alone.
func downwardFile(field string) bool {
	_, ok := podField(&corev1.Pod{}, field)
	return ok && strings.HasPrefix(field, "metadata.")
}
