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

package workload_test

import (
	"regexp"
	"testing"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// The tokens of jobs that run must never change: a manager of a newer version would not find them again.
func TestTokensStayWhatTheyAre(t *testing.T) {
	if got, want := workload.PodToken("ledger", "default", "uid"), "rj-1ff2df2e364a93f3d28c53c1fc98fa40"; got != want {
		t.Errorf("PodToken is %s, was %s", got, want)
	}
	if got, want := workload.JobToken("ledger", "uid"), "rj-f33250c6e2e8201aafb356efd5a7a869"; got != want {
		t.Errorf("JobToken is %s, was %s", got, want)
	}
}

func TestTokensDifferWhereverAPartDiffers(t *testing.T) {
	form := regexp.MustCompile(`^rj-[0-9a-f]{32}$`)
	seen := map[string]string{}
	for what, token := range map[string]string{
		"a pod":                         workload.PodToken("l", "ns", "u"),
		"another ledger":                workload.PodToken("k", "ns", "u"),
		"another namespace":             workload.PodToken("l", "nt", "u"),
		"another UID":                   workload.PodToken("l", "ns", "v"),
		"a letter moved to the right":   workload.PodToken("l", "n", "su"),
		"a letter moved to the left":    workload.PodToken("ln", "s", "u"),
		"a job":                         workload.JobToken("l", "u"),
		"a job, all in its UID":         workload.JobToken("l", "nsu"),
		"empty parts":                   workload.PodToken("", "", ""),
		"a job of empty parts":          workload.JobToken("", ""),
		"a separator in the namespace":  workload.PodToken("l", "ns/u", ""),
		"a NUL byte in the namespace":   workload.PodToken("l", "ns\x00u", ""),
		"a pod that is named like jobs": workload.PodToken("job", "l", "u"),
	} {
		if !form.MatchString(token) {
			t.Errorf("the token of %s is %q", what, token)
		}
		if other, ok := seen[token]; ok {
			t.Errorf("%s and %s have the same token", what, other)
		}
		seen[token] = what
	}
}
