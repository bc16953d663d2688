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

package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

func TestWhatThePolicyForbidsIsRefusedInASentenceThatNamesTheField(t *testing.T) {
	s := onShared(t)
	for name, c := range map[string]struct {
		change func(*corev1.Pod)
		words  []string
	}{
		"a privileged container": {func(p *corev1.Pod) {
			p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: ptr(true)}
		}, []string{"privileged"}},
		"the host's network": {func(p *corev1.Pod) { p.Spec.HostNetwork = true }, []string{"hostNetwork"}},
		"the host's processes": {func(p *corev1.Pod) {
			p.Spec.HostPID = true
		}, []string{"hostPID"}},
		"a host path": {func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "h", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/etc"}}}}
			p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "h", MountPath: "/h"}}
		}, []string{"hostPath"}},
		"a backend that is not there": {func(p *corev1.Pod) {
			p.Annotations["remotejob.dev/backend"] = "no-such-backend"
		}, []string{"no-such-backend"}},
		"a namespace that is not there": {func(p *corev1.Pod) { p.Namespace = "no-such-namespace" }, []string{"no-such-namespace"}},
		"a mount of a volume that the pod has not": {func(p *corev1.Pod) {
			p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "missing", MountPath: "/m"}}
		}, []string{"missing"}},
		"a ConfigMap that did not come": {func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "cfg", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "absent"}}}}}
			p.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "cfg", MountPath: "/m"}}
		}, []string{"absent"}},
		"a path that leads out of its volume": {func(p *corev1.Pod) {
			p.Spec.Volumes, p.Spec.Containers[0].VolumeMounts = scratch("/work")
			p.Spec.Containers[0].VolumeMounts[0].SubPath = "../../etc"
		}, []string{"subPath"}},
		"no containers": {func(p *corev1.Pod) { p.Spec.Containers = nil }, []string{"containers"}},
		"an extended resource that Docker has not": {func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources.Limits = corev1.ResourceList{"example.com/widget": resource.MustParse("1")}
		}, []string{"example.com/widget"}},
		"an ephemeral container": {func(p *corev1.Pod) {
			p.Spec.EphemeralContainers = []corev1.EphemeralContainer{{EphemeralContainerCommon: corev1.EphemeralContainerCommon{Name: "e", Image: "busybox:1.36"}}}
		}, []string{"ephemeralContainers"}},
	} {
		pod := harness.NewPod("refused", mainBackend, harness.Shell("c", "true"))
		c.change(pod)
		_, answer, err := s.manager.Create(s.ctx, harness.Request(pod).Body(t))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		text := string(answer.Body)
		if answer.Code < 400 || answer.Code >= 500 || strings.Count(strings.TrimSpace(text), "\n") != 0 || strings.ContainsAny(text, "<>{}") {
			t.Errorf("%s: %d %q is no refusal in one plain sentence", name, answer.Code, text)
		}
		for _, word := range c.words {
			if !strings.Contains(text, word) {
				t.Errorf("%s: the refusal %q does not name %s", name, text, word)
			}
		}
		if list, _, err := s.manager.Status(s.ctx, pod); err != nil || len(list) != 0 {
			t.Errorf("%s: it was refused, and /status knows of it: %v %v", name, err, list)
		}
	}
}

func TestARefusalIsJSONWhereAcceptAsksForIt(t *testing.T) {
	s := onShared(t)
	pod := harness.NewPod("refused-json", mainBackend, harness.Shell("c", "true"))
	pod.Spec.HostNetwork = true
	answer, err := s.manager.Do(s.ctx, http.MethodPost, "/create", harness.Request(pod).Body(t), "Accept", "application/json")
	if err != nil {
		t.Fatal(err)
	}
	var refusal struct {
		Error struct{ Reason, Message string } `json:"error"`
	}
	if err := json.Unmarshal(answer.Body, &refusal); err != nil || refusal.Error.Reason == "" || !strings.Contains(refusal.Error.Message, "hostNetwork") {
		t.Errorf("%d %s: %v", answer.Code, answer.Body, err)
	}
}

func TestWhatIsNoPodIsAnswered4xxInWords(t *testing.T) {
	s := onShared(t)
	for name, c := range map[string]struct{ method, path, body string }{
		"an empty pod":            {http.MethodPost, "/create", `{"pod":{}}`},
		"an empty body":           {http.MethodPost, "/create", ``},
		"no JSON":                 {http.MethodPost, "/create", `{"pod":`},
		"a number":                {http.MethodPost, "/create", `7`},
		"an empty list":           {http.MethodPost, "/create", `[]`},
		"a list with a null":      {http.MethodPost, "/create", `[null]`},
		"a pod without a UID":     {http.MethodPost, "/create", `{"pod":{"metadata":{"name":"a","namespace":"default"},"spec":{"containers":[{"name":"c","image":"i"}]}}}`},
		"text after the JSON":     {http.MethodPost, "/create", `{"pod":{}} {"pod":{}}`},
		"/status about no JSON":   {http.MethodGet, "/status", `[{`},
		"/delete of nothing":      {http.MethodPost, "/delete", `{}`},
		"/delete of no JSON":      {http.MethodPost, "/delete", `nope`},
		"/getLogs of nothing":     {http.MethodGet, "/getLogs", `{}`},
		"/getLogs of no JSON":     {http.MethodGet, "/getLogs", `"`},
		"a path that is not ours": {http.MethodGet, "/nowhere", ``},
		"a wrong method":          {http.MethodPut, "/create", `{}`},
	} {
		answer, err := s.manager.Do(s.ctx, c.method, c.path, []byte(c.body))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if answer.Code < 400 || answer.Code >= 500 || len(strings.TrimSpace(string(answer.Body))) < 8 {
			t.Errorf("%s: %d %q", name, answer.Code, answer.Body)
		}
	}
	big := append([]byte(`{"pod":{"metadata":{"name":"`), make([]byte, 17<<20)...)
	for i := 28; i < len(big); i++ {
		big[i] = 'a'
	}
	answer, err := s.manager.Do(s.ctx, http.MethodPost, "/create", big)
	if err != nil || answer.Code != http.StatusRequestEntityTooLarge {
		t.Errorf("a body of 17 MiB: %v, %d %s", err, answer.Code, answer.Body)
	}
}
