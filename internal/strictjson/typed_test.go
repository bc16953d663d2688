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

package strictjson

import (
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestThereIsARuleForEveryTypeInAPod walks through all types that a pod's spec is made of.
func TestThereIsARuleForEveryTypeInAPod(t *testing.T) {
	seen := map[reflect.Type]bool{}
	var walk func(kind reflect.Type, path string)
	walk = func(kind reflect.Type, path string) {
		for kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		if pointer := reflect.PointerTo(kind); seen[kind] || pointer.Implements(unmarshalerType) || pointer.Implements(textType) {
			return
		}
		seen[kind] = true
		switch kind.Kind() {
		case reflect.Struct:
			for _, field := range fieldsOf(kind) {
				walk(field.kind, path+"."+field.name)
			}
		case reflect.Map:
			if kind.Key().Kind() != reflect.String {
				t.Errorf("%s has keys of type %s", path, kind.Key())
			}
			walk(kind.Elem(), path+"[]")
		case reflect.Slice:
			if kind.Elem().Kind() != reflect.Uint8 {
				walk(kind.Elem(), path+"[]")
			}
		case reflect.String, reflect.Bool, reflect.Int, reflect.Int32, reflect.Int64:
		default:
			t.Errorf("there is no rule for %s, of type %s", path, kind)
		}
	}
	walk(reflect.TypeFor[corev1.PodTemplateSpec](), "")
	if !seen[reflect.TypeFor[corev1.Container]()] {
		t.Error("the walk did not get to the containers")
	}
}
