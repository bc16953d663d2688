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
	"encoding/json"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// A pod of no cluster is refused, and told what is wrong with it.
func TestPodsThatNoClusterWouldSendAreRefused(t *testing.T) {
	for source, want := range map[string]string{
		`{}`: "metadata.name: it must not be empty",
		`{"metadata": {"name": "p", "uid": "u"}}`:                                                              "metadata.namespace: it must not be empty",
		`{"metadata": {"name": "p", "namespace": "n"}}`:                                                        "metadata.uid: it must not be empty",
		`{"metadata": {"name": "p", "namespace": "n", "uid": "u"}}`:                                            "spec.containers: a pod has at least one container",
		`{"metadata": {"name": "../p", "namespace": "n", "uid": "u"}, "spec": {"containers": [{}]}}`:           "metadata.name: ",
		`{"metadata": {"name": "p", "namespace": "N", "uid": "u"}, "spec": {"containers": [{}]}}`:              "metadata.namespace: ",
		`{"metadata": {"name": "p", "namespace": "n", "uid": "a\nb"}, "spec": {"containers": [{}]}}`:           "metadata.uid: ",
		`{"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": {"containers": [{}]}}`:              "spec.containers[0].name: ",
		`{"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": {"containers": [{"name": "c"}]}}`:   "spec.containers[0].image: it must not be empty",
		`{"metadata": {"name": "p", "namespace": "n", "uid": "u"}, "spec": {"containers": [{"name": "c.d"}]}}`: "spec.containers[0].name: ",
	} {
		err := workload.Check(podFrom(t, source), allFeatures(), open)
		refusal, ok := workload.IsRefusal(err)
		if !ok || !strings.HasPrefix(err.Error(), want) || refusal.Reason != workload.ReasonInvalid {
			t.Errorf("%s: %v, want %s…", source, err, want)
		}
	}
	long := aPod(t, "", "")
	long.UID = types.UID(strings.Repeat("u", 254))
	if err := workload.Check(long, allFeatures(), open); err == nil || !strings.HasPrefix(err.Error(), "metadata.uid: ") {
		t.Errorf("a long UID: %v", err)
	}
	long.UID = long.UID[1:]
	if err := workload.Check(long, allFeatures(), open); err != nil {
		t.Errorf("the longest UID: %v", err)
	}
}

// The cases are those in which an API server refuses a pod, or a container engine would.
func TestInvalidFieldsAreRefusedByName(t *testing.T) {
	const volume = `"volumes": [{"name": "v"}, {"name": "w"}]`
	for _, c := range []struct{ spec, container, field string }{
		{`"restartPolicy": "Sometimes"`, "", "spec.restartPolicy"},
		{`"dnsPolicy": "Cluster"`, "", "spec.dnsPolicy"},
		{`"dnsPolicy": "None"`, "", "spec.dnsConfig.nameservers"},
		{`"activeDeadlineSeconds": 0`, "", "spec.activeDeadlineSeconds"},
		{`"activeDeadlineSeconds": -1`, "", "spec.activeDeadlineSeconds"},
		{`"hostname": "A_B"`, "", "spec.hostname"},
		{`"subdomain": "a.b"`, "", "spec.subdomain"},
		{`"hostnameOverride": "a", "setHostnameAsFQDN": true`, "", "spec.hostnameOverride"},
		{`"hostnameOverride": "a", "hostNetwork": true`, "", "spec.hostnameOverride"},
		{`"hostnameOverride": "` + strings.Repeat("a", 65) + `"`, "", "spec.hostnameOverride"},
		{`"hostPID": true, "shareProcessNamespace": true`, "", "spec.shareProcessNamespace"},
		{`"hostAliases": [{"ip": "x", "hostnames": ["a"]}]`, "", "spec.hostAliases[0].ip"},
		{`"hostAliases": [{"ip": "1.1.1.1", "hostnames": ["a b"]}]`, "", "spec.hostAliases[0].hostnames[0]"},
		{`"dnsConfig": {"nameservers": ["x"]}`, "", "spec.dnsConfig.nameservers[0]"},
		{`"dnsConfig": {"searches": ["a\nb"]}`, "", "spec.dnsConfig.searches[0]"},
		{`"dnsConfig": {"options": [{"name": "a\nb"}]}`, "", "spec.dnsConfig.options[0].name"},
		{`"securityContext": {"runAsUser": -1}`, "", "spec.securityContext.runAsUser"},
		{`"securityContext": {"supplementalGroups": [-1]}`, "", "spec.securityContext.supplementalGroups[0]"},
		{`"securityContext": {"seccompProfile": {"type": "Odd"}}`, "", "spec.securityContext.seccompProfile.type"},
		{`"securityContext": {"sysctls": [{"name": "Net.x", "value": "1"}]}`, "", "spec.securityContext.sysctls[0].name"},
		{`"securityContext": {"sysctls": [{"name": "net.x", "value": "1"}, {"name": "net/x", "value": "1"}]}`, "", "spec.securityContext.sysctls[1].name"},
		{`"hostNetwork": true, "securityContext": {"sysctls": [{"name": "net.x", "value": "1"}]}`, "", "spec.securityContext.sysctls[0].name"},
		{`"hostIPC": true, "securityContext": {"sysctls": [{"name": "kernel.shmmax", "value": "1"}]}`, "", "spec.securityContext.sysctls[0].name"},
		{`"initContainers": [{"name": "c", "image": "i"}]`, "", "spec.containers[0].name"},
		{`"initContainers": [{"name": "i", "image": "i", "livenessProbe": {"exec": {"command": ["x"]}}}]`, "", "spec.initContainers[0].livenessProbe"},
		{`"initContainers": [{"name": "i", "image": "i", "lifecycle": {"preStop": {"sleep": {"seconds": 1}}}}]`, "", "spec.initContainers[0].lifecycle"},
		{`"initContainers": [{"name": "i", "image": "i", "restartPolicy": "Odd"}]`, "", "spec.initContainers[0].restartPolicy"},
		{`"volumes": [{"name": "V"}]`, "", "spec.volumes[0].name"},
		{`"volumes": [{"name": "v"}, {"name": "v"}]`, "", "spec.volumes[1].name"},
		{`"volumes": [{"name": "v", "emptyDir": {}, "secret": {"secretName": "s"}}]`, "", "spec.volumes[0]"},
		{`"volumes": [{"name": "v", "secret": {}}]`, "", "spec.volumes[0].secret.secretName"},
		{`"volumes": [{"name": "v", "configMap": {}}]`, "", "spec.volumes[0].configMap.name"},
		{`"volumes": [{"name": "v", "configMap": {"name": "m", "defaultMode": 512}}]`, "", "spec.volumes[0].configMap.defaultMode"},
		{`"volumes": [{"name": "v", "configMap": {"name": "m", "items": [{"key": "k", "path": "p", "mode": -1}]}}]`, "", "spec.volumes[0].configMap.items[0].mode"},
		{`"volumes": [{"name": "v", "configMap": {"name": "m", "items": [{"key": "k", "path": "../p"}]}}]`, "", "spec.volumes[0].configMap.items[0].path"},
		{`"volumes": [{"name": "v", "configMap": {"name": "m", "items": [{"key": "k", "path": "a/../p"}]}}]`, "", "spec.volumes[0].configMap.items[0].path"},
		{`"volumes": [{"name": "v", "configMap": {"name": "m", "items": [{"key": "k", "path": "/p"}]}}]`, "", "spec.volumes[0].configMap.items[0].path"},
		{`"volumes": [{"name": "v", "configMap": {"name": "m", "items": [{"key": "k"}]}}]`, "", "spec.volumes[0].configMap.items[0].path"},
		{`"volumes": [{"name": "v", "configMap": {"name": "m", "items": [{"path": "p"}]}}]`, "", "spec.volumes[0].configMap.items[0].key"},
		{`"volumes": [{"name": "v", "projected": {"sources": [{}]}}]`, "", "spec.volumes[0].projected.sources[0]"},
		{`"volumes": [{"name": "v", "projected": {"sources": [{"secret": {}}]}}]`, "", "spec.volumes[0].projected.sources[0].secret.name"},
		{`"volumes": [{"name": "v", "projected": {"sources": [{"configMap": {}}]}}]`, "", "spec.volumes[0].projected.sources[0].configMap.name"},
		{`"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {}}]}}]`, "", "spec.volumes[0].projected.sources[0].serviceAccountToken.path"},
		{`"volumes": [{"name": "v", "projected": {"sources": [{"serviceAccountToken": {"path": "../t"}}]}}]`, "", "spec.volumes[0].projected.sources[0].serviceAccountToken.path"},
		{`"volumes": [{"name": "v", "downwardAPI": {"items": [{"path": "..x", "fieldRef": {"fieldPath": "metadata.name"}}]}}]`, "", "spec.volumes[0].downwardAPI.items[0].path"},
		{`"volumes": [{"name": "v", "downwardAPI": {"items": [{"fieldRef": {"fieldPath": "metadata.name"}}]}}]`, "", "spec.volumes[0].downwardAPI.items[0].path"},
		{`"volumes": [{"name": "v", "downwardAPI": {"items": [{"path": "x"}]}}]`, "", "spec.volumes[0].downwardAPI.items[0]"},
		{`"volumes": [{"name": "v", "downwardAPI": {"items": [{"path": "x", "fieldRef": {"fieldPath": "spec.nodeName"}}]}}]`, "", "spec.volumes[0].downwardAPI.items[0].fieldRef.fieldPath"},
		{`"volumes": [{"name": "v", "downwardAPI": {"items": [{"path": "x", "resourceFieldRef": {"resource": "limits.cpu"}}]}}]`, "", "spec.volumes[0].downwardAPI.items[0].resourceFieldRef.containerName"},
		{`"volumes": [{"name": "v", "downwardAPI": {"items": [{"path": "x", "resourceFieldRef": {"containerName": "c", "resource": "cpu"}}]}}]`, "", "spec.volumes[0].downwardAPI.items[0].resourceFieldRef.resource"},
		{`"volumes": [{"name": "v", "hostPath": {}}]`, "", "spec.volumes[0].hostPath.path"},
		{`"volumes": [{"name": "v", "hostPath": {"path": "/x", "type": "Odd"}}]`, "", "spec.volumes[0].hostPath.type"},
		{`"volumes": [{"name": "v", "persistentVolumeClaim": {}}]`, "", "spec.volumes[0].persistentVolumeClaim.claimName"},
		{`"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "../x"}}]`, "", "spec.volumes[0].persistentVolumeClaim.claimName"},
		{`"volumes": [{"name": "v", "emptyDir": {"sizeLimit": "-1"}}]`, "", "spec.volumes[0].emptyDir.sizeLimit"},
		{`"volumes": [{"name": "v", "emptyDir": {"medium": "HugePages"}}]`, "", "spec.volumes[0].emptyDir.medium"},
		{`"volumes": [{"name": "v", "emptyDir": {"mode": 1024}}]`, "", "spec.volumes[0].emptyDir.mode"},
		{"", `"image": " busybox"`, "spec.containers[0].image"},
		{"", `"imagePullPolicy": "Odd"`, "spec.containers[0].imagePullPolicy"},
		{"", `"terminationMessagePolicy": "Odd"`, "spec.containers[0].terminationMessagePolicy"},
		{"", `"command": ["a", "b\u0000"]`, "spec.containers[0].command[1]"},
		{"", `"args": ["\u0000"]`, "spec.containers[0].args[0]"},
		{"", `"workingDir": "\u0000"`, "spec.containers[0].workingDir"},
		{"", `"env": [{"name": "A", "value": "\u0000"}]`, "spec.containers[0].env[0].value"},
		{"", `"env": [{"value": "x"}]`, "spec.containers[0].env[0].name"},
		{"", `"env": [{"name": "A=B"}]`, "spec.containers[0].env[0].name"},
		{"", `"env": [{"name": "Ü"}]`, "spec.containers[0].env[0].name"},
		{"", `"env": [{"name": "A", "valueFrom": {}}]`, "spec.containers[0].env[0].valueFrom"},
		{"", `"env": [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]`, "spec.containers[0].env[0].valueFrom"},
		{"", `"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.hostname"}}}]`, "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath"},
		{"", `"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "cpu"}}}]`, "spec.containers[0].env[0].valueFrom.resourceFieldRef.resource"},
		{"", `"envFrom": [{}]`, "spec.containers[0].envFrom[0]"},
		{"", `"envFrom": [{"prefix": "=", "secretRef": {"name": "s"}}]`, "spec.containers[0].envFrom[0].prefix"},
		{"", `"ports": [{"containerPort": 0}]`, "spec.containers[0].ports[0].containerPort"},
		{"", `"ports": [{"containerPort": 65536}]`, "spec.containers[0].ports[0].containerPort"},
		{"", `"ports": [{"containerPort": 1, "hostPort": 65536}]`, "spec.containers[0].ports[0].hostPort"},
		{"", `"ports": [{"containerPort": 1, "hostPort": 5}, {"containerPort": 2, "hostPort": 5}]`, "spec.containers[0].ports[1].hostPort"},
		{"", `"ports": [{"containerPort": 1, "protocol": "tcp"}]`, "spec.containers[0].ports[0].protocol"},
		{"", `"ports": [{"containerPort": 1, "name": "-"}]`, "spec.containers[0].ports[0].name"},
		{"", `"ports": [{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]`, "spec.containers[0].ports[1].name"},
		{"", `"resources": {"limits": {"cpu": "-1"}}`, "spec.containers[0].resources.limits[cpu]"},
		{"", `"resources": {"requests": {"memory": "-1"}}`, "spec.containers[0].resources.requests[memory]"},
		{"", `"resources": {"limits": {"memory": "1"}, "requests": {"memory": "2"}}`, "spec.containers[0].resources.requests[memory]"},
		{"", `"resources": {"limits": {"nvidia.com/gpu": "500m"}}`, "spec.containers[0].resources.limits[nvidia.com/gpu]"},
		{volume, `"volumeMounts": [{"name": "x", "mountPath": "/x"}]`, "spec.containers[0].volumeMounts[0].name"},
		{volume, `"volumeMounts": [{"name": "v"}]`, "spec.containers[0].volumeMounts[0].mountPath"},
		{volume, `"volumeMounts": [{"name": "v", "mountPath": "x"}]`, "spec.containers[0].volumeMounts[0].mountPath"},
		{volume, `"volumeMounts": [{"name": "v", "mountPath": "/"}]`, "spec.containers[0].volumeMounts[0].mountPath"},
		{volume, `"volumeMounts": [{"name": "v", "mountPath": "/x:y"}]`, "spec.containers[0].volumeMounts[0].mountPath"},
		{volume, `"volumeMounts": [{"name": "v", "mountPath": "/x/../y"}]`, "spec.containers[0].volumeMounts[0].mountPath"},
		{volume, `"volumeMounts": [{"name": "v", "mountPath": "/x"}, {"name": "w", "mountPath": "/x/"}]`, "spec.containers[0].volumeMounts[1].mountPath"},
		{volume, `"volumeMounts": [{"name": "v", "mountPath": "/x", "subPath": "../y"}]`, "spec.containers[0].volumeMounts[0].subPath"},
		{volume, `"volumeMounts": [{"name": "v", "mountPath": "/x", "subPath": "/y"}]`, "spec.containers[0].volumeMounts[0].subPath"},
		{volume, `"volumeMounts": [{"name": "v", "mountPath": "/x", "subPathExpr": "a/../$(Y)"}]`, "spec.containers[0].volumeMounts[0].subPathExpr"},
		{volume, `"volumeMounts": [{"name": "v", "mountPath": "/x", "subPath": "a", "subPathExpr": "b"}]`, "spec.containers[0].volumeMounts[0].subPathExpr"},
		{volume, `"volumeMounts": [{"name": "v", "mountPath": "/x", "mountPropagation": "Odd"}]`, "spec.containers[0].volumeMounts[0].mountPropagation"},
		{volume, `"volumeMounts": [{"name": "v", "mountPath": "/x", "mountPropagation": "Bidirectional"}]`, "spec.containers[0].volumeMounts[0].mountPropagation"},
		{"", `"securityContext": {"privileged": true, "allowPrivilegeEscalation": false}`, "spec.containers[0].securityContext.allowPrivilegeEscalation"},
		{"", `"securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"add": ["CAP_SYS_ADMIN"]}}`, "spec.containers[0].securityContext.allowPrivilegeEscalation"},
		{"", `"livenessProbe": {}`, "spec.containers[0].livenessProbe"},
		{"", `"livenessProbe": {"exec": {}}`, "spec.containers[0].livenessProbe.exec.command"},
		{"", `"livenessProbe": {"exec": {"command": ["x"]}, "tcpSocket": {"port": 1}}`, "spec.containers[0].livenessProbe"},
		{"", `"livenessProbe": {"exec": {"command": ["x"]}, "successThreshold": 2}`, "spec.containers[0].livenessProbe.successThreshold"},
		{"", `"startupProbe": {"exec": {"command": ["x"]}, "successThreshold": 2}`, "spec.containers[0].startupProbe.successThreshold"},
		{"", `"readinessProbe": {"exec": {"command": ["x"]}, "successThreshold": -2}`, "spec.containers[0].readinessProbe.successThreshold"},
		{"", `"readinessProbe": {"exec": {"command": ["x"]}, "terminationGracePeriodSeconds": 2}`, "spec.containers[0].readinessProbe.terminationGracePeriodSeconds"},
		{"", `"livenessProbe": {"exec": {"command": ["x"]}, "terminationGracePeriodSeconds": 0}`, "spec.containers[0].livenessProbe.terminationGracePeriodSeconds"},
		{"", `"livenessProbe": {"exec": {"command": ["x"]}, "periodSeconds": -1}`, "spec.containers[0].livenessProbe.periodSeconds"},
		{"", `"livenessProbe": {"exec": {"command": ["x"]}, "initialDelaySeconds": -1}`, "spec.containers[0].livenessProbe.initialDelaySeconds"},
		{"", `"livenessProbe": {"exec": {"command": ["x"]}, "timeoutSeconds": -1}`, "spec.containers[0].livenessProbe.timeoutSeconds"},
		{"", `"livenessProbe": {"exec": {"command": ["x"]}, "failureThreshold": -1}`, "spec.containers[0].livenessProbe.failureThreshold"},
		{"", `"livenessProbe": {"tcpSocket": {"port": 0}}`, "spec.containers[0].livenessProbe.tcpSocket.port"},
		{"", `"livenessProbe": {"httpGet": {}}`, "spec.containers[0].livenessProbe.httpGet.port"},
		{"", `"livenessProbe": {"grpc": {}}`, "spec.containers[0].livenessProbe.grpc.port"},
		{"", `"lifecycle": {"preStop": {"httpGet": {}}}`, "spec.containers[0].lifecycle.preStop.httpGet.port"},
		{"", `"restartPolicyRules": [{"action": "Restart"}]`, "spec.containers[0].restartPolicyRules"},
		{"", `"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "s"}}}]`, "spec.containers[0].env[0].valueFrom.secretKeyRef.key"},
		{"", `"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"key": "s"}}}]`, "spec.containers[0].env[0].valueFrom.secretKeyRef.name"},
		{"", `"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "s"}}}]`, "spec.containers[0].env[0].valueFrom.configMapKeyRef.key"},
		{"", `"env": [{"name": "A", "valueFrom": {"configMapKeyRef": {"key": "s"}}}]`, "spec.containers[0].env[0].valueFrom.configMapKeyRef.name"},
		{"", `"env": [{"name": "A", "valueFrom": {"fieldRef": {}}}]`, "spec.containers[0].env[0].valueFrom.fieldRef.fieldPath"},
		{"", `"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {}}}]`, "spec.containers[0].env[0].valueFrom.resourceFieldRef.resource"},
		{"", `"envFrom": [{"secretRef": {}}]`, "spec.containers[0].envFrom[0].secretRef.name"},
		{"", `"envFrom": [{"configMapRef": {}}]`, "spec.containers[0].envFrom[0].configMapRef.name"},
		{"", `"livenessProbe": {"tcpSocket": {"port": "web"}}`, "spec.containers[0].livenessProbe.tcpSocket.port"},
		{"", `"livenessProbe": {"grpc": {"port": 65536}}`, "spec.containers[0].livenessProbe.grpc.port"},
		{"", `"livenessProbe": {"httpGet": {"port": 1, "scheme": "ftp"}}`, "spec.containers[0].livenessProbe.httpGet.scheme"},
		{"", `"livenessProbe": {"httpGet": {"port": 1, "httpHeaders": [{"name": "a b", "value": "x"}]}}`, "spec.containers[0].livenessProbe.httpGet.httpHeaders[0].name"},
		{"", `"lifecycle": {"preStop": {}}`, "spec.containers[0].lifecycle.preStop"},
		{"", `"lifecycle": {"postStart": {"exec": {}}}`, "spec.containers[0].lifecycle.postStart.exec.command"},
		{"", `"lifecycle": {"preStop": {"sleep": {"seconds": -1}}}`, "spec.containers[0].lifecycle.preStop.sleep.seconds"},
		{"", `"lifecycle": {"stopSignal": "SIGTERM"}`, "spec.containers[0].lifecycle.stopSignal"},
	} {
		refusal, ok := workload.IsRefusal(workload.Check(aPod(t, c.spec, c.container), allFeatures(), open))
		if !ok || refusal.Field != c.field || refusal.Reason != workload.ReasonInvalid {
			t.Errorf("%s %s: %+v, want %s to be invalid", c.spec, c.container, refusal, c.field)
		}
	}
}

// FuzzCheck feeds it whatever decodes as a pod: it never panics, and what it accepts splits and, but for what is missing, resolves.
func FuzzCheck(f *testing.F) {
	var rich, simple createBody
	recorded(f, "create-rich", &rich)
	recorded(f, "create-simple", &simple)
	for _, pod := range []corev1.Pod{rich.Pod, simple.Pod, *aPod(f, "", ""), {}} {
		data, err := json.Marshal(pod)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var pod corev1.Pod
		if json.Unmarshal(data, &pod) != nil {
			return
		}
		for _, abilities := range []workload.Abilities{noFeatures, allFeatures()} {
			for _, policy := range []v1alpha1.BackendPolicy{{}, open} {
				if err := workload.Check(&pod, abilities, policy); err != nil {
					if refusal, ok := workload.IsRefusal(err); !ok || refusal.Field == "" || refusal.Message == "" || refusal.Reason == "" {
						t.Fatalf("%+v is no refusal that helps", err)
					}
					continue
				}
				checkSplit(t, &pod)
			}
		}
	})
}
