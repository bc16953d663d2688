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
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Causes of the security fields that no backend honours.
const (
	textSELinux  = "labels of SELinux are not supported"
	textAppArmor = "profiles of AppArmor other than the runtime's own are not supported"
	textWindows  = "jobs run on Linux"
	textSeccomp  = "a Localhost profile is a file of a kubelet's machine, and there is none here"
)

var (
	checkID     = between(0, math.MaxInt32)
	idleFalse   = isIdle(false)
	idleProfile = isIdle(corev1.AppArmorProfileTypeRuntimeDefault)
)

// podSecurityRules are those of v1.PodSecurityContext.
var podSecurityRules = []rule{
	{path: "spec.securityContext.seLinuxOptions", fate: refused, text: textSELinux, whole: true},
	{path: "spec.securityContext.windowsOptions", fate: refused, text: textWindows, whole: true},
	{path: "spec.securityContext.runAsUser", fate: needed, feature: FeatureSecurityContext, policy: "allowRoot", check: checkID},
	{path: "spec.securityContext.runAsGroup", fate: needed, feature: FeatureSecurityContext, check: checkID},
	{path: "spec.securityContext.runAsNonRoot", fate: needed, feature: FeatureSecurityContext, idle: idleFalse, idleText: "false"},
	{path: "spec.securityContext.supplementalGroups", fate: needed, feature: FeatureSecurityContext, check: typed(checkGroups)},
	{
		path: "spec.securityContext.supplementalGroupsPolicy", fate: refused, text: "the groups that an image gives its user can't be left out",
		idle: isIdle(corev1.SupplementalGroupsPolicyMerge), idleText: "Merge",
	},
	{path: "spec.securityContext.fsGroup", fate: needed, feature: FeatureSecurityContext, check: checkID},
	{path: "spec.securityContext.sysctls", fate: needed, feature: FeatureSysctls, whole: true, policy: "allowPrivileged", text: "those that a kubelet calls safe need no policy", check: typed(checkSysctls)},
	{path: "spec.securityContext.fsGroupChangePolicy", fate: meaningless, text: "a job's volumes are made for it, with the group that they shall have"},
	{path: "spec.securityContext.seccompProfile.type", fate: needed, feature: FeatureSecurityContext, policy: "allowPrivileged", text: "Unconfined needs the policy", check: typed(checkSeccomp)},
	{path: "spec.securityContext.seccompProfile.localhostProfile", fate: refused, text: textSeccomp},
	{path: "spec.securityContext.appArmorProfile.type", fate: refused, text: textAppArmor, idle: idleProfile, idleText: "RuntimeDefault"},
	{path: "spec.securityContext.appArmorProfile.localhostProfile", fate: refused, text: textAppArmor},
	{path: "spec.securityContext.seLinuxChangePolicy", fate: meaningless, text: "no labels of SELinux are set"},
}

// containerSecurityRules are those of v1.SecurityContext.
var containerSecurityRules = []rule{
	{path: "spec.containers[*].securityContext.capabilities.add", fate: needed, feature: FeatureSecurityContext, policy: "allowPrivileged", text: "those that containers have anyway need no policy", check: typed(checkCapabilities)},
	{path: "spec.containers[*].securityContext.capabilities.drop", fate: needed, feature: FeatureSecurityContext},
	{path: "spec.containers[*].securityContext.privileged", fate: needed, feature: FeaturePrivileged, policy: "allowPrivileged", idle: idleFalse, idleText: "false", check: privileged("privileged containers")},
	{path: "spec.containers[*].securityContext.seLinuxOptions", fate: refused, text: textSELinux, whole: true},
	{path: "spec.containers[*].securityContext.windowsOptions", fate: refused, text: textWindows, whole: true},
	{path: "spec.containers[*].securityContext.runAsUser", fate: needed, feature: FeatureSecurityContext, policy: "allowRoot", check: checkID},
	{path: "spec.containers[*].securityContext.runAsGroup", fate: needed, feature: FeatureSecurityContext, check: checkID},
	{path: "spec.containers[*].securityContext.runAsNonRoot", fate: needed, feature: FeatureSecurityContext, idle: idleFalse, idleText: "false"},
	{path: "spec.containers[*].securityContext.readOnlyRootFilesystem", fate: needed, feature: FeatureSecurityContext, idle: idleFalse, idleText: "false"},
	{path: "spec.containers[*].securityContext.allowPrivilegeEscalation", fate: needed, feature: FeatureSecurityContext, idle: isIdle(true), idleText: "true", check: typed(checkEscalation)},
	{path: "spec.containers[*].securityContext.procMount", fate: refused, text: "an unmasked /proc is not supported", idle: isIdle(corev1.DefaultProcMount), idleText: "Default"},
	{path: "spec.containers[*].securityContext.seccompProfile.type", fate: needed, feature: FeatureSecurityContext, policy: "allowPrivileged", text: "Unconfined needs the policy", check: typed(checkSeccomp)},
	{path: "spec.containers[*].securityContext.seccompProfile.localhostProfile", fate: refused, text: textSeccomp},
	{path: "spec.containers[*].securityContext.appArmorProfile.type", fate: refused, text: textAppArmor, idle: idleProfile, idleText: "RuntimeDefault"},
	{path: "spec.containers[*].securityContext.appArmorProfile.localhostProfile", fate: refused, text: textAppArmor},
}

// defaultCapabilities are those that container engines give to containers that ask for none.
var defaultCapabilities = []corev1.Capability{
	"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID",
	"SETPCAP", "SETUID", "SYS_CHROOT",
}

func checkCapabilities(c *checker, at string, add []corev1.Capability) *Refusal {
	for i, capability := range add {
		name := corev1.Capability(strings.TrimPrefix(strings.ToUpper(string(capability)), "CAP_"))
		if !slices.Contains(defaultCapabilities, name) && !c.policy.AllowPrivileged {
			return c.needsPrivileged(index(at, i), "the capability "+string(capability))
		}
	}
	return nil
}

func checkEscalation(c *checker, at string, _ bool) *Refusal {
	security := c.container.SecurityContext
	if isTrue(security.Privileged) {
		return refuse(at, ReasonInvalid, "it can't be false for a privileged container")
	}
	if security.Capabilities != nil && slices.Contains(security.Capabilities.Add, "CAP_SYS_ADMIN") {
		return refuse(at, ReasonInvalid, "it can't be false for a container with the capability CAP_SYS_ADMIN")
	}
	return nil
}

func checkSeccomp(c *checker, at string, profile corev1.SeccompProfileType) *Refusal {
	switch profile {
	case corev1.SeccompProfileTypeRuntimeDefault:
		return nil
	case corev1.SeccompProfileTypeUnconfined:
		return c.needsPrivileged(at, "containers without a seccomp profile")
	case corev1.SeccompProfileTypeLocalhost:
		return refuse(at, ReasonUnsupported, textSeccomp)
	}
	return refuse(at, ReasonInvalid, "%q is not one of RuntimeDefault, Unconfined", profile)
}

func checkGroups(_ *checker, at string, groups []int64) *Refusal {
	for i, group := range groups {
		if group < 0 || group > math.MaxInt32 {
			return refuse(index(at, i), ReasonInvalid, "%d is not between 0 and %d", group, math.MaxInt32)
		}
	}
	return nil
}

// safeSysctls are those that a kubelet lets any pod set: they belong to the pod's own namespaces and touch no other pod.
var safeSysctls = []string{
	"kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.tcp_syncookies", "net.ipv4.ping_group_range",
	"net.ipv4.ip_unprivileged_port_start", "net.ipv4.ip_local_reserved_ports", "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_fin_timeout",
	"net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes", "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem",
	"net.ipv4.tcp_slow_start_after_idle", "net.ipv4.tcp_notsent_lowat",
}

// sysctlName is how the API server wants them.
var sysctlName = regexp.MustCompile(`^([a-z0-9][-_a-z0-9]*[a-z0-9]?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?$`)

func checkSysctls(c *checker, at string, sysctls []corev1.Sysctl) *Refusal {
	seen := map[string]bool{}
	for i, sysctl := range sysctls {
		at := index(at, i) + ".name"
		name := strings.ReplaceAll(sysctl.Name, "/", ".")
		network, ipc := strings.HasPrefix(name, "net."), namespacedIPC(name)
		switch {
		case len(sysctl.Name) > 253 || !sysctlName.MatchString(sysctl.Name):
			return refuse(at, ReasonInvalid, "%q is no name of a sysctl", sysctl.Name)
		case seen[name]:
			return refuse(at, ReasonInvalid, "%s is set twice", sysctl.Name)
		case !network && !ipc:
			return refuse(at, ReasonUnsupported, "%s is not the pod's own but the whole machine's", sysctl.Name)
		case network && c.pod.Spec.HostNetwork:
			return refuse(at, ReasonInvalid, "%s can't be set in a pod with hostNetwork", sysctl.Name)
		case ipc && c.pod.Spec.HostIPC:
			return refuse(at, ReasonInvalid, "%s can't be set in a pod with hostIPC", sysctl.Name)
		case !c.policy.AllowPrivileged && !slices.Contains(safeSysctls, name):
			return forbidden(at, "allowPrivileged is false", "the sysctl %s", sysctl.Name)
		}
		seen[name] = true
	}
	return nil
}

// namespacedIPC tells whether a sysctl belongs to a pod's own IPC namespace.
func namespacedIPC(name string) bool {
	return strings.HasPrefix(name, "kernel.shm") || strings.HasPrefix(name, "kernel.msg") || name == "kernel.sem" || strings.HasPrefix(name, "fs.mqueue.")
}
