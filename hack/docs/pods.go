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

package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// columns are the backends that the table has a column for: a new one is one more line here.
var columns = []workload.Abilities{
	workload.DockerAbilities(),
}

// section is a part of the table.
type section struct {
	title string
	// prefix of the paths of its fields; a field is in the section with the longest one.
	prefix string
	intro  string
}

var sections = []section{
	{"PodSpec", "spec.", "`spec`."},
	{"PodSecurityContext", "spec.securityContext.", "`spec.securityContext`."},
	{"Container", "spec.containers[*].", "`spec.containers[*]` and `spec.initContainers[*]`."},
	{"ContainerPort", "spec.containers[*].ports[*].", "`spec.containers[*].ports[*]`."},
	{"EnvVar and EnvFromSource", "spec.containers[*].env", "`spec.containers[*].env[*]` and `spec.containers[*].envFrom[*]`."},
	{"ResourceRequirements", "spec.containers[*].resources.", "`spec.containers[*].resources`."},
	{"VolumeMount", "spec.containers[*].volumeMounts[*].", "`spec.containers[*].volumeMounts[*]`."},
	{"Probe", "spec.containers[*].livenessProbe.", "`spec.containers[*].livenessProbe`, and `readinessProbe` and `startupProbe` where they have no row of their own."},
	{"Probe", "spec.containers[*].readinessProbe.", ""},
	{"Lifecycle", "spec.containers[*].lifecycle.", "`spec.containers[*].lifecycle`; the fields of `postStart` are those of `preStop`."},
	{"SecurityContext", "spec.containers[*].securityContext.", "`spec.containers[*].securityContext`."},
	{"Volume", "spec.volumes[*].", "`spec.volumes[*]`."},
	{"ProjectedVolumeSource", "spec.volumes[*].projected.", "`spec.volumes[*].projected`."},
	{"Metadata and status", "", "What surrounds the spec of a pod."},
	{"Annotations", "metadata.annotations[", "All other annotations are data: a container can read them through the downward API, and that is all."},
	{"Beside the pod", "jobScript", "What interLink may send together with a pod."},
}

// podFields is the table of what becomes of each field of a pod, on each backend.
func podFields() string {
	rows := map[string][]workload.Field{}
	for _, field := range workload.Fields() {
		s := sectionOf(field.Path)
		rows[s.title] = append(rows[s.title], field)
	}
	var out strings.Builder
	for _, s := range sections {
		if s.intro == "" {
			continue
		}
		fmt.Fprintf(&out, "\n### %s\n\n%s\n\n| field |", s.title, s.intro)
		for _, column := range columns {
			out.WriteString(" " + column.Backend + " |")
		}
		out.WriteString(" what is particular |\n|---|" + strings.Repeat("---|", len(columns)) + "---|\n")
		for _, field := range rows[s.title] {
			out.WriteString("| " + nameOf(s, field) + " |")
			for _, column := range columns {
				out.WriteString(" " + cell(field, column) + " |")
			}
			out.WriteString(strings.TrimRight(" "+particular(field), " ") + " |\n")
		}
	}
	return out.String() + "\n"
}

// sectionOf is the section with the longest prefix that fits.
func sectionOf(path string) section {
	best := section{}
	for _, s := range sections {
		if strings.HasPrefix(path, s.prefix) && (best.title == "" || len(s.prefix) > len(best.prefix)) {
			best = s
		}
	}
	return best
}

// nameOf is a field's path below its section.
func nameOf(s section, f workload.Field) string {
	name := f.Path
	switch {
	case s.title == "Annotations":
		name = strings.TrimSuffix(strings.TrimPrefix(name, s.prefix), "]")
	case strings.HasPrefix(name, s.prefix) && strings.HasSuffix(s.prefix, "."):
		name = strings.TrimPrefix(name, s.prefix)
	case strings.HasPrefix(name, "spec.containers[*]."):
		name = strings.TrimPrefix(name, "spec.containers[*].")
	}
	name = "`" + name + "`"
	if f.Whole {
		name += " and below"
	}
	return name
}

// cell is what becomes of a field on one backend.
func cell(f workload.Field, a workload.Abilities) string {
	v := f.On(a)
	switch {
	case len(v.RefusedParts) > 0:
		return string(v.Fate) + ", but refused: " + strings.Join(v.RefusedParts, ", ")
	case v.Lacks != "":
		return string(v.Fate) + " (lacks " + string(v.Lacks) + ")"
	}
	return string(v.Fate)
}

// particular is what holds on all backends.
func particular(f workload.Field) string {
	var notes []string
	if f.Text != "" {
		notes = append(notes, strings.ReplaceAll(f.Text, "|", "\\|"))
	}
	if f.Policy != "" {
		notes = append(notes, "policy: `"+strings.ReplaceAll(f.Policy, ", ", "`, `")+"`")
	}
	if f.Accepted != "" {
		notes = append(notes, "always accepted: "+f.Accepted)
	}
	return strings.Join(notes, "; ")
}

// policyFields is the table of which fields of a pod go by which field of a backend's policy.
func policyFields() string {
	fields := map[string][]string{}
	var names []string
	for _, f := range workload.Fields() {
		if f.Policy == "" {
			continue
		}
		for name := range strings.SplitSeq(f.Policy, ", ") {
			if _, ok := fields[name]; !ok {
				names = append(names, name)
			}
			fields[name] = append(fields[name], "`"+f.Path+"`")
		}
	}
	slices.Sort(names)
	var out strings.Builder
	out.WriteString("\n| policy | fields of a pod that go by it |\n|---|---|\n")
	for _, name := range names {
		fmt.Fprintf(&out, "| `%s` | %s |\n", name, strings.Join(fields[name], ", "))
	}
	return out.String() + "\n"
}
