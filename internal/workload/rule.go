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
)

// fate is what becomes of a field of a pod.
type fate string

// The fates of a field.
const (
	// honoured: every backend does what the field says.
	honoured fate = "honoured"
	// needed: backends that have the rule's feature do what it says, the others refuse it.
	needed fate = "needed"
	// welcome: backends that have the rule's feature do what it says; for the others it has no meaning.
	welcome fate = "welcome"
	// meaningless: it says nothing to a job outside the cluster, and is accepted.
	meaningless fate = "meaningless"
	// refused: no backend does what it says.
	refused fate = "refused"
)

// rule says what becomes of one field of a pod.
type rule struct {
	// path of the field, as in spec.containers[*].stdin. A rule for a container or its livenessProbe or preStop hook is also that for init
	// containers, the other probes and the other hook, unless they have their own.
	path string
	fate fate
	// feature that the fates needed and welcome ask for.
	feature Feature
	// parts are values of an honoured field that need a feature of their own, which its check asks for.
	parts []part
	// policy is the field of the backend's policy that the pod is held against, or several with commas between them.
	policy string
	// text says for the docs what is particular about the field: for a refused one the cause, which its refusal says as well.
	text string
	// idle tells whether a value that is set asks for nothing at all, so that it is accepted whatever the fate.
	idle func(c *checker, v reflect.Value) bool
	// idleText says for the docs which values those are.
	idleText string
	// check looks further, at the policy or the value. It is called for values that are not idle.
	check func(c *checker, at string, v reflect.Value) *Refusal
	// whole means that the rule is also that of all fields below.
	whole bool
}

// part is a value, or a kind of value, that a field may have and not every backend can do.
type part struct {
	// name says for the docs which values are meant.
	name    string
	feature Feature
}

// ruleBook is all rules, in the order of the docs.
var ruleBook = slices.Concat(metadataRules, annotationRules, podRules, podSecurityRules, containerRules, probeRules, containerSecurityRules, volumeRules)

// rulesByPath is the rule book by path.
var rulesByPath = func() map[string]*rule {
	out := make(map[string]*rule, len(ruleBook))
	for i := range ruleBook {
		out[ruleBook[i].path] = &ruleBook[i]
	}
	return out
}()

// aliases are the parts of a path whose rules are those of another.
var aliases = []struct{ part, as string }{
	{"spec.initContainers[*]", "spec.containers[*]"},
	{".readinessProbe", ".livenessProbe"},
	{".startupProbe", ".livenessProbe"},
	{".postStart", ".preStop"},
}

// findRule is the rule for a path: its own, else that of the path that it is another name for; nil where there is none.
func findRule(path string) *rule {
	for {
		if r, ok := rulesByPath[path]; ok {
			return r
		}
		next := path
		for _, alias := range aliases {
			if strings.Contains(path, alias.part) {
				next = strings.Replace(path, alias.part, alias.as, 1)
				break
			}
		}
		if next == path {
			return nil
		}
		path = next
	}
}

// isIdle makes an idle function of the values that ask for nothing.
func isIdle[T comparable](values ...T) func(*checker, reflect.Value) bool {
	return func(_ *checker, v reflect.Value) bool {
		value, ok := v.Interface().(T)
		return ok && slices.Contains(values, value)
	}
}

// typed makes a check of a function that takes the field's own type.
func typed[T any](check func(c *checker, at string, v T) *Refusal) func(*checker, string, reflect.Value) *Refusal {
	return func(c *checker, at string, v reflect.Value) *Refusal {
		return check(c, at, v.Interface().(T))
	}
}

// oneOf makes a check of the values that a field may have.
func oneOf[T ~string](values ...T) func(*checker, string, reflect.Value) *Refusal {
	return typed(func(_ *checker, at string, v T) *Refusal {
		if slices.Contains(values, v) {
			return nil
		}
		names := make([]string, len(values))
		for i := range values {
			names[i] = string(values[i])
		}
		return refuse(at, ReasonInvalid, "%q is not one of %s", string(v), strings.Join(names, ", "))
	})
}

// between makes a check of the bounds of a number.
func between(low, high int64) func(*checker, string, reflect.Value) *Refusal {
	return func(_ *checker, at string, v reflect.Value) *Refusal {
		if n := v.Int(); n < low || n > high {
			return refuse(at, ReasonInvalid, "%d is not between %d and %d", n, low, high)
		}
		return nil
	}
}
