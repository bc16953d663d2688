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

package backendtest

import (
	"crypto/md5"
	"encoding/hex"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// md5sum is what the program of that name writes for its standard input.
func md5sum(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:]) + "  -"
}

// waiting waits until container main waits for one of the reasons, and returns the message.
func (p *pod) waiting(reasons ...string) string {
	p.env.Helper()
	d := p.until("main to wait for "+strings.Join(reasons, " or "), func(d podlifecycle.Decision) bool {
		s, ok := find(d, "main")
		return ok && s.State.Waiting != nil && slices.Contains(reasons, s.State.Waiting.Reason)
	})
	s, _ := find(d, "main")
	return s.State.Waiting.Message
}

// resolve does what the ledger does between a call and the backend: defaults, checks, the parting of what may be secret, and the
// resolving of all of it again.
func (e *env) resolve(spec *corev1.Pod, payload workload.Payload) (*workload.Workload, error) {
	pod := spec.DeepCopy()
	workload.Default(pod)
	if err := workload.Check(pod, e.backend().Abilities(), e.suite.Policy); err != nil {
		return nil, err
	}
	template, split := workload.Split(pod)
	split.ConfigMaps, split.Secrets, split.Projected = payload.ConfigMaps, payload.Secrets, payload.Projected
	return workload.Resolve(workload.ResolveRequest{
		Token:     workload.PodToken(e.suite.Ledger, pod.Namespace, string(pod.UID)),
		Ledger:    e.suite.Ledger,
		Backend:   e.suite.Backend,
		Job:       types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name},
		Namespace: pod.Namespace,
		Name:      pod.Name,
		UID:       pod.UID,
		Template:  template,
		Payload:   split,
	})
}

// asUser1000 is a user without any rights.
func asUser1000() *corev1.SecurityContext {
	return &corev1.SecurityContext{RunAsUser: new(int64(1000))}
}

// Security contexts: https://kubernetes.io/docs/tasks/configure-pod-container/security-context/
func securityCases() []testCase {
	return []testCase{
		{name: "runAsUser, runAsGroup and supplementalGroups are who the container runs as", run: func(e *env) {
			group := int64(2000)
			p := e.run(e.pod("id -u; id -g; id -G", with(func(c *corev1.Container) { c.SecurityContext = asUser1000(); c.SecurityContext.RunAsGroup = &group }),
				func(p *corev1.Pod) {
					p.Spec.SecurityContext = &corev1.PodSecurityContext{SupplementalGroups: []int64{3000}}
				}), workload.Payload{})
			if got := p.output(); got != "1000\n2000\n2000 3000\n" {
				e.Errorf("got %q", got)
			}
		}},
		{name: "runAsNonRoot keeps a container that would run as root from starting", run: func(e *env) {
			yes := true
			p := e.run(e.pod("id -u", with(func(c *corev1.Container) { c.SecurityContext = &corev1.SecurityContext{RunAsNonRoot: &yes} })), workload.Payload{})
			p.waiting("CreateContainerConfigError")
		}},
		{name: "readOnlyRootFilesystem leaves only the volumes to write", run: func(e *env) {
			yes := true
			p := e.run(e.pod("exec 2>/dev/null; echo x > /x || echo read-only; echo y > /shared/y && cat /shared/y", shared(),
				with(func(c *corev1.Container) { c.SecurityContext = &corev1.SecurityContext{ReadOnlyRootFilesystem: &yes} })), workload.Payload{})
			if got := p.output(); !strings.HasSuffix(got, "read-only\ny\n") {
				e.Errorf("got %q", got)
			}
		}},
		{name: "dropped capabilities are gone, and allowPrivilegeEscalation false sets no_new_privs", run: func(e *env) {
			no := false
			p := e.run(e.pod("grep -E 'CapEff|NoNewPrivs' /proc/self/status | tr -d '\\t'", with(func(c *corev1.Container) {
				c.SecurityContext = &corev1.SecurityContext{AllowPrivilegeEscalation: &no, Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}}
			})), workload.Payload{})
			if got := p.output(); got != "CapEff:0000000000000000\nNoNewPrivs:1\n" {
				e.Errorf("got %q", got)
			}
		}},
		{name: "fsGroup lets a user write to an emptyDir and read a Secret", run: func(e *env) {
			group := int64(4000)
			p := e.run(e.pod("id -G; cat /sec/a; stat -c '%g' /shared; echo x > /shared/x && stat -c '%g' /shared/x", shared(), volume("sec", "/sec", secret("s", 0o400)),
				with(func(c *corev1.Container) { c.SecurityContext = asUser1000() }),
				func(p *corev1.Pod) { p.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: &group} }),
				workload.Payload{Secrets: map[string]workload.FileData{"s": {"a": []byte("AAA\n")}}})
			if got := p.output(); !strings.HasSuffix(got, "4000\nAAA\n4000\n4000\n") {
				e.Errorf("got %q", got)
			}
		}},
		{name: "the container's word goes before the pod's", run: func(e *env) {
			group := int64(6000)
			p := e.run(e.pod("echo $(id -u):$(id -g)", with(func(c *corev1.Container) { c.SecurityContext = asUser1000() }), func(p *corev1.Pod) {
				p.Spec.SecurityContext = &corev1.PodSecurityContext{RunAsUser: new(int64(5000)), RunAsGroup: &group}
			}), workload.Payload{})
			if got := p.output(); got != "1000:6000\n" {
				e.Errorf("got %q", got)
			}
		}},
		{name: "an added capability is there, beside those that containers have anyway", run: func(e *env) {
			p := e.run(e.pod("ip link add dummy0 type dummy 2>/dev/null; grep CapEff /proc/self/status | tr -d '\\t'", with(func(c *corev1.Container) {
				c.SecurityContext = &corev1.SecurityContext{Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}, Add: []corev1.Capability{"NET_ADMIN", "CHOWN"}}}
			})), workload.Payload{})
			if got := p.output(); got != "CapEff:0000000000001001\n" {
				e.Errorf("got %q", got)
			}
		}},
		{name: "the default seccomp profile is there, and Unconfined takes it away", run: func(e *env) {
			for profile, want := range map[corev1.SeccompProfileType]string{corev1.SeccompProfileTypeRuntimeDefault: "Seccomp:2\n", corev1.SeccompProfileTypeUnconfined: "Seccomp:0\n"} {
				p := e.run(e.pod("grep Seccomp: /proc/self/status | tr -d '\\t'", with(func(c *corev1.Container) {
					c.SecurityContext = &corev1.SecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: profile}}
				})), workload.Payload{})
				if got := p.output(); got != want {
					e.Errorf("with %s: got %q", profile, got)
				}
			}
		}},
	}
}

// refusals are pods that a policy that allows nothing refuses, by the field that the refusal names.
func refusals() map[string]option {
	yes := true
	security := func(s corev1.SecurityContext) option {
		return with(func(c *corev1.Container) { c.SecurityContext = &s })
	}
	return map[string]option{
		"spec.containers[0].securityContext.privileged":          security(corev1.SecurityContext{Privileged: &yes}),
		"spec.containers[0].securityContext.capabilities.add[0]": security(corev1.SecurityContext{Capabilities: &corev1.Capabilities{Add: []corev1.Capability{"SYS_ADMIN"}}}),
		"spec.containers[0].securityContext.seccompProfile.type": security(corev1.SecurityContext{SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeUnconfined}}),
		"spec.hostNetwork": func(p *corev1.Pod) { p.Spec.HostNetwork = true },
		"spec.hostPID":     func(p *corev1.Pod) { p.Spec.HostPID = true },
		"spec.hostIPC":     func(p *corev1.Pod) { p.Spec.HostIPC = true },
		"spec.containers[0].ports[0].hostPort": with(func(c *corev1.Container) {
			c.Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: 8080}}
		}),
		"spec.securityContext.sysctls[0].name": func(p *corev1.Pod) {
			p.Spec.SecurityContext = &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{{Name: "net.core.somaxconn", Value: "100"}}}
		},
		"spec.volumes[0].hostPath": volume("host", "/host", corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/etc"}}),
	}
}

// Policies: a backend allows none of what reaches its machine unless it says so.
func policyCases() []testCase {
	return []testCase{
		{name: "what policy does not allow is refused by the field's name", run: func(e *env) {
			for field, change := range refusals() {
				pod := e.pod("exit 0", change)
				workload.Default(pod)
				err := workload.Check(pod, e.backend().Abilities(), v1alpha1.BackendPolicy{})
				if refusal, ok := workload.IsRefusal(err); !ok || !strings.HasPrefix(refusal.Field, field) && !strings.HasPrefix(field, refusal.Field) {
					e.Errorf("%s: it was answered by %v", field, err)
				}
			}
		}},
	}
}
