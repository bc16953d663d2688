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
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// line is a record of squeue's or sinfo's.
func line(fields ...string) string {
	return recordMark + strings.Join(fields, fieldMark) + "\n"
}

func TestSqueue(t *testing.T) {
	out := line("36937002", "rj-x", "CANCELLED", "None", "1795549838", "1795549840", "1795549869", "vm", "remotejob;token=a;ledger=b") +
		line("12", "a b", "PENDING", "ReqNodeNotAvail, UnavailableNodes:n[1-2]", "1795549838", "N/A", "N/A", "", "(null)") +
		line("13", "c", "RUNNING", "None", "1795549838", "1795549840", "NONE", "n1", "of\nanother")
	jobs, err := ParseSqueue([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	at := func(s int64) time.Time { return time.Unix(s, 0).UTC() }
	want := []Job{
		{ID: "36937002", Name: "rj-x", State: "CANCELLED", Submit: at(1795549838), Start: at(1795549840), End: at(1795549869), Nodes: "vm", Comment: "remotejob;token=a;ledger=b"},
		{ID: "12", Name: "a b", State: "PENDING", Reason: "ReqNodeNotAvail, UnavailableNodes:n[1-2]", Submit: at(1795549838)},
		{ID: "13", Name: "c", State: "RUNNING", Submit: at(1795549838), Start: at(1795549840), Nodes: "n1", Comment: "of\nanother"},
	}
	if !reflect.DeepEqual(jobs, want) {
		t.Errorf("\n got %+v\nwant %+v", jobs, want)
	}
	if jobs, err := ParseSqueue(nil); err != nil || len(jobs) != 0 {
		t.Errorf("an empty queue: %v, %v", jobs, err)
	}
}

func TestAnAnswerThatIsNotWholeIsNeverReadAsFewerJobs(t *testing.T) {
	whole := line("1", "a", "PENDING", "Priority", "5", "N/A", "N/A", "", "c") + line("2", "b", "RUNNING", "None", "5", "6", "7", "n", "d")
	for name, out := range map[string]string{
		"cut off in a record":          whole[:len(whole)-4],
		"cut off between two fields":   line("1", "a", "PENDING"),
		"words before the first":       "slurm_load_jobs error: Unable to contact slurm controller\n" + whole,
		"another format":               "1 a PENDING\n",
		"a job without an id":          line("", "a", "PENDING", "Priority", "5", "N/A", "N/A", "", "c"),
		"a job without a state":        line("1", "a", "", "Priority", "5", "N/A", "N/A", "", "c"),
		"a record mark and no record":  recordMark,
		"a job that ends with a field": recordMark + "1" + fieldMark,
	} {
		if jobs, err := ParseSqueue([]byte(out)); err == nil {
			t.Errorf("%s was read as %v", name, jobs)
		}
	}
}

func TestSqueueEnds(t *testing.T) {
	got, err := ParseSqueueEnds([]byte("36937003                768             \n36937004                9               \n5 253\n6 4021\n7 3:0\n8 0:15\n9 0\n\n"))
	want := map[string]Exit{"36937003": {Code: 3}, "36937004": {Signal: 9}, "5": {Signal: 125}, "6": {Code: 15, Signal: 53}, "7": {Code: 3}, "8": {Signal: 15}, "9": {}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for _, bad := range []string{"1\n", "1 2 3\n", "1 x\n", "1 x:0\n", "1 0:x\n", "1 -1\n"} {
		if got, err := ParseSqueueEnds([]byte(bad)); err == nil {
			t.Errorf("%q was read as %v", bad, got)
		}
	}
}

func TestSacct(t *testing.T) {
	record := func(fields ...string) string { return strings.Join(fields, fieldMark) + fieldMark + "\n" }
	out := record("7", "rj-a", "NODE_FAIL", "0:0", "100", "110", "120", "n1") +
		record("8", "rj-b", "CANCELLED by 1001", "0:15", "100", "Unknown", "120", "None assigned") +
		record("7", "rj-a", "OUT_OF_MEMORY", "0:125", "130", "140", "150", "n2")
	jobs, err := ParseSacct([]byte(out))
	if err != nil {
		t.Fatal(err)
	}
	at := func(s int64) time.Time { return time.Unix(s, 0).UTC() }
	want := []Job{
		{ID: "7", Name: "rj-a", State: "OUT_OF_MEMORY", Submit: at(130), Start: at(140), End: at(150), Nodes: "n2", Exit: &Exit{Signal: 125}},
		{ID: "8", Name: "rj-b", State: "CANCELLED", By: "1001", Submit: at(100), End: at(120), Exit: &Exit{Signal: 15}},
	}
	if !reflect.DeepEqual(jobs, want) {
		t.Errorf("\n got %+v\nwant %+v", jobs, want)
	}
	for _, bad := range []string{
		"Slurm accounting storage is disabled\n", out[:len(out)-3], record("7", "rj-a"), record("", "a", "FAILED", "1:0", "1", "2", "3", "n"),
		record("7", "a", "FAILED", "x", "1", "2", "3", "n"),
	} {
		if jobs, err := ParseSacct([]byte(bad)); err == nil {
			t.Errorf("%q was read as %v", bad, jobs)
		}
	}
}

func TestComment(t *testing.T) {
	c := Comment{
		Token: "rj-0123", Ledger: "l;=1", Backend: "b", Job: types.NamespacedName{Namespace: "ns", Name: "job"},
		Pod: types.NamespacedName{Namespace: "ns", Name: "pod"}, UID: "ünï \n\x1f'",
	}
	text := c.String()
	if strings.ContainsAny(text, " \n\x1e\x1f'\"") || strings.ToValidUTF8(text, "") != text {
		t.Errorf("the comment is %q", text)
	}
	if got, ok := ParseComment(text); !ok || got != c {
		t.Errorf("%q was read as %+v, %v", text, got, ok)
	}
	for _, other := range []string{"", "a job of mine", "remotejob;", "remotejob;token=", "remotejob;token=%zz"} {
		if got, ok := ParseComment(other); ok {
			t.Errorf("%q was read as %+v", other, got)
		}
	}
}

func TestVersion(t *testing.T) {
	for out, want := range map[string]Version{
		"slurm-wlm 22.05.8\n":   {22, 5, "22.05.8"},
		"slurm 20.11.9\n":       {20, 11, "20.11.9"},
		"slurm 23.11.10\n":      {23, 11, "23.11.10"},
		"slurm 25.11.0-0rc1\n":  {25, 11, "25.11.0-0rc1"},
		"slurm-wlm 24.11.5\n\n": {24, 11, "24.11.5"},
	} {
		got, err := ParseVersion([]byte(out))
		if err != nil || got != want || got.Before(Oldest) || !Oldest.Before(Version{Major: 26}) {
			t.Errorf("%q was read as %+v, %v", out, got, err)
		}
	}
	if (Version{Major: 20, Minor: 2}).Before(Oldest) != true {
		t.Error("20.02 is not older than 20.11")
	}
	for _, bad := range []string{"", "slurm", "squeue: not found", "slurm x.y", "slurm 22"} {
		if got, err := ParseVersion([]byte(bad)); err == nil {
			t.Errorf("%q was read as %+v", bad, got)
		}
	}
}

func TestConfig(t *testing.T) {
	out := "Configuration data as of 2026-11-24T19:52:37\nAccountingStorageType   = accounting_storage/slurmdbd\nClusterName             = hpc\n" +
		"KillWait                = 5 sec\nMinJobAge               = 300 sec\nProctrackType           = proctrack/cgroup\nSlurmctldHost[0]        = a(b=c)\n"
	got, err := ParseConfig([]byte(out))
	want := Config{ClusterName: "hpc", Accounting: true, KillWait: 5 * time.Second, MinJobAge: 5 * time.Minute, ProctrackType: "proctrack/cgroup"}
	if err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got, err := ParseConfig([]byte("AccountingStorageType = accounting_storage/none\nClusterName = x\n")); err != nil || got.Accounting || got.KillWait != 30*time.Second {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := ParseConfig([]byte("slurm_load_ctl_conf error: Unable to contact slurm controller (connect failure)\n")); err == nil {
		t.Error("an error was read as a configuration")
	}
}

func TestSubmitted(t *testing.T) {
	for out, want := range map[string]string{"12\n": "12", "12;cluster\n": "12", "welcome to the machine\n12\n": "12", "": "", "Submitted batch job 12\n": "", "12a\n": ""} {
		got, err := ParseSubmitted([]byte(out))
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q was read as %q, %v", out, got, err)
		}
	}
}

func TestRefusal(t *testing.T) {
	for _, c := range []struct {
		code    int
		stderr  string
		message string
		final   bool
	}{
		{1, "sbatch: error: invalid partition specified: nope\nsbatch: error: Batch job submission failed: Invalid partition name specified\n",
			"sbatch: invalid partition specified: nope; Batch job submission failed: Invalid partition name specified", true},
		{1, "sbatch: error: Memory specification can not be satisfied\nsbatch: error: Batch job submission failed: Requested node configuration is not available\n",
			"sbatch: Memory specification can not be satisfied; Batch job submission failed: Requested node configuration is not available", true},
		{1, "sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)\n", "sbatch: Batch job submission failed: Unable to contact slurm controller (connect failure)", false},
		{1, "sbatch: error: Slurm temporarily unable to accept job, sleeping and retrying\nsbatch: error: Batch job submission failed: Socket timed out on send/recv operation\n",
			"sbatch: Slurm temporarily unable to accept job, sleeping and retrying; Batch job submission failed: Socket timed out on send/recv operation", false},
		{1, "sbatch: error: slurm_msg_sendto: address:port=127.0.0.1:46055 msg_type=4003: Unexpected missing socket error\nsbatch: error: Batch job submission failed: Unexpected missing socket error\n",
			"sbatch: slurm_msg_sendto: address:port=127.0.0.1:46055 msg_type=4003: Unexpected missing socket error; Batch job submission failed: Unexpected missing socket error", false},
		{1, "sbatch: error: AssocMaxSubmitJobLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)\n",
			"sbatch: AssocMaxSubmitJobLimit; Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)", false},
		{1, "sbatch: error: AssocGrpSubmitJobsLimit\nsbatch: error: Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)\n",
			"sbatch: AssocGrpSubmitJobsLimit; Batch job submission failed: Job violates accounting/QOS policy (job submit limit, user's size and/or time limits)", false},
		{1, "sbatch: unrecognized option '--foo'\nTry \"sbatch --help\" for more information\n", "sbatch: unrecognized option '--foo'; Try \"sbatch --help\" for more information", true},
		{1, "sbatch: error: the site says: use account=projectX\nsbatch: error: Batch job submission failed: Unspecified error\n",
			"sbatch: the site says: use account=projectX; Batch job submission failed: Unspecified error", true},
		{127, "env: 'sbatch': No such file or directory\n", "sbatch: env: 'sbatch': No such file or directory", false},
		{1, "", "sbatch: exit code 1, and not a word", false},
		{137, "sbatch: error: something\n", "sbatch: something", false},
		{255, "sbatch: error: Invalid --mem specification\n", "sbatch: Invalid --mem specification", true},
		{1, "sh: 1: cannot create /x: Permission denied\n", "sbatch: sh: 1: cannot create /x: Permission denied", false},
	} {
		if message, final := Refusal(c.code, []byte(c.stderr)); message != c.message || final != c.final {
			t.Errorf("%q: got %q, %v, want %q, %v", c.stderr, message, final, c.message, c.final)
		}
	}
}
