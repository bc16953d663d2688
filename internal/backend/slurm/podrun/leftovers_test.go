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

package podrun

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
)

// TestTheDirectoriesOfOtherNodesAreLeftAlone is about a TMPDIR that nodes share: whether another's podrunners run is not to be seen here.
func TestTheDirectoriesOfOtherNodesAreLeftAlone(t *testing.T) {
	place := t.TempDir()
	t.Setenv("TMPDIR", place)
	t.Setenv("SLURMD_NODENAME", "n1")
	scratch := func(node string) string {
		return filepath.Join(place, scratchName("rj-0123456789abcdef0123456789abcdef")+"-"+nodeHash(node)+"-0")
	}
	for _, node := range []string{"n1", "n2"} {
		if err := os.Mkdir(scratch(node), jobdir.DirMode); err != nil {
			t.Fatal(err)
		}
	}
	removeScratch(os.Getuid())
	if _, err := os.Stat(scratch("n1")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("that of this node: %v", err)
	}
	if _, err := os.Stat(scratch("n2")); err != nil {
		t.Errorf("that of another node: %v", err)
	}
}

func TestWhatPodrunnerRunsIsKnownByItsArguments(t *testing.T) {
	const token = "rj-0123456789abcdef0123456789abcdef"
	for _, c := range []struct {
		args        []string
		runs, holds string
	}{
		{args: []string{"/base/bin/podrunner-0a-amd64", "run", "--dir", "/base/jobs/" + token}, runs: token},
		{args: []string{"/proc/self/fd/9", "run", "--dir", "/base/jobs/" + token}, runs: token},
		{args: []string{"/proc/7/exe", "rank", "--dir=/base/jobs/" + token, "--container", "main"}, runs: token},
		{args: []string{"podrunner", "logs", "--dir", "/base/jobs/" + token}},
		{args: []string{"docker", "run", "--dir", "/base/" + token}},
		{args: []string{"podrunner", "agent", "--token=" + token, "/tmp/s"}, holds: token},
		{args: []string{"/proc/7/exe", "agent", "--token=" + token, "/tmp/s"}, holds: token},
		{args: []string{"/usr/bin/ssh", "agent", "--token=" + token, "/tmp/s"}},
	} {
		if got := runs(c.args); got != c.runs {
			t.Errorf("%q runs %q, want %q", c.args, got, c.runs)
		}
		if got := tokenIn(c.args, os.Getpid()); got != c.holds {
			t.Errorf("%q is of %q, want %q", c.args, got, c.holds)
		}
	}
}
