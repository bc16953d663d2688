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
	"strings"
)

// Kind is what a job's state comes to for its pod.
type Kind string

// The kinds of state.
const (
	// Waits: nothing of the pod runs (any more), and SLURM will start it. Its containers are waiting.
	Waits Kind = "Waits"
	// Runs: the job has its nodes. What its containers do podrunner knows.
	Runs Kind = "Runs"
	// Ended: the job will not run again. Containers of which podrunner said nothing else have ended as it did.
	Ended Kind = "Ended"
)

// Reasons of pods and containers beside those of podlifecycle.
const (
	ReasonQueued       = "Queued"
	ReasonHeld         = "Held"
	ReasonRequeued     = "Requeued"
	ReasonConfiguring  = "NodesStarting"
	ReasonRunning      = "Running"
	ReasonSuspended    = "Suspended"
	ReasonCompleting   = "Completing"
	ReasonCancelled    = "Cancelled"
	ReasonTimeLimit    = "TimeLimitExceeded"
	ReasonOutOfMemory  = "OOMKilled"
	ReasonNodeFailed   = "NodeLost"
	ReasonPreempted    = "Preempted"
	ReasonBootFailed   = "NodeBootFailed"
	ReasonDeadline     = "DeadlineMissed"
	ReasonRevoked      = "Revoked"
	ReasonJobFailed    = "JobFailed"
	ReasonResultLost   = "ContainerStatusUnknown"
	ReasonLaunchFailed = "JobLaunchFailed"
	ReasonUnknownState = "UnknownState"
)

// Explanation says what a job's state means for the pod.
type Explanation struct {
	Kind Kind
	// Reason is one CamelCase word, Message a sentence.
	Reason, Message string
	// ExitCode of containers that ended with the job and of which nothing else is known; never 0 where Kind is Ended.
	ExitCode int32
}

// Exit codes of containers that ended with their job: as if by SIGTERM or SIGKILL, or without a code of their own.
const (
	exitError  = 1
	exitKilled = 137
	exitTerm   = 143
)

// Explain says what the job's state means. A state that no release had so far is taken for a job that runs: it is there, and has not ended.
func (j Job) Explain() Explanation {
	waits := func(reason, format string, args ...any) Explanation {
		return Explanation{Kind: Waits, Reason: reason, Message: "SLURM job " + j.ID + " " + fmt.Sprintf(format, args...)}
	}
	runs := func(reason, format string, args ...any) Explanation {
		return Explanation{Kind: Runs, Reason: reason, Message: "SLURM job " + j.ID + " " + fmt.Sprintf(format, args...)}
	}
	ended := func(reason string, code int32, format string, args ...any) Explanation {
		return Explanation{Kind: Ended, Reason: reason, ExitCode: code, Message: "SLURM job " + j.ID + " " + fmt.Sprintf(format, args...)}
	}
	switch j.State {
	case "PENDING", "EXPEDITING":
		if isHeld(j.Reason) {
			return waits(ReasonHeld, "is held: %s", Words(j.Reason))
		}
		return waits(ReasonQueued, "waits in the queue: %s", Words(j.Reason))
	case "REQUEUED":
		return waits(ReasonRequeued, "was requeued and will start anew")
	case "REQUEUE_FED":
		return waits(ReasonRequeued, "was requeued by its federation")
	case "REQUEUE_HOLD":
		return waits(ReasonHeld, "was requeued and is held until somebody releases it")
	case "SPECIAL_EXIT":
		return waits(ReasonHeld, "was requeued in a special state and is held until somebody releases it")
	case "RESV_DEL_HOLD":
		return waits(ReasonHeld, "is held since its reservation was deleted")
	case "CONFIGURING", "POWER_UP_NODE":
		return waits(ReasonConfiguring, "has nodes%s, which are getting ready", j.on())
	case "RUNNING", "RESIZING", "SIGNALING", "UPDATE_DB":
		return runs(ReasonRunning, "runs%s", j.on())
	case "SUSPENDED":
		return runs(ReasonSuspended, "is suspended%s", j.on())
	case "STOPPED":
		return runs(ReasonSuspended, "was stopped by a signal and keeps its nodes%s", j.on())
	case "COMPLETING", "STAGE_OUT":
		return runs(ReasonCompleting, "is ending%s", j.on())
	case "CANCELLED":
		return ended(ReasonCancelled, exitTerm, "was cancelled%s%s", j.by(), j.on())
	case "TIMEOUT":
		return ended(ReasonTimeLimit, exitTerm, "reached its time limit%s", j.on())
	case "OUT_OF_MEMORY":
		return ended(ReasonOutOfMemory, exitKilled, "ran out of memory%s", j.on())
	case "NODE_FAIL":
		return ended(ReasonNodeFailed, exitKilled, "lost its node%s", j.on())
	case "PREEMPTED":
		return ended(ReasonPreempted, exitTerm, "was preempted by another job%s", j.on())
	case "BOOT_FAIL", "RECONFIG_FAIL":
		return ended(ReasonBootFailed, exitKilled, "was given up since its nodes did not start%s", j.on())
	case "DEADLINE":
		return ended(ReasonDeadline, exitTerm, "could not end before its deadline%s", j.on())
	case "REVOKED":
		return ended(ReasonRevoked, exitTerm, "was revoked, since another cluster of the federation took it")
	case "LAUNCH_FAILED":
		return ended(ReasonLaunchFailed, exitError, "could not be started%s", j.on())
	case "COMPLETED":
		return ended(ReasonResultLost, exitKilled, "completed%s and left no word of what became of its containers", j.on())
	case "FAILED":
		return j.failed(ended)
	}
	return runs(ReasonUnknownState, "is in a state that is not known here, %s%s", j.State, j.on())
}

// failed tells the ends apart that SLURM calls FAILED.
func (j Job) failed(ended func(string, int32, string, ...any) Explanation) Explanation {
	switch {
	case j.Reason == "JobLaunchFailure" && (j.Exit == nil || j.Exit.Signal == 0 || j.Exit.Signal > lastSignal),
		strings.HasPrefix(j.Reason, "launch failed"):
		return ended(ReasonLaunchFailed, exitError, "could not be started%s: %s", j.on(), Words("JobLaunchFailure"))
	case j.Reason == "BadConstraints":
		return ended(ReasonJobFailed, exitError, "was given up: %s", Words(j.Reason))
	case j.Exit == nil:
		return ended(ReasonJobFailed, exitError, "failed%s%s", j.on(), because(j.Reason))
	case j.Exit.Signal > 0:
		return ended(ReasonJobFailed, int32(128+min(j.Exit.Signal, 127)), "was ended by signal %d%s", j.Exit.Signal, j.on())
	case j.Exit.Code > 0:
		return ended(ReasonJobFailed, int32(min(j.Exit.Code, 255)), "failed with exit code %d%s", j.Exit.Code, j.on())
	}
	return ended(ReasonJobFailed, exitError, "failed%s%s", j.on(), because(j.Reason))
}

// lastSignal is the highest number that a process is usually ended by; SLURM codes its own failures as higher ones.
const lastSignal = 31

func (j Job) on() string {
	if j.Nodes == "" {
		return ""
	}
	return " on " + j.Nodes
}

func (j Job) by() string {
	if j.By == "" {
		return ""
	}
	return " by user " + j.By
}

func because(reason string) string {
	if reason == "" {
		return ""
	}
	return ": " + Words(reason)
}
