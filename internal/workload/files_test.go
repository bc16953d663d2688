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
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// handWritten is a job of somebody's own, whose ConfigMaps and Secrets the ledger has read from its namespace.
func handWritten(t *testing.T, spec string) workload.ResolveRequest {
	t.Helper()
	pod := podFrom(t, `{"metadata": {"labels": {"app": "web", "tier": "a\"b"}, "annotations": {"note": "x y"}}, "spec": `+spec+`}`)
	return workload.ResolveRequest{
		Template: corev1.PodTemplateSpec{ObjectMeta: pod.ObjectMeta, Spec: pod.Spec},
		Payload: workload.Payload{
			ConfigMaps: map[string]workload.FileData{"conf": {"a": []byte("1"), "b.txt": []byte("two"), "bin": {0xff, 0}}},
			Secrets:    map[string]workload.FileData{"keys": {"user": []byte("me"), "pass": []byte("p$(x)$$ü")}, "pull": {".dockerconfigjson": []byte("{}")}},
		},
		Namespace: "team", Name: "job", UID: "uid-1", NodeName: "docker",
		Allocatable: corev1.ResourceList{},
	}
}

func TestHandWrittenVolumes(t *testing.T) {
	for name, c := range map[string]struct{ volume, want string }{
		"a whole ConfigMap":           {`"configMap": {"name": "conf"}`, "a 0644 \"1\"\nb.txt 0644 \"two\"\nbin 0644 \"\\xff\\x00\""},
		"items, with modes":           {`"configMap": {"name": "conf", "defaultMode": 256, "items": [{"key": "a", "path": "x/y/../z", "mode": 511}, {"key": "a", "path": "b/a"}]}`, "REFUSED"},
		"items in directories":        {`"configMap": {"name": "conf", "defaultMode": 256, "items": [{"key": "a", "path": "x/y//z", "mode": 511}, {"key": "a", "path": "./b"}]}`, "b 0400 \"1\"\nx/y/z 0777 \"1\""},
		"a later item of one path":    {`"configMap": {"name": "conf", "items": [{"key": "a", "path": "p"}, {"key": "b.txt", "path": "p", "mode": 0}]}`, "p 0000 \"two\""},
		"an optional ConfigMap":       {`"configMap": {"name": "absent", "optional": true}`, ""},
		"an optional key":             {`"configMap": {"name": "conf", "optional": true, "items": [{"key": "absent", "path": "p"}, {"key": "a", "path": "q"}]}`, "q 0644 \"1\""},
		"a Secret":                    {`"secret": {"secretName": "keys", "defaultMode": 384}`, "pass 0600 \"p$(x)$$ü\"\nuser 0600 \"me\""},
		"a Secret's item":             {`"secret": {"secretName": "keys", "items": [{"key": "user", "path": "u", "mode": 0}]}`, "u 0000 \"me\""},
		"downward API":                {`"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}, {"path": "d/n", "mode": 256, "fieldRef": {"fieldPath": "metadata.name"}}, {"path": "t", "fieldRef": {"fieldPath": "metadata.labels['tier']"}}, {"path": "note", "fieldRef": {"fieldPath": "metadata.annotations['note']"}}, {"path": "cpu", "resourceFieldRef": {"containerName": "c", "resource": "limits.cpu", "divisor": "1m"}}]}`, "cpu 0644 \"1500\"\nd/n 0400 \"job\"\nl 0644 \"app=\\\"web\\\"\\ntier=\\\"a\\\\\\\"b\\\"\"\nnote 0644 \"x y\"\nt 0644 \"a\\\"b\""},
		"projected, later ones win":   {`"projected": {"defaultMode": 292, "sources": [{"configMap": {"name": "conf", "items": [{"key": "a", "path": "p"}]}}, {"secret": {"name": "keys", "items": [{"key": "user", "path": "p", "mode": 256}]}}, {"downwardAPI": {"items": [{"path": "ns", "fieldRef": {"fieldPath": "metadata.namespace"}}]}}]}`, "ns 0444 \"team\"\np 0400 \"me\""},
		"projected, optional":         {`"projected": {"sources": [{"configMap": {"name": "absent", "optional": true}}, {"secret": {"name": "absent", "optional": true, "items": [{"key": "k", "path": "p"}]}}]}`, ""},
		"the API server's own volume": {`"projected": {"sources": [{"serviceAccountToken": {"path": "token"}}, {"configMap": {"name": "kube-root-ca.crt"}}]}`, "REFUSED"},
	} {
		t.Run(name, func(t *testing.T) {
			request := handWritten(t, `{"volumes": [{"name": "v", `+c.volume+`}], "containers": [{"name": "c", "image": "i",
				"resources": {"limits": {"cpu": "1500m"}}, "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]}`)
			w, err := workload.Resolve(request)
			if c.want == "REFUSED" {
				if _, ok := workload.IsRefusal(err); !ok {
					t.Fatalf("the error is %v, want a refusal", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := listing(w.Files["v"]); got != c.want {
				t.Errorf("it holds\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestServiceAccountVolumeThatDidNotArriveIsEmpty(t *testing.T) {
	request := handWritten(t, `{"volumes": [{"name": "kube-api-access-x7k2p", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}, {"configMap": {"name": "kube-root-ca.crt"}}]}}],
		"containers": [{"name": "c", "image": "i", "volumeMounts": [{"name": "kube-api-access-x7k2p", "mountPath": "/var/run/secrets"}]}]}`)
	w, err := workload.Resolve(request)
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := w.Files["kube-api-access-x7k2p"]; !ok || len(v.Files) != 0 {
		t.Errorf("it is %+v, %v", v, ok)
	}
	request.Payload.Projected = map[string]workload.FileData{"kube-api-access-x7k2p": {"token": []byte("t"), "namespace": []byte("team")}}
	if w, err = workload.Resolve(request); err != nil {
		t.Fatal(err)
	}
	if got, want := listing(w.Files["kube-api-access-x7k2p"]), "namespace 0644 \"team\"\ntoken 0644 \"t\""; got != want {
		t.Errorf("it holds\n%s", got)
	}
}

func TestVolumesThatNobodyMountsAreLeftAlone(t *testing.T) {
	w, err := workload.Resolve(handWritten(t, `{"volumes": [{"name": "v", "configMap": {"name": "absent"}}], "containers": [{"name": "c", "image": "i"}]}`))
	if err != nil || len(w.Files) != 0 {
		t.Errorf("%v, %v", w, err)
	}
}

// What arrived in a projected volume has its items applied already, and its modes not.
func TestArrivedProjectedVolumes(t *testing.T) {
	arrived := map[string]workload.FileData{"v": {"d/cert": []byte("CERT"), "token": []byte("TOKEN"), "name": []byte("n")}}
	for name, c := range map[string]struct {
		sources string
		want    string // the listing, or an error's text
	}{
		"modes go by path": {
			`{"configMap": {"name": "elsewhere", "items": [{"key": "x", "path": "d/cert", "mode": 256}]}}, {"serviceAccountToken": {"path": "token"}}, {"downwardAPI": {"items": [{"path": "name", "mode": 0, "fieldRef": {"fieldPath": "metadata.name"}}]}}`,
			"d/cert 0400 \"CERT\"\nname 0000 \"n\"\ntoken 0640 \"TOKEN\"",
		},
		"whole ConfigMaps": {`{"configMap": {"name": "elsewhere"}}`, "d/cert 0640 \"CERT\"\nname 0640 \"n\"\ntoken 0640 \"TOKEN\""},
		"a Secret's item that did not arrive": {
			`{"configMap": {"name": "elsewhere"}}, {"secret": {"name": "keys", "items": [{"key": "user", "path": "u", "mode": 256}]}}`,
			"d/cert 0640 \"CERT\"\nname 0640 \"n\"\ntoken 0640 \"TOKEN\"\nu 0400 \"me\"",
		},
		"a whole Secret that did not arrive": {
			`{"configMap": {"name": "elsewhere"}}, {"secret": {"name": "absent"}}`,
			"spec.volumes[0].projected.sources[1].secret.name: volume v: Secret absent is not there",
		},
		"a Secret's item that is nowhere": {
			`{"secret": {"name": "absent", "items": [{"key": "user", "path": "u"}]}}`,
			"spec.volumes[0].projected.sources[0].secret.name: volume v: Secret absent is not there",
		},
		"a Secret's key that is not in it": {
			`{"secret": {"name": "keys", "items": [{"key": "absent", "path": "u"}]}}`,
			"spec.volumes[0].projected.sources[0].secret.items[0].key: volume v: Secret keys has no key absent",
		},
		"a whole Secret that can be what arrived": {`{"secret": {"name": "absent"}}`, "d/cert 0640 \"CERT\"\nname 0640 \"n\"\ntoken 0640 \"TOKEN\""},
		"a whole Secret, all else claimed": {
			`{"secret": {"name": "absent"}}, {"serviceAccountToken": {"path": "token"}}, {"secret": {"name": "s", "items": [{"key": "k", "path": "d/cert"}]}}, {"downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}}`,
			"spec.volumes[0].projected.sources[0].secret.name: volume v: Secret absent is not there",
		},
		"a token that did not arrive": {
			`{"serviceAccountToken": {"path": "other"}}`,
			"spec.volumes[0].projected.sources[0].serviceAccountToken: no token came with the pod, and none can be made for a job that is no pod of this cluster",
		},
	} {
		t.Run(name, func(t *testing.T) {
			request := handWritten(t, `{"volumes": [{"name": "v", "projected": {"defaultMode": 416, "sources": [`+c.sources+`]}}],
				"containers": [{"name": "c", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]}`)
			request.Payload.Projected = arrived
			w, err := workload.Resolve(request)
			if err != nil {
				if err.Error() != c.want {
					t.Errorf("the error is %q, want %q", err, c.want)
				}
				return
			}
			if got := listing(w.Files["v"]); got != c.want {
				t.Errorf("it holds\n%s\nwant\n%s", got, c.want)
			}
		})
	}
}

func TestArrivedDownwardVolumeGoesBeforeThePodsOwnFields(t *testing.T) {
	request := handWritten(t, `{"volumes": [{"name": "v", "downwardAPI": {"items": [{"path": "l", "mode": 256, "fieldRef": {"fieldPath": "metadata.labels"}}, {"path": "n", "fieldRef": {"fieldPath": "metadata.name"}}]}}],
		"containers": [{"name": "c", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]}`)
	request.Payload.Projected = map[string]workload.FileData{"v": {"l": []byte("as the kubelet wrote it")}}
	w, err := workload.Resolve(request)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := listing(w.Files["v"]), "l 0400 \"as the kubelet wrote it\"\nn 0644 \"job\""; got != want {
		t.Errorf("it holds\n%s", got)
	}
}

func TestOwnersOfFiles(t *testing.T) {
	w, err := workload.Resolve(handWritten(t, `{"volumes": [{"name": "v", "configMap": {"name": "conf", "defaultUser": 7, "items": [{"key": "a", "path": "a", "user": 8}, {"key": "a", "path": "b"}]}}, {"name": "w", "secret": {"secretName": "keys"}}],
		"containers": [{"name": "c", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v"}, {"name": "w", "mountPath": "/w"}]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	if v := w.Files["v"].Files; *v[0].User != 8 || *v[1].User != 7 || w.Files["w"].Files[0].User != nil {
		t.Errorf("owners are %v %v %v", *v[0].User, *v[1].User, w.Files["w"].Files[0].User)
	}
}
