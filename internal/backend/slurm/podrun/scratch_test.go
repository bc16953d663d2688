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
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
)

// TestACopyOfPodrunnerThatHasNoNameRunsAPod runs podrunner as the batch script does where the shared file system lets nothing be executed.
func TestACopyOfPodrunnerThatHasNoNameRunsAPod(t *testing.T) {
	j := newJob(t, newBase(t), none(), pod("echo ran"))
	const script = `copy=$(mktemp /tmp/podrunner-XXXXXXXXXX) && cp "$1" "$copy" && chmod 700 "$copy" && exec 9<"$copy" && rm -f "$copy" &&
		exec /proc/self/fd/9 run --dir "$2"`
	out, err := as("timeout", "60", "sh", "-c", script, "sh", program(), string(j.dir)).CombinedOutput()
	if err != nil {
		t.Errorf("it ended with %v: %s", err, out)
	}
	state, err := j.dir.ReadState()
	if err != nil || state.Decision.Phase != corev1.PodSucceeded || j.log("main") != "ran\n" {
		t.Errorf("got %s, %v: %s", asJSON(state), err, out)
	}
	j.nothingLeft()
	j.noScratch()
}

// TestTheDirectoryOfAJobThatWasKilledIsRemovedWhereverItIs is about nodes whose jobs have directories of their own for temporary files.
func TestTheDirectoryOfAJobThatWasKilledIsRemovedWhereverItIs(t *testing.T) {
	base := newBase(t)
	for _, variable := range []string{"TMPDIR", "SLURM_TMPDIR"} {
		t.Run(variable, func(t *testing.T) {
			temp := filepath.Join(string(base), strings.ToLower(variable))
			if err := os.Mkdir(temp, jobdir.DirMode); err != nil {
				t.Fatal(err)
			}
			give(t, temp)
			scratch := func() []string {
				dirs, err := filepath.Glob(filepath.Join(temp, "rj-*"))
				if err != nil {
					t.Fatal(err)
				}
				return dirs
			}
			j := newJob(t, base, none(), pod("echo up; sleep 1000")).start("SLURM_JOB_ID=1", "SLURMD_NODENAME=n1", variable+"="+temp)
			j.untilLogged("main", "up")
			if dirs := scratch(); len(dirs) != 1 {
				t.Fatalf("the job's directories on this node are %v", dirs)
			}
			j.signal(syscall.SIGKILL)
			_ = j.cmd.Wait()
			j.eventually("the job's directory on this node to be gone", func() (bool, string) {
				dirs := scratch()
				return len(dirs) == 0, strings.Join(dirs, "\n")
			})
		})
	}
}
