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
	"bytes"
	"encoding/json"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// mark fills every string below v with a mark of its own, which names the path.
func mark(v reflect.Value, path string) {
	switch v.Interface().(type) {
	case resource.Quantity, metav1.Time, metav1.FieldsV1:
		return
	case intstr.IntOrString:
		v.Set(reflect.ValueOf(intstr.FromString("<" + path + ">")))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("<" + path + ">")
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		mark(v.Elem(), path)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		mark(v.Index(0), path+"[*]")
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		if v.Type().Elem().Kind() == reflect.String {
			v.SetMapIndex(reflect.ValueOf("key-of-"+path).Convert(v.Type().Key()), reflect.ValueOf("<"+path+">").Convert(v.Type().Elem()))
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			if name != "" {
				name = "." + name
			}
			mark(v.Field(i), strings.TrimPrefix(path+name, "."))
		}
	}
}

// mayBeSecret are the strings of a pod that nobody may read in a RemoteJob.
var mayBeSecret = regexp.MustCompile(`\.env\[\*\]\.value$|\.httpHeaders\[\*\]\.value$|^metadata\.annotations|^spec\.ephemeralContainers|^status|^metadata\.managedFields`)

func TestTemplateHoldsNothingThatMayBeSecret(t *testing.T) {
	pod := &corev1.Pod{}
	mark(reflect.ValueOf(pod).Elem(), "")
	pod.Annotations["kubectl.kubernetes.io/last-applied-configuration"] = "<metadata.annotations: last applied>"
	template, payload := workload.Split(pod)
	data, err := json.Marshal(template)
	if err != nil {
		t.Fatal(err)
	}
	shown := regexp.MustCompile(`<[^>]*>`).FindAllString(strings.NewReplacer("\\u003c", "<", "\\u003e", ">").Replace(string(data)), -1)
	if len(shown) < 200 {
		t.Fatalf("the template shows only %d strings: the marks do not work", len(shown))
	}
	for _, path := range shown {
		if mayBeSecret.MatchString(strings.Trim(path, "<>")) {
			t.Errorf("the template shows %s", path)
		}
	}

	// Env and headers are in the payload, the manifest's copy nowhere.
	kept, err := json.Marshal(payload)
	if err != nil {
		t.Fatal(err)
	}
	keptText := strings.NewReplacer("\\u003c", "<", "\\u003e", ">").Replace(string(kept))
	for _, path := range []string{
		"<spec.initContainers[*].env[*].value>", "<spec.containers[*].env[*].value>",
		"<spec.containers[*].livenessProbe.httpGet.httpHeaders[*].value>", "<spec.containers[*].readinessProbe.httpGet.httpHeaders[*].value>",
		"<spec.containers[*].startupProbe.httpGet.httpHeaders[*].value>", "<spec.containers[*].lifecycle.postStart.httpGet.httpHeaders[*].value>",
		"<spec.containers[*].lifecycle.preStop.httpGet.httpHeaders[*].value>", "<metadata.annotations>",
	} {
		if !strings.Contains(keptText, path) {
			t.Errorf("the payload lacks %s", path)
		}
	}
	if strings.Contains(keptText, "last applied") {
		t.Error("the payload holds kubectl's copy of the manifest")
	}
}

func TestTemplateOfARecordedPodHoldsNoneOfItsValues(t *testing.T) {
	pod, request := create(t, "create-rich")
	data, err := json.Marshal(request.Template)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"tok-123", "s3cr3t", "$HOME", "mode=fast", "elided", "last-applied"} {
		if bytes.Contains(data, []byte(secret)) {
			t.Errorf("the template holds %q", secret)
		}
	}
	if got, want := request.Template.Annotations, (map[string]string{"slurm-job.vk.io/flags": "--time=00:10:00 --nodes=1"}); !maps.Equal(got, want) {
		t.Errorf("annotations are %v", got)
	}
	if got, want := request.Template.Labels, pod.Labels; !maps.Equal(got, want) {
		t.Errorf("labels are %v", got)
	}
	var names []string
	for _, variable := range request.Template.Spec.Containers[0].Env {
		names = append(names, variable.Name)
	}
	if want := []string{"token", "PLAIN", "GREETING", "TOKEN", "POD_NAME", "password"}; !slices.Equal(names, want) {
		t.Errorf("the env's names are %v", names)
	}
}

func TestAnnotationsGoWhereTheyBelong(t *testing.T) {
	shown := []string{
		"remotejob.dev/backend", "remotejob.dev/anything", "slurm-job.vk.io/flags", "slurm-job.vk.io/flavor", "slurm-job.vk.io/mpi-flags",
		"slurm-job.vk.io/image-root", "slurm-job.vk.io/singularity-mounts", "slurm-job.vk.io/enroot-mounts",
	}
	hidden := []string{
		"slurm-job.vk.io/pre-exec", "slurm-job.vk.io/singularity-options", "slurm-job.vk.io/singularity-commands", "slurm-job.vk.io/enroot-options",
		"docker-options.vk.io/flags", "interlink.eu/wstunnel-client-commands", "interlink.eu/wireguard-client-snippet", "interlink.eu/pod-ip",
		"somebody.example/note", "notremotejob.dev/backend", "JobID",
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{corev1.LastAppliedConfigAnnotation: "manifest"}}}
	for _, name := range append(slices.Clone(shown), hidden...) {
		pod.Annotations[name] = "value of " + name
	}
	template, payload := workload.Split(pod)
	if got := slices.Sorted(maps.Keys(template.Annotations)); !slices.Equal(got, slices.Sorted(slices.Values(shown))) {
		t.Errorf("the template shows %v", got)
	}
	if got := slices.Sorted(maps.Keys(payload.Annotations)); !slices.Equal(got, slices.Sorted(slices.Values(hidden))) {
		t.Errorf("the payload keeps %v", got)
	}
	for name, value := range payload.Annotations {
		if value != "value of "+name {
			t.Errorf("%s is %q", name, value)
		}
	}
}

func TestSplitLeavesThePodAlone(t *testing.T) {
	pod, _ := create(t, "create-rich")
	before := pod.DeepCopy()
	template, _ := workload.Split(&pod)
	template.Labels["app"] = "changed"
	template.Spec.Containers[0].Command[0] = "changed"
	if !equality.Semantic.DeepEqual(before, &pod) {
		t.Errorf("the pod changed:\n%s", diff.Diff(before, &pod))
	}
}

func TestEmptyPayloadKeepsNothing(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Env: []corev1.EnvVar{{Name: "EMPTY"}}}}}}
	_, payload := workload.Split(pod)
	if !payload.Empty() {
		t.Errorf("the payload is %+v", payload)
	}
	for _, full := range []workload.Payload{
		{Env: map[string][]corev1.EnvVar{"c": nil}}, {ConfigMaps: map[string]workload.FileData{"c": nil}}, {Secrets: map[string]workload.FileData{"c": nil}},
		{Projected: map[string]workload.FileData{"c": nil}}, {Annotations: map[string]string{"a": ""}}, {Headers: map[string]string{"a": ""}}, {JobScript: "x"},
	} {
		if full.Empty() {
			t.Errorf("%+v is taken for empty", full)
		}
	}
}

// All of a payload survives JSON, which is what its Secrets hold.
func TestPayloadSurvivesJSON(t *testing.T) {
	want := workload.Payload{
		Env:         map[string][]corev1.EnvVar{"c": {{Name: "N", Value: "v\x00\n\"'\\$ü"}}},
		ConfigMaps:  map[string]workload.FileData{"m": {"k": []byte{0, 255, 254}}},
		Secrets:     map[string]workload.FileData{"s": {"k": []byte("x"), "empty": {}}},
		Projected:   map[string]workload.FileData{"p": {"a/b": []byte("y")}, "none": {}},
		Annotations: map[string]string{"a": "b"},
		Headers:     map[string]string{"c/livenessProbe/0": "h"},
		JobScript:   "#!/bin/sh\n",
	}
	v := reflect.ValueOf(want)
	for i := range v.NumField() {
		if v.Field(i).IsZero() {
			t.Fatalf("the test leaves out %s", v.Type().Field(i).Name)
		}
	}
	data, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got workload.Payload
	if err := json.Unmarshal(data, &got); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s", diff.Diff(want, got))
	}
}
