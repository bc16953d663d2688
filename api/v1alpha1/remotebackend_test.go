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
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const dockerBackend = `
apiVersion: remotejob.dev/v1alpha1
kind: RemoteBackend
metadata: {generateName: docker-}
spec:
  type: Docker
  docker: {}
`

const slurmBackend = `
apiVersion: remotejob.dev/v1alpha1
kind: RemoteBackend
metadata: {generateName: slurm-}
spec:
  type: Slurm
  slurm:
    connection: {local: {}}
    baseDirectory: /scratch/jobs
    runtime: {type: Apptainer}
    flavors: [{name: gpu, cpus: 8, memory: 64Gi, flags: ["--gres=gpu:1"]}]
`

const slurmCeiling = slurmBackend + `
  policy: {maxPerJob: {cpu: 4}}
`

var sshConnection = map[string]any{"address": "login.example.org", "user": "svc"}

func TestWhatARemoteBackendMayBe(t *testing.T) {
	const oneOfBoth = "type Docker goes with docker and type Slurm with slurm"
	tests := map[string]struct {
		text    string
		change  func(t *testing.T, o *unstructured.Unstructured)
		refused string
	}{
		"Docker":                          {text: dockerBackend},
		"Slurm":                           {text: slurmBackend},
		"Docker over TCP":                 {text: dockerBackend, change: setting("tcp://box:2376", "spec", "docker", "host")},
		"Docker over SSH":                 {text: dockerBackend, change: setting("ssh://user@box", "spec", "docker", "host")},
		"Slurm over SSH":                  {text: slurmBackend, change: setting(map[string]any{"ssh": sshConnection}, "spec", "slurm", "connection")},
		"no type":                         {text: dockerBackend, change: setting(nil, "spec", "type"), refused: "spec.type: Required value"},
		"an unknown type":                 {text: dockerBackend, change: setting("Podman", "spec", "type"), refused: "spec.type: Unsupported value"},
		"Docker without docker":           {text: dockerBackend, change: setting(nil, "spec", "docker"), refused: oneOfBoth},
		"Docker with slurm":               {text: slurmBackend, change: setting("Docker", "spec", "type"), refused: oneOfBoth},
		"both":                            {text: slurmBackend, change: setting(map[string]any{}, "spec", "docker"), refused: oneOfBoth},
		"a host that is a path":           {text: dockerBackend, change: setting("/var/run/docker.sock", "spec", "docker", "host"), refused: "spec.docker.host"},
		"a host over plain HTTP":          {text: dockerBackend, change: setting("http://box:2375", "spec", "docker", "host"), refused: "spec.docker.host"},
		"an unknown kind of GPU":          {text: dockerBackend, change: setting("Intel", "spec", "docker", "gpus"), refused: "spec.docker.gpus: Unsupported value"},
		"the host's network":              {text: dockerBackend, change: setting("host", "spec", "docker", "network"), refused: "neither the host's network nor another container's"},
		"another container's network":     {text: dockerBackend, change: setting("container:x", "spec", "docker", "network"), refused: "neither the host's network nor another container's"},
		"a network of its own":            {text: dockerBackend, change: setting("jobs", "spec", "docker", "network")},
		"a negative bound":                {text: dockerBackend, change: setting(int64(-1), "spec", "maxActiveJobs"), refused: "spec.maxActiveJobs"},
		"a relative base directory":       {text: slurmBackend, change: setting("jobs", "spec", "slurm", "baseDirectory"), refused: "spec.slurm.baseDirectory"},
		"an unknown runtime":              {text: slurmBackend, change: setting("Docker", "spec", "slurm", "runtime", "type"), refused: "spec.slurm.runtime.type: Unsupported value"},
		"neither local nor ssh":           {text: slurmBackend, change: setting(map[string]any{}, "spec", "slurm", "connection"), refused: "set either local or ssh"},
		"local and ssh":                   {text: slurmBackend, change: setting(sshConnection, "spec", "slurm", "connection", "ssh"), refused: "set either local or ssh"},
		"ssh without a user":              {text: slurmBackend, change: setting(map[string]any{"ssh": map[string]any{"address": "x"}}, "spec", "slurm", "connection"), refused: "user: Required value"},
		"two flavors of one name":         {text: slurmBackend, change: setting([]any{map[string]any{"name": "a"}, map[string]any{"name": "a"}}, "spec", "slurm", "flavors"), refused: "Duplicate value"},
		"a path that is allowed twice":    {text: dockerBackend, change: setting([]any{"/a", "/a"}, "spec", "policy", "allowedHostPaths"), refused: "Duplicate value"},
		"ceilings":                        {text: dockerBackend, change: setting(map[string]any{"maxPerJob": map[string]any{"cpu": "500m", "memory": "1Gi", "gpus": int64(0)}, "maxInTotal": map[string]any{"cpu": int64(4)}}, "spec", "policy")},
		"a ceiling of nothing":            {text: dockerBackend, change: setting(map[string]any{"cpu": "0"}, "spec", "policy", "maxPerJob"), refused: "cpu must be more than 0"},
		"a ceiling below nothing":         {text: dockerBackend, change: setting(map[string]any{"memory": int64(-1)}, "spec", "policy", "maxInTotal"), refused: "memory must be more than 0"},
		"a ceiling that is a word":        {text: dockerBackend, change: setting(map[string]any{"cpu": "much"}, "spec", "policy", "maxPerJob"), refused: "cpu"},
		"fewer GPUs than none":            {text: dockerBackend, change: setting(map[string]any{"gpus": int64(-1)}, "spec", "policy", "maxPerJob"), refused: "gpus"},
		"options of sbatch":               {text: slurmBackend, change: setting([]any{"--mem", "--time"}, "spec", "slurm", "allowedFlags")},
		"a ceiling, and other options":    {text: slurmCeiling, change: setting([]any{"--time", "partition"}, "spec", "slurm", "allowedFlags")},
		"a ceiling, and a way past it":    {text: slurmCeiling, change: setting([]any{"--time", "--mem-per-cpu"}, "spec", "slurm", "allowedFlags"), refused: "slurm.allowedFlags must not let them have more"},
		"a ceiling, and a way without --": {text: slurmCeiling, change: setting([]any{"nodes"}, "spec", "slurm", "allowedFlags"), refused: "slurm.allowedFlags must not let them have more"},
		"a number of pods that is a word": {text: dockerBackend, change: setting("many", "spec", "virtualNode", "pods"), refused: "spec.virtualNode.pods"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			backend := object(t, test.text)
			if test.change != nil {
				test.change(t, backend)
			}
			remove(t, backend)
			expect(t, admin.Create(t.Context(), backend), test.refused)
		})
	}
}

func TestARemoteBackendCanBeEditedButKeepsItsType(t *testing.T) {
	backend := object(t, dockerBackend)
	remove(t, backend)
	if err := admin.Create(t.Context(), backend); err != nil {
		t.Fatal(err)
	}
	set(t, backend, "tcp://box:2376", "spec", "docker", "host")
	set(t, backend, true, "spec", "policy", "allowPrivileged")
	expect(t, admin.Update(t.Context(), backend), "")

	set(t, backend, "Slurm", "spec", "type")
	set(t, backend, nil, "spec", "docker")
	set(t, backend, object(t, slurmBackend).Object["spec"].(map[string]any)["slurm"], "spec", "slurm")
	expect(t, admin.Update(t.Context(), backend), "type is immutable")
}

func TestDefaultsOfARemoteBackend(t *testing.T) {
	tests := map[string]struct {
		change func(t *testing.T, o *unstructured.Unstructured)
		path   []string
		want   any
	}{
		"the local engine":      {path: []string{"spec", "docker", "host"}, want: "unix:///var/run/docker.sock"},
		"no GPUs":               {path: []string{"spec", "docker", "gpus"}, want: "None"},
		"the bridge":            {path: []string{"spec", "docker", "network"}, want: "bridge"},
		"root, in a policy":     {change: setting(map[string]any{}, "spec", "policy"), path: []string{"spec", "policy", "allowRoot"}, want: true},
		"scripts":               {change: setting(map[string]any{}, "spec", "policy"), path: []string{"spec", "policy", "allowScripts"}, want: true},
		"choice by annotation":  {change: setting(map[string]any{}, "spec", "policy"), path: []string{"spec", "policy", "allowAnnotationSelection"}, want: true},
		"the virtual node pods": {change: setting(map[string]any{}, "spec", "virtualNode"), path: []string{"spec", "virtualNode", "pods"}, want: "1000"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			backend := object(t, dockerBackend)
			if test.change != nil {
				test.change(t, backend)
			}
			remove(t, backend)
			if err := admin.Create(t.Context(), backend); err != nil {
				t.Fatal(err)
			}
			got, _, err := unstructured.NestedFieldNoCopy(backend.Object, test.path...)
			if err != nil || got != test.want {
				t.Errorf("%v is %v (%v), not %v", test.path, got, err, test.want)
			}
		})
	}
}
