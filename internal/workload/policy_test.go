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
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// Each refusal names the field and the policy, and the policy that it names lets the pod pass.
func TestPolicyIsClosedUntilOpened(t *testing.T) {
	for _, c := range []struct {
		spec, container string
		closed, open    v1alpha1.BackendPolicy
		want            string
	}{
		{
			"", `"securityContext": {"privileged": true}`, v1alpha1.BackendPolicy{}, v1alpha1.BackendPolicy{AllowPrivileged: true},
			"spec.containers[0].securityContext.privileged: the backend's policy does not allow privileged containers (allowPrivileged is false)",
		},
		{
			"", `"securityContext": {"capabilities": {"add": ["CHOWN", "NET_ADMIN"]}}`, v1alpha1.BackendPolicy{}, v1alpha1.BackendPolicy{AllowPrivileged: true},
			"spec.containers[0].securityContext.capabilities.add[1]: the backend's policy does not allow the capability NET_ADMIN (allowPrivileged is false)",
		},
		{
			"", `"securityContext": {"capabilities": {"add": ["ALL"]}}`, v1alpha1.BackendPolicy{}, v1alpha1.BackendPolicy{AllowPrivileged: true},
			"spec.containers[0].securityContext.capabilities.add[0]: the backend's policy does not allow the capability ALL (allowPrivileged is false)",
		},
		{
			"", `"securityContext": {"seccompProfile": {"type": "Unconfined"}}`, v1alpha1.BackendPolicy{}, v1alpha1.BackendPolicy{AllowPrivileged: true},
			"spec.containers[0].securityContext.seccompProfile.type: the backend's policy does not allow containers without a seccomp profile (allowPrivileged is false)",
		},
		{
			`"securityContext": {"sysctls": [{"name": "net.core.somaxconn", "value": "1"}]}`, "", v1alpha1.BackendPolicy{}, v1alpha1.BackendPolicy{AllowPrivileged: true},
			"spec.securityContext.sysctls[0].name: the backend's policy does not allow the sysctl net.core.somaxconn (allowPrivileged is false)",
		},
		{
			`"hostPID": true`, "", v1alpha1.BackendPolicy{AllowHostNetwork: true}, v1alpha1.BackendPolicy{AllowPrivileged: true},
			"spec.hostPID: the backend's policy does not allow pods in the machine's PID namespace (allowPrivileged is false)",
		},
		{
			`"hostIPC": true`, "", v1alpha1.BackendPolicy{AllowHostNetwork: true}, v1alpha1.BackendPolicy{AllowPrivileged: true},
			"spec.hostIPC: the backend's policy does not allow pods in the machine's IPC namespace (allowPrivileged is false)",
		},
		{
			`"hostNetwork": true`, "", v1alpha1.BackendPolicy{AllowPrivileged: true}, v1alpha1.BackendPolicy{AllowHostNetwork: true},
			"spec.hostNetwork: the backend's policy does not allow pods on the machine's network (allowHostNetwork is false)",
		},
		{
			"", `"ports": [{"containerPort": 80, "hostPort": 80}]`, v1alpha1.BackendPolicy{AllowPrivileged: true}, v1alpha1.BackendPolicy{AllowHostNetwork: true},
			"spec.containers[0].ports[0].hostPort: the backend's policy does not allow ports of the machine (allowHostNetwork is false)",
		},
		{
			`"volumes": [{"name": "v", "hostPath": {"path": "/data/x"}}]`, "", v1alpha1.BackendPolicy{AllowPrivileged: true}, v1alpha1.BackendPolicy{AllowedHostPaths: []string{"/data"}},
			"spec.volumes[0].hostPath.path: the backend's policy does not allow the path /data/x (allowedHostPaths)",
		},
		{
			`"securityContext": {"runAsUser": 0}`, "", v1alpha1.BackendPolicy{AllowRoot: new(false)}, v1alpha1.BackendPolicy{AllowRoot: new(true)},
			"spec.securityContext.runAsUser: the backend's policy does not allow containers of user 0 (allowRoot is false)",
		},
		{
			`"securityContext": {"runAsUser": 5}`, `"securityContext": {"runAsUser": 0}`, v1alpha1.BackendPolicy{AllowRoot: new(false)}, v1alpha1.BackendPolicy{},
			"spec.containers[0].securityContext.runAsUser: the backend's policy does not allow containers of user 0 (allowRoot is false)",
		},
		{
			"", "", v1alpha1.BackendPolicy{AllowRoot: new(false)}, v1alpha1.BackendPolicy{},
			"spec.containers[0].securityContext: the backend's policy does not allow containers that may run as root: set runAsNonRoot, or a runAsUser other than 0 (allowRoot is false)",
		},
		{
			`"securityContext": {"runAsNonRoot": true}`, `"securityContext": {"runAsNonRoot": false}`, v1alpha1.BackendPolicy{AllowRoot: new(false)}, v1alpha1.BackendPolicy{},
			"spec.containers[0].securityContext: the backend's policy does not allow containers that may run as root: set runAsNonRoot, or a runAsUser other than 0 (allowRoot is false)",
		},
		{
			`"initContainers": [{"name": "i", "image": "i"}]`, `"securityContext": {"runAsUser": 5}`, v1alpha1.BackendPolicy{AllowRoot: new(false)}, v1alpha1.BackendPolicy{},
			"spec.initContainers[0].securityContext: the backend's policy does not allow containers that may run as root: set runAsNonRoot, or a runAsUser other than 0 (allowRoot is false)",
		},
		{
			"", "", v1alpha1.BackendPolicy{AllowedImages: []string{"registry.example/"}}, v1alpha1.BackendPolicy{AllowedImages: []string{"registry.example/", "busybox"}},
			"spec.containers[0].image: the backend's policy does not allow the image busybox (allowedImages)",
		},
		{
			"", "", v1alpha1.BackendPolicy{AllowedNamespaces: []string{"other"}}, v1alpha1.BackendPolicy{AllowedNamespaces: []string{"other", "team"}},
			"metadata.namespace: the backend's policy does not allow pods of namespace team (allowedNamespaces)",
		},
	} {
		pod := aPod(t, c.spec, c.container)
		err := workload.Check(pod, allFeatures(), c.closed)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s %s: %v\nwant %s", c.spec, c.container, err, c.want)
		}
		if refusal, ok := workload.IsRefusal(err); !ok || refusal.Reason != workload.ReasonForbidden {
			t.Errorf("%s %s: the reason is not %s", c.spec, c.container, workload.ReasonForbidden)
		}
		if err := workload.Check(pod, allFeatures(), c.open); err != nil {
			t.Errorf("%s %s: allowed, and refused all the same: %v", c.spec, c.container, err)
		}
	}
}

func TestNonRootPodsPassWhereRootMayNot(t *testing.T) {
	closed := v1alpha1.BackendPolicy{AllowRoot: new(false)}
	for _, c := range [][2]string{
		{`"securityContext": {"runAsNonRoot": true}`, ""}, {`"securityContext": {"runAsUser": 5}`, ""},
		{"", `"securityContext": {"runAsUser": 5}`}, {`"securityContext": {"runAsUser": 0}`, `"securityContext": {"runAsUser": 5}`},
	} {
		if err := workload.Check(aPod(t, c[0], c[1]), allFeatures(), closed); err != nil {
			t.Errorf("%s %s: %v", c[0], c[1], err)
		}
	}
}

func TestHostPathsAreHeldAgainstThePolicyByTheirNames(t *testing.T) {
	policy := v1alpha1.BackendPolicy{AllowedHostPaths: []string{"/data/", "/a/b", "relative"}}
	for path, allowed := range map[string]bool{
		"/data": true, "/data/": true, "/data/x/y": true, "/data//x": true, "/data/./x": true, "/a/b": true, "/a/b/c": true,
		"/database": false, "/data-x": false, "/": false, "/a": false, "/a/bc": false, "/etc": false, "/data/../etc": false, "/data/..": false,
		"data": false, "relative/x": false, "/data/x:y": false, "": false,
	} {
		pod := aPod(t, "", "")
		pod.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path}}}}
		err := workload.Check(pod, allFeatures(), policy)
		if (err == nil) != allowed {
			t.Errorf("%q: %v", path, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "spec.volumes[0].hostPath.path: ") {
			t.Errorf("%q: %v", path, err)
		}
	}
}

func TestImagesAreHeldAgainstThePolicyUnderAllTheirNames(t *testing.T) {
	const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for _, c := range []struct {
		prefix, image string
		allowed       bool
	}{
		{"registry.example/team/", "registry.example/team/app:1", true},
		{"registry.example/team/", "docker://registry.example/team/app:1", true},
		{"registry.example/team/", "registry.example/team/app" + digest, true},
		{"registry.example/team/", "registry.example/teams/app", false},
		{"registry.example/team/", "registry.example.evil/team/app", false},
		{"registry.example/team/", "registry.example/team/../other/app", false},
		{"registry.example/team/", "oras://registry.example/team/app", false},
		{"oras://registry.example/team/", "oras://registry.example/team/app", true},
		{"oras://registry.example/team/", "oras://registry.example/team/../x", false},
		{"docker.io/library/", "busybox", true},
		{"docker.io/library/", "docker://busybox:latest", true},
		{"docker.io/library/", "someone/busybox", false},
		{"busybox", "docker.io/library/busybox:1", true},
		{"/cvmfs/images/", "/cvmfs/images/app.sif", true},
		{"/cvmfs/images/", "/cvmfs/images/../../etc/passwd", false},
		{"/cvmfs/images/", "cvmfs/images/app.sif", false},
		{"busybox", "BUSYBOX", false},
	} {
		pod := aPod(t, "", "")
		pod.Spec.Containers[0].Image = c.image
		err := workload.Check(pod, noFeatures, v1alpha1.BackendPolicy{AllowedImages: []string{"none.example/", c.prefix}})
		if (err == nil) != c.allowed {
			t.Errorf("%s below %s: %v", c.image, c.prefix, err)
		}
	}
}

// An annotation that puts something before the image's name does not get around the policy.
func TestImageRootCountsForThePolicy(t *testing.T) {
	pod := aPod(t, "", "")
	pod.Spec.Containers[0].Image = "registry.example/app"
	pod.Annotations = map[string]string{"slurm-job.vk.io/image-root": "evil.example/"}
	policy := v1alpha1.BackendPolicy{AllowedImages: []string{"registry.example/"}}
	if err := workload.Check(pod, allFeatures(), policy); err == nil {
		t.Error("it is accepted")
	}
	if err := workload.Check(pod, noFeatures, policy); err != nil {
		t.Errorf("a backend that does not know the annotation refuses it: %v", err)
	}
}

func TestAnnotations(t *testing.T) {
	closed := v1alpha1.BackendPolicy{AllowScripts: new(false), AllowAnnotationSelection: new(false)}
	without := func(feature workload.Feature) workload.Abilities {
		abilities := allFeatures()
		delete(abilities.Features, feature)
		return abilities
	}
	for _, c := range []struct {
		name, value string
		abilities   workload.Abilities
		policy      v1alpha1.BackendPolicy
		want        string
	}{
		{"somebody.example/x", "y", noFeatures, closed, ""},
		{"interlink.eu/disable-offload-containers", "a", noFeatures, closed, ""},
		{"kubectl.kubernetes.io/last-applied-configuration", "{}", noFeatures, closed, ""},
		{"slurm-job.vk.io/flags", "--time=1", noFeatures, closed, ""},
		{"slurm-job.vk.io/flavor", "gpu", noFeatures, closed, ""},
		{"slurm-job.vk.io/singularity-commands", "x", noFeatures, closed, ""},
		{"slurm-job.vk.io/singularity-commands", "x", allFeatures(), v1alpha1.BackendPolicy{}, ""},
		{"slurm-job.vk.io/singularity-commands", "x", allFeatures(), closed, "the backend's policy does not allow words of commands on the machine (allowScripts is false)"},
		{"slurm-job.vk.io/singularity-mounts", "/:/host", allFeatures(), closed, "the backend's policy does not allow words of commands on the machine (allowScripts is false)"},
		{"slurm-job.vk.io/enroot-options", "--rw", allFeatures(), closed, "the backend's policy does not allow words of commands on the machine (allowScripts is false)"},
		{"slurm-job.vk.io/mpi-flags", "-np 1 sh :", allFeatures(), closed, "the backend's policy does not allow words of commands on the machine (allowScripts is false)"},
		{"slurm-job.vk.io/mpi-flags", "true", allFeatures(), closed, ""},
		{"interlink.eu/wstunnel-client-commands", "x", allFeatures(), closed, "the backend's policy does not allow scripts (allowScripts is false)"},
		{"slurm-job.vk.io/pre-exec", "", noFeatures, closed, ""},
		{"slurm-job.vk.io/pre-exec", "x", allFeatures(), v1alpha1.BackendPolicy{}, ""},
		{"slurm-job.vk.io/pre-exec", "x", without(workload.FeaturePreExec), v1alpha1.BackendPolicy{}, "the Full backend does not support pre-exec scripts"},
		{"slurm-job.vk.io/pre-exec", "x", allFeatures(), closed, "the backend's policy does not allow scripts (allowScripts is false)"},
		{"docker-options.vk.io/flags", "--gpus all", allFeatures(), closed, ""},
		{"docker-options.vk.io/flags", "--gpus all", without(workload.FeatureDockerFlags), closed, "the Full backend does not support docker flags"},
		{"interlink.eu/pod-vpn", "10.0.0.1", allFeatures(), closed, ""},
		{"interlink.eu/pod-vpn", "10.0.0.1", without(workload.FeatureMesh), closed, "the Full backend does not support mesh networking"},
		{"interlink.eu/wireguard-client-snippet", "x", noFeatures, closed, "the Plain backend does not support mesh networking"},
		{"interlink.eu/wstunnel-client-commands", "x", noFeatures, closed, "the Plain backend does not support mesh networking"},
		{"interlink.eu/mesh-network", "full", noFeatures, closed, "the Plain backend does not support mesh networking"},
		{"interlink.eu/mesh-network", "disabled", noFeatures, closed, ""},
		{"remotejob.dev/backend", "b", noFeatures, v1alpha1.BackendPolicy{}, ""},
		{"remotejob.dev/backend", "b", noFeatures, closed, "the backend's policy does not allow pods to choose it by annotation (allowAnnotationSelection is false)"},
	} {
		pod := aPod(t, "", "")
		pod.Annotations = map[string]string{c.name: c.value}
		err := workload.Check(pod, c.abilities, c.policy)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s=%s: %v", c.name, c.value, err)
		case c.want != "" && (err == nil || err.Error() != "metadata.annotations["+c.name+"]: "+c.want):
			t.Errorf("%s=%s: %v\nwant %s", c.name, c.value, err, c.want)
		}
	}
}

func TestJobScripts(t *testing.T) {
	for _, c := range []struct {
		script    string
		abilities workload.Abilities
		policy    v1alpha1.BackendPolicy
		want      string
	}{
		{"", noFeatures, v1alpha1.BackendPolicy{AllowScripts: new(false)}, ""},
		{"x", allFeatures(), v1alpha1.BackendPolicy{}, ""},
		{"x", allFeatures(), v1alpha1.BackendPolicy{AllowScripts: new(false)}, "jobScript: the backend's policy does not allow scripts (allowScripts is false)"},
		{"x", noFeatures, v1alpha1.BackendPolicy{}, "jobScript: the Plain backend does not support job scripts"},
	} {
		err := workload.CheckJobScript(c.script, c.abilities, c.policy)
		if c.want == "" && err != nil || c.want != "" && (err == nil || err.Error() != c.want) {
			t.Errorf("%q: %v, want %q", c.script, err, c.want)
		}
	}
}
