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
	"path"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// checkSplit holds a pod's two halves, after a stay at the API server, against the pod.
func checkSplit(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	want := pod.DeepCopy()
	workload.Default(want)
	template, payload := workload.Split(pod)
	data, err := json.Marshal(template)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte(corev1.LastAppliedConfigAnnotation)) {
		t.Fatalf("the template holds kubectl's copy of the manifest: %s", data)
	}
	request := workload.ResolveRequest{
		Template: throughJSON(t, template), Payload: throughJSON(t, payload), Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID,
	}
	bare := workload.Bare(request)
	if len(bare.Pod.Spec.Containers) != len(want.Spec.Containers) {
		t.Fatal("containers were lost")
	}
	w, err := workload.Resolve(request)
	if err != nil {
		// A pod that refers to what is not there says so, and no more.
		_, refused := workload.IsRefusal(err)
		if _, config := workload.IsConfigError(err); !refused && !config {
			t.Fatal(err)
		}
		return
	}
	for name, volume := range w.Files {
		for _, file := range volume.Files {
			if path.Clean("/"+file.Path) != "/"+file.Path || strings.HasPrefix(file.Path, "..") {
				t.Fatalf("volume %s has a file %q", name, file.Path)
			}
		}
	}
	for i := range want.Spec.Containers {
		want, got := &want.Spec.Containers[i], &w.Pod.Spec.Containers[i]
		if want.Image != got.Image || want.WorkingDir != got.WorkingDir || !equality.Semantic.DeepEqual(want.Lifecycle, got.Lifecycle) {
			t.Fatalf("container %s is not as it came", want.Name)
		}
	}
}

// FuzzSplitResolve sends values through both halves: they come back byte for byte where nothing is to be expanded, and the template
// shows none of them.
func FuzzSplitResolve(f *testing.F) {
	f.Add("NAME", "value", "header", "note", "x")
	f.Add("A", "a b \"c\" $HOME", "Bearer t", "{}", "")
	f.Add("A", "\x00\xff\n'\\", "\n", "ü", "$$")
	f.Fuzz(func(t *testing.T, name, value, header, note, arg string) {
		value, header, note, arg = throughJSON(t, value), throughJSON(t, header), throughJSON(t, note), throughJSON(t, arg)
		name = throughJSON(t, name)
		const secret = "a-secret-that-nobody-may-read-"
		pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "c", Image: "i", Args: []string{arg}, Env: []corev1.EnvVar{{Name: name, Value: secret + value}, {Name: "LAST"}},
			LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{HTTPHeaders: []corev1.HTTPHeader{{Name: "H", Value: secret + header}}}}},
		}}}}
		pod.Annotations = map[string]string{"x.example/note": secret + note}
		template, payload := workload.Split(pod)
		data, err := json.Marshal(template)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte(secret)) {
			t.Fatalf("the template shows a secret: %s", data)
		}
		w, err := workload.Resolve(workload.ResolveRequest{Template: throughJSON(t, template), Payload: throughJSON(t, payload)})
		if err != nil {
			if strings.ContainsRune(value, 0) {
				return
			}
			t.Fatal(err)
		}
		c := w.Pod.Spec.Containers[0]
		if !strings.Contains(value, "$") && name != "LAST" && c.Env[0].Value != secret+value {
			t.Fatalf("env %q became %q", value, c.Env[0].Value)
		}
		if !strings.Contains(arg, "$") && c.Args[0] != arg {
			t.Fatalf("arg %q became %q", arg, c.Args[0])
		}
		if got := c.LivenessProbe.HTTPGet.HTTPHeaders[0].Value; got != secret+header {
			t.Fatalf("header %q became %q", header, got)
		}
		if got := w.Pod.Annotations["x.example/note"]; got != secret+note {
			t.Fatalf("annotation %q became %q", note, got)
		}
	})
}
