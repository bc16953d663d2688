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
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/diff"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// The recorded pods came from an API server. What it filled in is taken out again, and Default has to bring back the same.
func TestDefaultFillsInWhatAnAPIServerDid(t *testing.T) {
	for _, name := range []string{"create-simple", "create-rich"} {
		t.Run(name, func(t *testing.T) {
			var body createBody
			recorded(t, name, &body)
			want := body.Pod.DeepCopy()
			got := body.Pod.DeepCopy()
			strip(got)
			if equality.Semantic.DeepEqual(got.Spec, want.Spec) {
				t.Fatal("nothing was taken out")
			}
			workload.Default(got)
			if !equality.Semantic.DeepEqual(got.Spec, want.Spec) {
				t.Errorf("the pod is not as the API server left it:\n%s", diff.Diff(want.Spec, got.Spec))
			}
		})
	}
}

// strip takes out what the API server fills in.
func strip(pod *corev1.Pod) {
	spec := &pod.Spec
	spec.RestartPolicy, spec.DNSPolicy, spec.SchedulerName = keepUnless(spec.RestartPolicy, corev1.RestartPolicyAlways), "", ""
	spec.TerminationGracePeriodSeconds, spec.SecurityContext, spec.EnableServiceLinks = nil, nil, nil
	spec.DeprecatedServiceAccount = ""
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			c := &containers[i]
			c.ImagePullPolicy, c.TerminationMessagePath, c.TerminationMessagePolicy = "", "", ""
			if p := c.ReadinessProbe; p != nil {
				p.TimeoutSeconds, p.SuccessThreshold, p.FailureThreshold = 0, 0, 0
			}
		}
	}
	for i := range spec.Volumes {
		v := &spec.Volumes[i]
		if v.Projected != nil {
			v.Projected.DefaultMode = nil
			for j := range v.Projected.Sources {
				if d := v.Projected.Sources[j].DownwardAPI; d != nil {
					d.Items[0].FieldRef.APIVersion = ""
				}
			}
		}
		if v.ConfigMap != nil {
			v.ConfigMap.DefaultMode = keepUnlessPtr(v.ConfigMap.DefaultMode, 0o644)
		}
	}
}

func keepUnless[T comparable](value, standard T) T {
	var empty T
	if value == standard {
		return empty
	}
	return value
}

func keepUnlessPtr[T comparable](value *T, standard T) *T {
	if value != nil && *value == standard {
		return nil
	}
	return value
}

func TestDefaultLeavesWhatIsSetAndChangesNothingTwice(t *testing.T) {
	pod := &corev1.Pod{}
	source := `{
		"spec": {
			"serviceAccountName": "robot",
			"hostNetwork": true,
			"restartPolicy": "OnFailure",
			"dnsPolicy": "Default",
			"schedulerName": "mine",
			"terminationGracePeriodSeconds": 0,
			"enableServiceLinks": false,
			"securityContext": {"runAsUser": 1},
			"volumes": [
				{"name": "none"},
				{"name": "secret", "secret": {"secretName": "s", "defaultMode": 0}},
				{"name": "down", "downwardAPI": {"items": [{"path": "p", "fieldRef": {"fieldPath": "metadata.name"}}]}},
				{"name": "token", "projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}},
				{"name": "host", "hostPath": {"path": "/x"}}
			],
			"initContainers": [{"name": "i", "image": "busybox@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}],
			"containers": [{
				"name": "c", "image": "busybox", "imagePullPolicy": "Never", "terminationMessagePath": "/t", "terminationMessagePolicy": "FallbackToLogsOnError",
				"ports": [{"containerPort": 80}, {"containerPort": 81, "protocol": "UDP", "hostPort": 9}],
				"env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}],
				"resources": {"limits": {"cpu": "1.00001", "memory": "1Gi"}, "requests": {"memory": "1Mi"}},
				"livenessProbe": {"httpGet": {"port": "web"}, "periodSeconds": 7},
				"readinessProbe": {"grpc": {"port": 1}},
				"lifecycle": {"preStop": {"httpGet": {"port": 1, "scheme": "HTTPS", "path": "/x"}}}
			}]
		}
	}`
	if err := json.Unmarshal([]byte(source), pod); err != nil {
		t.Fatal(err)
	}
	workload.Default(pod)
	once := pod.DeepCopy()
	workload.Default(pod)
	if !equality.Semantic.DeepEqual(once, pod) {
		t.Errorf("the second call changed the pod:\n%s", diff.Diff(once, pod))
	}
	spec, c := &pod.Spec, &pod.Spec.Containers[0]
	for what, got := range map[string][2]any{
		"serviceAccount":           {spec.DeprecatedServiceAccount, "robot"},
		"restartPolicy":            {spec.RestartPolicy, corev1.RestartPolicyOnFailure},
		"dnsPolicy":                {spec.DNSPolicy, corev1.DNSDefault},
		"schedulerName":            {spec.SchedulerName, "mine"},
		"grace period 0":           {*spec.TerminationGracePeriodSeconds, int64(0)},
		"enableServiceLinks":       {*spec.EnableServiceLinks, false},
		"runAsUser":                {*spec.SecurityContext.RunAsUser, int64(1)},
		"a volume of no kind":      {spec.Volumes[0].EmptyDir != nil, true},
		"mode 0":                   {*spec.Volumes[1].Secret.DefaultMode, int32(0)},
		"downwardAPI's mode":       {*spec.Volumes[2].DownwardAPI.DefaultMode, int32(0o644)},
		"downwardAPI's version":    {spec.Volumes[2].DownwardAPI.Items[0].FieldRef.APIVersion, "v1"},
		"the token's time":         {*spec.Volumes[3].Projected.Sources[0].ServiceAccountToken.ExpirationSeconds, int64(3600)},
		"hostPath's type":          {*spec.Volumes[4].HostPath.Type, corev1.HostPathUnset},
		"pull policy of a digest":  {spec.InitContainers[0].ImagePullPolicy, corev1.PullIfNotPresent},
		"pull policy":              {c.ImagePullPolicy, corev1.PullNever},
		"message path":             {c.TerminationMessagePath, "/t"},
		"message policy":           {c.TerminationMessagePolicy, corev1.TerminationMessageFallbackToLogsOnError},
		"protocol":                 {c.Ports[0].Protocol, corev1.ProtocolTCP},
		"protocol that is set":     {c.Ports[1].Protocol, corev1.ProtocolUDP},
		"hostPort on hostNetwork":  {c.Ports[0].HostPort, int32(80)},
		"hostPort that is set":     {c.Ports[1].HostPort, int32(9)},
		"env's version":            {c.Env[0].ValueFrom.FieldRef.APIVersion, "v1"},
		"cpu, rounded up":          {c.Resources.Limits.Cpu().String(), "1001m"},
		"cpu request from limit":   {c.Resources.Requests.Cpu().String(), "1001m"},
		"memory request":           {c.Resources.Requests.Memory().String(), "1Mi"},
		"probe's path":             {c.LivenessProbe.HTTPGet.Path, "/"},
		"probe's port":             {c.LivenessProbe.HTTPGet.Port, intstr.FromString("web")},
		"probe's scheme":           {c.LivenessProbe.HTTPGet.Scheme, corev1.URISchemeHTTP},
		"probe's period":           {c.LivenessProbe.PeriodSeconds, int32(7)},
		"probe's timeout":          {c.LivenessProbe.TimeoutSeconds, int32(1)},
		"probe's failures":         {c.LivenessProbe.FailureThreshold, int32(3)},
		"grpc's service":           {*c.ReadinessProbe.GRPC.Service, ""},
		"hook's scheme":            {c.Lifecycle.PreStop.HTTPGet.Scheme, corev1.URISchemeHTTPS},
		"hook's path":              {c.Lifecycle.PreStop.HTTPGet.Path, "/x"},
		"no limits, so no request": {len(spec.InitContainers[0].Resources.Requests), 0},
	} {
		if !equality.Semantic.DeepEqual(got[0], got[1]) {
			t.Errorf("%s: %v, want %v", what, got[0], got[1])
		}
	}
}

func TestNegativeGracePeriodBecomesOneSecond(t *testing.T) {
	pod := &corev1.Pod{Spec: corev1.PodSpec{TerminationGracePeriodSeconds: new(int64(-5))}}
	workload.Default(pod)
	if got := *pod.Spec.TerminationGracePeriodSeconds; got != 1 {
		t.Errorf("the grace period is %d", got)
	}
}

func TestPullPolicyGoesByTheTag(t *testing.T) {
	const digest = "@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
	for image, want := range map[string]corev1.PullPolicy{
		"busybox":                         corev1.PullAlways,
		"busybox:latest":                  corev1.PullAlways,
		"registry.example:5000/a/b":       corev1.PullAlways,
		"registry.example:5000/a/b:1":     corev1.PullIfNotPresent,
		"busybox:1.36":                    corev1.PullIfNotPresent,
		"busybox" + digest:                corev1.PullIfNotPresent,
		"busybox:latest" + digest:         corev1.PullAlways,
		"docker://busybox:latest":         corev1.PullIfNotPresent,
		"/cvmfs/images/app.sif":           corev1.PullIfNotPresent,
		"Not A Name":                      corev1.PullIfNotPresent,
		"oras://registry.example/app:tag": corev1.PullIfNotPresent,
	} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Image: image}}}}
		workload.Default(pod)
		if got := pod.Spec.Containers[0].ImagePullPolicy; got != want {
			t.Errorf("%s: %s, want %s", image, got, want)
		}
	}
}
