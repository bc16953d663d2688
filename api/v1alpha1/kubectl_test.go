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
	"os"
	"path/filepath"
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

func TestColumnsOfRemoteJobs(t *testing.T) {
	job := object(t, ofAPod)
	remove(t, job)
	if err := manager.Create(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	set(t, job, map[string]any{
		"phase": "Running", "jobID": "0123", "ready": "1/2", "restarts": int64(3), "nodeName": "box", "reason": "Started",
	}, "status")
	if err := manager.Status().Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}

	head, row := table(t, "get", "rj", job.GetName())
	equal(t, head, "NAME BACKEND JOB PHASE READY RESTARTS AGE")
	equal(t, row[:len(row)-1], job.GetName()+" docker 0123 Running 1/2 3")
	head, row = table(t, "get", "remotejobs.remotejob.dev", job.GetName(), "-o", "wide")
	equal(t, head, "NAME BACKEND JOB PHASE READY RESTARTS AGE NODE POD-UID REASON")
	equal(t, row[len(row)-3:], "box test-uid Started")

	if all := mustKubectl(t, "get", "all", "-o", "name"); !strings.Contains(all, "remotejob.remotejob.dev/"+job.GetName()) {
		t.Errorf("kubectl get all does not show it: %s", all)
	}
}

func TestColumnsOfRemoteBackends(t *testing.T) {
	backend := object(t, dockerBackend)
	remove(t, backend)
	if err := admin.Create(t.Context(), backend); err != nil {
		t.Fatal(err)
	}
	set(t, backend, map[string]any{
		"version":  "docker 28.0.1",
		"capacity": map[string]any{"cpu": "2", "memory": "8000Mi", "pods": "1000"},
		// The counts are left out: they show as zeros all the same.
		"conditions": []any{map[string]any{
			"type": "Ready", "status": "True", "reason": "Connected", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z",
		}},
	}, "status")
	if err := manager.Status().Update(t.Context(), backend); err != nil {
		t.Fatal(err)
	}

	head, row := table(t, "get", "rb", backend.GetName())
	equal(t, head, "NAME TYPE READY VERSION ACTIVE QUEUED CPU MEMORY AGE")
	// The version has two words.
	equal(t, row[:len(row)-1], backend.GetName()+" Docker True docker 28.0.1 0 0 2 8000Mi")
}

func TestTheSamplesApply(t *testing.T) {
	// What docs/install.md makes before the proxy.
	mustKubectl(t, "create", "namespace", "interlink")
	mustKubectl(t, "--namespace=interlink", "create", "serviceaccount", "interlink")
	for _, sample := range manifests(t, configDir("samples")) {
		t.Run(filepath.Base(sample), func(t *testing.T) {
			mustKubectl(t, "apply", "-f", sample)
			mustKubectl(t, "delete", "-f", sample)
		})
	}
}

func TestOptionalManifestsApply(t *testing.T) {
	// The namespace as it is called before config/default gives it its name.
	mustKubectl(t, "create", "namespace", "system")
	mustKubectl(t, "apply", "-k", configDir("network-policy"))
	mustKubectl(t, "delete", "-k", configDir("network-policy"))
	// The Prometheus operator's kinds are not here: that the manifest builds is all that can be seen.
	mustKubectl(t, "kustomize", configDir("prometheus"))
}

// The texts of kubectl explain are the documentation that is always at hand.
func TestEveryFieldIsExplained(t *testing.T) {
	for _, file := range manifests(t, filepath.Join(configDir("crd"), "bases")) {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var crd apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(text, &crd); err != nil {
			t.Fatal(err)
		}
		for i := range crd.Spec.Versions {
			schema := crd.Spec.Versions[i].Schema.OpenAPIV3Schema
			for _, path := range undescribed(crd.Spec.Names.Singular, schema) {
				t.Errorf("%s has no description", path)
			}
		}
	}
}

func TestKubectlExplainHelps(t *testing.T) {
	for path, words := range map[string]string{
		"remotejob.spec.template":            "It can't be changed",
		"rj.spec.cancel":                     "Cancel stops the job",
		"rj.spec.ttlSecondsAfterFinished":    "removes the RemoteJob",
		"remotebackend.spec.docker.host":     "unix:///path, tcp://host:port or ssh://user@host",
		"rb.spec.policy.allowedHostPaths":    "An empty list allows none",
		"remotebackend.status.leftovers":     "no RemoteJob owns",
		"remotejob.status.phase":             "Pending, Queued, Running, Succeeded or Failed",
		"remotejob.status.containerStatuses": "as in a Pod",
	} {
		// kubectl breaks lines.
		text := strings.Join(strings.Fields(mustKubectl(t, "explain", path)), " ")
		if !strings.Contains(text, words) {
			t.Errorf("kubectl explain %s lacks %q: %s", path, words, text)
		}
	}
}

// kubectl apply keeps the whole object in an annotation, whose size is bounded.
func TestTheKindsApplyFromTheClientsSide(t *testing.T) {
	mustKubectl(t, "apply", "-k", configDir("crd"))
	crd := &unstructured.Unstructured{}
	crd.SetAPIVersion("apiextensions.k8s.io/v1")
	crd.SetKind("CustomResourceDefinition")
	if err := admin.Get(t.Context(), client.ObjectKey{Name: "remotejobs.remotejob.dev"}, crd); err != nil {
		t.Fatal(err)
	}
	const bound = 262144
	if size := len(crd.GetAnnotations()["kubectl.kubernetes.io/last-applied-configuration"]); size == 0 || size > bound/2 {
		t.Errorf("the CRD takes %d of the %d bytes that kubectl apply has for it", size, bound)
	}
}

// undescribed lists the properties below a schema that say nothing of themselves.
func undescribed(path string, schema *apiextensionsv1.JSONSchemaProps) []string {
	var bare []string
	for name := range schema.Properties {
		property := schema.Properties[name]
		child := path + "." + name
		// metadata is the API server's.
		if property.Description == "" && name != "metadata" {
			bare = append(bare, child)
		}
		bare = append(bare, undescribed(child, &property)...)
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		bare = append(bare, undescribed(path+"[]", schema.Items.Schema)...)
	}
	return bare
}

// manifests lists the YAML files of a directory but for kustomize's own.
func manifests(t *testing.T, dir string) []string {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var files []string
	for _, file := range all {
		if filepath.Base(file) != "kustomization.yaml" {
			files = append(files, file)
		}
	}
	if len(files) == 0 {
		t.Fatalf("%s holds no manifests", dir)
	}
	return files
}

// table runs a kubectl get that shows one object, and returns the words of its head and of its row.
func table(t *testing.T, args ...string) (head, row []string) {
	t.Helper()
	out := mustKubectl(t, args...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 2 {
		t.Fatalf("kubectl %s: %s", strings.Join(args, " "), out)
	}
	return strings.Fields(lines[0]), strings.Fields(lines[1])
}

func equal(t *testing.T, words []string, want string) {
	t.Helper()
	if got := strings.Join(words, " "); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
