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
	"reflect"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// checker holds one pod against the rules.
type checker struct {
	pod       *corev1.Pod
	abilities Abilities
	policy    v1alpha1.BackendPolicy
	// container is the one that the walk is in, nil outside of containers.
	container *corev1.Container
	// mount is the container's mount that the walk is in, nil outside of mounts.
	mount *corev1.VolumeMount
}

// volume is the pod's volume of that name, nil where there is none.
func (c *checker) volume(name string) *corev1.Volume {
	for i := range c.pod.Spec.Volumes {
		if c.pod.Spec.Volumes[i].Name == name {
			return &c.pod.Spec.Volumes[i]
		}
	}
	return nil
}

// walk holds a value and all that is set below it against the rules. at is its path with indices, path the same with stars. What is set
// and has no rule is refused, so a field that a newer Kubernetes adds is never ignored.
func (c *checker) walk(at, path string, v reflect.Value) *Refusal {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	} else if v.IsZero() {
		return nil
	}
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		if v.Len() == 0 {
			return nil
		}
	}
	rule := findRule(path)
	if rule != nil {
		if rule.idle != nil && rule.idle(c, v) {
			return nil
		}
		if refusal := c.apply(rule, at, v); refusal != nil {
			return refusal
		}
		if rule.whole {
			return nil
		}
	}
	switch {
	case isStruct(v.Type()):
		return c.walkStruct(at, path, v)
	case v.Kind() == reflect.Slice && isStruct(v.Type().Elem()):
		for i := range v.Len() {
			if refusal := c.walk(fmt.Sprintf("%s[%d]", at, i), path+"[*]", v.Index(i)); refusal != nil {
				return refusal
			}
		}
		return nil
	case rule == nil:
		return refuse(at, ReasonUnsupported, "this operator does not know the field")
	}
	return nil
}

func (c *checker) walkStruct(at, path string, v reflect.Value) *Refusal {
	switch part := v.Addr().Interface().(type) {
	case *corev1.Container:
		c.container = part
		defer func() { c.container = nil }()
	case *corev1.VolumeMount:
		c.mount = part
		defer func() { c.mount = nil }()
	}
	for i := range v.NumField() {
		name := jsonName(v.Type().Field(i))
		if name != "" {
			name = "." + name
		}
		if refusal := c.walk(strings.TrimPrefix(at+name, "."), strings.TrimPrefix(path+name, "."), v.Field(i)); refusal != nil {
			return refusal
		}
	}
	return nil
}

// apply is what the rule says of a value that asks for something.
func (c *checker) apply(rule *rule, at string, v reflect.Value) *Refusal {
	switch {
	case rule.fate == refused:
		return refuse(at, ReasonUnsupported, "%s", rule.text)
	case rule.refusedBy(c.abilities):
		return c.unable(at, rule.feature)
	case rule.check != nil:
		return rule.check(c, at, v)
	}
	return nil
}

// unable refuses what the backend lacks the feature for.
func (c *checker) unable(at string, feature Feature) *Refusal {
	return refuse(at, ReasonUnsupported, "the %s backend does not support %s", c.abilities.Backend, feature)
}

// forbidden refuses what the backend's policy does not allow.
func forbidden(at, policy, format string, args ...any) *Refusal {
	return refuse(at, ReasonForbidden, "the backend's policy does not allow %s (%s)", fmt.Sprintf(format, args...), policy)
}

// jsonName is the field's name on the wire; empty where its fields stand in the struct that it is in.
func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// isStruct tells whether the walk goes into values of the type: quantities, times and the like are values of their own.
func isStruct(t reflect.Type) bool {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t {
	case reflect.TypeFor[resource.Quantity](), reflect.TypeFor[intstr.IntOrString](), reflect.TypeFor[metav1.Time](),
		reflect.TypeFor[metav1.FieldsV1]():
		return false
	}
	return t.Kind() == reflect.Struct
}
