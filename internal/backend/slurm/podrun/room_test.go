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
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/test/harness/skip"
)

// TestAJobThatBeginsWhereThereIsNoRoomWaitsForSome has nothing lost that was submitted before the file system was full.
func TestAJobThatBeginsWhereThereIsNoRoomWaitsForSome(t *testing.T) {
	base := newBase(t)
	smallJobs(t, base, "size=2m")
	j := newJob(t, base, none(), pod("echo ran"))
	give(t, base.Jobs())
	full := filepath.Join(base.Jobs(), "full")
	if err := fill(full); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	cmd := as(program(), "run", "--dir", string(j.dir))
	cmd.Env = append(cmd.Env, "SLURM_JOB_ID=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	said, waited := "", false
	for lines := bufio.NewScanner(out); lines.Scan(); {
		said += lines.Text() + "\n"
		if strings.Contains(lines.Text(), "waiting for room") {
			waited = true
			if err := os.Remove(full); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err != nil || !waited {
		t.Fatalf("it ended with %v, waited: %v, and said:\n%s", err, waited, said)
	}
	state, err := j.dir.ReadState()
	if err != nil || !state.Finished || state.Decision.Phase != corev1.PodSucceeded {
		t.Errorf("got %s, %v", asJSON(state), err)
	}
	if got := j.log("main"); got != "ran\n" {
		t.Errorf("the log is %q", got)
	}
}

// smallJobs has the jobs' directories on a file system of their own.
func smallJobs(t *testing.T, base jobdir.Base, size string) {
	t.Helper()
	if os.Geteuid() != 0 {
		skip.Lacking(t, "it takes root to mount a small file system")
	}
	if err := syscall.Mount("tmpfs", base.Jobs(), "tmpfs", 0, size+",mode=0700"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(base.Jobs(), syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// fill writes a file until there is no room for a byte more.
func fill(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	for block := make([]byte, 4096); ; {
		if _, err := f.Write(block); err != nil {
			return err
		}
	}
}
