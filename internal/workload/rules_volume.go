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
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

const textNoDriver = "volumes of this kind are mounted by a kubelet's drivers, and there are none here"

// unsupportedVolumes are the kinds that no backend has.
var unsupportedVolumes = []string{
	"gcePersistentDisk", "awsElasticBlockStore", "nfs", "iscsi", "glusterfs", "rbd", "flexVolume", "cinder", "cephfs", "flocker", "fc",
	"azureFile", "vsphereVolume", "quobyte", "azureDisk", "photonPersistentDisk", "portworxVolume", "scaleIO", "storageos", "csi", "ephemeral",
}

// volumeRules are those of v1.Volume.
var volumeRules = slices.Concat([]rule{
	{path: "spec.volumes[*].name", fate: honoured},
	{path: "spec.volumes[*].hostPath", fate: needed, feature: FeatureHostPath, policy: "allowedHostPaths", text: "who can write below an allowed path can lead out of it by a symbolic link"},
	{path: "spec.volumes[*].hostPath.path", fate: honoured, text: "on the backend's machine", check: typed(checkHostPath)},
	{path: "spec.volumes[*].hostPath.type", fate: honoured, check: oneOf(corev1.HostPathUnset, corev1.HostPathDirectoryOrCreate, corev1.HostPathDirectory,
		corev1.HostPathFileOrCreate, corev1.HostPathFile, corev1.HostPathSocket, corev1.HostPathCharDev, corev1.HostPathBlockDev)},
	{path: "spec.volumes[*].emptyDir", fate: honoured},
	{path: "spec.volumes[*].emptyDir.medium", fate: needed, feature: FeatureMemoryEmptyDir, text: "Memory alone", check: oneOf(corev1.StorageMediumMemory)},
	{path: "spec.volumes[*].emptyDir.sizeLimit", fate: needed, feature: FeatureEmptyDirSizeLimit, text: "in memory no more fits in; on disk it is measured every 10 seconds, and a pod that takes more is evicted"},
	{path: "spec.volumes[*].emptyDir.mode", fate: needed, feature: FeatureEmptyDirMode, check: between(0, 0o1777)},
	{path: "spec.volumes[*].gitRepo", fate: refused, text: "volumes of this kind were removed from Kubernetes", whole: true},
	{path: "spec.volumes[*].image", fate: refused, text: "volumes of images are not supported", whole: true},
	{path: "spec.volumes[*].persistentVolumeClaim", fate: needed, feature: FeaturePersistentVolume, text: "not the cluster's claim but a volume of the backend's own that whoever runs it has made: on Docker the engine's volume NAMESPACE_CLAIMNAME, for which the pod waits"},
	{path: "spec.volumes[*].persistentVolumeClaim.claimName", fate: honoured, check: checkSubdomainName},
	{path: "spec.volumes[*].persistentVolumeClaim.readOnly", fate: honoured},
	{path: "spec.volumes[*].secret", fate: honoured, text: "as it was when the pod arrived; changes are not followed"},
	{path: "spec.volumes[*].secret.secretName", fate: honoured},
	{path: "spec.volumes[*].configMap", fate: honoured, text: "as it was when the pod arrived; changes are not followed"},
	{path: "spec.volumes[*].configMap.name", fate: honoured},
	{path: "spec.volumes[*].downwardAPI", fate: honoured, text: "as it was when the pod arrived; changes are not followed"},
	{path: "spec.volumes[*].projected", fate: honoured, text: "as it was when the pod arrived; changes are not followed. A volume kube-api-access-… that did not arrive is empty"},
	{path: "spec.volumes[*].projected.sources[*].secret.name", fate: honoured, text: "interLink sends it only where a container of the pod also mounts the Secret as a volume: refused where it is missing"},
	{path: "spec.volumes[*].projected.sources[*].configMap.name", fate: honoured},
	{path: "spec.volumes[*].projected.sources[*].serviceAccountToken.path", fate: honoured, text: "the token that interLink sent, which is not renewed; refused in hand-written jobs", check: typed(checkFilePath)},
	{path: "spec.volumes[*].projected.sources[*].serviceAccountToken.audience", fate: honoured},
	{path: "spec.volumes[*].projected.sources[*].serviceAccountToken.expirationSeconds", fate: honoured},
	{path: "spec.volumes[*].projected.sources[*].serviceAccountToken.user", fate: needed, feature: FeatureFileOwner, check: checkID},
	{path: "spec.volumes[*].projected.sources[*].clusterTrustBundle", fate: refused, text: "trust bundles of the cluster can't be read from outside", whole: true},
	{path: "spec.volumes[*].projected.sources[*].podCertificate", fate: refused, text: "certificates of pods are made by a kubelet, and there is none here", whole: true},
},
	fileRules("spec.volumes[*].secret", true, true),
	fileRules("spec.volumes[*].configMap", true, true),
	fileRules("spec.volumes[*].downwardAPI", true, false),
	fileRules("spec.volumes[*].projected", true, false),
	fileRules("spec.volumes[*].projected.sources[*].secret", false, true),
	fileRules("spec.volumes[*].projected.sources[*].configMap", false, true),
	fileRules("spec.volumes[*].projected.sources[*].downwardAPI", false, false),
	unsupportedVolumeRules(),
)

// fileRules are those of what is made of files: a volume, which has defaults, or a source of a projected one; with keys of a ConfigMap
// or Secret, or with fields of the pod.
func fileRules(at string, volume, keys bool) []rule {
	var rules []rule
	if volume {
		rules = append(rules,
			rule{path: at + ".defaultMode", fate: honoured, check: between(0, 0o777)},
			rule{path: at + ".defaultUser", fate: needed, feature: FeatureFileOwner, check: checkID})
	}
	if strings.HasSuffix(at, ".projected") {
		return append(rules, rule{path: at + ".sources", fate: honoured})
	}
	if keys {
		rules = append(rules,
			rule{path: at + ".optional", fate: honoured},
			rule{path: at + ".items[*].key", fate: honoured})
	} else {
		rules = append(rules,
			rule{path: at + ".items[*].fieldRef.apiVersion", fate: honoured},
			rule{path: at + ".items[*].fieldRef.fieldPath", fate: honoured},
			rule{path: at + ".items[*].resourceFieldRef.containerName", fate: honoured},
			rule{path: at + ".items[*].resourceFieldRef.resource", fate: honoured, check: typed(checkResourceField)},
			rule{path: at + ".items[*].resourceFieldRef.divisor", fate: honoured})
	}
	return append(rules,
		rule{path: at + ".items[*].path", fate: honoured, check: typed(checkFilePath)},
		rule{path: at + ".items[*].mode", fate: honoured, text: "interLink sends files without saying which item each is: the mode goes by the path", check: between(0, 0o777)},
		rule{path: at + ".items[*].user", fate: needed, feature: FeatureFileOwner, check: checkID})
}

func unsupportedVolumeRules() []rule {
	rules := make([]rule, len(unsupportedVolumes))
	for i, kind := range unsupportedVolumes {
		rules[i] = rule{path: "spec.volumes[*]." + kind, fate: refused, text: textNoDriver, whole: true}
	}
	return rules
}

func checkFilePath(_ *checker, at string, p string) *Refusal {
	if _, problem := cleanFilePath(p); problem != "" {
		return refuse(at, ReasonInvalid, "%q %s", p, problem)
	}
	return nil
}

func checkHostPath(c *checker, at string, p string) *Refusal {
	switch {
	case !path.IsAbs(p):
		return refuse(at, ReasonInvalid, "%q is not an absolute path", p)
	case strings.ContainsAny(p, ":\x00"):
		return refuse(at, ReasonInvalid, "it must contain neither a colon nor a NUL byte")
	case slices.Contains(strings.Split(p, "/"), ".."):
		return refuse(at, ReasonInvalid, "it must not contain '..'")
	}
	for _, allowed := range c.policy.AllowedHostPaths {
		if path.IsAbs(allowed) && isBelow(path.Clean(p), path.Clean(allowed)) {
			return nil
		}
	}
	return forbidden(at, "allowedHostPaths", "the path %s", p)
}

// isBelow tells whether a clean path is a clean directory or lies below it.
func isBelow(p, dir string) bool {
	return dir == "/" || p == dir || strings.HasPrefix(p, dir+"/")
}

// onHostNetwork tells whether the pod uses the machine's network, where every port is a host port.
func onHostNetwork(c *checker, _ reflect.Value) bool { return c.pod.Spec.HostNetwork }
