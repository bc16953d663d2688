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
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// annotationRules are those of the annotations that mean something; all others are data.
var annotationRules = []rule{
	{path: annotation(AnnotationBackend), fate: honoured, policy: "allowAnnotationSelection", text: "the RemoteBackend that the pod is to run on", check: func(c *checker, at string, _ reflect.Value) *Refusal {
		if isFalse(c.policy.AllowAnnotationSelection) {
			return forbidden(at, "allowAnnotationSelection is false", "pods to choose it by annotation")
		}
		return nil
	}},
	{path: annotation(AnnotationSlurmFlags), fate: welcome, feature: FeatureSlurmFlags},
	{path: annotation(AnnotationSlurmFlavor), fate: welcome, feature: FeatureSlurmFlags},
	{path: annotation(AnnotationSlurmMPIFlags), fate: welcome, feature: FeatureSlurmFlags, policy: "allowScripts", idle: isIdle("true"), idleText: "true", check: typed(checkCommandWords)},
	{path: annotation(AnnotationSlurmImageRoot), fate: welcome, feature: FeatureSlurmFlags},
	{path: annotation(AnnotationSingularityMounts), fate: welcome, feature: FeatureSlurmFlags, policy: "allowScripts", check: typed(checkCommandWords)},
	{path: annotation(AnnotationSingularityOptions), fate: welcome, feature: FeatureSlurmFlags, policy: "allowScripts", check: typed(checkCommandWords)},
	{path: annotation(AnnotationSingularityCommands), fate: welcome, feature: FeatureSlurmFlags, policy: "allowScripts", check: typed(checkCommandWords)},
	{path: annotation(AnnotationEnrootMounts), fate: welcome, feature: FeatureSlurmFlags, policy: "allowScripts", check: typed(checkCommandWords)},
	{path: annotation(AnnotationEnrootOptions), fate: welcome, feature: FeatureSlurmFlags, policy: "allowScripts", check: typed(checkCommandWords)},
	{path: annotation(AnnotationSlurmPreExec), fate: needed, feature: FeaturePreExec, policy: "allowScripts", check: typed(checkScript)},
	{path: annotation(AnnotationDockerFlags), fate: needed, feature: FeatureDockerFlags, policy: "allowPrivileged, maxPerJob, maxInTotal", text: textDockerFlags, check: typed(checkDockerFlags)},
	{path: annotation(AnnotationPodIP), fate: needed, feature: FeatureMesh},
	{path: annotation(AnnotationPodVPN), fate: needed, feature: FeatureMesh},
	{path: annotation(AnnotationPodSubnet), fate: needed, feature: FeatureMesh},
	{path: annotation(AnnotationMeshNetwork), fate: needed, feature: FeatureMesh, idle: isIdle("false", "disabled", "none"), idleText: "false, disabled, none"},
	{path: annotation(AnnotationWstunnelCommands), fate: needed, feature: FeatureMesh, policy: "allowScripts", check: typed(checkScript)},
	{path: annotation(AnnotationWireguardSnippet), fate: needed, feature: FeatureMesh},
	{path: annotation("interlink.eu/disable-offload-containers"), fate: meaningless, text: "the virtual kubelet keeps such containers to itself"},
	{path: annotation("interlink.eu/disable-offload-init-containers"), fate: meaningless, text: "the virtual kubelet keeps such containers to itself"},
	{path: annotation(AnnotationLastApplied), fate: meaningless, text: "it is dropped, since it repeats the pod's secrets"},
}

func annotation(name string) string { return "metadata.annotations[" + name + "]" }

// walkAnnotations holds the annotations that mean something against their rules.
func (c *checker) walkAnnotations() *Refusal {
	annotations := c.pod.Annotations
	for _, name := range slices.Sorted(maps.Keys(annotations)) {
		at := annotation(name)
		rule, ok := rulesByPath[at]
		value := reflect.ValueOf(annotations[name])
		if !ok || value.IsZero() || rule.idle != nil && rule.idle(c, value) {
			continue
		}
		if refusal := c.apply(rule, at, value); refusal != nil {
			return refusal
		}
	}
	return nil
}

func checkScript(c *checker, at string, _ string) *Refusal {
	if isFalse(c.policy.AllowScripts) {
		return forbidden(at, "allowScripts is false", "scripts")
	}
	return nil
}

// checkCommandWords holds what goes into a command line on the machine to the policy for scripts: by options, mounts and prefixes of such a
// command a pod can have it run anything and show any file.
func checkCommandWords(c *checker, at string, _ string) *Refusal {
	if isFalse(c.policy.AllowScripts) && c.abilities.Has(FeatureSlurmFlags) {
		return forbidden(at, "allowScripts is false", "words of commands on the machine")
	}
	return nil
}

func checkNamespace(c *checker, at string, namespace string) *Refusal {
	if allowed := c.policy.AllowedNamespaces; len(allowed) > 0 && !slices.Contains(allowed, namespace) {
		return forbidden(at, "allowedNamespaces", "pods of namespace %s", namespace)
	}
	return nil
}

// CheckJobScript tells whether a job may bring a script of its own. An empty one is none.
func CheckJobScript(script string, abilities Abilities, policy v1alpha1.BackendPolicy) error {
	const at = "jobScript"
	c := &checker{abilities: abilities, policy: policy}
	if script == "" {
		return nil
	}
	if refusal := checkScript(c, at, script); refusal != nil {
		return refusal
	}
	if !abilities.Has(FeatureJobScript) {
		return c.unable(at, FeatureJobScript)
	}
	return nil
}

func checkImage(c *checker, at string, image string) *Refusal {
	if strings.TrimSpace(image) != image {
		return refuse(at, ReasonInvalid, "it must not have leading or trailing whitespace")
	}
	if strings.ContainsRune(image, 0) {
		return refuse(at, ReasonInvalid, "it must not contain a NUL byte")
	}
	if len(c.policy.AllowedImages) == 0 {
		return nil
	}
	for _, name := range imageNames(c.fullImage(image)) {
		for _, prefix := range c.policy.AllowedImages {
			if strings.HasPrefix(name, prefix) {
				return nil
			}
		}
	}
	return forbidden(at, "allowedImages", "the image %s", image)
}

// fullImage is the image's name with the prefix that an annotation may add to it.
func (c *checker) fullImage(image string) string {
	if root := c.pod.Annotations[AnnotationSlurmImageRoot]; root != "" && c.abilities.Has(FeatureSlurmFlags) {
		return root + image
	}
	return image
}

// isFalse tells whether a setting that is true by default was turned off.
func isFalse(b *bool) bool { return b != nil && !*b }
