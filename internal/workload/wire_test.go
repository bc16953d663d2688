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
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// createBody is what the recorded create calls hold, as far as these tests look at it.
type createBody struct {
	Pod       corev1.Pod `json:"pod"`
	Container []struct {
		Name       string             `json:"name"`
		ConfigMaps []corev1.ConfigMap `json:"configMaps"`
		Projected  []corev1.ConfigMap `json:"projectedvolumemaps"`
		Secrets    []corev1.Secret    `json:"secrets"`
	} `json:"container"`
}

// recorded reads the body of a recorded call.
func recorded(t testing.TB, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(moduleRoot(t), "test", "harness", "wire", name+".request.json"))
	if err != nil {
		t.Fatalf("read the recording: %v", err)
	}
	var call struct {
		Body json.RawMessage `json:"body"`
	}
	if err := json.Unmarshal(data, &call); err != nil {
		t.Fatalf("decode %s: %v", name, err)
	}
	if err := json.Unmarshal(call.Body, into); err != nil {
		t.Fatalf("decode the body of %s: %v", name, err)
	}
}

// moduleRoot is the directory that go.mod is in.
func moduleRoot(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("there is no go.mod above this directory")
		}
		dir = parent
	}
}

// create is a recorded pod as the ledger would keep it: split, with what came beside it in the payload.
func create(t testing.TB, name string) (corev1.Pod, workload.ResolveRequest) {
	t.Helper()
	var body createBody
	recorded(t, name, &body)
	template, payload := workload.Split(&body.Pod)
	payload.ConfigMaps = map[string]workload.FileData{}
	payload.Secrets = map[string]workload.FileData{}
	payload.Projected = map[string]workload.FileData{}
	for _, c := range body.Container {
		for _, m := range c.ConfigMaps {
			payload.ConfigMaps[m.Name] = textData(m.Data)
		}
		for _, m := range c.Projected {
			payload.Projected[m.Name] = textData(m.Data)
		}
		for _, s := range c.Secrets {
			payload.Secrets[s.Name] = s.Data
		}
	}
	return body.Pod, workload.ResolveRequest{
		Template: template, Payload: payload,
		Namespace: body.Pod.Namespace, Name: body.Pod.Name, UID: body.Pod.UID,
		Token: workload.PodToken("ledger", body.Pod.Namespace, string(body.Pod.UID)), Ledger: "ledger", Backend: "backend",
	}
}

func textData(data map[string]string) workload.FileData {
	out := workload.FileData{}
	for key, value := range data {
		out[key] = []byte(value)
	}
	return out
}

// allFeatures are the abilities of a backend that can do whatever some backend can.
func allFeatures() workload.Abilities {
	all := workload.Abilities{Backend: "Full", Features: map[workload.Feature]bool{}}
	for _, feature := range workload.AllFeatures {
		all.Features[feature] = true
	}
	return all
}

// podFrom decodes a pod.
func podFrom(t testing.TB, source string) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{}
	if err := json.Unmarshal([]byte(source), pod); err != nil {
		t.Fatal(err)
	}
	return pod
}

// throughJSON is what is left of a value once the API server has kept it.
func throughJSON[T any](t testing.TB, value T) T {
	t.Helper()
	data, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	var out T
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}
