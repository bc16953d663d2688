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
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Job is one job as SLURM knows it.
type Job struct {
	// ID is the job's number.
	ID string
	// Name is the job's, which is its token for one of ours.
	Name string
	// State is SLURM's word in capitals, such as PENDING.
	State string
	// By is the id of the user who cancelled the job, where that is known.
	By string
	// Reason is SLURM's word for why the job waits, or ended.
	Reason string
	// Submit, Start and End are zero where they are not known. For a job that waits, Start is when SLURM expects it to start; for one that
	// runs, End is its time limit's.
	Submit, Start, End time.Time
	// Nodes that the job has, as SLURM lists them.
	Nodes string
	// Comment as it stands on the job.
	Comment string
	// Exit is how the batch script ended, where that is known.
	Exit *Exit
}

// Exit is how a job's script ended.
type Exit struct {
	Code, Signal int
}

var squeueFormat = format("%i", "%j", "%T", "%r", "%V", "%S", "%e", "%N", "%k")

// clock has SLURM's commands write times that do not depend on a zone.
const clock = "SLURM_TIME_FORMAT=%s"

// SqueueArgs is the command that lists all jobs of a user, given by id, those that ended a few minutes ago among them.
func SqueueArgs(uid string) []string {
	return []string{"env", clock, "squeue", "--noheader", "--all", "--states=all", "--user=" + uid, "--format=" + squeueFormat}
}

// ParseSqueue reads the answer to SqueueArgs.
func ParseSqueue(output []byte) ([]Job, error) {
	list, err := records("squeue", output, 9)
	if err != nil {
		return nil, err
	}
	jobs := make([]Job, 0, len(list))
	for _, f := range list {
		state, by := parseState(f[2])
		if f[0] == "" || state == "" {
			return nil, fmt.Errorf("squeue: a job has no id or no state: %q", cut(strings.Join(f, " ")))
		}
		jobs = append(jobs, Job{
			ID: f[0], Name: f[1], State: state, By: by, Reason: unset(f[3]), Submit: parseTime(f[4]), Start: parseTime(f[5]), End: parseTime(f[6]),
			Nodes: unset(f[7]), Comment: unset(f[8]),
		})
	}
	return jobs, nil
}

// endedStates are those that SqueueEndsArgs asks for.
const endedStates = "BOOT_FAIL,CANCELLED,COMPLETED,DEADLINE,FAILED,NODE_FAIL,OUT_OF_MEMORY,PREEMPTED,TIMEOUT"

// SqueueEndsArgs is the command that says how the jobs of a user ended of which squeue still knows. It is needed where there is no
// accounting: squeue's other kind of format has no exit code, and this one no field of any length.
func SqueueEndsArgs(uid string) []string {
	return []string{"squeue", "--noheader", "--all", "--states=" + endedStates, "--user=" + uid, "--Format=JobID:24,exit_code:16"}
}

// ParseSqueueEnds reads the answer to SqueueEndsArgs: exits by job id.
func ParseSqueueEnds(output []byte) (map[string]Exit, error) {
	exits := map[string]Exit{}
	for line := range strings.Lines(string(output)) {
		fields := strings.Fields(line)
		if len(fields) == 0 {
			continue
		}
		if len(fields) != 2 {
			return nil, fmt.Errorf("squeue: %q is no job and its exit code", cut(line))
		}
		exit, err := parseExit(fields[1])
		if err != nil {
			return nil, fmt.Errorf("squeue: job %s: %w", fields[0], err)
		}
		exits[fields[0]] = exit
	}
	return exits, nil
}

// parseExit reads CODE:SIGNAL, or the status of wait(2) as squeue gives it.
func parseExit(s string) (Exit, error) {
	if code, signal, ok := strings.Cut(s, ":"); ok {
		c, err := strconv.Atoi(code)
		if err != nil {
			return Exit{}, fmt.Errorf("%q is no exit code", s)
		}
		n, err := strconv.Atoi(signal)
		if err != nil {
			return Exit{}, fmt.Errorf("%q is no exit code", s)
		}
		return Exit{Code: c, Signal: n}, nil
	}
	status, err := strconv.ParseUint(s, 10, 32)
	if err != nil {
		return Exit{}, fmt.Errorf("%q is no exit code", s)
	}
	return Exit{Code: int(status >> 8 & 0xff), Signal: int(status & 0x7f)}, nil
}

// parseState takes a state apart: sacct writes "CANCELLED by 1001", and cuts a word short with a + where its column is narrow.
func parseState(s string) (state, by string) {
	state, by, _ = strings.Cut(strings.TrimSpace(s), " by ")
	return strings.ToUpper(strings.TrimSuffix(state, "+")), by
}

// unset makes nothing of SLURM's words for nothing.
func unset(s string) string {
	switch s {
	case "(null)", "None", "N/A", "Unknown", "None assigned":
		return ""
	}
	return s
}

// parseTime reads seconds since 1970, and is zero for everything else (N/A, NONE, Unknown).
func parseTime(s string) time.Time {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 {
		return time.Time{}
	}
	return time.Unix(n, 0).UTC()
}
