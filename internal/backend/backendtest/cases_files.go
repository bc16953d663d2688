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

package backendtest

import (
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// configMap is a volume of the ConfigMap "c".
func configMap(mode int32, items ...corev1.KeyToPath) corev1.VolumeSource {
	return corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: "c"}, DefaultMode: &mode, Items: items,
	}}
}

func secret(name string, mode int32, items ...corev1.KeyToPath) corev1.VolumeSource {
	return corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: name, DefaultMode: &mode, Items: items}}
}

// mode of a file, its link followed, as stat writes it.
const statMode = "stat -L -c '%a %n' "

// Volumes that are made of files: https://kubernetes.io/docs/concepts/storage/volumes/#configmap, #secret, #projected
func fileCases() []testCase {
	return []testCase{
		{name: "ConfigMap and Secret files have their content and modes", run: func(e *env) {
			script := "cat /cfg/a; echo; cat /cfg/dir/b; echo; cat /sec/password; echo; " + statMode + "/cfg/a /cfg/dir/b /sec/password"
			exact := int32(0o444)
			p := e.run(e.pod(script,
				volume("cfg", "/cfg", configMap(0o640, corev1.KeyToPath{Key: "a", Path: "a"}, corev1.KeyToPath{Key: "b", Path: "dir/b", Mode: &exact})),
				volume("sec", "/sec", secret("s", 0o400))),
				workload.Payload{
					ConfigMaps: map[string]workload.FileData{"c": {"a": []byte("AAA"), "b": []byte("BBB"), "hidden": []byte("no")}},
					Secrets:    map[string]workload.FileData{"s": {"password": []byte("p w")}},
				})
			if got, want := p.output(), "AAA\nBBB\np w\n640 /cfg/a\n444 /cfg/dir/b\n400 /sec/password\n"; got != want {
				e.Errorf("got %q, want %q", got, want)
			}
		}},
		{name: "binary data of 900 KiB comes out byte for byte", run: func(e *env) {
			data := make([]byte, 900<<10)
			r := rand.New(rand.NewPCG(1, 2))
			for i := range data {
				data[i] = byte(r.Uint32())
			}
			p := e.run(e.pod("wc -c < /cfg/blob; head -c 64 /cfg/blob | od -An -tx1 | tr -d ' \\n'; echo; tail -c 64 /cfg/blob | od -An -tx1 | tr -d ' \\n'",
				volume("cfg", "/cfg", configMap(0o644))), workload.Payload{ConfigMaps: map[string]workload.FileData{"c": {"blob": data}}})
			want := fmt.Sprintf("%d\n%s\n%s", len(data), hex.EncodeToString(data[:64]), hex.EncodeToString(data[len(data)-64:]))
			if got := p.output(); got != want {
				e.Errorf("got %q, want %q", got, want)
			}
		}},
		{name: "a volume of files lists nothing but its files, and can't be written", run: func(e *env) {
			p := e.run(e.pod("exec 2>/dev/null; ls /cfg; echo x > /cfg/new || echo read-only; echo x > /cfg/a || echo read-only", volume("cfg", "/cfg", configMap(0o666))),
				workload.Payload{ConfigMaps: map[string]workload.FileData{"c": {"a": []byte("AAA")}}})
			out := p.output()
			if !strings.HasPrefix(out, "a\n") || strings.Count(out, "read-only\n") != 2 {
				e.Errorf("got %q", out)
			}
		}},
		{name: "subPath mounts one file or one directory of a volume", run: func(e *env) {
			p := e.run(e.pod("cat /etc/one; ls /dir; ls /", volume("cfg", "/all", configMap(0o644,
				corev1.KeyToPath{Key: "a", Path: "a"}, corev1.KeyToPath{Key: "b", Path: "d/b"})),
				with(func(c *corev1.Container) {
					c.VolumeMounts = []corev1.VolumeMount{
						{Name: "cfg", MountPath: "/etc/one", SubPath: "a"},
						{Name: "cfg", MountPath: "/dir", SubPath: "d"},
					}
				})), workload.Payload{ConfigMaps: map[string]workload.FileData{"c": {"a": []byte("AAA\n"), "b": []byte("BBB\n")}}})
			out := p.output()
			if !strings.HasPrefix(out, "AAA\nb\n") || strings.Contains(out, "all\n") {
				e.Errorf("got %q", out)
			}
		}},
		{name: "keys and paths that lead out of the volume are refused", run: func(e *env) {
			for _, path := range []string{"../escape", "/etc/passwd", "a/../../b", ""} {
				_, err := e.resolve(e.pod("exit 0", volume("cfg", "/cfg", configMap(0o644, corev1.KeyToPath{Key: "a", Path: path}))),
					workload.Payload{ConfigMaps: map[string]workload.FileData{"c": {"a": []byte("x")}}})
				if err == nil {
					e.Errorf("the path %q was taken", path)
				}
			}
			for _, key := range []string{"../escape", "/etc/passwd", "a/../../b", "..", ""} {
				data := workload.FileData{key: []byte("x")}
				_, err := e.resolve(e.pod("exit 0", volume("cfg", "/cfg", configMap(0o644))), workload.Payload{ConfigMaps: map[string]workload.FileData{"c": data}})
				if err == nil {
					e.Errorf("the ConfigMap's key %q was taken", key)
				}
				_, err = e.resolve(e.pod("exit 0", volume("all", "/all", corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
					Sources: []corev1.VolumeProjection{{ConfigMap: &corev1.ConfigMapProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "c"}}}},
				}})), workload.Payload{Projected: map[string]workload.FileData{"all": data}})
				if err == nil {
					e.Errorf("the projected path %q was taken", key)
				}
			}
		}},
		{name: "a file belongs to the user that its item names", run: func(e *env) {
			source := configMap(0o600, corev1.KeyToPath{Key: "a", Path: "a", User: new(int64(1000))}, corev1.KeyToPath{Key: "b", Path: "b"})
			source.ConfigMap.DefaultUser = new(int64(1001))
			p := e.run(e.pod("stat -L -c '%u %a %n' /cfg/a /cfg/b", volume("cfg", "/cfg", source)),
				workload.Payload{ConfigMaps: map[string]workload.FileData{"c": {"a": []byte("A"), "b": []byte("B")}}})
			if got := p.output(); got != "1000 600 /cfg/a\n1001 600 /cfg/b\n" {
				e.Errorf("got %q", got)
			}
		}, needs: []workload.Feature{workload.FeatureFileOwner}},
		{name: "a container that is started again finds its files", run: func(e *env) {
			p := e.run(e.pod("cat /cfg/a; echo run >> /shared/runs; [ $(wc -l < /shared/runs) -ge 2 ]", restarting(corev1.RestartPolicyOnFailure), shared(),
				volume("cfg", "/cfg", configMap(0o644))), workload.Payload{ConfigMaps: map[string]workload.FileData{"c": {"a": []byte("AAA\n")}}})
			d := p.end()
			e.ended(d, corev1.PodSucceeded, 0)
			if got := p.logs("main", corev1.PodLogOptions{}); got != "AAA\n" {
				e.Errorf("got %q", got)
			}
		}},
	}
}
