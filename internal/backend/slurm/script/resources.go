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

package script

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// ownMemory is what podrunner and the container runtime's helpers take beside the containers. A job's limit counts them too, so it is added
// to what the pod's containers are to have.
const ownMemory = 64 << 20

// resources are what a pod needs in all.
type resources struct {
	milliCPUs, memory int64
	gpus              []gpu
}

// gpu is a number of GPUs of one kind.
type gpu struct {
	// kind is SLURM's type of the device, empty for any.
	kind  string
	count int64
}

func (g gpu) gres() string {
	if g.kind == "" {
		return "gpu:" + strconv.FormatInt(g.count, 10)
	}
	return "gpu:" + g.kind + ":" + strconv.FormatInt(g.count, 10)
}

// resourcesOf are what the pod's containers need in all.
func resourcesOf(spec *corev1.PodSpec) resources {
	total := workload.Total(spec)
	cpu := total[corev1.ResourceCPU]
	memory := total[corev1.ResourceMemory]
	return resources{milliCPUs: cpu.MilliValue(), memory: memory.Value(), gpus: gpusIn(total)}
}

// gpusIn are the GPUs in a list of resources: nvidia.com/gpu, amd.com/gpu and their like, and slices of one (nvidia.com/mig-1g.5gb).
func gpusIn(list corev1.ResourceList) []gpu {
	counts := map[string]int64{}
	for name, quantity := range list {
		domain, device, ok := strings.Cut(string(name), "/")
		if !ok || domain == "" || quantity.IsZero() {
			continue
		}
		if kind, sliced := strings.CutPrefix(device, "mig-"); sliced {
			counts[kind] += quantity.Value()
		} else if device == "gpu" {
			counts[""] += quantity.Value()
		}
	}
	var gpus []gpu
	for kind, count := range counts {
		gpus = append(gpus, gpu{kind, count})
	}
	slices.SortFunc(gpus, func(a, b gpu) int { return cmp.Compare(a.kind, b.kind) })
	return gpus
}

// isGPU tells whether an entry of gres asks for GPUs, or a list of entries has one that does.
func isGPU(gres string) bool {
	for entry := range strings.SplitSeq(gres, ",") {
		name, _, _ := strings.Cut(strings.TrimPrefix(entry, "gres/"), ":")
		if name, _, _ = strings.Cut(name, "="); name == "gpu" {
			return true
		}
	}
	return false
}

// recount sets the number in the only entry of gres that asks for GPUs and leaves their kind. It returns false where there is not one.
func recount(gres string, count int64) (string, bool) {
	entries := strings.Split(gres, ",")
	at := slices.IndexFunc(entries, isGPU)
	if at < 0 || slices.ContainsFunc(entries[at+1:], isGPU) {
		return "", false
	}
	parts := strings.Split(entries[at], ":")
	if last := parts[len(parts)-1]; len(parts) > 1 && last != "" && strings.Trim(last, "0123456789") == "" {
		parts = parts[:len(parts)-1]
	}
	entries[at] = strings.Join(append(parts, strconv.FormatInt(count, 10)), ":")
	return strings.Join(entries, ","), true
}

// mebibytes writes a number of bytes for sbatch's --mem, which knows nothing below 1 MiB.
func mebibytes(bytes int64) string {
	const mebibyte = 1 << 20
	quotient := bytes / mebibyte
	if bytes%mebibyte > 0 {
		quotient++
	}
	return strconv.FormatInt(max(quotient, 1), 10) + "M"
}
