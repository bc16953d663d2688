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
)

// annotationDomain is that of the operator's own annotations: a RemoteJob shows all of them.
const annotationDomain = "remotejob.dev/"

// Annotations that mean something to the operator beside those of its own domain.
const (
	AnnotationLastApplied = corev1.LastAppliedConfigAnnotation

	AnnotationSlurmFlags          = "slurm-job.vk.io/flags"
	AnnotationSlurmFlavor         = "slurm-job.vk.io/flavor"
	AnnotationSlurmPreExec        = "slurm-job.vk.io/pre-exec"
	AnnotationSlurmMPIFlags       = "slurm-job.vk.io/mpi-flags"
	AnnotationSlurmImageRoot      = "slurm-job.vk.io/image-root"
	AnnotationSingularityMounts   = "slurm-job.vk.io/singularity-mounts"
	AnnotationSingularityOptions  = "slurm-job.vk.io/singularity-options"
	AnnotationSingularityCommands = "slurm-job.vk.io/singularity-commands"
	AnnotationEnrootMounts        = "slurm-job.vk.io/enroot-mounts"
	AnnotationEnrootOptions       = "slurm-job.vk.io/enroot-options"
	AnnotationDockerFlags         = "docker-options.vk.io/flags"
	AnnotationPodIP               = "interlink.eu/pod-ip"
	AnnotationPodVPN              = "interlink.eu/pod-vpn"
	AnnotationPodSubnet           = "interlink.eu/pod-subnet"
	AnnotationMeshNetwork         = "interlink.eu/mesh-network"
	AnnotationWstunnelCommands    = "interlink.eu/wstunnel-client-commands"
	AnnotationWireguardSnippet    = "interlink.eu/wireguard-client-snippet"

	// AnnotationBackend names the RemoteBackend that a pod is to run on.
	AnnotationBackend = annotationDomain + "backend"
)

// shownAnnotations may be read in a RemoteJob beside those of the operator's own domain. Scripts, options and commands are not among
// them: they may hold keys, passwords or env values.
var shownAnnotations = map[string]bool{
	AnnotationSlurmFlags:        true,
	AnnotationSlurmFlavor:       true,
	AnnotationSlurmMPIFlags:     true,
	AnnotationSlurmImageRoot:    true,
	AnnotationSingularityMounts: true,
	AnnotationEnrootMounts:      true,
}

// Split takes what may be secret out of a pod: the template can be read by whoever may read RemoteJobs, the payload goes to Secrets.
// Out come the literal values of env and of the headers of probes and hooks, and all annotations but those on a list. kubectl's copy
// of the manifest is in neither: nothing needs it, and it repeats the secrets. Commands and args stay, as they do in a Pod.
// The payload's other fields are for the caller to fill. Resolve puts the two together again.
func Split(pod *corev1.Pod) (corev1.PodTemplateSpec, Payload) {
	var payload Payload
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: copyMap(pod.Labels)},
		Spec:       *pod.Spec.DeepCopy(),
	}
	for name, value := range pod.Annotations {
		switch {
		case name == AnnotationLastApplied:
		case shownAnnotations[name] || strings.HasPrefix(name, annotationDomain):
			setKey(&template.Annotations, name, value)
		default:
			setKey(&payload.Annotations, name, value)
		}
	}
	eachContainer(&template.Spec, func(_ string, c *corev1.Container) {
		payload.takeEnv(c)
	})
	eachHTTPGet(&template.Spec, func(at string, get *corev1.HTTPGetAction) {
		for i := range get.HTTPHeaders {
			header := &get.HTTPHeaders[i]
			if header.Value != "" {
				setKey(&payload.Headers, fmt.Sprintf("%s/%d", at, i), header.Value)
				header.Value = ""
			}
		}
	})
	// Check refuses these. Should one come this far, its env must not.
	template.Spec.EphemeralContainers = nil
	return template, payload
}

// takeEnv keeps a container's env as it is and leaves the names and sources of its variables.
func (p *Payload) takeEnv(c *corev1.Container) {
	literal := false
	kept := make([]corev1.EnvVar, len(c.Env))
	for i := range c.Env {
		c.Env[i].DeepCopyInto(&kept[i])
		literal = literal || c.Env[i].Value != ""
		c.Env[i].Value = ""
	}
	if literal {
		setKey(&p.Env, c.Name, kept)
	}
}

// eachContainer calls f with the path and each of the containers, init containers first.
func eachContainer(spec *corev1.PodSpec, f func(at string, c *corev1.Container)) {
	for i := range spec.InitContainers {
		f(fmt.Sprintf("spec.initContainers[%d]", i), &spec.InitContainers[i])
	}
	for i := range spec.Containers {
		f(fmt.Sprintf("spec.containers[%d]", i), &spec.Containers[i])
	}
}

// eachHTTPGet calls f with each HTTP request of a probe or hook, and a name for it that stays the same.
func eachHTTPGet(spec *corev1.PodSpec, f func(at string, get *corev1.HTTPGetAction)) {
	call := func(at string, get *corev1.HTTPGetAction) {
		if get != nil {
			f(at, get)
		}
	}
	eachContainer(spec, func(_ string, c *corev1.Container) {
		for _, probe := range []struct {
			kind string
			*corev1.Probe
		}{{"livenessProbe", c.LivenessProbe}, {"readinessProbe", c.ReadinessProbe}, {"startupProbe", c.StartupProbe}} {
			if probe.Probe != nil {
				call(c.Name+"/"+probe.kind, probe.HTTPGet)
			}
		}
		if c.Lifecycle == nil {
			return
		}
		for _, hook := range []struct {
			kind string
			*corev1.LifecycleHandler
		}{{"postStart", c.Lifecycle.PostStart}, {"preStop", c.Lifecycle.PreStop}} {
			if hook.LifecycleHandler != nil {
				call(c.Name+"/"+hook.kind, hook.HTTPGet)
			}
		}
	})
}

func copyMap(m map[string]string) map[string]string {
	if m == nil {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k] = v
	}
	return out
}

// setKey sets a key of a map that may not be there yet.
func setKey[K comparable, V any](m *map[K]V, key K, value V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[key] = value
}
