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

package main

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// demoPod is one pod of the demo, and how it is to end.
type demoPod struct {
	about   string
	request harness.CreateRequest
	// exits are the exit codes by container, logs what must be in their logs.
	exits map[string]int32
	logs  map[string]string
}

func (s *stack) demoPods() []demoPod {
	return []demoPod{s.succeeding(), s.talking(), s.failing()}
}

func (s *stack) succeeding() demoPod {
	pod := harness.NewPod("succeeds", s.backend, s.shell("main", `echo "Hello from $(uname -sm), $GREETED"; sleep 3; echo bye`))
	pod.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "WHO", Value: "a pod"}, {Name: "GREETED", Value: "said $(WHO)"}}
	pod.Spec.Containers[0].Resources.Limits = corev1.ResourceList{
		corev1.ResourceCPU: resource.MustParse("500m"), corev1.ResourceMemory: resource.MustParse("64Mi"),
	}
	return demoPod{
		about:   "one container that greets and ends well",
		request: harness.Request(pod),
		exits:   map[string]int32{"main": 0},
		logs:    map[string]string{"main": "said a pod"},
	}
}

// talking has two containers: one serves a ConfigMap's text over localhost, the other asks for it and reads a Secret.
func (s *stack) talking() demoPod {
	server := s.shell("server", "httpd -p 127.0.0.1:8080 -h /site; echo serving; until [ -e /shared/done ]; do sleep 0.2; done")
	server.VolumeMounts = []corev1.VolumeMount{{Name: "site", MountPath: "/site", ReadOnly: true}, {Name: "shared", MountPath: "/shared"}}
	client := s.shell("client", `until wget -q -O - http://127.0.0.1:8080/index.html; do sleep 0.2; done
echo "the password has $(wc -c </secret/password) characters"; sleep 3; touch /shared/done`)
	client.VolumeMounts = []corev1.VolumeMount{{Name: "secret", MountPath: "/secret", ReadOnly: true}, {Name: "shared", MountPath: "/shared"}}

	pod := harness.NewPod("talks", s.backend, server, client)
	mode := int32(0o400)
	pod.Spec.Volumes = []corev1.Volume{
		{Name: "site", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "site"}}}},
		{Name: "secret", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "login", DefaultMode: &mode}}},
		{Name: "shared", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
	}
	site := corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "site", Namespace: pod.Namespace},
		Data:       map[string]string{"index.html": "a page out of a ConfigMap\n"},
	}
	login := corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "login", Namespace: pod.Namespace},
		Data:       map[string][]byte{"password": []byte("correct horse battery staple")},
	}
	return demoPod{
		about:   "two containers that share localhost and an emptyDir, with a ConfigMap and a Secret",
		request: harness.Request(pod).With("server", []corev1.ConfigMap{site}, nil).With("client", nil, []corev1.Secret{login}),
		exits:   map[string]int32{"server": 0, "client": 0},
		logs:    map[string]string{"server": "serving", "client": "a page out of a ConfigMap\nthe password has 28 characters"},
	}
}

func (s *stack) failing() demoPod {
	pod := harness.NewPod("fails", s.backend, s.shell("main", "echo 'no such file' >&2; sleep 2; exit 3"))
	return demoPod{
		about:   "one container that fails with exit code 3",
		request: harness.Request(pod),
		exits:   map[string]int32{"main": 3},
		logs:    map[string]string{"main": "no such file"},
	}
}

func (s *stack) shell(name, script string) corev1.Container {
	c := harness.Shell(name, script)
	c.Image = s.image
	return c
}
