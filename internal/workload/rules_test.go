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
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// It fails when k8s.io/api adds a field: write a rule that says what becomes of it.
func TestEveryFieldOfAPodHasARule(t *testing.T) {
	n := 0
	eachField(reflect.TypeFor[corev1.Pod](), "", func(path string, leaf bool) {
		n++
		rule := findRule(path)
		if leaf && rule == nil {
			t.Errorf("%s has no rule", path)
		}
		// The fields that people look for have a row of their own in the docs, be they structs.
		if parent := path[:max(strings.LastIndexByte(path, '.'), 0)]; rule == nil && (parent == "spec" || parent == "spec.containers[*]") && !hasRulesBelow(path) {
			t.Errorf("%s has no rule, nor has any field below", path)
		}
	})
	if n < 400 {
		t.Errorf("the walk found %d fields only", n)
	}
}

func hasRulesBelow(path string) bool {
	return slices.ContainsFunc(ruleBook, func(r rule) bool { return strings.HasPrefix(r.path, path+".") || strings.HasPrefix(r.path, path+"[") })
}

func TestEveryRuleIsThatOfAField(t *testing.T) {
	known := map[string]bool{}
	eachField(reflect.TypeFor[corev1.Pod](), "", func(path string, _ bool) { known[path] = true })
	for _, rule := range ruleBook {
		if !known[rule.path] && !strings.HasPrefix(rule.path, "metadata.annotations[") {
			t.Errorf("%s is no field of a pod", rule.path)
		}
	}
}

func TestRulesAreWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, rule := range ruleBook {
		if seen[rule.path] {
			t.Errorf("%s has two rules", rule.path)
		}
		seen[rule.path] = true
		if rule.fate == refused && rule.text == "" {
			t.Errorf("%s is refused without a cause", rule.path)
		}
		if (rule.fate == needed || rule.fate == welcome) != (rule.feature != "") {
			t.Errorf("%s is %s with feature %q", rule.path, rule.fate, rule.feature)
		}
		if rule.fate == meaningless && rule.text == "" {
			t.Errorf("%s is meaningless without a reason", rule.path)
		}
		if (rule.idle == nil) != (rule.idleText == "") {
			t.Errorf("%s accepts some values and does not say which, or says so and does not", rule.path)
		}
		if rule.feature != "" && !slices.Contains(AllFeatures, rule.feature) {
			t.Errorf("%s needs a feature that AllFeatures does not list: %s", rule.path, rule.feature)
		}
		for name := range strings.SplitSeq(rule.policy, ", ") {
			if name != "" && !policyField(name) {
				t.Errorf("%s goes by %s, which is no field of a policy", rule.path, name)
			}
		}
	}
}

func policyField(name string) bool {
	t := reflect.TypeOf(checker{}.policy)
	for i := range t.NumField() {
		if jsonName(t.Field(i)) == name {
			return true
		}
	}
	return false
}

// Every feature is asked for by some rule, or by a check of one.
func TestEveryFeatureIsAskedFor(t *testing.T) {
	asked := map[Feature]bool{jobScriptRule.feature: true}
	for _, rule := range ruleBook {
		asked[rule.feature] = true
		for _, part := range rule.parts {
			asked[part.feature] = true
		}
	}
	for _, feature := range AllFeatures {
		if !asked[feature] {
			t.Errorf("nothing asks for %s", feature)
		}
	}
}

func TestAFieldThatNobodyKnowsIsRefused(t *testing.T) {
	type newer struct {
		Future string `json:"future"`
	}
	c := &checker{pod: &corev1.Pod{}}
	refusal := c.walk("spec", "spec", reflect.ValueOf(&newer{Future: "x"}))
	if refusal == nil || refusal.Field != "spec.future" {
		t.Errorf("the refusal is %v", refusal)
	}
	if refusal := c.walk("spec", "spec", reflect.ValueOf(&newer{})); refusal != nil {
		t.Errorf("a field that is not set is refused: %v", refusal)
	}
}
