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
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Field is one field of a pod, or one of its annotations, and what becomes of it: a row of the table in docs/pods.md.
type Field struct {
	// Path of the field. The row of a field of containers, of livenessProbe or of preStop is also that of init containers, the other
	// probes and the other hook, where these have no row of their own.
	Path string
	// Whole means that the row is also that of all fields below.
	Whole bool
	// Text says what is particular about the field, Policy which field of a backend's policy it goes by (or several, with commas between them), and Accepted which values ask for
	// nothing and are taken by every backend. Each may be empty.
	Text, Policy, Accepted string

	rule *rule
	// above are the rules of the fields that it is in.
	above []*rule
}

// Fate is what becomes of a field on one backend.
type Fate string

// The fates of a field on a backend.
const (
	// Honoured means that the backend does what the field says.
	Honoured Fate = "honoured"
	// Refused means that a pod that sets the field is not taken, and told so by the field's name.
	Refused Fate = "refused"
	// NoMeaning means that the field says nothing to a job on that backend, and is accepted.
	NoMeaning Fate = "no meaning"
)

// Verdict is what becomes of a field on one backend, and why.
type Verdict struct {
	Fate Fate
	// Lacks is the feature for want of which the backend refuses the field, or does not mind it; empty where no backend does otherwise.
	Lacks Feature
	// RefusedParts are those values of an honoured field that are refused.
	RefusedParts []string
}

// On says what becomes of the field on a backend.
func (f Field) On(a Abilities) Verdict {
	if f.rule == nil {
		return Verdict{Fate: Refused}
	}
	for _, r := range append(slices.Clone(f.above), f.rule) {
		if r.refusedBy(a) {
			return Verdict{Fate: Refused, Lacks: r.feature}
		}
	}
	r := f.rule
	if r.fate == meaningless || r.fate == welcome && !a.Has(r.feature) {
		return Verdict{Fate: NoMeaning, Lacks: r.feature}
	}
	v := Verdict{Fate: Honoured}
	for _, part := range r.parts {
		if !a.Has(part.feature) {
			v.RefusedParts = append(v.RefusedParts, part.name)
		}
	}
	return v
}

func (r *rule) refusedBy(a Abilities) bool {
	return r.fate == refused || r.fate == needed && !a.Has(r.feature)
}

// rulesAbove are the rules of the fields that a field is in.
func rulesAbove(path string) []*rule {
	var above []*rule
	for {
		dot := strings.LastIndexByte(path, '.')
		if dot < 0 {
			return above
		}
		path = path[:dot]
		for _, at := range []string{path, strings.TrimSuffix(path, "[*]")} {
			if r := findRule(at); r != nil {
				above = append(above, r)
				break
			}
		}
	}
}

// jobScriptRule is that of the script that may come beside a pod: see CheckJobScript.
var jobScriptRule = rule{
	path: "jobScript", fate: needed, feature: FeatureJobScript, policy: "allowScripts",
	text: "not a field of the pod: interLink may send a script beside it",
}

// Fields lists all fields of a pod that a rule or a value of their own decides about, in the order of the Go types, then the annotations
// that mean something, and what comes beside a pod. A field of the Go types that no rule is known for is among them, as refused.
func Fields() []Field {
	var out []Field
	seen := map[string]bool{}
	add := func(path string, r *rule) {
		if r != nil {
			path = r.path
		}
		if seen[path] {
			return
		}
		seen[path] = true
		f := Field{Path: path, rule: r, Text: "this operator does not know the field"}
		if strings.HasPrefix(path, "spec.") {
			f.above = rulesAbove(path)
		}
		if r != nil {
			f.Whole, f.Text, f.Policy, f.Accepted = r.whole, r.text, r.policy, r.idleText
		}
		out = append(out, f)
	}
	eachField(reflect.TypeFor[corev1.Pod](), "", func(path string, leaf bool) {
		if r := findRule(path); r != nil || leaf {
			add(path, r)
		}
	})
	for i := range annotationRules {
		add("", &annotationRules[i])
	}
	add("", &jobScriptRule)
	return out
}

// eachField calls f with the path of each field of a type, and whether it is one that holds a value rather than further fields.
func eachField(t reflect.Type, path string, f func(path string, leaf bool)) {
	for i := range t.NumField() {
		field := t.Field(i)
		at := path
		if name := jsonName(field); name != "" {
			at = strings.TrimPrefix(path+"."+name, ".")
		}
		inner := field.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		below := at
		if inner.Kind() == reflect.Slice && isStruct(inner.Elem()) {
			inner, below = inner.Elem(), at+"[*]"
		}
		if !isStruct(inner) {
			f(at, true)
			continue
		}
		if at != path {
			f(at, false)
		}
		// A struct that can hold another of its own kind would go on for ever; a pod has none, but for what rules cover as a whole.
		if r := findRule(at); r == nil || !r.whole {
			eachField(inner, below, f)
		}
	}
}
