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

package podrun_test

import (
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// TestAPodThatCannotBeReadHasFailed is about a node, or a file system, that lost its power: of a spec that was just written nothing may be
// left.
func TestAPodThatCannotBeReadHasFailed(t *testing.T) {
	for name, lose := range map[string]func(*job) error{
		"it is empty":     func(j *job) error { return os.Truncate(j.dir.Spec(), 0) },
		"it is cut short": func(j *job) error { return os.Truncate(j.dir.Spec(), 100) },
		"it is gone":      func(j *job) error { return os.Remove(j.dir.Spec()) },
		"it holds no pod": func(j *job) error { return os.WriteFile(j.dir.Spec(), []byte("{}\n"), 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t, newBase(t), none(), pod("echo never"))
			if err := lose(j); err != nil {
				t.Fatal(err)
			}
			state := j.run("SLURM_JOB_ID=1")
			if d := state.Decision; d.Phase != corev1.PodFailed || d.Reason != "SpecUnreadable" || d.Message == "" {
				t.Errorf("got %s", asJSON(state))
			}
			if code := j.cmd.ProcessState.ExitCode(); code != 1 {
				t.Errorf("it ended with %d", code)
			}
		})
	}
}

// TestASpecThatComesLateIsRead is about a shared file system that is away for a moment.
func TestASpecThatComesLateIsRead(t *testing.T) {
	j := newJob(t, newBase(t), none(), pod("echo ran"))
	aside := j.dir.Spec() + ".aside"
	if err := os.Rename(j.dir.Spec(), aside); err != nil {
		t.Fatal(err)
	}
	j.start("SLURM_JOB_ID=1").eventually("the claim", func() (bool, string) {
		_, err := j.dir.ReadClaim()
		return err == nil, ""
	})
	if err := os.Rename(aside, j.dir.Spec()); err != nil {
		t.Fatal(err)
	}
	if state := j.ended(); state.Decision.Phase != corev1.PodSucceeded || j.log("main") != "ran\n" {
		t.Errorf("got %s", asJSON(state))
	}
}
