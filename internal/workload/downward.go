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
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// fieldRef is the value of a field of the pod.
func (r *resolver) fieldRef(at string, ref *corev1.ObjectFieldSelector) (string, error) {
	if ref.APIVersion != "" && ref.APIVersion != "v1" {
		return "", refuse(at+".apiVersion", ReasonInvalid, "the fields of a pod are known by version v1 alone")
	}
	if value, ok := podField(r.pod, ref.FieldPath); ok {
		return value, nil
	}
	if slices.Contains(lateFields, ref.FieldPath) {
		return "", refuse(at+".fieldPath", ReasonUnsupported, "%s is not known before the job runs", ref.FieldPath)
	}
	return "", refuse(at+".fieldPath", ReasonInvalid, "%s is no field that the downward API knows", ref.FieldPath)
}

// lateFields are those that the downward API knows and nobody can before the job runs.
var lateFields = []string{"status.podIP", "status.podIPs", "status.hostIP", "status.hostIPs"}

// podField is the value of a field of the pod, as the downward API writes it.
func podField(pod *corev1.Pod, path string) (string, bool) {
	switch path {
	case "metadata.name":
		return pod.Name, true
	case "metadata.namespace":
		return pod.Namespace, true
	case "metadata.uid":
		return string(pod.UID), true
	case "metadata.labels":
		return formatMap(pod.Labels), true
	case "metadata.annotations":
		return formatMap(pod.Annotations), true
	case "spec.nodeName":
		return pod.Spec.NodeName, true
	case "spec.serviceAccountName":
		return pod.Spec.ServiceAccountName, true
	}
	if key, ok := subscript(path, "metadata.labels"); ok {
		return pod.Labels[key], true
	}
	if key, ok := subscript(path, "metadata.annotations"); ok {
		return pod.Annotations[key], true
	}
	return "", false
}

// subscript is the key in a path like metadata.labels['key'].
func subscript(path, field string) (string, bool) {
	key, ok := strings.CutPrefix(path, field+"['")
	if !ok {
		return "", false
	}
	return strings.CutSuffix(key, "']")
}

// formatMap writes labels or annotations as a kubelet does: sorted, quoted, one a line, no newline at the end.
func formatMap(m map[string]string) string {
	var out []byte
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if len(out) > 0 {
			out = append(out, '\n')
		}
		out = append(out, key...)
		out = append(out, '=')
		out = strconv.AppendQuote(out, m[key])
	}
	return string(out)
}

// resourceFieldRef is a request or limit of a container, in units of the divisor, rounded up. c is the container that asks; it may be
// nil where the reference names one.
func (r *resolver) resourceFieldRef(at string, ref *corev1.ResourceFieldSelector, c *corev1.Container) (string, error) {
	if ref.ContainerName != "" {
		c = nil
		eachContainer(&r.pod.Spec, func(_ string, each *corev1.Container) {
			if each.Name == ref.ContainerName {
				c = each
			}
		})
	}
	if c == nil {
		return "", refuse(at+".containerName", ReasonInvalid, "the pod has no container %q", ref.ContainerName)
	}
	resourceName, isLimit, ok := resourceField(ref.Resource)
	if !ok {
		return "", refuse(at+".resource", ReasonInvalid, "%s is no resource that the downward API knows", ref.Resource)
	}
	quantity := c.Resources.Requests[resourceName]
	if isLimit {
		quantity = c.Resources.Limits[resourceName]
		if quantity.IsZero() {
			// A kubelet says what the node can give.
			if quantity, ok = r.allocatable[resourceName]; !ok {
				return "", missing(at+".resource", "container %s sets no limit of %s, and what the backend can give is not known", c.Name, resourceName)
			}
		}
	}
	divisor := ref.Divisor
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	if divisor.Sign() < 0 {
		return "", refuse(at+".divisor", ReasonInvalid, "a divisor can't be negative")
	}
	value, by := quantity.Value(), divisor.Value()
	if resourceName == corev1.ResourceCPU {
		value, by = quantity.MilliValue(), divisor.MilliValue()
	}
	return strconv.FormatInt(int64(math.Ceil(float64(value)/float64(by))), 10), nil
}

// resourceField is the resource that a name like limits.cpu stands for.
func resourceField(field string) (name corev1.ResourceName, isLimit, ok bool) {
	kind, rest, _ := strings.Cut(field, ".")
	name = corev1.ResourceName(rest)
	switch name {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return name, kind == "limits", kind == "limits" || kind == "requests"
	}
	return "", false, false
}
