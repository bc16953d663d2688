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
	"math"
	"reflect"

	corev1 "k8s.io/api/core/v1"
)

// Causes that stand in more than one rule.
const (
	textScheduling = "scheduling is done when the pod arrives"
	textCluster    = "it is the cluster's business"
)

// metadataRules are those of what surrounds a pod's spec.
var metadataRules = []rule{
	{path: "kind", fate: meaningless, text: "what arrives is a pod"},
	{path: "apiVersion", fate: meaningless, text: "what arrives is a pod"},
	{path: "metadata.name", fate: honoured},
	{path: "metadata.namespace", fate: honoured, policy: "allowedNamespaces", check: typed(checkNamespace)},
	{path: "metadata.uid", fate: honoured, text: "it need not be a UUID"},
	{path: "metadata.labels", fate: honoured, text: "for the downward API"},
	{path: "metadata.annotations", fate: honoured, text: "for the downward API; those below mean more"},
	{path: "metadata.generateName", fate: meaningless, text: textCluster},
	{path: "metadata.selfLink", fate: meaningless, text: textCluster},
	{path: "metadata.resourceVersion", fate: meaningless, text: textCluster},
	{path: "metadata.generation", fate: meaningless, text: textCluster},
	{path: "metadata.creationTimestamp", fate: meaningless, text: textCluster},
	{path: "metadata.deletionTimestamp", fate: meaningless, text: "a job ends with interLink's delete call"},
	{path: "metadata.deletionGracePeriodSeconds", fate: meaningless, text: "a job ends with interLink's delete call"},
	{path: "metadata.ownerReferences", fate: meaningless, text: textCluster, whole: true},
	{path: "metadata.finalizers", fate: meaningless, text: textCluster},
	{path: "metadata.managedFields", fate: meaningless, text: textCluster, whole: true},
	{path: "status", fate: meaningless, text: "a job begins anew", whole: true},
}

// podRules are those of the fields of v1.PodSpec.
var podRules = []rule{
	{path: "spec.volumes", fate: honoured, text: "by kind: see the fields of volumes"},
	{path: "spec.initContainers", fate: honoured, text: "in order; each field as for containers, where the table has no row of its own"},
	{path: "spec.containers", fate: honoured, text: "they share one network, so they meet on localhost"},
	{path: "spec.ephemeralContainers", fate: refused, text: "ephemeral containers are added to running pods, and a job's pod can't be changed", whole: true},
	{path: "spec.restartPolicy", fate: honoured, check: oneOf(corev1.RestartPolicyAlways, corev1.RestartPolicyOnFailure, corev1.RestartPolicyNever)},
	{path: "spec.terminationGracePeriodSeconds", fate: honoured},
	{path: "spec.activeDeadlineSeconds", fate: honoured, text: "it counts from when the backend first held the job", check: between(1, math.MaxInt32)},
	{
		path: "spec.dnsPolicy", fate: needed, feature: FeatureDNSConfig, check: oneOf(corev1.DNSNone),
		text:     "the cluster's DNS can't be reached from outside: names are resolved as on the machine",
		idleText: "ClusterFirst, ClusterFirstWithHostNet, Default",
		idle:     isIdle(corev1.DNSClusterFirst, corev1.DNSClusterFirstWithHostNet, corev1.DNSDefault),
	},
	{path: "spec.nodeSelector", fate: meaningless, text: textScheduling},
	{path: "spec.serviceAccountName", fate: meaningless, text: "a token is there where interLink sent one"},
	{path: "spec.serviceAccount", fate: meaningless, text: "as serviceAccountName"},
	{path: "spec.automountServiceAccountToken", fate: meaningless, text: "the volume, if any, is in the pod when it arrives"},
	{path: "spec.nodeName", fate: meaningless, text: "it chooses the RemoteBackend of the same name; for the downward API"},
	{path: "spec.hostNetwork", fate: needed, feature: FeatureHostNetwork, policy: "allowHostNetwork", check: func(c *checker, at string, _ reflect.Value) *Refusal {
		if !c.policy.AllowHostNetwork {
			return forbidden(at, "allowHostNetwork is false", "pods on the machine's network")
		}
		return nil
	}},
	{path: "spec.hostPID", fate: needed, feature: FeatureHostNamespaces, policy: "allowPrivileged", check: privileged("pods in the machine's PID namespace")},
	{path: "spec.hostIPC", fate: needed, feature: FeatureHostNamespaces, policy: "allowPrivileged", check: privileged("pods in the machine's IPC namespace")},
	{path: "spec.shareProcessNamespace", fate: needed, feature: FeatureShareProcess, idle: isIdle(false), idleText: "false", check: func(c *checker, at string, _ reflect.Value) *Refusal {
		if c.pod.Spec.HostPID {
			return refuse(at, ReasonInvalid, "a pod can't have both shareProcessNamespace and hostPID")
		}
		return nil
	}},
	{path: "spec.securityContext", fate: honoured, text: "by field"},
	{path: "spec.imagePullSecrets", fate: needed, feature: FeatureImagePullSecrets, whole: true, text: "interLink sends only those that the pod also mounts"},
	{path: "spec.hostname", fate: needed, feature: FeatureHostname, check: checkLabelName},
	{path: "spec.subdomain", fate: needed, feature: FeatureHostname, check: checkLabelName, text: "no name is published in any DNS"},
	{path: "spec.setHostnameAsFQDN", fate: needed, feature: FeatureHostname, idle: isIdle(false), idleText: "false"},
	{path: "spec.hostnameOverride", fate: needed, feature: FeatureHostname, check: typed(checkHostnameOverride)},
	{path: "spec.affinity", fate: meaningless, text: textScheduling, whole: true},
	{path: "spec.schedulerName", fate: meaningless, text: textScheduling},
	{path: "spec.tolerations", fate: meaningless, text: textScheduling, whole: true},
	{path: "spec.hostAliases", fate: needed, feature: FeatureHostAliases, whole: true, check: typed(checkHostAliases)},
	{path: "spec.priorityClassName", fate: meaningless, text: textScheduling},
	{path: "spec.priority", fate: meaningless, text: textScheduling},
	{path: "spec.preemptionPolicy", fate: meaningless, text: textScheduling},
	{path: "spec.dnsConfig", fate: needed, feature: FeatureDNSConfig, whole: true, check: typed(checkDNSConfig)},
	{path: "spec.readinessGates", fate: meaningless, text: "the virtual node makes the pod's conditions", whole: true},
	{path: "spec.runtimeClassName", fate: refused, text: "runtime classes are handlers of a kubelet's container runtime, and there is none here"},
	{path: "spec.enableServiceLinks", fate: meaningless, text: "the cluster's Services are not known, so no variables are made of them"},
	{path: "spec.overhead", fate: meaningless, text: textScheduling},
	{path: "spec.topologySpreadConstraints", fate: meaningless, text: textScheduling, whole: true},
	{path: "spec.os.name", fate: refused, text: "jobs run on Linux", idle: isIdle(corev1.Linux), idleText: "linux"},
	{path: "spec.hostUsers", fate: refused, text: "pods with user namespaces of their own are not supported", idle: isIdle(true), idleText: "true"},
	{path: "spec.schedulingGates", fate: meaningless, text: textScheduling, whole: true},
	{path: "spec.resourceClaims", fate: refused, text: "claims on devices are made by a kubelet's drivers, and there are none here", whole: true},
	{path: "spec.resources", fate: refused, text: "resources of the pod as a whole are not supported: set those of its containers", whole: true},
	{path: "spec.schedulingGroup", fate: meaningless, text: textScheduling, whole: true},
	{path: "spec.evictionResponders", fate: meaningless, text: textCluster, whole: true},
}

// privileged makes a check of what the policy allows together with privileged containers, since it is no less.
func privileged(what string) func(*checker, string, reflect.Value) *Refusal {
	return func(c *checker, at string, _ reflect.Value) *Refusal {
		return c.needsPrivileged(at, what)
	}
}

func (c *checker) needsPrivileged(at, what string) *Refusal {
	if !c.policy.AllowPrivileged {
		return forbidden(at, "allowPrivileged is false", "%s", what)
	}
	return nil
}
