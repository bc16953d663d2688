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

package sandbox

import (
	"cmp"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// clusterDomain ends the full names of pods, as a kubelet is usually told.
const clusterDomain = "cluster.local"

// Bounds of a name of a machine, in a DNS label and in the kernel.
const (
	maxLabel    = 63
	maxHostname = 64
)

// Hostnames are the pod's own: its short name, and the domain where it has one. The name that the kernel knows is the short one, or the
// full one where the pod asks for it.
func Hostnames(pod *corev1.Pod) (name, domain string, err error) {
	if override := pod.Spec.HostnameOverride; override != nil && *override != "" {
		return *override, "", nil
	}
	name = cmp.Or(pod.Spec.Hostname, pod.Name)
	if len(name) > maxLabel {
		name = strings.TrimRight(name[:maxLabel], "-.")
	}
	if pod.Spec.Subdomain == "" {
		return name, "", nil
	}
	domain = fmt.Sprintf("%s.%s.svc.%s", pod.Spec.Subdomain, pod.Namespace, clusterDomain)
	if pod.Spec.SetHostnameAsFQDN != nil && *pod.Spec.SetHostnameAsFQDN {
		full := name + "." + domain
		if len(full) > maxHostname {
			return "", "", fmt.Errorf("spec.setHostnameAsFQDN: the full name %q is longer than %d characters", full, maxHostname)
		}
		return full, "", nil
	}
	return name, domain, nil
}
