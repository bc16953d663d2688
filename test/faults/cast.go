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
	"encoding/json"
	"fmt"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/test/faults/history"
	"github.com/remotejob-dev/remotejob-operator/test/faults/plan"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// actor is a pod of the run: what is sent of it, and what is expected.
type actor struct {
	plan    plan.Pod
	pod     *corev1.Pod
	body    []byte
	expects []history.Container
	// secret must never be readable in a RemoteJob.
	secret string
}

// Codes that containers end with where something is not as it should be, and where they are told to end.
const (
	codeWithoutFiles = 42
	codeOfTerm       = 143
	codeOfRetry      = 9
)

// cast makes a pod of a plan. Its UID tells where it comes from.
func cast(p *plan.Plan, i int, ran, image string) (*actor, error) {
	a := &actor{plan: p.Pods[i]}
	a.pod = harness.NewPod(fmt.Sprintf("%s-%d", a.plan.Class, i), string(a.plan.Backend))
	a.pod.UID = types.UID(fmt.Sprintf("%d-%d-%s-%s", p.Seed, i, a.plan.Class, a.pod.UID[:8]))
	a.secret = "secret-of-" + string(a.pod.UID)
	grace := int64(2)
	a.pod.Spec.TerminationGracePeriodSeconds = &grace
	if a.plan.Requeueable || a.plan.Class == plan.Retry {
		a.pod.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
	}
	a.containers(ran)
	if a.plan.Backend != plan.SLURM {
		a.share(filepath.Dir(ran))
	}
	if a.plan.Backend == plan.Podman {
		for _, list := range [][]corev1.Container{a.pod.Spec.InitContainers, a.pod.Spec.Containers} {
			for i := range list {
				list[i].Image = image
			}
		}
	}
	request := harness.Request(a.pod)
	if a.plan.Class == plan.Files {
		request = a.collect(request)
	}
	var err error
	a.body, err = json.Marshal(request)
	return a, err
}

func (a *actor) containers(ran string) {
	life := fmt.Sprintf("sleep %.1f", a.plan.Life.Seconds())
	app, code := life, a.plan.Code
	switch a.plan.Class {
	case plan.Endless:
		// It runs on until it is told to end, and then says so.
		app, code = "trap 'kill $!; code=143; finish' TERM; sleep 3000 & wait $!", codeOfTerm
	case plan.Files:
		app = fmt.Sprintf(`[ "$(cat /etc/files/key)" = "%[1]s" ] && [ "$(cat /etc/secret/key)" = "%[2]s" ] && [ "$WORD" = "%[2]s" ] || code=%[3]d; `,
			a.pod.Name, a.secret, codeWithoutFiles) + life
	case plan.Retry:
		// The first run is known by what was written down, outside of the system under test.
		app = life + fmt.Sprintf(`; n=$(grep -c "^%s main .* begin" %s); [ "$n" -gt 1 ] || code=%d`, a.pod.UID, ran, codeOfRetry)
	}
	a.add(false, "main", app, code, ran)
	if a.plan.Class == plan.Retry {
		a.expects[0].Runs = 2
	}
	if a.plan.Class == plan.Pair {
		a.add(false, "second", "sleep 0.3", 0, ran)
		a.add(true, "first", "sleep 0.3", 0, ran)
	}
}

// add gives the pod a container that writes down that it runs, and that it ends.
func (a *actor) add(init bool, name, script string, code int32, ran string) {
	text := fmt.Sprintf(`code=%[4]d
read -r up rest </proc/uptime; read -r id </proc/sys/kernel/random/uuid
echo "%[1]s %[2]s $id begin $up" >>%[3]s
echo "%[1]s %[2]s $id"
finish() { read -r up rest </proc/uptime; echo "%[1]s %[2]s $id end $up" >>%[3]s; exit $code; }
%[5]s
finish`, a.pod.UID, name, ran, code, script)
	c := harness.Shell(name, text)
	expected := history.Container{Name: name, Runs: 1, Code: code}
	if init {
		a.pod.Spec.InitContainers = append(a.pod.Spec.InitContainers, c)
		a.expects = append([]history.Container{expected}, a.expects...)
		return
	}
	a.pod.Spec.Containers = append(a.pod.Spec.Containers, c)
	a.expects = append(a.expects, expected)
}

// share mounts the directory in which pods write down that they run.
func (a *actor) share(dir string) {
	a.pod.Spec.Volumes = append(a.pod.Spec.Volumes, corev1.Volume{Name: "ran", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: dir}}})
	mount := corev1.VolumeMount{Name: "ran", MountPath: dir}
	for _, list := range [][]corev1.Container{a.pod.Spec.InitContainers, a.pod.Spec.Containers} {
		for i := range list {
			list[i].VolumeMounts = append(list[i].VolumeMounts, mount)
		}
	}
}

// collect adds a ConfigMap, a Secret and a variable, as the virtual kubelet collects them.
func (a *actor) collect(r harness.CreateRequest) harness.CreateRequest {
	a.pod.Spec.Volumes = append(a.pod.Spec.Volumes,
		corev1.Volume{Name: "files", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "files"}}}},
		corev1.Volume{Name: "secret", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "secret"}}})
	c := &a.pod.Spec.Containers[0]
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: "files", MountPath: "/etc/files"}, corev1.VolumeMount{Name: "secret", MountPath: "/etc/secret"})
	c.Env = append(c.Env, corev1.EnvVar{Name: "WORD", Value: a.secret})
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name, Namespace: namespace} }
	return r.With(c.Name, []corev1.ConfigMap{{ObjectMeta: meta("files"), Data: map[string]string{"key": a.pod.Name}}},
		[]corev1.Secret{{ObjectMeta: meta("secret"), Data: map[string][]byte{"key": []byte(a.secret)}}})
}
