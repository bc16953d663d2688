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

package slurm

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAJobRunsAsTheUnprivilegedUserAndItsMemoryIsLimited(t *testing.T) {
	dir, err := os.MkdirTemp("", "slurm-") //nolint:usetesting // what t.TempDir makes lies in a directory that lets no other user in
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil { // jobs and munged run as other users
		t.Fatal(err)
	}
	ctx := context.Background()
	c, err := Start(ctx, Options{Dir: filepath.Join(dir, "cluster")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	out := filepath.Join(dir, "out")
	if err := os.WriteFile(out, nil, 0o666); err != nil { // the job's user writes it
		t.Fatal(err)
	}
	if err := os.Chmod(out, 0o666); err != nil {
		t.Fatal(err)
	}
	submit := c.Command(ctx, "setpriv", "--reuid="+c.JobUser.Uid, "--regid="+c.JobUser.Gid, "--clear-groups", "sbatch", "--wait", "--mem=64M",
		"--chdir=/", "--output="+out, "--wrap=id -un; dd if=/dev/zero of=/dev/null bs=256M count=1")
	if b, err := submit.CombinedOutput(); err == nil {
		t.Errorf("a job that used 256 MiB of its 64 MiB succeeded: %s", b)
	}
	got, err := os.ReadFile(out)
	if err != nil || !strings.HasPrefix(string(got), c.JobUser.Username+"\n") {
		t.Errorf("the job wrote %q, %v", got, err)
	}
}
