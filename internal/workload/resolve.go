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

package workload

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ResolveRequest is what a Workload is made from.
type ResolveRequest struct {
	// Template is the RemoteJob's, and Payload what goes with it: for a pod that arrived over HTTP, what Split made and what arrived
	// beside the pod; for a hand-written one, the ConfigMaps and Secrets of its namespace that References names.
	Template corev1.PodTemplateSpec
	Payload  Payload
	// Namespace, Name and UID of the pod. A hand-written RemoteJob lends its own.
	Namespace, Name string
	UID             types.UID
	// Token, Ledger, Backend and Job go into the Workload as they are.
	Token   string
	Ledger  string
	Backend types.UID
	Job     types.NamespacedName
	// NodeName is what the downward API says for spec.nodeName where the template names no node.
	NodeName string
	// Allocatable is what the downward API says for limits that a container does not set.
	Allocatable corev1.ResourceList
}

// Bare makes a Workload without env and files: all that is needed to stop a job, whose payload may be gone.
func Bare(req ResolveRequest) *Workload {
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace:   req.Namespace,
			Name:        req.Name,
			UID:         req.UID,
			Labels:      copyMap(req.Template.Labels),
			Annotations: copyMap(req.Template.Annotations),
		},
		Spec: *req.Template.Spec.DeepCopy(),
	}
	for name, value := range req.Payload.Annotations {
		setKey(&pod.Annotations, name, value)
	}
	delete(pod.Annotations, AnnotationLastApplied)
	if pod.Spec.NodeName == "" {
		pod.Spec.NodeName = req.NodeName
	}
	Default(pod)
	return &Workload{
		Token:     req.Token,
		Ledger:    req.Ledger,
		Backend:   req.Backend,
		Job:       req.Job,
		Pod:       pod,
		JobScript: req.Payload.JobScript,
	}
}

// Resolve puts a template and its payload together, and leaves nothing to look up: env is literal and expanded as a kubelet does it,
// command, args and subPathExpr are expanded, and the volumes that are made of files have their content. What a pod refers to and is not
// there is a ConfigError, what can't be done at all a Refusal.
func Resolve(req ResolveRequest) (*Workload, error) {
	req.Template = *req.Template.DeepCopy()
	restore(&req.Template.Spec, &req.Payload)
	w := Bare(req)
	r := &resolver{pod: w.Pod, payload: &req.Payload, allocatable: req.Allocatable}

	// The values of resourceFieldRef are those of the pod as it came, so all env is resolved before any of it is set.
	envs := map[string][]corev1.EnvVar{}
	var err error
	eachContainer(&w.Pod.Spec, func(at string, c *corev1.Container) {
		if err == nil {
			envs[at], err = r.env(at, c)
		}
	})
	if err != nil {
		return nil, err
	}
	if w.Files, err = r.files(); err != nil {
		return nil, err
	}
	eachContainer(&w.Pod.Spec, func(at string, c *corev1.Container) {
		if err == nil {
			err = setEnv(at, c, envs[at])
		}
	})
	if err != nil {
		return nil, err
	}
	w.PullSecrets = r.pullSecrets()
	return w, nil
}

// restore puts back what Split took out of the containers.
func restore(spec *corev1.PodSpec, payload *Payload) {
	eachContainer(spec, func(_ string, c *corev1.Container) {
		if env, ok := payload.Env[c.Name]; ok {
			c.Env = make([]corev1.EnvVar, len(env))
			for i := range env {
				env[i].DeepCopyInto(&c.Env[i])
			}
		}
	})
	eachHTTPGet(spec, func(at string, get *corev1.HTTPGetAction) {
		for i := range get.HTTPHeaders {
			if value, ok := payload.Headers[fmt.Sprintf("%s/%d", at, i)]; ok {
				get.HTTPHeaders[i].Value = value
			}
		}
	})
}

// resolver resolves the references of one pod.
type resolver struct {
	pod         *corev1.Pod
	payload     *Payload
	allocatable corev1.ResourceList
}

// setEnv gives a container its env and expands what refers to it.
func setEnv(at string, c *corev1.Container, env []corev1.EnvVar) error {
	// A kubelet expands the commands of probes, alone of all, from the values as they are written.
	written := map[string]string{}
	for _, variable := range c.Env {
		written[variable.Name] = variable.Value
	}
	for _, probe := range []*corev1.Probe{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe} {
		if probe != nil && probe.Exec != nil {
			expandAll(probe.Exec.Command, in(written))
		}
	}
	variables := map[string]string{}
	for _, variable := range env {
		variables[variable.Name] = variable.Value
	}
	c.Env, c.EnvFrom = env, nil
	expandAll(c.Command, in(variables))
	expandAll(c.Args, in(variables))
	for i := range c.VolumeMounts {
		mount := &c.VolumeMounts[i]
		if mount.SubPathExpr == "" {
			continue
		}
		field := fmt.Sprintf("%s.volumeMounts[%d].subPathExpr", at, i)
		var unset []string
		mount.SubPath = expand(mount.SubPathExpr, func(name string) (string, bool) {
			if variables[name] == "" {
				unset = append(unset, name)
			}
			return variables[name], true
		})
		if len(unset) > 0 {
			return missing(field, "the container has no env variable %s, or an empty one", strings.Join(unset, ", "))
		}
		if _, ok := cleanSubPath(mount.SubPath); !ok {
			return refuse(field, ReasonInvalid, "it becomes %q, which is no path inside the volume", mount.SubPath)
		}
		mount.SubPathExpr = ""
	}
	return nil
}

func expandAll(list []string, lookup func(string) (string, bool)) {
	for i := range list {
		list[i] = expand(list[i], lookup)
	}
}

// pullSecrets are the Secrets that the pod names for pulling its images. A kubelet goes on without those that are not there.
func (r *resolver) pullSecrets() []FileData {
	var out []FileData
	for _, ref := range r.pod.Spec.ImagePullSecrets {
		if secret, ok := r.payload.Secrets[ref.Name]; ok {
			out = append(out, secret)
		}
	}
	return out
}
