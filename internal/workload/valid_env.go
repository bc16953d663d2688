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

import corev1 "k8s.io/api/core/v1"

func validEnv(at string, container *corev1.Container) *Refusal {
	for i := range container.Env {
		at, variable := index(at+".env", i), &container.Env[i]
		if problem := envName(variable.Name); problem != "" {
			return refuse(at+".name", ReasonInvalid, "%s", problem)
		}
		if variable.ValueFrom == nil {
			continue
		}
		if variable.Value != "" {
			return refuse(at+".valueFrom", ReasonInvalid, "may not be set together with a value")
		}
		if refusal := validEnvSource(at+".valueFrom", variable.ValueFrom); refusal != nil {
			return refusal
		}
	}
	for i, from := range container.EnvFrom {
		at := index(at+".envFrom", i)
		if kinds := count(from.ConfigMapRef != nil, from.SecretRef != nil); kinds != 1 {
			return refuse(at, ReasonInvalid, "must have exactly one source, and has %d", kinds)
		}
		if from.Prefix != "" {
			if problem := envName(from.Prefix); problem != "" {
				return refuse(at+".prefix", ReasonInvalid, "%s", problem)
			}
		}
		if from.ConfigMapRef != nil && from.ConfigMapRef.Name == "" {
			return empty(at + ".configMapRef.name")
		}
		if from.SecretRef != nil && from.SecretRef.Name == "" {
			return empty(at + ".secretRef.name")
		}
	}
	return nil
}

func validEnvSource(at string, from *corev1.EnvVarSource) *Refusal {
	if kinds := setFields(*from); len(kinds) != 1 {
		return refuse(at, ReasonInvalid, "must have exactly one source, and has %d", len(kinds))
	}
	switch {
	case from.FieldRef != nil && from.FieldRef.FieldPath == "":
		return empty(at + ".fieldRef.fieldPath")
	case from.ResourceFieldRef != nil && from.ResourceFieldRef.Resource == "":
		return empty(at + ".resourceFieldRef.resource")
	case from.ConfigMapKeyRef != nil && from.ConfigMapKeyRef.Name == "":
		return empty(at + ".configMapKeyRef.name")
	case from.ConfigMapKeyRef != nil && from.ConfigMapKeyRef.Key == "":
		return empty(at + ".configMapKeyRef.key")
	case from.SecretKeyRef != nil && from.SecretKeyRef.Name == "":
		return empty(at + ".secretKeyRef.name")
	case from.SecretKeyRef != nil && from.SecretKeyRef.Key == "":
		return empty(at + ".secretKeyRef.key")
	}
	return nil
}

// empty refuses a field that must be set.
func empty(at string) *Refusal {
	return refuse(at, ReasonInvalid, "it must not be empty")
}

// count counts what is set.
func count(set ...bool) int {
	n := 0
	for _, is := range set {
		if is {
			n++
		}
	}
	return n
}
