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

package queue

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

var sinfoFormat = format("%N", "%a", "%T", "%c", "%m", "%G")

// SinfoArgs is the command that lists the nodes, once for each partition.
func SinfoArgs() []string {
	return []string{"sinfo", "--noheader", "--Node", "--format=" + sinfoFormat}
}

// Node is a node as a partition has it.
type Node struct {
	Name string
	// Up tells whether the partition takes jobs.
	Up bool
	// State is SLURM's word, with its marks.
	State string
	CPUs  int64
	// MemoryMiB is what jobs can have.
	MemoryMiB int64
	GPUs      []GPU
}

// GPU is a number of GPUs of one kind.
type GPU struct {
	// Kind is SLURM's type of the device, empty where it has none.
	Kind  string
	Count int64
}

// ParseSinfo reads the answer to SinfoArgs.
func ParseSinfo(output []byte) ([]Node, error) {
	list, err := records("sinfo", output, 6)
	if err != nil {
		return nil, err
	}
	nodes := make([]Node, 0, len(list))
	for _, f := range list {
		n := Node{Name: f[0], Up: f[1] == "up", State: f[2]}
		if n.CPUs, err = count(f[3]); err == nil {
			n.MemoryMiB, err = count(f[4])
		}
		if err == nil {
			n.GPUs, err = parseGPUs(f[5])
		}
		if err != nil {
			return nil, fmt.Errorf("sinfo: node %s: %w", n.Name, err)
		}
		nodes = append(nodes, n)
	}
	return nodes, nil
}

// count reads a number, which has a + where nodes differ.
func count(s string) (int64, error) {
	n, err := strconv.ParseInt(strings.TrimSuffix(s, "+"), 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is no number", s)
	}
	return n, nil
}

// parseGPUs reads the GPUs in a list of generic resources, such as gpu:a100:4(S:0-1),tmp:10G.
func parseGPUs(gres string) ([]GPU, error) {
	var gpus []GPU
	for _, entry := range splitGres(gres) {
		parts := strings.Split(entry, ":")
		if parts[0] != "gpu" {
			continue
		}
		g := GPU{Count: 1}
		if last := parts[len(parts)-1]; len(parts) > 1 {
			n, err := gresCount(last)
			if err == nil {
				g.Count, parts = n, parts[:len(parts)-1]
			} else if len(parts) > 2 {
				return nil, err
			}
		}
		g.Kind = strings.Join(parts[1:], ":")
		gpus = append(gpus, g)
	}
	return gpus, nil
}

// splitGres splits a list at the commas outside of parentheses, and drops what is in these.
func splitGres(gres string) []string {
	var entries []string
	var entry strings.Builder
	depth := 0
	for _, r := range gres {
		switch {
		case r == '(':
			depth++
		case r == ')':
			depth = max(depth-1, 0)
		case depth > 0:
		case r == ',':
			entries = append(entries, entry.String())
			entry.Reset()
		default:
			entry.WriteRune(r)
		}
	}
	return append(entries, entry.String())
}

func gresCount(s string) (int64, error) {
	digits, unit := s, int64(1)
	if n := len(s); n > 1 {
		switch s[n-1] {
		case 'K', 'k':
			digits, unit = s[:n-1], 1<<10
		case 'M', 'm':
			digits, unit = s[:n-1], 1<<20
		}
	}
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is no number of generic resources", s)
	}
	return n * unit, nil
}

// working are the states, without their marks, of nodes that run jobs or can take some.
var working = []string{"allocated", "idle", "mixed", "completing", "planned", "reserved", "power_up", "powering_up", "powered_down"}

// away are the marks of nodes that take no jobs: * does not answer, $ and @ and ^ are in maintenance or about to be rebooted, ! and % power
// down. One that is powered down (~) or powers up (#) takes jobs, and + says that a job is ending, - that the node is planned for one.
const away = "*$@^!%"

// TakesWork tells whether jobs can run on the node.
func (n Node) TakesWork() bool {
	state := strings.ToLower(n.State)
	name := strings.TrimRight(state, away+"~#+-")
	return n.Up && slices.Contains(working, name) && !strings.ContainsAny(state[len(name):], away)
}

// Capacity is what the nodes have that take work, each counted once.
func Capacity(nodes []Node) corev1.ResourceList {
	var cpus, memory int64
	gpus := map[corev1.ResourceName]int64{}
	seen := map[string]bool{}
	for _, n := range nodes {
		if seen[n.Name] || !n.TakesWork() {
			continue
		}
		seen[n.Name] = true
		cpus += n.CPUs
		memory += n.MemoryMiB
		for _, g := range n.GPUs {
			gpus[g.Resource()] += g.Count
		}
	}
	capacity := corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewQuantity(cpus, resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(memory<<20, resource.BinarySI),
	}
	for name, n := range gpus {
		if n > 0 {
			capacity[name] = *resource.NewQuantity(n, resource.DecimalSI)
		}
	}
	return capacity
}

// Resource is the name by which pods ask for such a GPU. Sites choose their own names for kinds; those of AMD's and Intel's devices, and of
// slices, are known by how they begin, and the rest is taken for NVIDIA's.
func (g GPU) Resource() corev1.ResourceName {
	kind := strings.ToLower(g.Kind)
	switch {
	case isSlice(kind):
		return corev1.ResourceName("nvidia.com/mig-" + kind)
	case hasPrefix(kind, "amd", "mi1", "mi2", "mi3", "mi4", "mi5", "mi6", "radeon", "instinct", "gfx", "vega"):
		return "amd.com/gpu"
	case hasPrefix(kind, "intel", "max1", "pvc", "ponte"):
		return "intel.com/gpu"
	}
	return "nvidia.com/gpu"
}

// isSlice tells whether a kind is that of a slice, such as 1g.5gb.
func isSlice(kind string) bool {
	parts, memory, ok := strings.Cut(kind, "g.")
	_, err := strconv.ParseUint(parts, 10, 8)
	return ok && err == nil && strings.Contains(memory, "gb") && strings.Trim(memory, "0123456789gb.me+") == ""
}

func hasPrefix(s string, prefixes ...string) bool {
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}
