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

package workload_test

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// noFeatures are the abilities of a backend that can run containers and no more.
var noFeatures = workload.Abilities{Backend: "Plain"}

// open is the policy that allows everything.
var open = v1alpha1.BackendPolicy{AllowPrivileged: true, AllowHostNetwork: true, AllowedHostPaths: []string{"/"}}

// aPod is a pod with more fields in its spec and in its one container.
func aPod(t testing.TB, spec, container string) *corev1.Pod {
	t.Helper()
	if spec != "" {
		spec += ","
	}
	if container != "" {
		container = "," + container
	}
	return podFrom(t, fmt.Sprintf(`{"metadata": {"name": "p", "namespace": "team", "uid": "u"}, "spec": {%s "containers": [{"name": "c", "image": "busybox" %s}]}}`, spec, container))
}

func TestRecordedPodsAreAccepted(t *testing.T) {
	for name, abilities := range map[string]workload.Abilities{"create-simple": noFeatures, "create-rich": allFeatures()} {
		var body createBody
		recorded(t, name, &body)
		if err := workload.Check(&body.Pod, abilities, v1alpha1.BackendPolicy{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// What a backend lacks is refused by the field's name: the rich pod asks for three things that a plain backend can't do.
func TestRecordedRichPodIsRefusedByAPlainBackend(t *testing.T) {
	var body createBody
	recorded(t, "create-rich", &body)
	pod := &body.Pod
	for _, want := range []string{
		"spec.volumes[3].emptyDir.sizeLimit: the Plain backend does not support size limits of emptyDir volumes",
		"spec.containers[0].readinessProbe: the Plain backend does not support probes",
		"spec.containers[0].lifecycle.postStart: the Plain backend does not support lifecycle hooks",
	} {
		err := workload.Check(pod, noFeatures, v1alpha1.BackendPolicy{})
		if err == nil || err.Error() != want {
			t.Fatalf("the error is %v, want %s", err, want)
		}
		switch {
		case strings.Contains(want, "sizeLimit"):
			pod.Spec.Volumes[3].EmptyDir.SizeLimit = nil
		case strings.Contains(want, "readinessProbe"):
			pod.Spec.Containers[0].ReadinessProbe = nil
		default:
			pod.Spec.Containers[0].Lifecycle = nil
		}
	}
	if err := workload.Check(pod, noFeatures, v1alpha1.BackendPolicy{}); err != nil {
		t.Errorf("without them it is refused too: %v", err)
	}
}

// The pod of interLink's guide has no defaults and a UID that is no UUID.
func TestTheGuidesPodIsAccepted(t *testing.T) {
	pod := podFrom(t, `{"metadata": {"name": "test-pod", "namespace": "default", "uid": "test-uid"}, "spec": {"containers": [{"name": "test", "image": "busybox", "command": ["echo", "hello"]}]}}`)
	if err := workload.Check(pod, noFeatures, v1alpha1.BackendPolicy{}); err != nil {
		t.Error(err)
	}
	if pod.Spec.RestartPolicy != "" {
		t.Error("Check changed the pod")
	}
}

// accepted are settings that ask nothing of a backend without features and a policy that allows nothing.
func TestSettingsThatAskForNothingAreAccepted(t *testing.T) {
	for _, spec := range []string{
		`"hostNetwork": false, "hostPID": false, "hostIPC": false, "hostUsers": true, "shareProcessNamespace": false, "setHostnameAsFQDN": false`,
		`"securityContext": {}`,
		`"securityContext": {"runAsNonRoot": false, "supplementalGroupsPolicy": "Merge", "fsGroupChangePolicy": "Always", "appArmorProfile": {"type": "RuntimeDefault"}, "seLinuxChangePolicy": "Recursive"}`,
		`"dnsPolicy": "Default"`, `"dnsPolicy": "ClusterFirstWithHostNet"`, `"os": {"name": "linux"}`,
		`"nodeSelector": {"a": "b"}, "affinity": {"nodeAffinity": {}}, "tolerations": [{"operator": "Exists"}], "schedulerName": "s", "priorityClassName": "high", "priority": 5, "preemptionPolicy": "Never"`,
		`"serviceAccountName": "s", "serviceAccount": "s", "automountServiceAccountToken": true, "nodeName": "vk", "enableServiceLinks": true`,
		`"readinessGates": [{"conditionType": "x"}], "overhead": {"cpu": "1"}, "topologySpreadConstraints": [{"maxSkew": 1}], "schedulingGates": [{"name": "g"}]`,
		`"restartPolicy": "OnFailure", "activeDeadlineSeconds": 1, "terminationGracePeriodSeconds": 0`,
		`"volumes": [{"name": "a", "emptyDir": {}}, {"name": "b"}]`,
		`"volumes": [{"name": "kube-api-access-abcde", "projected": {"defaultMode": 420, "sources": [{"serviceAccountToken": {"path": "token", "expirationSeconds": 3607}}, {"configMap": {"name": "kube-root-ca.crt", "items": [{"key": "ca.crt", "path": "ca.crt"}]}}, {"downwardAPI": {"items": [{"path": "namespace", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}}]}}]}}]`,
	} {
		if err := workload.Check(aPod(t, spec, ""), noFeatures, v1alpha1.BackendPolicy{}); err != nil {
			t.Errorf("%s: %v", spec, err)
		}
	}
	for _, container := range []string{
		`"securityContext": {"privileged": false, "allowPrivilegeEscalation": true, "readOnlyRootFilesystem": false, "runAsNonRoot": false, "procMount": "Default", "appArmorProfile": {"type": "RuntimeDefault"}}`,
		`"securityContext": {"capabilities": {}}`,
		`"stdin": false, "tty": false, "ports": [{"containerPort": 80, "name": "web", "protocol": "UDP"}]`,
		`"resources": {"limits": {"cpu": "1", "memory": "1Gi", "nvidia.com/gpu": 0}, "requests": {"cpu": "100m", "ephemeral-storage": "1Gi"}}`,
		`"resizePolicy": [{"resourceName": "cpu", "restartPolicy": "NotRequired"}]`,
		`"imagePullPolicy": "Never", "terminationMessagePath": "/x", "terminationMessagePolicy": "FallbackToLogsOnError", "workingDir": "/w"`,
		`"lifecycle": {}`,
	} {
		if err := workload.Check(aPod(t, "", container), noFeatures, v1alpha1.BackendPolicy{}); err != nil {
			t.Errorf("%s: %v", container, err)
		}
	}
	mounts := `"volumeMounts": [{"name": "m", "mountPath": "/m", "subPath": "x", "readOnly": true, "recursiveReadOnly": "IfPossible"}, {"name": "e", "mountPath": "/e", "mountPropagation": "None"}]`
	if err := workload.Check(aPod(t, `"volumes": [{"name": "m", "configMap": {"name": "x"}}, {"name": "e"}]`, mounts), noFeatures, v1alpha1.BackendPolicy{}); err != nil {
		t.Error(err)
	}
}

// Each case needs one feature, by itself: a backend with all features but that one refuses it, one with no other takes it.
func TestFeaturesAreAskedForByTheFieldThatNeedsThem(t *testing.T) {
	const emptyDir = `"volumes": [{"name": "v", "emptyDir": {}}]`
	for _, c := range []struct {
		feature               workload.Feature
		spec, container, want string
	}{
		{workload.FeatureProbes, "", `"livenessProbe": {"exec": {"command": ["x"]}}`, "spec.containers[0].livenessProbe"},
		{workload.FeatureProbes, "", `"readinessProbe": {"tcpSocket": {"port": 80}}`, "spec.containers[0].readinessProbe"},
		{workload.FeatureProbes, "", `"startupProbe": {"grpc": {"port": 80, "service": "s", "mode": "Plaintext"}}`, "spec.containers[0].startupProbe"},
		{workload.FeatureProbes, "", `"ports": [{"name": "web", "containerPort": 80}], "livenessProbe": {"httpGet": {"port": "web", "scheme": "HTTPS", "protocol": "HTTP1", "httpHeaders": [{"name": "A", "value": "b"}]}}`, "spec.containers[0].livenessProbe"},
		{workload.FeatureHooks, "", `"lifecycle": {"preStop": {"sleep": {"seconds": 1}}}`, "spec.containers[0].lifecycle.preStop"},
		{workload.FeatureStopSignal, `"os": {"name": "linux"}`, `"lifecycle": {"stopSignal": "SIGUSR1"}`, "spec.containers[0].lifecycle.stopSignal"},
		{workload.FeatureSidecars, `"initContainers": [{"name": "s", "image": "i", "restartPolicy": "Always"}]`, "", "spec.initContainers[0].restartPolicy"},
		{workload.FeatureContainerRestartRule, `"initContainers": [{"name": "s", "image": "i", "restartPolicy": "Never"}]`, "", "spec.initContainers[0].restartPolicy"},
		{workload.FeatureContainerRestartRule, "", `"restartPolicy": "OnFailure"`, "spec.containers[0].restartPolicy"},
		{workload.FeatureContainerRestartRule, "", `"restartPolicy": "Never", "restartPolicyRules": [{"action": "Restart"}]`, "spec.containers[0].restartPolicy"},
		{workload.FeatureSecurityContext, `"securityContext": {"runAsUser": 0}`, "", "spec.securityContext.runAsUser"},
		{workload.FeatureSecurityContext, `"securityContext": {"runAsGroup": 5}`, "", "spec.securityContext.runAsGroup"},
		{workload.FeatureSecurityContext, `"securityContext": {"runAsNonRoot": true}`, "", "spec.securityContext.runAsNonRoot"},
		{workload.FeatureSecurityContext, `"securityContext": {"supplementalGroups": [5]}`, "", "spec.securityContext.supplementalGroups"},
		{workload.FeatureSecurityContext, `"securityContext": {"fsGroup": 0}`, "", "spec.securityContext.fsGroup"},
		{workload.FeatureSecurityContext, `"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}`, "", "spec.securityContext.seccompProfile.type"},
		{workload.FeatureSecurityContext, "", `"securityContext": {"runAsUser": 5}`, "spec.containers[0].securityContext.runAsUser"},
		{workload.FeatureSecurityContext, "", `"securityContext": {"runAsGroup": 5}`, "spec.containers[0].securityContext.runAsGroup"},
		{workload.FeatureSecurityContext, "", `"securityContext": {"runAsNonRoot": true}`, "spec.containers[0].securityContext.runAsNonRoot"},
		{workload.FeatureSecurityContext, "", `"securityContext": {"readOnlyRootFilesystem": true}`, "spec.containers[0].securityContext.readOnlyRootFilesystem"},
		{workload.FeatureSecurityContext, "", `"securityContext": {"allowPrivilegeEscalation": false}`, "spec.containers[0].securityContext.allowPrivilegeEscalation"},
		{workload.FeatureSecurityContext, "", `"securityContext": {"capabilities": {"drop": ["ALL"]}}`, "spec.containers[0].securityContext.capabilities.drop"},
		{workload.FeatureSecurityContext, "", `"securityContext": {"capabilities": {"add": ["NET_BIND_SERVICE"]}}`, "spec.containers[0].securityContext.capabilities.add"},
		{workload.FeatureSecurityContext, "", `"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}`, "spec.containers[0].securityContext.seccompProfile.type"},
		{workload.FeaturePrivileged, "", `"securityContext": {"privileged": true}`, "spec.containers[0].securityContext.privileged"},
		{workload.FeatureSysctls, `"securityContext": {"sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]}`, "", "spec.securityContext.sysctls"},
		{workload.FeatureHostPath, `"volumes": [{"name": "v", "hostPath": {"path": "/data"}}]`, "", "spec.volumes[0].hostPath"},
		{workload.FeaturePersistentVolume, `"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "x"}}]`, "", "spec.volumes[0].persistentVolumeClaim"},
		{workload.FeatureMemoryEmptyDir, `"volumes": [{"name": "v", "emptyDir": {"medium": "Memory"}}]`, "", "spec.volumes[0].emptyDir.medium"},
		{workload.FeatureEmptyDirSizeLimit, `"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "1Mi"}}]`, "", "spec.volumes[0].emptyDir.sizeLimit"},
		{workload.FeatureEmptyDirMode, `"volumes": [{"name": "v", "emptyDir": {"mode": 448}}]`, "", "spec.volumes[0].emptyDir.mode"},
		{workload.FeatureFileOwner, `"volumes": [{"name": "v", "configMap": {"name": "m", "defaultUser": 5}}]`, "", "spec.volumes[0].configMap.defaultUser"},
		{workload.FeatureFileOwner, `"volumes": [{"name": "v", "secret": {"secretName": "m", "items": [{"key": "k", "path": "p", "user": 5}]}}]`, "", "spec.volumes[0].secret.items[0].user"},
		{workload.FeatureWritableSubPath, emptyDir, `"volumeMounts": [{"name": "v", "mountPath": "/v", "subPath": "x"}]`, "spec.containers[0].volumeMounts[0].subPath"},
		{workload.FeatureWritableSubPath, emptyDir, `"volumeMounts": [{"name": "v", "mountPath": "/v", "subPathExpr": "$(X)"}]`, "spec.containers[0].volumeMounts[0].subPathExpr"},
		{workload.FeatureMountPropagation, emptyDir, `"volumeMounts": [{"name": "v", "mountPath": "/v", "mountPropagation": "HostToContainer"}]`, "spec.containers[0].volumeMounts[0].mountPropagation"},
		{workload.FeatureImagePullSecrets, `"imagePullSecrets": [{"name": "x"}]`, "", "spec.imagePullSecrets"},
		{workload.FeatureHostNetwork, `"hostNetwork": true`, `"ports": [{"containerPort": 80, "hostPort": 80, "hostIP": "127.0.0.1"}]`, "spec.hostNetwork"},
		{workload.FeatureHostNamespaces, `"hostPID": true`, "", "spec.hostPID"},
		{workload.FeatureHostNamespaces, `"hostIPC": true`, "", "spec.hostIPC"},
		{workload.FeatureShareProcess, `"shareProcessNamespace": true`, "", "spec.shareProcessNamespace"},
		{workload.FeatureHostPorts, "", `"ports": [{"containerPort": 80, "hostPort": 8080}]`, "spec.containers[0].ports[0].hostPort"},
		{workload.FeatureHostname, `"hostname": "h"`, "", "spec.hostname"},
		{workload.FeatureHostname, `"subdomain": "h"`, "", "spec.subdomain"},
		{workload.FeatureHostname, `"setHostnameAsFQDN": true`, "", "spec.setHostnameAsFQDN"},
		{workload.FeatureHostname, `"hostnameOverride": "h.x"`, "", "spec.hostnameOverride"},
		{workload.FeatureHostAliases, `"hostAliases": [{"ip": "10.0.0.1", "hostnames": ["a.b"]}]`, "", "spec.hostAliases"},
		{workload.FeatureDNSConfig, `"dnsConfig": {"nameservers": ["1.1.1.1"], "searches": ["_x.example", "."], "options": [{"name": "ndots", "value": "2"}]}`, "", "spec.dnsConfig"},
		{workload.FeatureTTY, "", `"stdin": true`, "spec.containers[0].stdin"},
		{workload.FeatureTTY, "", `"stdinOnce": true`, "spec.containers[0].stdinOnce"},
		{workload.FeatureTTY, "", `"tty": true`, "spec.containers[0].tty"},
		{workload.FeatureGPUs, "", `"resources": {"limits": {"nvidia.com/gpu": 2}}`, "spec.containers[0].resources.limits[nvidia.com/gpu]"},
		{workload.FeatureGPUs, "", `"resources": {"limits": {"nvidia.com/mig-1g.5gb": 1}}`, "spec.containers[0].resources.limits[nvidia.com/mig-1g.5gb]"},
		{workload.FeatureEphemeralStorage, "", `"resources": {"limits": {"ephemeral-storage": "1Gi"}}`, "spec.containers[0].resources.limits[ephemeral-storage]"},
	} {
		pod := aPod(t, c.spec, c.container)
		without := allFeatures()
		delete(without.Features, c.feature)
		want := fmt.Sprintf("%s: the Full backend does not support %s", c.want, c.feature)
		if err := workload.Check(pod, without, open); err == nil || err.Error() != want {
			t.Errorf("%s %s without the feature: %v\nwant %s", c.spec, c.container, err, want)
		}
		with := workload.Abilities{Features: map[workload.Feature]bool{c.feature: true}}
		if err := workload.Check(pod, with, open); err != nil {
			t.Errorf("%s %s with the feature: %v", c.spec, c.container, err)
		}
	}
	dns := aPod(t, `"dnsPolicy": "None", "dnsConfig": {"nameservers": ["::1"]}`, "")
	if err := workload.Check(dns, noFeatures, open); err == nil || err.Error() != "spec.dnsPolicy: the Plain backend does not support DNS settings" {
		t.Errorf("dnsPolicy None: %v", err)
	}
	if err := workload.Check(dns, allFeatures(), open); err != nil {
		t.Errorf("dnsPolicy None: %v", err)
	}
}

// No backend does these, whatever it can and its policy allows.
func TestWhatNoBackendDoesIsRefused(t *testing.T) {
	for _, c := range []struct{ spec, container, field string }{
		{`"ephemeralContainers": [{"name": "e"}]`, "", "spec.ephemeralContainers"},
		{`"runtimeClassName": "gvisor"`, "", "spec.runtimeClassName"},
		{`"os": {"name": "windows"}`, "", "spec.os.name"},
		{`"hostUsers": false`, "", "spec.hostUsers"},
		{`"resourceClaims": [{"name": "x"}]`, "", "spec.resourceClaims"},
		{`"resources": {"limits": {"cpu": 1}}`, "", "spec.resources"},
		{`"securityContext": {"seLinuxOptions": {"level": "s0"}}`, "", "spec.securityContext.seLinuxOptions"},
		{`"securityContext": {"windowsOptions": {}}`, "", "spec.securityContext.windowsOptions"},
		{`"securityContext": {"supplementalGroupsPolicy": "Strict"}`, "", "spec.securityContext.supplementalGroupsPolicy"},
		{`"securityContext": {"seccompProfile": {"type": "Localhost", "localhostProfile": "x"}}`, "", "spec.securityContext.seccompProfile.type"},
		{`"securityContext": {"appArmorProfile": {"type": "Unconfined"}}`, "", "spec.securityContext.appArmorProfile.type"},
		{`"securityContext": {"sysctls": [{"name": "vm.swappiness", "value": "1"}]}`, "", "spec.securityContext.sysctls[0].name"},
		{`"volumes": [{"name": "v", "csi": {"driver": "x"}}]`, "", "spec.volumes[0].csi"},
		{`"volumes": [{"name": "v", "nfs": {"server": "x"}}]`, "", "spec.volumes[0].nfs"},
		{`"volumes": [{"name": "v", "ephemeral": {}}]`, "", "spec.volumes[0].ephemeral"},
		{`"volumes": [{"name": "v", "image": {"reference": "x"}}]`, "", "spec.volumes[0].image"},
		{`"volumes": [{"name": "v", "gitRepo": {"repository": "x"}}]`, "", "spec.volumes[0].gitRepo"},
		{`"volumes": [{"name": "v", "projected": {"sources": [{"clusterTrustBundle": {"path": "x"}}]}}]`, "", "spec.volumes[0].projected.sources[0].clusterTrustBundle"},
		{`"volumes": [{"name": "v", "projected": {"sources": [{"podCertificate": {"keyType": "x"}}]}}]`, "", "spec.volumes[0].projected.sources[0].podCertificate"},
		{"", `"volumeDevices": [{"name": "v", "devicePath": "/dev/x"}]`, "spec.containers[0].volumeDevices"},
		{"", `"resources": {"claims": [{"name": "x"}]}`, "spec.containers[0].resources.claims"},
		{"", `"resources": {"limits": {"hugepages-2Mi": "2Mi"}}`, "spec.containers[0].resources.limits[hugepages-2Mi]"},
		{"", `"resources": {"limits": {"example.com/fpga": 1}}`, "spec.containers[0].resources.limits[example.com/fpga]"},
		{"", `"env": [{"name": "A", "valueFrom": {"fileKeyRef": {"volumeName": "v", "path": "p", "key": "k"}}}]`, "spec.containers[0].env[0].valueFrom.fileKeyRef"},
		{"", `"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}}]`, "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath"},
		{"", `"securityContext": {"procMount": "Unmasked"}`, "spec.containers[0].securityContext.procMount"},
		{"", `"securityContext": {"seLinuxOptions": {"level": "s0"}}`, "spec.containers[0].securityContext.seLinuxOptions"},
		{"", `"livenessProbe": {"httpGet": {"port": 1, "protocol": "HTTP2"}}`, "spec.containers[0].livenessProbe.httpGet.protocol"},
		{"", `"livenessProbe": {"grpc": {"port": 1, "mode": "TLS"}}`, "spec.containers[0].livenessProbe.grpc.mode"},
		{"", `"lifecycle": {"postStart": {"tcpSocket": {"port": 1}}}`, "spec.containers[0].lifecycle.postStart.tcpSocket"},
		{`"volumes": [{"name": "v"}]`, `"volumeMounts": [{"name": "v", "mountPath": "/v", "bindMountOptions": ["noexec"]}]`, "spec.containers[0].volumeMounts[0].bindMountOptions"},
		{`"volumes": [{"name": "v"}]`, `"volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": true, "recursiveReadOnly": "Enabled"}]`, "spec.containers[0].volumeMounts[0].recursiveReadOnly"},
	} {
		refusal, ok := workload.IsRefusal(workload.Check(aPod(t, c.spec, c.container), allFeatures(), open))
		if !ok || refusal.Field != c.field || refusal.Reason != workload.ReasonUnsupported || refusal.Message == "" {
			t.Errorf("%s %s: %+v, want a refusal of %s", c.spec, c.container, refusal, c.field)
		}
	}
}

func TestTemplateThatFitsIntoNoObjectIsRefused(t *testing.T) {
	big := aPod(t, "", "")
	big.Spec.Containers[0].Args = []string{strings.Repeat("x", workload.MaxTemplateBytes)}
	refusal, ok := workload.IsRefusal(workload.Check(big, noFeatures, v1alpha1.BackendPolicy{}))
	if !ok || refusal.Reason != workload.ReasonTooLarge || refusal.Field != "spec" {
		t.Errorf("it is %+v", refusal)
	}
	// Env values are in the payload, so they do not count.
	env := aPod(t, "", "")
	env.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "BIG", Value: strings.Repeat("x", 2*workload.MaxTemplateBytes)}}
	if err := workload.Check(env, noFeatures, v1alpha1.BackendPolicy{}); err != nil {
		t.Error(err)
	}
}
