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
	"encoding/json"
	"reflect"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// MaxTemplateBytes bounds a pod without its payload, as JSON: it has to fit into one object of the API server, which takes 1.5 MiB,
// together with the job's status.
const MaxTemplateBytes = 1 << 20

// Check tells whether a backend with these abilities and this policy can run the pod just as it says: every field that is set is
// honoured, or asks for nothing, or has no meaning outside of the cluster. The error is a Refusal, whose text is one plain sentence that
// names the field and the cause. The pod may have the API server's defaults or not.
func Check(pod *corev1.Pod, abilities Abilities, policy v1alpha1.BackendPolicy) error {
	pod = pod.DeepCopy()
	Default(pod)
	c := &checker{pod: pod, abilities: abilities, policy: policy}
	for _, check := range []func() *Refusal{
		c.validMetadata,
		c.validContainers,
		c.validVolumes,
		c.walkAnnotations,
		func() *Refusal { return c.walk("", "", reflect.ValueOf(pod)) },
		c.notRoot,
		c.withinCeilings,
		c.validSize,
	} {
		if refusal := check(); refusal != nil {
			return refusal
		}
	}
	return nil
}

// notRoot holds the users of the containers against the policy. Without a user the image's counts, which is root in most.
func (c *checker) notRoot() *Refusal {
	if !isFalse(c.policy.AllowRoot) {
		return nil
	}
	const policy = "allowRoot is false"
	var refusal *Refusal
	pod := c.pod.Spec.SecurityContext
	eachContainer(&c.pod.Spec, func(at string, container *corev1.Container) {
		if refusal != nil {
			return
		}
		user, nonRoot, field := pod.RunAsUser, pod.RunAsNonRoot, "spec.securityContext.runAsUser"
		if own := container.SecurityContext; own != nil {
			if own.RunAsUser != nil {
				user, field = own.RunAsUser, at+".securityContext.runAsUser"
			}
			if own.RunAsNonRoot != nil {
				nonRoot = own.RunAsNonRoot
			}
		}
		switch {
		case user != nil && *user == 0:
			refusal = forbidden(field, policy, "containers of user 0")
		case user == nil && !isTrue(nonRoot):
			refusal = forbidden(at+".securityContext", policy, "containers that may run as root: set runAsNonRoot, or a runAsUser other than 0")
		}
	})
	return refusal
}

func (c *checker) validSize() *Refusal {
	template, _ := Split(c.pod)
	data, err := json.Marshal(template)
	if err != nil {
		return refuse("spec", ReasonInvalid, "it can't be written as JSON: %s", err)
	}
	if len(data) > MaxTemplateBytes {
		return refuse("spec", ReasonTooLarge, "without env values it takes %d bytes, and a job may have %d", len(data), MaxTemplateBytes)
	}
	return nil
}
