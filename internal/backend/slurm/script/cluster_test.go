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

package script

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/queue"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/remote"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
	"github.com/remotejob-dev/remotejob-operator/test/harness/skip"
	"github.com/remotejob-dev/remotejob-operator/test/harness/slurm"
)

// cluster is a real SLURM, a base directory of its job user's, and what stands in for podrunner.
type cluster struct {
	*slurm.Cluster
	runner    remote.Runner
	base      string
	podrunner string
}

// startCluster skips where SLURM can't be had, and says why.
func startCluster(t *testing.T, o slurm.Options) *cluster {
	t.Helper()
	if missing := slurm.Missing(); len(missing) > 0 || os.Getuid() != 0 {
		skip.Lacking(t, "a real SLURM needs root and Debian's packages, and here is user %d without %q", os.Getuid(), missing)
	}
	dir, err := os.MkdirTemp("", "slurm-script-") //nolint:usetesting // t.TempDir lets no other user in
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	o.Dir, o.MessageTimeout = filepath.Join(dir, "cluster"), time.Minute
	started, err := slurm.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := started.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	c := &cluster{Cluster: started, base: filepath.Join(dir, "base 'of' 100%j $x"), podrunner: filepath.Join(dir, "pod runner")}
	if c.runner, err = remote.NewLocal(remote.LocalOptions{User: started.JobUser.Username, Env: append(started.Env(), "SBATCH_COMMENT=not ours", "SQUEUE_STATES=CONFIGURING")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.runner.Close() })
	for _, name := range []string{c.base, jobdir.Base(c.base).OutDir()} {
		c.give(t, os.Mkdir(name, 0o700), name)
	}
	return c
}

// give makes a file the job user's.
func (c *cluster) give(t *testing.T, made error, name string) {
	t.Helper()
	uid, _ := strconv.Atoi(c.JobUser.Uid)
	gid, _ := strconv.Atoi(c.JobUser.Gid)
	if err := errors.Join(made, os.Chown(name, uid, gid)); err != nil {
		t.Fatal(err)
	}
}

// submit submits the job of a workload, whose podrunner does what the shell script says.
func (c *cluster) submit(t *testing.T, w *workload.Workload, does string) (id string, result remote.Result) {
	t.Helper()
	path := c.podrunner + w.Token
	c.give(t, os.WriteFile(path, []byte("#!/bin/sh\n[ \"$1\" = version ] && exit 0\n"+does+"\n"), 0o700), path)
	job, err := Make(Input{
		Workload: w, Podrunner: map[string]string{AnyArch: path},
		Spec: &v1alpha1.SlurmBackend{BaseDirectory: c.base, AllowedFlags: []string{"--partition", "--mem", "--hold", "--begin", "--cpus-per-task", "--nodes", "--ntasks"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if result, err = c.runner.Run(t.Context(), remote.Shell(SubmitScript+` "$@"`, job.Args()...).With(strings.NewReader(job.Script))); err != nil {
		t.Fatal(err)
	}
	if result.ExitCode == 0 {
		if id, err = queue.ParseSubmitted(result.Stdout); err != nil {
			t.Fatal(err)
		}
	}
	return id, result
}

// jobs asks squeue, as an observation does. An error says that it gave no answer; one that makes no sense fails the test.
func (c *cluster) jobs(t *testing.T) (map[string]queue.Job, error) {
	t.Helper()
	out, err := c.tryAsk(t, queue.SqueueArgs(c.JobUser.Uid))
	if err != nil {
		return nil, err
	}
	list, err := queue.ParseSqueue(out)
	if err != nil {
		t.Fatal(err)
	}
	if out, err = c.tryAsk(t, queue.SqueueEndsArgs(c.JobUser.Uid)); err != nil {
		return nil, err
	}
	exits, err := queue.ParseSqueueEnds(out)
	if err != nil {
		t.Fatal(err)
	}
	byID := map[string]queue.Job{}
	for _, j := range list {
		if exit, ok := exits[j.ID]; ok {
			j.Exit = &exit
		}
		byID[j.ID] = j
	}
	return byID, nil
}

// await asks until a job is as it should be.
func (c *cluster) await(t *testing.T, id, what string, is func(j queue.Job) bool) queue.Job {
	t.Helper()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; <-tick.C {
		jobs, err := c.jobs(t)
		j, ok := jobs[id]
		if ok && is(j) {
			return j
		}
		if time.Now().After(deadline) {
			t.Fatalf("waited for job %s to be %s; it is %+v, %v", id, what, j, err)
		}
	}
}

func inState(state string) func(j queue.Job) bool {
	return func(j queue.Job) bool { return j.State == state }
}

// numbered is a workload with a token of its own.
func numbered(n int, w *workload.Workload) *workload.Workload {
	w.Token = fmt.Sprintf("rj-%032x", n)
	return w
}
