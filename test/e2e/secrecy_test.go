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
	"encoding/base64"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// marks are values that may be secret, each in another place of a pod.
var marks = map[string]string{
	"a literal env value":         "mark-env-4f1c",
	"a ConfigMap's value":         "mark-configmap-91be",
	"a Secret's value":            "mark-secret-77d0",
	"a projected file":            "mark-projected-3a52",
	"an annotation":               "mark-annotation-c08e",
	"the last applied manifest":   "mark-applied-5e6b",
	"a job script":                "mark-script-d219",
	"an init container's env":     "mark-initenv-08ab",
	"a mesh client's private key": "mark-wireguard-b1f3",
}

func markedPod(name string) harness.CreateRequest {
	c := harness.Shell("c", `echo "$SECRET" >/dev/null; cat /cfg/k /sec/k /proj/k >/dev/null; exit 9`)
	c.Env = []corev1.EnvVar{envVar("SECRET", marks["a literal env value"])}
	c.VolumeMounts = []corev1.VolumeMount{{Name: "cfg", MountPath: "/cfg"}, {Name: "sec", MountPath: "/sec"}, {Name: "proj", MountPath: "/proj"}}
	pod := harness.NewPod(name, mainBackend, c)
	init := harness.Shell("i", "true")
	init.Env = []corev1.EnvVar{envVar("INIT", marks["an init container's env"])}
	pod.Spec.InitContainers = []corev1.Container{init}
	pod.Spec.Volumes = []corev1.Volume{
		{Name: "cfg", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "cm"}}}},
		{Name: "sec", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "sec"}}},
		{Name: "proj", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{}}},
	}
	pod.Annotations["example.com/note"] = marks["an annotation"]
	pod.Annotations["kubectl.kubernetes.io/last-applied-configuration"] = `{"env":"` + marks["the last applied manifest"] + `"}`
	r := harness.Request(pod).With("c",
		[]corev1.ConfigMap{configMap("cm", map[string]string{"k": marks["a ConfigMap's value"]})},
		[]corev1.Secret{secret("sec", map[string][]byte{"k": []byte(marks["a Secret's value"])})})
	for i := range r.Container {
		if r.Container[i].Name == "c" {
			r.Container[i].ProjectedVolumeMaps = []corev1.ConfigMap{configMap("proj", map[string]string{"k": marks["a projected file"]})}
		}
	}
	return r
}

func TestNothingSecretIsReadableOutsideOfThePayload(t *testing.T) {
	s := onShared(t)
	seen := map[string]string{}
	ran := markedPod("marked")
	s.create(ran)
	st := s.ended(ran.Pod, longTime)
	s.exits(st, map[string]int32{"i": 0, "c": 9})
	text, _ := json.Marshal(st)
	seen["the answer to /status"] = string(text)

	// The payload is where the values are: else this test would look for what is nowhere.
	job := s.ledger.MustJob(s.ctx, t, ran.Pod)
	var payload strings.Builder
	for _, name := range job.Spec.PayloadSecretNames {
		var sec corev1.Secret
		if err := s.ledger.Get(s.ctx, objectKey("default", name), &sec); err != nil {
			t.Fatal(err)
		}
		if sec.Immutable == nil || !*sec.Immutable {
			t.Errorf("payload Secret %s can be changed", name)
		}
		for _, data := range sec.Data {
			payload.Write(data)
		}
	}
	for _, where := range []string{"a literal env value", "a Secret's value", "a projected file"} {
		if !holds(payload.String(), marks[where]) {
			t.Errorf("the payload does not hold %s", where)
		}
	}

	// Pods that cannot run, and bodies that are none, are told of in words: the words must not repeat values.
	for name, change := range map[string]func(*harness.CreateRequest){
		"refused":        func(r *harness.CreateRequest) { r.Pod.Spec.HostNetwork = true },
		"script":         func(r *harness.CreateRequest) { r.JobScript = "#!/bin/sh\necho " + marks["a job script"] },
		"bad-secret-ref": func(r *harness.CreateRequest) { r.Pod.Spec.Volumes[1].Secret.SecretName = "other" },
		"bad-env-name":   func(r *harness.CreateRequest) { r.Pod.Spec.Containers[0].Env[0].Name = "1=2" },
		"mesh": func(r *harness.CreateRequest) {
			r.Pod.Annotations["interlink.eu/wireguard-client-snippet"] = marks["a mesh client's private key"]
		},
		"no-image": func(r *harness.CreateRequest) { r.Pod.Spec.Containers[0].Image = "no-such-image:2" },
		"no-command": func(r *harness.CreateRequest) {
			r.Pod.Spec.Containers[0].Command = []string{"/no/such/program", "$(SECRET)"}
		},
	} {
		r := markedPod("marked-" + name)
		change(&r)
		s.deleteAfterwards(r.Pod)
		_, answer, err := s.manager.Create(s.ctx, r.Body(t))
		if err != nil {
			t.Fatal(err)
		}
		seen["the answer to /create of "+name] = string(answer.Body)
		if answer.Code == http.StatusOK {
			st := s.eventually(r.Pod, longTime, "goes on", func(st harness.PodStatus) error {
				if st.Ended() || (st.Containers[0].State.Waiting != nil && st.Containers[0].State.Waiting.Message != "") {
					return nil
				}
				return errNotYet
			})
			text, _ := json.Marshal(st)
			seen["the answer to /status about "+name] = string(text)
		}
	}
	answer, err := s.manager.Do(s.ctx, http.MethodPost, "/create", []byte(`{"pod":{"spec":{"containers":[{"env":[{"name":"a","value":{"x":"`+marks["a literal env value"]+`"}}]}]}}}`))
	if err != nil {
		t.Fatal(err)
	}
	seen["the answer to a body with a wrong type"] = string(answer.Body)

	var jobs v1alpha1.RemoteJobList
	var backends v1alpha1.RemoteBackendList
	var events corev1.EventList
	var newEvents eventsv1.EventList
	for what, list := range map[string]listObject{"RemoteJobs": &jobs, "RemoteBackends": &backends, "events": &events, "new events": &newEvents} {
		if err := s.ledger.List(s.ctx, list); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		seen["the "+what] = string(text)
	}
	log, err := os.ReadFile(s.manager.Log)
	if err != nil {
		t.Fatal(err)
	}
	seen["the manager's log"] = string(log)

	for where, text := range seen {
		for what, mark := range marks {
			if holds(text, mark) {
				t.Errorf("%s holds %s", where, what)
			}
		}
	}
}

// holds tells whether a text holds a value, plain or in base64 at any alignment.
func holds(text, value string) bool {
	if strings.Contains(text, value) {
		return true
	}
	for shift := range 3 {
		encoded := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", shift) + value))
		// The characters at both ends depend on the neighbours.
		if strings.Contains(text, encoded[4:len(encoded)-4]) {
			return true
		}
	}
	return false
}
