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

package v1alpha1_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

func TestATemplateThatIsNoPodSpoilsNoList(t *testing.T) {
	tests := []struct{ name, template, problem string }{
		{"a pod", `{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"main","image":"busybox"}]}}`, ""},
		{"a port with a name for a number", `{"spec":{"containers":[{"ports":[{"containerPort":"http"}]}]}}`, "spec.template.spec.containers[0].ports[0].containerPort must be a whole number"},
		{"a container in place of a list", `{"spec":{"containers":{"name":"main"}}}`, "spec.template.spec.containers must be a list"},
		{"a label that is a number", `{"metadata":{"labels":{"a":1}}}`, "spec.template.metadata.labels[a] must be a string"},
		{"a quantity that takes hours", `{"spec":{"containers":[{"resources":{"limits":{"cpu":"1e-2000000000"}}}]}}`, "spec.template.spec.containers[0].resources.limits[cpu] must be a quantity such as 500m or 2Gi"},
		{"a field that there is not", `{"spec":{"containers":[{"port":80}]}}`, "spec.template.spec.containers[0].port is not known"},
	}
	const good = `{"spec":{"template":{"spec":{"containers":[{"name":"main"}]}}}}`
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var list v1alpha1.RemoteJobList
			if err := json.Unmarshal([]byte(`{"items":[{"spec":{"template":`+tt.template+`}},`+good+`]}`), &list); err != nil {
				t.Fatal(err)
			}
			if got := list.Items[0].Spec.Template.Problem; got != tt.problem {
				t.Errorf("its problem is %q", got)
			}
			if other := list.Items[1].Spec.Template; other.Problem != "" || len(other.Spec.Containers) != 1 {
				t.Errorf("the next one is %+v", other)
			}
			if tt.problem != "" {
				return
			}
			out, err := json.Marshal(list.Items[0].Spec.Template)
			if err != nil || !strings.Contains(string(out), `"labels":{"a":"b"}},"spec":{`) || strings.Contains(string(out), "Problem") {
				t.Errorf("it goes out as %s (%v)", out, err)
			}
		})
	}
}

func TestATemplateThatIsReadAnewKeepsNothingOfTheOldOne(t *testing.T) {
	var template v1alpha1.JobTemplate
	for _, text := range []string{`{"spec":{"hostname":"old","containers":[{"name":"main"}]}}`, `{"spec":[]}`, `{"spec":{"containers":[]}}`} {
		if err := json.Unmarshal([]byte(text), &template); err != nil {
			t.Fatal(err)
		}
	}
	if template.Problem != "" || template.Spec.Hostname != "" || len(template.Spec.Containers) != 0 {
		t.Errorf("it is %+v", template)
	}
}
