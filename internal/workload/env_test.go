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
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// envOf writes a container's env one variable a line.
func envOf(c corev1.Container) string {
	var out []string
	for _, v := range c.Env {
		out = append(out, v.Name+"="+v.Value)
	}
	return strings.Join(out, "\n")
}

func TestEnvIsResolvedAsAKubeletDoes(t *testing.T) {
	for name, c := range map[string]struct{ container, want string }{
		"envFrom first, sorted, without binaryData": {`"env": [{"name": "Z", "value": "$(a)"}], "envFrom": [{"configMapRef": {"name": "conf"}}]`, "a=1\nb.txt=two\nZ=1"},
		"prefix":                              {`"envFrom": [{"prefix": "P_", "configMapRef": {"name": "conf"}}]`, "P_a=1\nP_b.txt=two"},
		"a Secret is not expanded":            {`"envFrom": [{"secretRef": {"name": "keys"}}]`, "pass=p$(x)$$ü\nuser=me"},
		"a later envFrom wins":                {`"envFrom": [{"configMapRef": {"name": "conf"}}, {"prefix": "", "secretRef": {"name": "dup"}}]`, "a=secret\nb.txt=two"},
		"env wins over envFrom":               {`"envFrom": [{"configMapRef": {"name": "conf"}}], "env": [{"name": "a", "value": "x$(a)"}]`, "a=x1\nb.txt=two"},
		"optional envFrom":                    {`"envFrom": [{"configMapRef": {"name": "absent", "optional": true}}, {"secretRef": {"name": "absent", "optional": true}}]`, ""},
		"later variables see earlier ones":    {`"env": [{"name": "A", "value": "$(B)"}, {"name": "B", "value": "2"}, {"name": "C", "value": "$(A)-$(B)"}]`, "A=$(B)\nB=2\nC=$(B)-2"},
		"the last of one name wins":           {`"env": [{"name": "A", "value": "1"}, {"name": "B", "value": "b"}, {"name": "A", "value": "$(A)2"}]`, "A=12\nB=b"},
		"empty values":                        {`"env": [{"name": "A"}, {"name": "B", "value": "[$(A)]"}]`, "A=\nB=[]"},
		"keys of ConfigMaps and Secrets":      {`"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "b.txt"}}}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "pass"}}}, {"name": "C", "value": "$(B)"}]`, "A=two\nB=p$(x)$$ü\nC=p$(x)$$ü"},
		"optional keys are not set":           {`"env": [{"name": "A", "value": "1"}, {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "no", "optional": true}}}, {"name": "B", "valueFrom": {"secretKeyRef": {"name": "no", "key": "no", "optional": true}}}, {"name": "C", "value": "$(B)"}]`, "A=1\nC=$(B)"},
		"binaryData is no key":                {`"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "bin", "optional": true}}}]`, ""},
		"fields of the pod":                   {`"env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}, {"name": "NS", "valueFrom": {"fieldRef": {"fieldPath": "metadata.namespace"}}}, {"name": "U", "valueFrom": {"fieldRef": {"fieldPath": "metadata.uid"}}}, {"name": "L", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['tier']"}}}, {"name": "NONE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.annotations['none']"}}}, {"name": "NODE", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}]`, "N=job\nNS=team\nU=uid-1\nL=a\"b\nNONE=\nNODE=docker"},
		"resources, rounded up":               {`"resources": {"limits": {"cpu": "1500m", "memory": "1000001"}}, "env": [{"name": "C", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}, {"name": "CM", "valueFrom": {"resourceFieldRef": {"resource": "requests.cpu", "divisor": "1m"}}}, {"name": "M", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1M"}}}, {"name": "E", "valueFrom": {"resourceFieldRef": {"resource": "requests.ephemeral-storage"}}}]`, "C=2\nCM=1500\nM=2\nE=0"},
		"resources of another container":      {`"env": [{"name": "C", "valueFrom": {"resourceFieldRef": {"containerName": "other", "resource": "limits.cpu"}}}]`, "C=3"},
		"no limit: what the backend can give": {`"env": [{"name": "C", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}, {"name": "M", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1Gi"}}}]`, "C=8\nM=16"},
	} {
		t.Run(name, func(t *testing.T) {
			request := handWritten(t, `{"containers": [{"name": "c", "image": "i", `+c.container+`}, {"name": "other", "image": "i", "resources": {"limits": {"cpu": "2500m"}}}]}`)
			request.Payload.Secrets["dup"] = workload.FileData{"a": []byte("secret")}
			request.Allocatable = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("8"), corev1.ResourceMemory: resource.MustParse("16Gi")}
			w, err := workload.Resolve(request)
			if err != nil {
				t.Fatal(err)
			}
			if got := envOf(w.Pod.Spec.Containers[0]); got != c.want {
				t.Errorf("env is\n%s\nwant\n%s", got, c.want)
			}
			for _, v := range w.Pod.Spec.Containers[0].Env {
				if v.ValueFrom != nil {
					t.Errorf("%s still refers to something", v.Name)
				}
			}
			if w.Pod.Spec.Containers[0].EnvFrom != nil {
				t.Error("envFrom is still there")
			}
		})
	}
}

func TestWhatIsMissingIsNamed(t *testing.T) {
	for name, c := range map[string]struct {
		container, want string
		config          bool
	}{
		"ConfigMap of envFrom":       {`"envFrom": [{"configMapRef": {"name": "no"}}]`, "spec.containers[0].envFrom[0].configMapRef.name: ConfigMap no is not there", true},
		"Secret of envFrom":          {`"envFrom": [{"secretRef": {"name": "no"}}]`, "spec.containers[0].envFrom[0].secretRef.name: Secret no is not there", true},
		"ConfigMap of a key":         {`"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "no", "key": "k"}}}]`, "spec.containers[0].env[0].valueFrom.configMapKeyRef.name: ConfigMap no is not there", true},
		"key of a ConfigMap":         {`"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "conf", "key": "k"}}}]`, "spec.containers[0].env[0].valueFrom.configMapKeyRef.key: ConfigMap conf has no key k", true},
		"key of a Secret":            {`"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "k"}}}]`, "spec.containers[0].env[0].valueFrom.secretKeyRef.key: Secret keys has no key k", true},
		"limit, capacity unknown":    {`"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]`, "spec.containers[0].env[0].valueFrom.resourceFieldRef.resource: container c sets no limit of cpu, and what the backend can give is not known", true},
		"variable of subPathExpr":    {`"volumeMounts": [{"name": "v", "mountPath": "/v", "subPathExpr": "a/$(NO)"}]`, "spec.containers[0].volumeMounts[0].subPathExpr: the container has no env variable NO, or an empty one", true},
		"ConfigMap of a volume":      {`"volumeMounts": [{"name": "m", "mountPath": "/m"}]`, "spec.volumes[1].configMap.name: volume m: ConfigMap no is not there", true},
		"Secret of a volume":         {`"volumeMounts": [{"name": "s", "mountPath": "/s"}]`, "spec.volumes[2].secret.secretName: volume s: Secret no is not there", true},
		"key of a volume":            {`"volumeMounts": [{"name": "k", "mountPath": "/k"}]`, "spec.volumes[3].configMap.items[0].key: volume k: ConfigMap conf has no key no", true},
		"the pod's address":          {`"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}]`, "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: status.podIP is not known before the job runs", false},
		"no such field":              {`"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.hostname"}}}]`, "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath: spec.hostname is no field that the downward API knows", false},
		"no such container":          {`"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"containerName": "no", "resource": "limits.cpu"}}}]`, "spec.containers[0].env[0].valueFrom.resourceFieldRef.containerName: the pod has no container \"no\"", false},
		"no such resource":           {`"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.gpu"}}}]`, "spec.containers[0].env[0].valueFrom.resourceFieldRef.resource: limits.gpu is no resource that the downward API knows", false},
		"a subPathExpr that escapes": {`"env": [{"name": "A", "value": "../x"}], "volumeMounts": [{"name": "v", "mountPath": "/v", "subPathExpr": "$(A)"}]`, "spec.containers[0].volumeMounts[0].subPathExpr: it becomes \"../x\", which is no path inside the volume", false},
		"a NUL byte in a Secret":     {`"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "nul", "key": "k"}}}]`, "spec.containers[0].env: the value of A holds a NUL byte, which no process can be given", false},
		"a key that is no name":      {`"envFrom": [{"secretRef": {"name": "odd"}}]`, "spec.containers[0].envFrom[0].secretRef: key \"a=b\" makes no name of a variable: it must consist of printable ASCII characters other than '='", false},
		"a path that escapes":        {`"volumeMounts": [{"name": "up", "mountPath": "/up"}]`, "spec.volumes[4].configMap.items[0].path: the path \"a/../../b\" of volume up must not contain '..'", false},
		"a file above a file":        {`"volumeMounts": [{"name": "both", "mountPath": "/both"}]`, "spec.volumes[5]: volume both has both a file d and a file d/e below it", false},
	} {
		t.Run(name, func(t *testing.T) {
			request := handWritten(t, `{"volumes": [{"name": "v"}, {"name": "m", "configMap": {"name": "no"}}, {"name": "s", "secret": {"secretName": "no"}},
				{"name": "k", "configMap": {"name": "conf", "items": [{"key": "no", "path": "p"}]}}, {"name": "up", "configMap": {"name": "conf", "items": [{"key": "a", "path": "a/../../b"}]}},
				{"name": "both", "configMap": {"name": "conf", "items": [{"key": "a", "path": "d/e"}, {"key": "a", "path": "d"}]}}],
				"containers": [{"name": "c", "image": "i", `+c.container+`}]}`)
			request.Payload.Secrets["nul"] = workload.FileData{"k": []byte("a\x00b")}
			request.Payload.Secrets["odd"] = workload.FileData{"a=b": []byte("x")}
			_, err := workload.Resolve(request)
			if err == nil || err.Error() != c.want {
				t.Fatalf("the error is %v\nwant %s", err, c.want)
			}
			if _, ok := workload.IsConfigError(err); ok != c.config {
				t.Errorf("a ConfigError: %v", ok)
			}
			if _, ok := workload.IsRefusal(err); ok == c.config {
				t.Errorf("a Refusal: %v", ok)
			}
		})
	}
}

func TestCommandArgsProbesAndSubPathsAreExpanded(t *testing.T) {
	request := handWritten(t, `{"volumes": [{"name": "v"}], "initContainers": [{"name": "i", "image": "i", "command": ["$(A)"]}],
		"containers": [{"name": "c", "image": "i", "command": ["$(A)", "$$(A)", "$(NO)", "$A"], "args": ["x$(S)$(A)"],
			"env": [{"name": "A", "value": "1"}, {"name": "S", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "user"}}}, {"name": "B", "value": "$(A)2"}],
			"livenessProbe": {"exec": {"command": ["$(A)$(B)$(S)$(NO)"]}},
			"lifecycle": {"preStop": {"exec": {"command": ["$(A)"]}}},
			"volumeMounts": [{"name": "v", "mountPath": "/v", "subPathExpr": "d/$(B)/$(S)"}]}]}`)
	w, err := workload.Resolve(request)
	if err != nil {
		t.Fatal(err)
	}
	c := w.Pod.Spec.Containers[0]
	for what, got := range map[string][2][]string{
		"command":                       {c.Command, {"1", "$(A)", "$(NO)", "$A"}},
		"args":                          {c.Args, {"xme1"}},
		"another container's command":   {w.Pod.Spec.InitContainers[0].Command, {"$(A)"}},
		"a probe's, from written env":   {c.LivenessProbe.Exec.Command, {"1$(A)2$(NO)"}},
		"a hook's, not expanded at all": {c.Lifecycle.PreStop.Exec.Command, {"$(A)"}},
		"subPath":                       {{c.VolumeMounts[0].SubPath, c.VolumeMounts[0].SubPathExpr}, {"d/12/me", ""}},
	} {
		if !slices.Equal(got[0], got[1]) {
			t.Errorf("%s: %q, want %q", what, got[0], got[1])
		}
	}
}

// What has no reference in it reaches the container byte for byte, whatever it is made of.
func TestEnvAndArgsStayByteForByte(t *testing.T) {
	const seed = 20260731
	random := rand.New(rand.NewPCG(seed, seed))
	pieces := []string{"'", "\"", "$", "\\", "\n", "\r", "\t", " ", "=", "ü", "€", "𝄞", "\u2028", "a", "Z", "`", "!", "%s", "{{x}}", "&&", ";", "#", "*", "~", "-", "$HOME", "${HOME}", "(", ")"}
	text := func() string {
		var s strings.Builder
		for range random.IntN(20) {
			s.WriteString(pieces[random.IntN(len(pieces))])
		}
		// References are another test's: no $$ and no $( in here.
		return strings.ReplaceAll(strings.ReplaceAll(s.String(), "$(", "("), "$$", "")
	}
	long := strings.Repeat("0123456789abcde\n", 1<<13)
	if len(long) != 128<<10 {
		t.Fatalf("the long value has %d bytes", len(long))
	}
	for round := range 500 {
		values := []string{text(), text(), text(), ""}
		if round%100 == 0 {
			values = append(values, long)
		}
		pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i", Command: slices.Clone(values), Args: slices.Clone(values)}}}}
		for i, value := range values {
			pod.Spec.Containers[0].Env = append(pod.Spec.Containers[0].Env, corev1.EnvVar{Name: string(rune('A' + i)), Value: value})
		}
		want := pod.DeepCopy()
		template, payload := workload.Split(pod)
		w, err := workload.Resolve(workload.ResolveRequest{Template: throughJSON(t, template), Payload: throughJSON(t, payload)})
		if err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		got := w.Pod.Spec.Containers[0]
		if !slices.Equal(got.Command, values) || !slices.Equal(got.Args, values) || !slices.Equal(got.Env, want.Spec.Containers[0].Env) {
			t.Fatalf("seed %d: %.300q\nbecomes command %.300q\nargs %.300q\nenv %.300q", seed, values, got.Command, got.Args, envOf(got))
		}
	}
}
