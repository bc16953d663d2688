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

package harness

import (
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/uuid"
)

// CreateRequest is the body of /create as interLink sends it.
type CreateRequest struct {
	Pod       *corev1.Pod        `json:"pod"`
	Container []ContainerVolumes `json:"container"`
	JobScript string             `json:"jobScript,omitempty"`
}

// ContainerVolumes are what the virtual kubelet collected for one container.
type ContainerVolumes struct {
	Name                string             `json:"name"`
	ConfigMaps          []corev1.ConfigMap `json:"configMaps"`
	ProjectedVolumeMaps []corev1.ConfigMap `json:"projectedvolumemaps"`
	Secrets             []corev1.Secret    `json:"secrets"`
}

// Body is the request as bytes.
func (r CreateRequest) Body(t testing.TB) []byte {
	t.Helper()
	body, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// NewPod returns a pod as the virtual kubelet sends it, with a UID of its own, that runs once on the given backend.
func NewPod(name, backend string, containers ...corev1.Container) *corev1.Pod {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default", UID: NewUID(), Annotations: map[string]string{"remotejob.dev/backend": backend}},
		Spec:       corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, NodeName: "vk1", Containers: containers},
	}
	grace := int64(30)
	pod.Spec.TerminationGracePeriodSeconds = &grace
	return pod
}

// NewUID returns a UID that no pod has had.
func NewUID() types.UID { return uuid.NewUUID() }

// Shell is a container that runs a script.
func Shell(name, script string) corev1.Container {
	return corev1.Container{Name: name, Image: "busybox:1.36", ImagePullPolicy: corev1.PullIfNotPresent, Command: []string{"sh", "-c", script}}
}

// Request is the pod's /create, with nothing collected for it.
func Request(pod *corev1.Pod) CreateRequest {
	r := CreateRequest{Pod: pod}
	for _, c := range append(append([]corev1.Container{}, pod.Spec.InitContainers...), pod.Spec.Containers...) {
		r.Container = append(r.Container, ContainerVolumes{Name: c.Name})
	}
	return r
}

// With adds what was collected for one container.
func (r CreateRequest) With(container string, configMaps []corev1.ConfigMap, secrets []corev1.Secret) CreateRequest {
	for i := range r.Container {
		if r.Container[i].Name == container {
			r.Container[i].ConfigMaps, r.Container[i].Secrets = configMaps, secrets
		}
	}
	return r
}
