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
	"path"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// containerRules are those of v1.Container, but for its probes, hooks and security context.
var containerRules = []rule{
	{path: "spec.containers[*].name", fate: honoured},
	{path: "spec.containers[*].image", fate: honoured, policy: "allowedImages", text: "a scheme before it (docker://) is taken off", check: typed(checkImage)},
	{path: "spec.containers[*].command", fate: honoured, text: "references $(VAR) are expanded", check: typed(checkStrings)},
	{path: "spec.containers[*].args", fate: honoured, text: "references $(VAR) are expanded", check: typed(checkStrings)},
	{path: "spec.containers[*].workingDir", fate: honoured, check: typed(checkString)},
	{path: "spec.containers[*].ports", fate: honoured, text: "for named ports of probes"},
	{path: "spec.containers[*].ports[*].name", fate: honoured},
	{path: "spec.containers[*].ports[*].containerPort", fate: honoured},
	{path: "spec.containers[*].ports[*].protocol", fate: honoured, check: oneOf(corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)},
	{path: "spec.containers[*].ports[*].hostPort", fate: needed, feature: FeatureHostPorts, policy: "allowHostNetwork", idle: onHostNetwork, idleText: "any with hostNetwork, where it is the containerPort", check: typed(checkHostPort)},
	{path: "spec.containers[*].ports[*].hostIP", fate: needed, feature: FeatureHostPorts, idle: onHostNetwork, idleText: "any with hostNetwork"},
	{path: "spec.containers[*].envFrom", fate: honoured, text: "binaryData of ConfigMaps is left out"},
	{path: "spec.containers[*].envFrom[*].prefix", fate: honoured},
	{path: "spec.containers[*].envFrom[*].configMapRef.name", fate: honoured},
	{path: "spec.containers[*].envFrom[*].configMapRef.optional", fate: honoured},
	{path: "spec.containers[*].envFrom[*].secretRef.name", fate: honoured},
	{path: "spec.containers[*].envFrom[*].secretRef.optional", fate: honoured},
	{path: "spec.containers[*].env", fate: honoured, text: "references $(VAR) are expanded, each variable seeing those before it; values that interLink resolved can't be told from literal ones, so references in them are expanded too"},
	{path: "spec.containers[*].env[*].name", fate: honoured},
	{path: "spec.containers[*].env[*].value", fate: honoured, check: typed(checkString)},
	{path: "spec.containers[*].env[*].valueFrom.fieldRef.apiVersion", fate: honoured},
	{path: "spec.containers[*].env[*].valueFrom.fieldRef.fieldPath", fate: honoured, text: "but for status.podIP, status.podIPs, status.hostIP and status.hostIPs, which are not known before the job runs: refused where interLink did not resolve them", check: typed(checkFieldPath)},
	{path: "spec.containers[*].env[*].valueFrom.resourceFieldRef.containerName", fate: honoured},
	{path: "spec.containers[*].env[*].valueFrom.resourceFieldRef.resource", fate: honoured, check: typed(checkResourceField)},
	{path: "spec.containers[*].env[*].valueFrom.resourceFieldRef.divisor", fate: honoured},
	{path: "spec.containers[*].env[*].valueFrom.configMapKeyRef.name", fate: honoured},
	{path: "spec.containers[*].env[*].valueFrom.configMapKeyRef.key", fate: honoured},
	{path: "spec.containers[*].env[*].valueFrom.configMapKeyRef.optional", fate: honoured},
	{path: "spec.containers[*].env[*].valueFrom.secretKeyRef.name", fate: honoured},
	{path: "spec.containers[*].env[*].valueFrom.secretKeyRef.key", fate: honoured},
	{path: "spec.containers[*].env[*].valueFrom.secretKeyRef.optional", fate: honoured},
	{path: "spec.containers[*].env[*].valueFrom.fileKeyRef", fate: refused, text: "variables from files that other containers write are not supported", whole: true},
	{path: "spec.containers[*].resources.limits", fate: honoured, policy: "maxPerJob, maxInTotal", parts: []part{{"ephemeral-storage", FeatureEphemeralStorage}, {"GPUs", FeatureGPUs}}, text: "cpu, memory, ephemeral-storage and GPUs (nvidia.com/gpu, amd.com/gpu, slices of them); other resources are refused", check: typed(checkLimits)},
	{path: "spec.containers[*].resources.requests", fate: honoured, parts: []part{{"GPUs", FeatureGPUs}}, text: "cpu and memory; ephemeral-storage is for scheduling; others as limits", check: typed(checkRequests)},
	{path: "spec.containers[*].resources.claims", fate: refused, text: "claims on devices are made by a kubelet's drivers, and there are none here", whole: true},
	{path: "spec.containers[*].resizePolicy", fate: meaningless, text: "a job's resources can't be changed", whole: true},
	{path: "spec.containers[*].restartPolicy", fate: needed, feature: FeatureContainerRestartRule, check: oneOf(corev1.ContainerRestartPolicyAlways, corev1.ContainerRestartPolicyOnFailure, corev1.ContainerRestartPolicyNever)},
	{path: "spec.initContainers[*].restartPolicy", fate: honoured, parts: []part{{"Always", FeatureSidecars}, {"OnFailure and Never", FeatureContainerRestartRule}}, text: "Always makes it a sidecar", check: typed(checkInitRestartPolicy)},
	{path: "spec.containers[*].restartPolicyRules", fate: needed, feature: FeatureContainerRestartRule, whole: true},
	{path: "spec.containers[*].volumeMounts", fate: honoured},
	{path: "spec.containers[*].volumeMounts[*].name", fate: honoured},
	{path: "spec.containers[*].volumeMounts[*].readOnly", fate: honoured, text: "volumes of configMap, secret, projected and downwardAPI are always read-only"},
	{path: "spec.containers[*].volumeMounts[*].recursiveReadOnly", fate: refused, text: "mounts that are read-only all the way down can't be promised", idle: isIdle(corev1.RecursiveReadOnlyDisabled, corev1.RecursiveReadOnlyIfPossible), idleText: "Disabled, IfPossible"},
	{path: "spec.containers[*].volumeMounts[*].mountPath", fate: honoured, text: "it must be absolute", check: typed(checkMountPath)},
	{path: "spec.containers[*].volumeMounts[*].subPath", fate: honoured, parts: []part{{"of writable volumes", FeatureWritableSubPath}}, text: "it must be relative and stay in the volume", check: typed(checkSubPath)},
	{path: "spec.containers[*].volumeMounts[*].subPathExpr", fate: honoured, parts: []part{{"of writable volumes", FeatureWritableSubPath}}, text: "as subPath, after references $(VAR) are expanded", check: typed(checkSubPath)},
	{path: "spec.containers[*].volumeMounts[*].mountPropagation", fate: needed, feature: FeatureMountPropagation, policy: "allowPrivileged", text: "Bidirectional needs the policy and a privileged container", idle: isIdle(corev1.MountPropagationNone), idleText: "None", check: typed(checkPropagation)},
	{path: "spec.containers[*].volumeMounts[*].bindMountOptions", fate: refused, text: "mount options are not supported"},
	{path: "spec.containers[*].volumeDevices", fate: refused, text: "raw block devices are not supported", whole: true},
	{path: "spec.containers[*].terminationMessagePath", fate: honoured},
	{path: "spec.containers[*].terminationMessagePolicy", fate: honoured, check: oneOf(corev1.TerminationMessageReadFile, corev1.TerminationMessageFallbackToLogsOnError)},
	{path: "spec.containers[*].imagePullPolicy", fate: honoured, check: oneOf(corev1.PullAlways, corev1.PullIfNotPresent, corev1.PullNever)},
	{path: "spec.containers[*].securityContext", fate: honoured, text: "by field"},
	{path: "spec.containers[*].stdin", fate: needed, feature: FeatureTTY},
	{path: "spec.containers[*].stdinOnce", fate: needed, feature: FeatureTTY},
	{path: "spec.containers[*].tty", fate: needed, feature: FeatureTTY},
}

func checkString(_ *checker, at string, s string) *Refusal {
	if strings.ContainsRune(s, 0) {
		return refuse(at, ReasonInvalid, "it holds a NUL byte, which no process can be given")
	}
	return nil
}

func checkStrings(c *checker, at string, list []string) *Refusal {
	for i, s := range list {
		if refusal := checkString(c, index(at, i), s); refusal != nil {
			return refusal
		}
	}
	return nil
}

func checkFieldPath(c *checker, at string, field string) *Refusal {
	if _, ok := podField(c.pod, field); ok {
		return nil
	}
	if slices.Contains(lateFields, field) {
		return refuse(at, ReasonUnsupported, "%s is not known before the job runs", field)
	}
	return refuse(at, ReasonInvalid, "%s is no field that the downward API knows", field)
}

func checkResourceField(_ *checker, at string, field string) *Refusal {
	if _, _, ok := resourceField(field); !ok {
		return refuse(at, ReasonInvalid, "%s is no resource that the downward API knows", field)
	}
	return nil
}

func checkInitRestartPolicy(c *checker, at string, policy corev1.ContainerRestartPolicy) *Refusal {
	switch {
	case policy == corev1.ContainerRestartPolicyAlways && !c.abilities.Has(FeatureSidecars):
		return c.unable(at, FeatureSidecars)
	case policy == corev1.ContainerRestartPolicyAlways:
		return nil
	case !c.abilities.Has(FeatureContainerRestartRule):
		return c.unable(at, FeatureContainerRestartRule)
	case policy != corev1.ContainerRestartPolicyOnFailure && policy != corev1.ContainerRestartPolicyNever:
		return refuse(at, ReasonInvalid, "%q is not one of Always, OnFailure, Never", policy)
	}
	return nil
}

func checkMountPath(_ *checker, at string, mountPath string) *Refusal {
	switch {
	case !path.IsAbs(mountPath):
		return refuse(at, ReasonInvalid, "%q is not an absolute path", mountPath)
	case strings.ContainsAny(mountPath, ":\x00"):
		return refuse(at, ReasonInvalid, "it must contain neither a colon nor a NUL byte")
	case slices.Contains(strings.Split(mountPath, "/"), ".."):
		return refuse(at, ReasonInvalid, "it must not contain '..'")
	case path.Clean(mountPath) == "/":
		return refuse(at, ReasonInvalid, "a volume can't take the place of a container's root")
	}
	return nil
}

func checkSubPath(c *checker, at string, sub string) *Refusal {
	if problem := subPathProblem(sub); problem != "" {
		return refuse(at, ReasonInvalid, "%s", problem)
	}
	if volume := c.volume(c.mount.Name); volume != nil && !madeOfFiles(volume) && !c.abilities.Has(FeatureWritableSubPath) {
		return c.unable(at, FeatureWritableSubPath)
	}
	return nil
}

// madeOfFiles tells whether a volume is made of files that come with the job.
func madeOfFiles(v *corev1.Volume) bool {
	return v.ConfigMap != nil || v.Secret != nil || v.Projected != nil || v.DownwardAPI != nil
}

func checkPropagation(c *checker, at string, mode corev1.MountPropagationMode) *Refusal {
	switch mode {
	case corev1.MountPropagationHostToContainer:
		return nil
	case corev1.MountPropagationBidirectional:
		if c.container.SecurityContext == nil || !isTrue(c.container.SecurityContext.Privileged) {
			return refuse(at, ReasonInvalid, "Bidirectional mount propagation is available only to privileged containers")
		}
		return c.needsPrivileged(at, "mounts that reach the machine")
	}
	return refuse(at, ReasonInvalid, "%q is not one of None, HostToContainer, Bidirectional", mode)
}

func checkHostPort(c *checker, at string, port int32) *Refusal {
	if problems := validation.IsValidPortNum(int(port)); len(problems) > 0 {
		return refuse(at, ReasonInvalid, "%d: %s", port, problems[0])
	}
	if !c.policy.AllowHostNetwork {
		return forbidden(at, "allowHostNetwork is false", "ports of the machine")
	}
	return nil
}
