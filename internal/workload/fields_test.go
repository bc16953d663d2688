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
	"slices"
	"testing"
)

// allAbilities are those of a backend that can do everything.
func allAbilities() Abilities {
	a := Abilities{Backend: "All", Features: map[Feature]bool{}}
	for _, f := range AllFeatures {
		a.Features[f] = true
	}
	return a
}

func fieldOf(t *testing.T, path string) Field {
	t.Helper()
	i := slices.IndexFunc(Fields(), func(f Field) bool { return f.Path == path })
	if i < 0 {
		t.Fatalf("there is no row for %s", path)
	}
	return Fields()[i]
}

func TestWhatBecomesOfAFieldDependsOnTheBackend(t *testing.T) {
	none := Abilities{Backend: "None"}
	for _, tt := range []struct {
		path      string
		none, all Fate
	}{
		{"spec.restartPolicy", Honoured, Honoured},
		{"spec.hostNetwork", Refused, Honoured},
		{"spec.affinity", NoMeaning, NoMeaning},
		{"spec.runtimeClassName", Refused, Refused},
		{"metadata.annotations[slurm-job.vk.io/flags]", NoMeaning, Honoured},
		{"jobScript", Refused, Honoured},
		// Fields below one that is refused are refused with it.
		{"spec.containers[*].livenessProbe.periodSeconds", Refused, Honoured},
		{"spec.containers[*].lifecycle.preStop.sleep.seconds", Refused, Honoured},
		{"spec.volumes[*].hostPath.path", Refused, Honoured},
		{"spec.volumes[*].configMap.name", Honoured, Honoured},
	} {
		f := fieldOf(t, tt.path)
		if got := f.On(none); got.Fate != tt.none {
			t.Errorf("%s is %+v on a backend that can do nothing particular, want %s", tt.path, got, tt.none)
		}
		if got := f.On(allAbilities()); got.Fate != tt.all || got.Lacks != "" || len(got.RefusedParts) > 0 {
			t.Errorf("%s is %+v on a backend that can do everything, want %s", tt.path, got, tt.all)
		}
	}
}

func TestPartsOfAFieldMayBeRefused(t *testing.T) {
	f := fieldOf(t, "spec.containers[*].resources.limits")
	got := f.On(Abilities{Features: map[Feature]bool{FeatureGPUs: true}})
	if got.Fate != Honoured || !slices.Equal(got.RefusedParts, []string{"ephemeral-storage"}) {
		t.Errorf("limits are %+v", got)
	}
}

func TestWhatABackendLacksIsNamed(t *testing.T) {
	for path, want := range map[string]Feature{
		"spec.containers[*].livenessProbe.periodSeconds": FeatureProbes,
		"spec.hostNetwork": FeatureHostNetwork,
		"metadata.annotations[slurm-job.vk.io/flavor]": FeatureSlurmFlags,
		"spec.affinity":         "",
		"spec.runtimeClassName": "",
	} {
		if got := fieldOf(t, path).On(Abilities{}); got.Lacks != want {
			t.Errorf("%s: %+v, want for lack of %q", path, got, want)
		}
	}
}

func TestNoFieldHasTwoRows(t *testing.T) {
	seen := map[string]bool{}
	for _, f := range Fields() {
		if seen[f.Path] {
			t.Errorf("%s has two rows", f.Path)
		}
		seen[f.Path] = true
		if f.rule == nil {
			t.Errorf("%s has no rule", f.Path)
		}
	}
	for _, r := range ruleBook {
		if !seen[r.path] {
			t.Errorf("the rule of %s has no row", r.path)
		}
	}
}
