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
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// FuzzUnmarshal makes sure that the short way comes to what the long one does.
func FuzzUnmarshal(f *testing.F) {
	for _, text := range []string{
		`{"metadata":{"labels":{"a":"b"},"creationTimestamp":null,"unknown":1},"spec":{"containers":[{"name":"main","env":[{"name":"A","value":"1"}]}]}}`,
		`{"spec":{"Containers":[{"NAME":"main"}],"containers":null}}`, `{"spec":{"containers":[{"comand":["true"]}]}}`, `null`, `[]`, `{`, `{} {}`,
		`{"spec":{"overhead":{"cpu":"1e3","memory":1.5}}}`, `{"spec":{"overhead":{"cpu":"1e-2000000000"}}}`, `{"spec":{"terminationGracePeriodSeconds":1e1}}`,
		`{"spec":{"volumes":[{"name":"v","emptyDir":{"sizeLimit":"1Gi"}},{"name":"v","secret":{"defaultMode":420}}]}}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var got, want corev1.PodTemplateSpec
		err := Unmarshal(text, &got, "spec.template")
		wantErr := Check(text, &want, "spec.template")
		if wantErr == nil {
			wantErr = json.Unmarshal(text, &want)
		}
		if err == nil && wantErr != nil && strings.Contains(wantErr.Error(), "quantity") {
			return // one of more than 64 bytes that are not digits: its decoding costs little
		}
		if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
			t.Fatalf("%q: got %v, want %v", text, err, wantErr)
		}
		if err == nil && !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %+v, want %+v", text, got, want)
		}
	})
}
