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
	"fmt"
	"math/rand/v2"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// option changes a pod that is being written.
type option func(*corev1.Pod)

// pod writes a pod with restartPolicy Never and a container "main" that runs the shell script.
func (e *env) pod(script string, options ...option) *corev1.Pod {
	uid := fmt.Sprintf("%016x%016x", rand.Uint64(), rand.Uint64())
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p-" + uid[:8], Namespace: "backendtest", UID: types.UID(uid)},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers:    []corev1.Container{e.container("main", script)},
		},
	}
	for _, o := range options {
		o(p)
	}
	return p
}

// container writes a container that runs a shell script.
func (e *env) container(name, script string) corev1.Container {
	return corev1.Container{Name: name, Image: e.suite.Image, ImagePullPolicy: corev1.PullIfNotPresent, Command: []string{"sh", "-c", script}}
}

// with changes the container main.
func with(change func(*corev1.Container)) option {
	return func(p *corev1.Pod) { change(&p.Spec.Containers[0]) }
}

// and adds a container.
func and(c corev1.Container) option {
	return func(p *corev1.Pod) { p.Spec.Containers = append(p.Spec.Containers, c) }
}

// first adds an init container.
func first(c corev1.Container) option {
	return func(p *corev1.Pod) { p.Spec.InitContainers = append(p.Spec.InitContainers, c) }
}

// sidecar adds a restartable init container.
func sidecar(c corev1.Container) option {
	always := corev1.ContainerRestartPolicyAlways
	c.RestartPolicy = &always
	return first(c)
}

// restarting sets the pod's restartPolicy.
func restarting(policy corev1.RestartPolicy) option {
	return func(p *corev1.Pod) { p.Spec.RestartPolicy = policy }
}

// grace sets the pod's grace period.
func grace(seconds int64) option {
	return func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = &seconds }
}

// volume adds a volume and mounts it in all containers that there are so far.
func volume(name, path string, source corev1.VolumeSource) option {
	return func(p *corev1.Pod) {
		p.Spec.Volumes = append(p.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: source})
		for _, some := range [][]corev1.Container{p.Spec.InitContainers, p.Spec.Containers} {
			for i := range some {
				some[i].VolumeMounts = append(some[i].VolumeMounts, corev1.VolumeMount{Name: name, MountPath: path})
			}
		}
	}
}

// shared adds an emptyDir at /shared.
func shared() option {
	return volume("shared", "/shared", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}})
}

// onTerm is a script that says when it got TERM, and ends.
const onTerm = `trap 'echo got TERM; exit 0' TERM; echo up; while :; do sleep 0.1; done`

// deaf is a script that takes no notice of TERM.
const deaf = `trap '' TERM; echo up; while :; do sleep 0.1; done`
