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

package queue

import (
	"strings"
	"testing"
)

func TestExplain(t *testing.T) {
	for _, c := range []struct {
		job     Job
		kind    Kind
		reason  string
		message string
		code    int32
	}{
		{Job{State: "PENDING", Reason: "Priority"}, Waits, ReasonQueued, "waits in the queue: jobs with a higher priority come first (Priority)", 0},
		{Job{State: "PENDING"}, Waits, ReasonQueued, "waits in the queue: SLURM has not looked at it yet", 0},
		{Job{State: "PENDING", Reason: "JobHeldUser"}, Waits, ReasonHeld, "is held: its user or the operator's account holds it (JobHeldUser)", 0},
		{Job{State: "PENDING", Reason: "launch_failed_requeued_held"}, Waits, ReasonHeld, "its launch failed, and it is held", 0},
		{Job{State: "REQUEUED"}, Waits, ReasonRequeued, "was requeued and will start anew", 0},
		{Job{State: "REQUEUE_HOLD"}, Waits, ReasonHeld, "is held until somebody releases it", 0},
		{Job{State: "SPECIAL_EXIT"}, Waits, ReasonHeld, "special state", 0},
		{Job{State: "CONFIGURING", Nodes: "n1"}, Waits, ReasonConfiguring, "has nodes on n1, which are getting ready", 0},
		{Job{State: "RUNNING", Nodes: "n1"}, Runs, ReasonRunning, "runs on n1", 0},
		{Job{State: "RESIZING"}, Runs, ReasonRunning, "runs", 0},
		{Job{State: "SUSPENDED", Nodes: "n1"}, Runs, ReasonSuspended, "is suspended on n1", 0},
		{Job{State: "STOPPED"}, Runs, ReasonSuspended, "was stopped by a signal", 0},
		{Job{State: "COMPLETING"}, Runs, ReasonCompleting, "is ending", 0},
		{Job{State: "STAGE_OUT"}, Runs, ReasonCompleting, "is ending", 0},
		{Job{State: "SOMETHING_NEW"}, Runs, ReasonUnknownState, "SOMETHING_NEW", 0},
		{Job{State: "COMPLETED", Nodes: "n1"}, Ended, ReasonResultLost, "left no word of what became of its containers", 137},
		{Job{State: "CANCELLED", By: "1001"}, Ended, ReasonCancelled, "was cancelled by user 1001", 143},
		{Job{State: "CANCELLED"}, Ended, ReasonCancelled, "was cancelled", 143},
		{Job{State: "TIMEOUT", Nodes: "n1"}, Ended, ReasonTimeLimit, "reached its time limit on n1", 143},
		{Job{State: "OUT_OF_MEMORY"}, Ended, ReasonOutOfMemory, "ran out of memory", 137},
		{Job{State: "NODE_FAIL", Nodes: "n1"}, Ended, ReasonNodeFailed, "lost its node on n1", 137},
		{Job{State: "PREEMPTED"}, Ended, ReasonPreempted, "was preempted", 143},
		{Job{State: "BOOT_FAIL"}, Ended, ReasonBootFailed, "its nodes did not start", 137},
		{Job{State: "DEADLINE"}, Ended, ReasonDeadline, "could not end before its deadline", 143},
		{Job{State: "REVOKED"}, Ended, ReasonRevoked, "another cluster of the federation", 143},
		{Job{State: "FAILED", Exit: &Exit{Code: 3}}, Ended, ReasonJobFailed, "failed with exit code 3", 3},
		{Job{State: "FAILED", Reason: "JobLaunchFailure", Exit: &Exit{Signal: 9}}, Ended, ReasonJobFailed, "was ended by signal 9", 137},
		{Job{State: "FAILED", Reason: "JobLaunchFailure", Exit: &Exit{Code: 15, Signal: 53}}, Ended, ReasonLaunchFailed, "could not be started", 1},
		{Job{State: "FAILED", Reason: "BadConstraints", Exit: &Exit{Code: 1}}, Ended, ReasonJobFailed, "was given up: no node has what it asks for (BadConstraints)", 1},
		{Job{State: "FAILED", Reason: "NonZeroExitCode"}, Ended, ReasonJobFailed, "its script ended with an exit code other than 0", 1},
		{Job{State: "FAILED"}, Ended, ReasonJobFailed, "failed", 1},
	} {
		c.job.ID = "7"
		got := c.job.Explain()
		if got.Kind != c.kind || got.Reason != c.reason || got.ExitCode != c.code || !strings.HasPrefix(got.Message, "SLURM job 7 ") || !strings.Contains(got.Message, c.message) {
			t.Errorf("%+v: got %+v, want %s %s %q %d", c.job, got, c.kind, c.reason, c.message, c.code)
		}
	}
}

func TestWords(t *testing.T) {
	for reason, want := range map[string]string{
		"AssocGrpCpuLimit":                         "a limit of its account for CPUs has been reached (AssocGrpCpuLimit)",
		"AssocMaxJobsLimit":                        "a limit of its account for the number of jobs that run has been reached (AssocMaxJobsLimit)",
		"QOSMaxWallDurationPerJobLimit":            "a limit of its QOS for time has been reached (QOSMaxWallDurationPerJobLimit)",
		"QOSMaxGRESPerUser":                        "a limit of its QOS for generic resources such as GPUs has been reached (QOSMaxGRESPerUser)",
		"QOSMaxJobsPerUserLimit":                   "a limit of its QOS for the number of jobs that run has been reached (QOSMaxJobsPerUserLimit)",
		"QOSSomethingElse":                         "a limit of its QOS has been reached (QOSSomethingElse)",
		"(Resources)":                              "it waits for resources (Resources)",
		"ReqNodeNotAvail, UnavailableNodes:n[1-2]": "nodes that it needs are not available (ReqNodeNotAvail, UnavailableNodes:n[1-2])",
		"Nodes_required_for_job_are_DOWN,_DRAINED_or_reserved_for_jobs_in_higher_priority_partitions": "nodes that it needs are down, drained or reserved (Nodes required for job are DOWN, DRAINED or reserved for jobs in higher priority partitions)",
		"SomethingNew": "SomethingNew",
	} {
		if got := Words(reason); got != want {
			t.Errorf("%s: got %q, want %q", reason, got, want)
		}
	}
}

func FuzzSqueue(f *testing.F) {
	f.Add([]byte(line("1", "a", "PENDING", "Priority", "5", "N/A", "N/A", "", "c")))
	f.Add([]byte(line("1", "a", "CANCELLED by 5", "None", "5", "6", "7", "n", "remotejob;token=x") + line("2")))
	f.Fuzz(func(t *testing.T, out []byte) {
		jobs, err := ParseSqueue(out)
		if err == nil && len(jobs) != strings.Count(string(out), recordMark) {
			t.Fatalf("%q was read as %d jobs", out, len(jobs))
		}
		for _, j := range jobs {
			if e := j.Explain(); e.Reason == "" || e.Message == "" || (e.Kind == Ended) != (e.ExitCode != 0) {
				t.Fatalf("%+v is explained as %+v", j, e)
			}
			if c, ok := ParseComment(j.Comment); ok && c.Token == "" {
				t.Fatalf("%q is a comment without a token", j.Comment)
			}
		}
	})
}

func FuzzSacct(f *testing.F) {
	f.Add([]byte("7\x1frj-a\x1fCANCELLED by 1\x1f0:15\x1f100\x1f110\x1f120\x1fn1\x1f\n"))
	f.Fuzz(func(t *testing.T, out []byte) {
		jobs, err := ParseSacct(out)
		for _, j := range jobs {
			if e := j.Explain(); err != nil || j.ID == "" || (e.Kind == Ended) != (e.ExitCode != 0) {
				t.Fatalf("%+v is explained as %+v, %v", j, e, err)
			}
		}
	})
}

func FuzzSinfo(f *testing.F) {
	f.Add([]byte(line("n1", "up", "idle", "8", "1000", "gpu:a100:4(S:0-1),tmp:10G")))
	f.Fuzz(func(t *testing.T, out []byte) {
		nodes, err := ParseSinfo(out)
		if err != nil {
			return
		}
		for _, n := range nodes {
			for _, g := range n.GPUs {
				if g.Count < 0 || g.Resource() == "" {
					t.Fatalf("%q has %+v", out, g)
				}
			}
		}
		Capacity(nodes)
	})
}

func FuzzComment(f *testing.F) {
	f.Add("rj-1", "l", "uid")
	f.Add("a;b=c", "%", "\n")
	f.Fuzz(func(t *testing.T, token, ledger, uid string) {
		c := Comment{Token: token, Ledger: ledger, UID: "u"}
		c.Pod.Name = uid
		got, ok := ParseComment(c.String())
		if ok != (token != "") || ok && got != c {
			t.Fatalf("%+v was read as %+v, %v", c, got, ok)
		}
	})
}

func FuzzControl(f *testing.F) {
	f.Add("slurm 22.05.8\n", "12;c\n", "sbatch: error: no\n")
	f.Fuzz(func(t *testing.T, version, submitted, refused string) {
		if v, err := ParseVersion([]byte(version)); err == nil && (v.Major < 0 || v.Minor < 0) {
			t.Fatalf("%q is version %+v", version, v)
		}
		if id, err := ParseSubmitted([]byte(submitted)); err == nil && strings.Trim(id, "0123456789") != "" {
			t.Fatalf("%q is job %q", submitted, id)
		}
		if message, _ := Refusal(1, []byte(refused)); message == "" {
			t.Fatalf("%q refuses without a word", refused)
		}
	})
}
