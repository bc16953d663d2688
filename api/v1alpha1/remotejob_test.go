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
	"context"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

const handWritten = `
apiVersion: remotejob.dev/v1alpha1
kind: RemoteJob
metadata: {generateName: hand-written-, namespace: default}
spec:
  backendName: docker
  template:
    metadata: {labels: {a: b}}
    spec:
      containers:
      - {name: main, image: busybox, env: [{name: A, value: "1"}]}
      aFieldOfTheFuture: {kept: true}
`

const ofAPod = `
apiVersion: remotejob.dev/v1alpha1
kind: RemoteJob
metadata: {generateName: of-a-pod-, namespace: default}
spec:
  backendName: docker
  podRef: {namespace: default, name: pod, uid: test-uid}
  payloadSecretNames: [payload-1]
  template: {spec: {containers: [{name: main, image: busybox}]}}
`

func TestWhatARemoteJobMayBe(t *testing.T) {
	long := make([]byte, 254)
	for i := range long {
		long[i] = 'a'
	}
	tests := map[string]struct {
		text    string
		change  func(t *testing.T, o *unstructured.Unstructured)
		refused string
	}{
		"one written by hand":                 {text: handWritten},
		"one of a pod":                        {text: ofAPod},
		"a UID that is no UUID is fine":       {text: ofAPod, change: setting("pod/1:x", "spec", "podRef", "uid")},
		"a job without a backend":             {text: handWritten, change: setting(nil, "spec", "backendName"), refused: "spec.backendName: Required value"},
		"an empty backend":                    {text: handWritten, change: setting("", "spec", "backendName"), refused: "spec.backendName"},
		"a job without a template":            {text: handWritten, change: setting(nil, "spec", "template"), refused: "spec.template: Required value"},
		"a template that is no object":        {text: handWritten, change: setting("x", "spec", "template"), refused: "spec.template"},
		"an empty UID":                        {text: ofAPod, change: setting("", "spec", "podRef", "uid"), refused: "spec.podRef.uid"},
		"a UID beyond bounds":                 {text: ofAPod, change: setting(string(long), "spec", "podRef", "uid"), refused: "spec.podRef.uid"},
		"a podRef without a name":             {text: ofAPod, change: setting(nil, "spec", "podRef", "name"), refused: "spec.podRef.name: Required value"},
		"payload Secrets without a podRef":    {text: ofAPod, change: setting(nil, "spec", "podRef"), refused: "payloadSecretNames belong to jobs with a podRef"},
		"a negative TTL":                      {text: handWritten, change: setting(int64(-1), "spec", "ttlSecondsAfterFinished"), refused: "spec.ttlSecondsAfterFinished"},
		"a TTL of zero is fine":               {text: handWritten, change: setting(int64(0), "spec", "ttlSecondsAfterFinished")},
		"one that is cancelled from birth":    {text: ofAPod, change: setting(true, "spec", "cancel")},
		"cancel as a word instead of a truth": {text: handWritten, change: setting("yes", "spec", "cancel"), refused: "spec.cancel"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			job := object(t, test.text)
			if test.change != nil {
				test.change(t, job)
			}
			remove(t, job)
			expect(t, manager.Create(t.Context(), job), test.refused)
		})
	}
}

func TestWhatMayChangeInARemoteJob(t *testing.T) {
	tests := map[string]struct {
		text    string
		before  func(t *testing.T, o *unstructured.Unstructured)
		change  func(t *testing.T, o *unstructured.Unstructured)
		refused string
	}{
		"cancel from unset to true":      {text: ofAPod, change: setting(true, "spec", "cancel")},
		"cancel from false to true":      {text: ofAPod, before: setting(false, "spec", "cancel"), change: setting(true, "spec", "cancel")},
		"cancel from true to false":      {text: ofAPod, before: setting(true, "spec", "cancel"), change: setting(false, "spec", "cancel"), refused: "cancel may only go from false to true"},
		"cancel from true to unset":      {text: ofAPod, before: setting(true, "spec", "cancel"), change: setting(nil, "spec", "cancel"), refused: "cancel may only go from false to true"},
		"the TTL":                        {text: ofAPod, change: setting(int64(60), "spec", "ttlSecondsAfterFinished")},
		"the TTL of a hand-written job":  {text: handWritten, before: setting(int64(60), "spec", "ttlSecondsAfterFinished"), change: setting(nil, "spec", "ttlSecondsAfterFinished")},
		"labels and annotations":         {text: handWritten, change: setting(map[string]any{"a": "b"}, "metadata", "labels")},
		"the backend":                    {text: ofAPod, change: setting("another", "spec", "backendName"), refused: "backendName is immutable"},
		"the pod's UID":                  {text: ofAPod, change: setting("another", "spec", "podRef", "uid"), refused: "podRef is immutable"},
		"the pod's namespace":            {text: ofAPod, change: setting("another", "spec", "podRef", "namespace"), refused: "podRef is immutable"},
		"a podRef that goes":             {text: ofAPod, before: setting(nil, "spec", "payloadSecretNames"), change: setting(nil, "spec", "podRef"), refused: "podRef is immutable"},
		"a podRef that comes":            {text: handWritten, change: setting(map[string]any{"namespace": "a", "name": "b", "uid": "c"}, "spec", "podRef"), refused: "podRef is immutable"},
		"the payload":                    {text: ofAPod, change: setting([]any{"another"}, "spec", "payloadSecretNames"), refused: "payloadSecretNames is immutable"},
		"a payload that goes":            {text: ofAPod, change: setting(nil, "spec", "payloadSecretNames"), refused: "payloadSecretNames is immutable"},
		"a payload that comes":           {text: ofAPod, before: setting(nil, "spec", "payloadSecretNames"), change: setting([]any{"a"}, "spec", "payloadSecretNames"), refused: "payloadSecretNames is immutable"},
		"the order of the payload":       {text: ofAPod, before: setting([]any{"a", "b"}, "spec", "payloadSecretNames"), change: setting([]any{"b", "a"}, "spec", "payloadSecretNames"), refused: "payloadSecretNames is immutable"},
		"the template's image":           {text: handWritten, change: changingContainer("image", "other"), refused: "spec.template is immutable"},
		"an added field":                 {text: handWritten, change: setting("host", "spec", "template", "spec", "nodeName"), refused: "spec.template is immutable"},
		"a removed field":                {text: handWritten, change: setting(nil, "spec", "template", "metadata"), refused: "spec.template is immutable"},
		"a renamed label":                {text: handWritten, change: setting(map[string]any{"c": "b"}, "spec", "template", "metadata", "labels"), refused: "spec.template is immutable"},
		"a renamed field of a container": {text: handWritten, change: renamingInContainer("image", "imageX"), refused: "spec.template is immutable"},
		"a field that no version knows":  {text: handWritten, change: setting(false, "spec", "template", "spec", "aFieldOfTheFuture", "kept"), refused: "spec.template is immutable"},
		"a renamed unknown field":        {text: handWritten, change: setting(map[string]any{"keptX": true}, "spec", "template", "spec", "aFieldOfTheFuture"), refused: "spec.template is immutable"},
		"a type of an unknown field":     {text: handWritten, change: setting("true", "spec", "template", "spec", "aFieldOfTheFuture", "kept"), refused: "spec.template is immutable"},
		"the whole template":             {text: handWritten, change: setting(map[string]any{}, "spec", "template"), refused: "spec.template is immutable"},
	}
	awaitPolicies(t)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			job := object(t, test.text)
			if test.before != nil {
				test.before(t, job)
			}
			remove(t, job)
			if err := manager.Create(t.Context(), job); err != nil {
				t.Fatal(err)
			}
			test.change(t, job)
			expect(t, manager.Update(t.Context(), job), test.refused)
		})
	}
}

func TestOnlyTheManagerSetsAPodRef(t *testing.T) {
	awaitPolicies(t)
	job := object(t, ofAPod)
	err := admin.Create(t.Context(), job)
	expect(t, err, "spec.podRef is set by the operator only")
	if !apierrors.IsForbidden(err) {
		t.Errorf("refused with %q, not as forbidden", apierrors.ReasonForError(err))
	}
	byHand := object(t, handWritten)
	remove(t, byHand)
	expect(t, admin.Create(t.Context(), byHand), "")
}

func TestTheTemplateKeepsWhatThisVersionDoesNotKnow(t *testing.T) {
	job := object(t, handWritten)
	remove(t, job)
	if err := admin.Create(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if err := admin.Get(t.Context(), client.ObjectKeyFromObject(job), job); err != nil {
		t.Fatal(err)
	}
	kept, found, err := unstructured.NestedBool(job.Object, "spec", "template", "spec", "aFieldOfTheFuture", "kept")
	if err != nil || !found || !kept {
		t.Fatalf("it was dropped: %v", job.Object["spec"])
	}
}

func TestAStatusUpdateLeavesTheSpecAlone(t *testing.T) {
	job := object(t, handWritten)
	remove(t, job)
	if err := admin.Create(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	set(t, job, true, "spec", "cancel")
	set(t, job, "Running", "status", "phase")
	if err := manager.Status().Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if _, found, _ := unstructured.NestedBool(job.Object, "spec", "cancel"); found {
		t.Error("it changed the spec")
	}
	if phase, _, _ := unstructured.NestedString(job.Object, "status", "phase"); phase != "Running" {
		t.Errorf("the phase is %q", phase)
	}
	set(t, job, "Walking", "status", "phase")
	expect(t, manager.Status().Update(t.Context(), job), "status.phase: Unsupported value")
}

func TestFinished(t *testing.T) {
	for phase, want := range map[v1alpha1.RemoteJobPhase]bool{
		"": false, v1alpha1.PhasePending: false, v1alpha1.PhaseQueued: false, v1alpha1.PhaseRunning: false,
		v1alpha1.PhaseSucceeded: true, v1alpha1.PhaseFailed: true,
	} {
		job := v1alpha1.RemoteJob{Status: v1alpha1.RemoteJobStatus{Phase: phase}}
		if job.Finished() != want {
			t.Errorf("phase %q: finished is %t", phase, job.Finished())
		}
	}
}

// awaitPolicies waits until the API server has taken the policies up, which it does some time after they were made.
func awaitPolicies(t *testing.T) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		probe := object(t, ofAPod)
		if refused := admin.Create(ctx, probe); refused != nil {
			return apierrors.IsForbidden(refused), nil
		}
		return false, admin.Delete(ctx, probe)
	})
	if err != nil {
		t.Fatalf("the policy on podRef does not come into force: %v", err)
	}
	err = wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		probe := object(t, handWritten)
		if err := admin.Create(ctx, probe); err != nil {
			return false, err
		}
		set(t, probe, "x", "spec", "template", "spec", "nodeName")
		refused := admin.Update(ctx, probe)
		return refused != nil, admin.Delete(ctx, probe)
	})
	if err != nil {
		t.Fatalf("the policy on the template does not come into force: %v", err)
	}
}

func setting(value any, path ...string) func(*testing.T, *unstructured.Unstructured) {
	return func(t *testing.T, o *unstructured.Unstructured) {
		t.Helper()
		set(t, o, value, path...)
	}
}

func changingContainer(field string, value any) func(*testing.T, *unstructured.Unstructured) {
	return func(t *testing.T, o *unstructured.Unstructured) {
		t.Helper()
		firstContainer(t, o)[field] = value
	}
}

func renamingInContainer(from, to string) func(*testing.T, *unstructured.Unstructured) {
	return func(t *testing.T, o *unstructured.Unstructured) {
		t.Helper()
		c := firstContainer(t, o)
		c[to] = c[from]
		delete(c, from)
	}
}

func firstContainer(t *testing.T, o *unstructured.Unstructured) map[string]any {
	t.Helper()
	containers, _, err := unstructured.NestedFieldNoCopy(o.Object, "spec", "template", "spec", "containers")
	if err != nil {
		t.Fatal(err)
	}
	return containers.([]any)[0].(map[string]any)
}
