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

package workload_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// listing writes a volume's files in a form that a test can spell out.
func listing(v workload.FileVolume) string {
	var out []string
	for _, f := range v.Files {
		out = append(out, fmt.Sprintf("%s %04o %q", f.Path, f.Mode, f.Data))
	}
	return strings.Join(out, "\n")
}

func TestRecordedPodComesOutWhole(t *testing.T) {
	pod, request := create(t, "create-rich")
	w, err := workload.Resolve(request)
	if err != nil {
		t.Fatal(err)
	}
	for volume, want := range map[string]string{
		"cfg":      "greeting 0440 \"hello\"\nsettings.ini 0440 \"mode=fast\\nthreads=4\\n\"",
		"one":      "settings.ini 0644 \"mode=fast\\nthreads=4\\n\"",
		"sec":      "password 0400 \"s3cr3t with spaces & 'quotes'\"\ntoken 0400 \"tok-123\"",
		"downward": "labels 0644 \"app=\\\"rich\\\"\\n\"",
		// interLink left my-token out of the volume. The Secret came with another one.
		"proj": "greeting 0644 \"hello\"\nmy-token 0644 \"tok-123\"\nsettings.ini 0644 \"mode=fast\\nthreads=4\\n\"",
	} {
		if got := listing(w.Files[volume]); got != want {
			t.Errorf("volume %s holds\n%s\nwant\n%s", volume, got, want)
		}
	}
	if got := slices.Sorted(maps.Keys(w.Files)); !slices.Equal(got, []string{"cfg", "downward", "one", "proj", "sec"}) {
		t.Errorf("volumes of files are %v", got)
	}
	if !equality.Semantic.DeepEqual(w.Pod.Spec, pod.Spec) {
		t.Errorf("the spec is not as it came:\n%s", diff.Diff(pod.Spec, w.Pod.Spec))
	}
	if w.Pod.Name != "rich" || w.Pod.Namespace != "default" || w.Pod.UID != pod.UID || w.Token != request.Token || w.Ledger != "ledger" || w.Backend != "backend" {
		t.Errorf("it is %s/%s %s, token %s", w.Pod.Namespace, w.Pod.Name, w.Pod.UID, w.Token)
	}
}

func TestBareNeedsNoPayload(t *testing.T) {
	_, request := create(t, "create-rich")
	request.Payload = workload.Payload{}
	if _, err := workload.Resolve(request); err == nil {
		t.Fatal("without its payload the job resolved all the same")
	}
	w := workload.Bare(request)
	if w.Token != request.Token || w.Pod.Name != "rich" || len(w.Pod.Spec.Containers) != 2 || w.Pod.Spec.Containers[0].Lifecycle == nil {
		t.Errorf("it is %+v", w)
	}
	if got := *w.Pod.Spec.TerminationGracePeriodSeconds; got != 30 {
		t.Errorf("the grace period is %d", got)
	}
}

func TestResolveLeavesTheRequestAlone(t *testing.T) {
	_, request := create(t, "create-rich")
	request.Template.Spec.Containers[0].Args = []string{"$(token)"}
	template := request.Template.DeepCopy()
	if _, err := workload.Resolve(request); err != nil {
		t.Fatal(err)
	}
	if !equality.Semantic.DeepEqual(template, &request.Template) {
		t.Errorf("the template changed:\n%s", diff.Diff(template, &request.Template))
	}
}

func TestHeadersAndAnnotationsComeBack(t *testing.T) {
	pod := podFrom(t, `{"metadata": {"annotations": {"slurm-job.vk.io/pre-exec": "module load x", "remotejob.dev/backend": "b"}},
		"spec": {"containers": [{"name": "c", "image": "i",
			"livenessProbe": {"httpGet": {"port": 1, "httpHeaders": [{"name": "A", "value": "1"}, {"name": "Empty"}, {"name": "A", "value": "2"}]}},
			"lifecycle": {"postStart": {"httpGet": {"port": 1, "httpHeaders": [{"name": "A", "value": "3"}]}}}}]}}`)
	want := pod.DeepCopy()
	workload.Default(want)
	template, payload := workload.Split(pod)
	w, err := workload.Resolve(workload.ResolveRequest{Template: template, Payload: payload})
	if err != nil {
		t.Fatal(err)
	}
	if !equality.Semantic.DeepEqual(w.Pod.Spec, want.Spec) || !maps.Equal(w.Pod.Annotations, want.Annotations) {
		t.Errorf("the pod is not as it came:\n%s", diff.Diff(want, w.Pod))
	}
}

func TestPullSecrets(t *testing.T) {
	w, err := workload.Resolve(handWritten(t, `{"imagePullSecrets": [{"name": "absent"}, {"name": "pull"}], "containers": [{"name": "c", "image": "i"}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if len(w.PullSecrets) != 1 || string(w.PullSecrets[0][".dockerconfigjson"]) != "{}" {
		t.Errorf("they are %v", w.PullSecrets)
	}
}

func TestReferences(t *testing.T) {
	pod := podFrom(t, `{"spec": {
		"imagePullSecrets": [{"name": "s1"}, {"name": ""}],
		"volumes": [
			{"name": "a", "configMap": {"name": "m1"}}, {"name": "b", "secret": {"secretName": "s2"}},
			{"name": "c", "projected": {"sources": [{"configMap": {"name": "m2", "optional": true}}, {"secret": {"name": "s3"}}]}},
			{"name": "unmounted", "configMap": {"name": "m9"}}
		],
		"initContainers": [{"name": "i", "envFrom": [{"configMapRef": {"name": "m3"}}, {"secretRef": {"name": "s4"}}], "volumeMounts": [{"name": "c"}]}],
		"containers": [{"name": "c", "volumeMounts": [{"name": "a"}, {"name": "b"}], "env": [
			{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "m4", "key": "k"}}},
			{"name": "B", "valueFrom": {"secretKeyRef": {"name": "s2", "key": "k"}}},
			{"name": "C", "value": "literal"}]}]
	}}`)
	configMaps, secrets := workload.References(&pod.Spec)
	if want := []string{"m1", "m2", "m3", "m4"}; !slices.Equal(configMaps, want) {
		t.Errorf("ConfigMaps are %v", configMaps)
	}
	if want := []string{"s1", "s2", "s3", "s4"}; !slices.Equal(secrets, want) {
		t.Errorf("Secrets are %v", secrets)
	}
}
