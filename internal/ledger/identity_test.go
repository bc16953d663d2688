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

package ledger_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
)

func TestNamesArePinned(t *testing.T) {
	// What is in a ledger must be found by every later version.
	if got, want := ledger.Name("default", "rich", "a5b3b46d-5c71-4980-8ff1-2763677acf6d"), "rich-3hvrvx223g7qvhmj"; got != want {
		t.Errorf("the name is %q, want %q", got, want)
	}
}

func TestPodsWithTheSameNameOrUIDGetDifferentNames(t *testing.T) {
	seen := map[string]string{}
	for _, pod := range [][3]string{
		{"a", "pod", "1"}, {"b", "pod", "1"}, {"a", "pod2", "1"}, {"a", "pod", "2"}, {"ap", "od", "1"}, {"a", "p", "od1"},
		{"a", "pod.x", "1"}, {"a", "pod-x", "1"},
	} {
		name := ledger.Name(pod[0], pod[1], types.UID(pod[2]))
		if other, ok := seen[name]; ok {
			t.Errorf("%v and %v are both called %s", pod, other, name)
		}
		seen[name] = pod[1]
	}
}

func FuzzName(f *testing.F) {
	f.Add("default", "rich", "a5b3b46d-5c71-4980-8ff1-2763677acf6d")
	f.Add("", "", "")
	f.Add("ns", "..--UPPER..", "test-uid")
	f.Add("ns", "a-very-long-name-of-a-pod-that-is-cut.at-a-dash-or-dot-------------------------------------x", "u")
	f.Fuzz(func(t *testing.T, namespace, name, uid string) {
		got := ledger.Name(namespace, name, types.UID(uid))
		if problems := validation.IsDNS1123Label(got); len(problems) > 0 {
			t.Errorf("%q is no name for an object: %v", got, problems)
		}
		if got != ledger.Name(namespace, name, types.UID(uid)) {
			t.Errorf("the name of one pod changes")
		}
		if got == ledger.Name(namespace, name, types.UID(uid+"x")) || got == ledger.Name(namespace+"x", name, types.UID(uid)) || got == ledger.Name(namespace, name+"x", types.UID(uid)) {
			t.Errorf("two pods share the name %q", got)
		}
		if problems := validation.IsValidLabelValue(ledger.LabelValue(uid)); len(problems) > 0 || ledger.LabelValue(uid) == "" {
			t.Errorf("%q is no label value: %v", ledger.LabelValue(uid), problems)
		}
	})
}
