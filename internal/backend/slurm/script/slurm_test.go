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
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/queue"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/remote"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/sbatch"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
	"github.com/remotejob-dev/remotejob-operator/test/harness/skip"
	"github.com/remotejob-dev/remotejob-operator/test/harness/slurm"
)

func TestOnSLURM(t *testing.T) {
	c := startCluster(t, slurm.Options{})
	t.Run("a job is as it was made", func(t *testing.T) {
		w := numbered(1, pod(one("cpu=1 memory=100Mi")))
		id, result := c.submit(t, w, `printf '%s\n' "$@"; pwd; env | sort; exit 0`)
		if id == "" {
			t.Fatal(result.Err())
		}
		j := c.await(t, id, "completed", inState("COMPLETED"))
		comment, ok := queue.ParseComment(j.Comment)
		if !ok || comment != queue.CommentOf(w) || j.Name != w.Token || j.Submit.IsZero() || j.End.Before(j.Start) {
			t.Errorf("the job is %+v, its comment %+v", j, comment)
		}
		if age := time.Since(j.Submit); age < 0 || age > 5*time.Minute {
			t.Errorf("the job was submitted %s ago", age)
		}
		out, err := os.ReadFile(jobdir.Base(c.base).Out(w.Token))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(out), "\n")
		if want := []string{"run", "--dir", string(jobdir.Base(c.base).Job(w.Token)), c.base}; !slices.Equal(lines[:4], want) {
			t.Errorf("podrunner was called %q, want %q", lines[:4], want)
		}
		env := lines[4:]
		for _, want := range []string{"HOME=" + c.JobUser.HomeDir, "USER=" + c.JobUser.Username, "SLURM_JOB_ID=" + id, "SLURM_CONF=" + c.Conf} {
			if !slices.Contains(env, want) {
				t.Errorf("%s is not in the job's environment", want)
			}
		}
		for _, v := range env {
			if strings.HasPrefix(v, "SBATCH_") || strings.HasPrefix(v, "SQUEUE_") || strings.HasPrefix(v, "SLURM_EXPORT_ENV=") || strings.HasPrefix(v, "SLURM_GET_USER_ENV=") {
				t.Errorf("%s is in the job's environment", v)
			}
		}
	})
	t.Run("what SLURM refuses comes back in its words", func(t *testing.T) {
		for n, c2 := range []struct{ flags, want string }{
			{"--partition=nope", "sbatch: invalid partition specified: nope; Batch job submission failed: Invalid partition name specified"},
			{"--mem=9000G", "sbatch: Memory specification can not be satisfied; Batch job submission failed: Requested node configuration is not available"},
			{"--mem=much", "sbatch: Invalid --mem specification"},
		} {
			id, result := c.submit(t, numbered(10+n, pod(one(""), workload.AnnotationSlurmFlags, c2.flags)), "")
			if message, final := queue.Refusal(result.ExitCode, result.Stderr); id != "" || !final || message != c2.want {
				t.Errorf("%s: got job %q, %q, final %v", c2.flags, id, message, final)
			}
		}
	})
	t.Run("ends are told apart", func(t *testing.T) { testEnds(t, c) })
	t.Run("jobs that wait say why", func(t *testing.T) {
		held, _ := c.submit(t, numbered(30, pod(one(""), workload.AnnotationSlurmFlags, "--hold")), "")
		later, _ := c.submit(t, numbered(31, pod(one(""), workload.AnnotationSlurmFlags, "--begin=now+1hour")), "")
		if got := c.await(t, held, "held", func(j queue.Job) bool { return j.Reason != "" }).Explain(); got.Kind != queue.Waits || got.Reason != queue.ReasonHeld {
			t.Errorf("a held job is explained as %+v", got)
		}
		if got := c.await(t, later, "waiting", func(j queue.Job) bool { return j.Reason == "BeginTime" }).Explain(); got.Kind != queue.Waits || got.Reason != queue.ReasonQueued {
			t.Errorf("one that begins later is explained as %+v", got)
		}
		c.scancel(t, held, later)
		if got := c.await(t, held, "cancelled", inState("CANCELLED")).Explain(); got.Kind != queue.Ended || got.Reason != queue.ReasonCancelled || got.ExitCode == 0 {
			t.Errorf("a cancelled job is explained as %+v", got)
		}
	})
	t.Run("the pod's restart policy says whether a job may be requeued", func(t *testing.T) {
		never := numbered(40, pod(one("")))
		never.Pod.Spec.RestartPolicy = corev1.RestartPolicyNever
		always := numbered(41, pod(one("")))
		always.Pod.Spec.RestartPolicy = corev1.RestartPolicyAlways
		for w, may := range map[*workload.Workload]bool{never: false, always: true} {
			id, _ := c.submit(t, w, "exec sleep 600")
			c.await(t, id, "running", inState("RUNNING"))
			out, err := c.Command(t.Context(), "scontrol", "requeue", id).CombinedOutput()
			if (err == nil) != may {
				t.Errorf("requeue of %s: %s, %v", w.Pod.Spec.RestartPolicy, out, err)
			}
			if may {
				c.await(t, id, "waiting again", func(j queue.Job) bool { return j.Explain().Kind == queue.Waits })
			}
			c.scancel(t, id)
		}
	})
	t.Run("signals to the batch script reach podrunner", func(t *testing.T) {
		w := numbered(50, pod(one("")))
		id, _ := c.submit(t, w, `trap 'echo caught; exit 5' TERM; echo ready; while :; do sleep 0.1; done`)
		out := func() string {
			b, _ := os.ReadFile(jobdir.Base(c.base).Out(w.Token))
			return string(b)
		}
		c.await(t, id, "ready", func(queue.Job) bool { return out() == "ready\n" })
		if b, err := c.Command(t.Context(), "scancel", "--signal=TERM", "--batch", id).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		j := c.await(t, id, "ended", func(j queue.Job) bool { return j.Explain().Kind == queue.Ended })
		if got := out(); !strings.HasSuffix(got, "\ncaught\n") || j.Exit == nil || j.Exit.Code != 5 {
			t.Errorf("it wrote %q and ended %+v, %+v", got, j, j.Exit)
		}
	})
	t.Run("capacity, version and configuration", func(t *testing.T) { testFacts(t, c) })
}

func (c *cluster) scancel(t *testing.T, ids ...string) {
	t.Helper()
	result, err := c.runner.Run(t.Context(), remote.Command{Argv: append([]string{"scancel"}, ids...)})
	if err = errors.Join(err, result.Err()); err != nil {
		t.Fatal(err)
	}
}

func TestAccountingTellsOfWhatTheQueueHasForgotten(t *testing.T) {
	if missing := slurm.MissingForAccounting(); len(missing) > 0 {
		skip.Lacking(t, "a SLURM with accounting needs Debian's packages %q", missing)
	}
	c := startCluster(t, slurm.Options{Accounting: true})
	conf, err := queue.ParseConfig(c.ask(t, queue.ConfigArgs()))
	if err != nil || !conf.Accounting {
		t.Errorf("the configuration is %+v, %v", conf, err)
	}
	failed, held := numbered(1, pod(one(""))), numbered(2, pod(one(""), workload.AnnotationSlurmFlags, "--hold"))
	failedID, _ := c.submit(t, failed, "exit 3")
	heldID, _ := c.submit(t, held, "")
	queued := c.await(t, failedID, "ended", inState("FAILED"))
	c.scancel(t, heldID)
	var told map[string]queue.Job
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); len(told) < 2 || told[heldID].State != "CANCELLED" || told[failedID].State != "FAILED" || told[failedID].Name != failed.Token; <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("sacct tells %+v", told)
		}
		out, err := c.tryAsk(t, queue.SacctArgs([]string{failedID, heldID}))
		if err != nil {
			t.Logf("not yet: %v", err)
			continue
		}
		jobs, err := queue.ParseSacct(out)
		if err != nil {
			t.Fatal(err)
		}
		told = map[string]queue.Job{}
		for _, j := range jobs {
			told[j.ID] = j
		}
	}
	if j := told[failedID]; j.Name != failed.Token || j.Exit == nil || *j.Exit != (queue.Exit{Code: 3}) || !j.Submit.Equal(queued.Submit) || j.Nodes != queued.Nodes {
		t.Errorf("of the job that failed it tells %+v, and the queue said %+v", j, queued)
	}
	if j := told[heldID]; j.By != c.JobUser.Uid || !strings.Contains(j.Explain().Message, "was cancelled by user "+c.JobUser.Uid) {
		t.Errorf("of the job that was cancelled it tells %+v, %+v", j, j.Explain())
	}
	byName, err := queue.ParseSacct(c.ask(t, queue.SacctByNameArgs(c.JobUser.Uid, []string{failed.Token, "rj-of-nobody"}, time.Now().Add(-time.Hour))))
	if err != nil || len(byName) != 1 || byName[0].ID != failedID {
		t.Errorf("by its name sacct finds %+v, %v", byName, err)
	}
}

func TestRanksGoOutToTwoNodes(t *testing.T) {
	c := startCluster(t, slurm.Options{Nodes: 2})
	w := numbered(1, pod(one(""), workload.AnnotationSlurmFlags, "--nodes=2 --ntasks=2"))
	job, err := Make(Input{Workload: w, Spec: &v1alpha1.SlurmBackend{BaseDirectory: c.base, AllowedFlags: []string{"--nodes", "--ntasks"}}})
	if err != nil || len(job.Launch) == 0 {
		t.Fatalf("the ranks are started by %q, %v", job.Launch, err)
	}
	// The one on node2 fails when both have begun, which ends the one on node1, that would go on for ever: srun says the larger code.
	rank := `trap "exit 3" TERM
echo "rank $SLURM_PROCID on $SLURMD_NODENAME has $OF_THE_POD"
: >"$BEGUN/rank$SLURM_PROCID"
until [ -e "$BEGUN/rank0" ] && [ "$SLURM_PROCID" = 1 ]; do sleep 0.1; done
exit 4`
	// As podrunner does it: what launches goes before the container's command line, in the pod's environment.
	does := "export OF_THE_POD='a  b' " + sbatch.QuoteAll([]string{"BEGUN=" + c.base}) + "\n" +
		sbatch.QuoteAll(append(slices.Clone(job.Launch), "sh", "-c", rank)) + "; echo ended $?"
	id, result := c.submit(t, w, does)
	if id == "" {
		t.Fatal(result.Err())
	}
	j := c.await(t, id, "ended", func(j queue.Job) bool { return j.Explain().Kind == queue.Ended })
	out, _ := os.ReadFile(jobdir.Base(c.base).Out(w.Token))
	for _, want := range []string{"rank 0 on node1 has a  b\n", "rank 1 on node2 has a  b\n", "ended 4\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("%q is not in what it wrote: %s", want, out)
		}
	}
	if j.Nodes != "node[1-2]" {
		t.Errorf("it ran on %s", j.Nodes)
	}
}

// ask runs a command that is to go well.
func (c *cluster) ask(t *testing.T, argv []string) []byte {
	t.Helper()
	out, err := c.tryAsk(t, argv)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// tryAsk is for who asks again: a SLURM that is busy may not answer.
func (c *cluster) tryAsk(t *testing.T, argv []string) ([]byte, error) {
	t.Helper()
	result, err := c.runner.Run(t.Context(), remote.Command{Argv: argv})
	return result.Stdout, errors.Join(err, result.Err())
}

func testEnds(t *testing.T, c *cluster) {
	for n, end := range []struct {
		does, state, reason string
		code                int32
	}{
		{"exit 3", "FAILED", queue.ReasonJobFailed, 3},
		{"kill -KILL $$", "FAILED", queue.ReasonJobFailed, 137},
		{"exit 0", "COMPLETED", queue.ReasonResultLost, 137},
		{"dd if=/dev/zero of=/dev/null bs=256M count=1", "OUT_OF_MEMORY", queue.ReasonOutOfMemory, 137},
	} {
		id, result := c.submit(t, numbered(20+n, pod(one("memory=1Mi"))), end.does)
		if id == "" {
			t.Fatal(result.Err())
		}
		j := c.await(t, id, "ended", func(j queue.Job) bool { return j.Explain().Kind == queue.Ended })
		if got := j.Explain(); j.State != end.state || got.Reason != end.reason || got.ExitCode != end.code {
			t.Errorf("%q ended as %+v, explained as %+v", end.does, j, got)
		}
	}
}

func testFacts(t *testing.T, c *cluster) {
	nodes, err := queue.ParseSinfo(c.ask(t, queue.SinfoArgs()))
	if err != nil || len(nodes) != 1 {
		t.Fatalf("the nodes are %+v, %v", nodes, err)
	}
	cpu := queue.Capacity(nodes)[corev1.ResourceCPU]
	if got := cpu.Value(); got <= 0 || got != nodes[0].CPUs {
		t.Errorf("the capacity is %d CPUs of %+v", got, nodes)
	}
	if v, err := queue.ParseVersion(c.ask(t, queue.VersionArgs())); err != nil || v.Before(queue.Oldest) {
		t.Errorf("the version is %+v, %v", v, err)
	}
	conf, err := queue.ParseConfig(c.ask(t, queue.ConfigArgs()))
	if err != nil || !strings.HasPrefix(conf.ClusterName, "remotejob") || conf.Accounting || conf.KillWait != 5*time.Second || conf.ProctrackType != "proctrack/cgroup" {
		t.Errorf("the configuration is %+v, %v", conf, err)
	}
	if out, err := c.Command(t.Context(), "scontrol", "update", "nodename="+nodes[0].Name, "state=drain", "reason=test").CombinedOutput(); err != nil {
		t.Fatalf("%s: %v", out, err)
	}
	nodes, err = queue.ParseSinfo(c.ask(t, queue.SinfoArgs()))
	if cpu := queue.Capacity(nodes)[corev1.ResourceCPU]; err != nil || !cpu.IsZero() {
		t.Errorf("a drained node has a capacity of %s: %+v, %v", cpu.String(), nodes, err)
	}
}
