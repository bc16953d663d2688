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

// Package podrun runs a pod inside of a SLURM job: it takes the job's claim, drives podlifecycle by what it sees of the containers, and
// says in the job's directory how the pod is. It is all there is of a pod while the manager is away, and it leaves nothing behind.
package podrun

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/proc"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// Options say what to run.
type Options struct {
	// Dir is the job's directory.
	Dir jobdir.Dir
	// Env is the job's environment.
	Env []string
	// Self is podrunner's own program.
	Self string
	// Log takes what a person may want to know; it ends up in the batch job's own output.
	Log io.Writer
}

// The exit codes of a run.
const (
	// ExitDone is that of a pod that succeeded, and of a job that is not the one to run it.
	ExitDone = 0
	// ExitFailed is that of a pod that failed.
	ExitFailed = 1
	// ExitBroken is that of a run that could not even say how it ended.
	ExitBroken = 70
)

// Run runs the pod to its end.
func Run(o Options) int {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, fence)
	listener := listen(signals)
	terms := listener.terms
	signal.Notify(make(chan os.Signal, 1), syscall.SIGUSR1, syscall.SIGUSR2, syscall.SIGCONT, syscall.SIGPIPE, syscall.SIGXCPU)
	logf := func(format string, args ...any) {
		fmt.Fprintf(o.Log, time.Now().UTC().Format(time.RFC3339)+" podrunner: "+format+"\n", args...)
	}
	var claim jobdir.Claim
	var state *jobdir.State
	err := whenThereIsRoom(terms, logf, func() (err error) {
		claim, err = begin(o)
		return err
	})
	if err == nil {
		err = whenThereIsRoom(terms, logf, func() (err error) {
			state, err = resume(o, claim)
			return err
		})
	}
	var lost *notOurs
	switch {
	case errors.As(err, &lost):
		logf("nothing is run: %v", err)
		tidy(o.Dir)
		return ExitDone
	case err != nil:
		logf("%v", err)
		return ExitBroken
	}
	table, err := proc.NewTable()
	if err != nil {
		logf("%v", err)
		return ExitBroken
	}
	r := newRunner(o, table, claim, state, logf)
	r.catchUp = listener.catchUp
	code, err := r.run(terms)
	if err != nil {
		logf("%v", err)
	}
	return code
}

// roomEvery is how often a full file system is tried again.
const roomEvery = time.Second

// whenThereIsRoom does something that is tried again for as long as the file system is full. A signal ends the wait.
func whenThereIsRoom(terms <-chan told, logf func(string, ...any), do func() error) error {
	err := do()
	if jobdir.IsFull(err) {
		logf("waiting for room: %v", err)
	}
	for ; jobdir.IsFull(err); err = do() {
		select {
		case <-terms:
			return err
		case <-time.After(roomEvery):
		}
	}
	return err
}

// tidy removes what the batch script has written where the token is over for ever: who ended it has gone, and reads it no more.
func tidy(dir jobdir.Dir) {
	base, token, err := jobdir.BaseOf(dir)
	if err != nil {
		return
	}
	if done, err := base.IsDone(token); err == nil && done {
		_ = os.Remove(base.Out(token))
	}
}

// notOurs is why a job is not the one to run the pod.
type notOurs struct{ words string }

func (e *notOurs) Error() string { return e.words }

func notOursf(format string, args ...any) error { return &notOurs{fmt.Sprintf(format, args...)} }

// begin takes the claim.
func begin(o Options) (jobdir.Claim, error) {
	base, token, err := jobdir.BaseOf(o.Dir)
	if err != nil {
		return jobdir.Claim{}, err
	}
	if err := refuseDone(base, token); err != nil {
		return jobdir.Claim{}, err
	}
	host, _ := os.Hostname()
	claim := jobdir.Claim{JobID: jobID(o.Env), RestartCount: restartCount(o.Env), Host: host, Time: time.Now().UTC()}
	holder, won, err := o.Dir.Take(claim)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return claim, notOursf("the job's directory is not there any more (%v)", err)
	case err != nil:
		return claim, err
	case !won && holder.Cancelled:
		return claim, notOursf("the pod was cancelled before this job began")
	case !won:
		return claim, notOursf("job %s (start %d) runs the pod", holder.JobID, holder.RestartCount)
	}
	// A cancel marks first and looks for claims then, so one of the two sees the other.
	if err := refuseDone(base, token); err != nil {
		return holder, err
	}
	return holder, nil
}

// resume reads what the job said before, where SLURM has started it anew; nil where it has said nothing. The end of a pod stands.
func resume(o Options, claim jobdir.Claim) (*jobdir.State, error) {
	var patience time.Duration
	if claim.RestartCount > 0 {
		patience = readPatience
	}
	state, err := readState(o.Dir, patience)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, jobdir.ErrGarbled), err != nil && claim.RestartCount == 0:
		// What nobody can make sense of is written anew, and before its first start a job has said nothing.
		return nil, nil
	case err != nil:
		return nil, err
	}
	final := state.Finished && state.JobID == claim.JobID
	if final && state.Decision.Reason == jobdir.ReasonTerminated {
		// The job was told to end. Its pod begins anew, unless it is one that is never to restart.
		if final, err = o.Dir.HasBegun(); err != nil {
			return nil, err
		}
	}
	if !final {
		return state, nil
	}
	// It was started again after the pod's end. The end stands, under the number that the queue now knows the job by.
	state.RestartCount = claim.RestartCount
	state.Sequence = max(state.Sequence, firstSequence(claim)) + 1
	if err := o.Dir.WriteState(*state); err != nil {
		return nil, err
	}
	return nil, notOursf("the pod has ended before this start of the job")
}

// firstSequence is a number that no earlier start of the job has given to a state: one that was lost may have written states that this node
// does not see.
func firstSequence(claim jobdir.Claim) int64 { return int64(claim.RestartCount) << 32 }

// readState reads what was said of the pod, again for a while where it can't be read.
func readState(dir jobdir.Dir, patience time.Duration) (*jobdir.State, error) {
	for until := time.Now().Add(patience); ; <-time.After(readEvery) {
		state, err := dir.ReadState()
		if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, jobdir.ErrGarbled) || time.Now().After(until) {
			return state, err
		}
	}
}

func refuseDone(base jobdir.Base, token string) error {
	done, err := base.IsDone(token)
	if err == nil && done {
		return notOursf("the pod was cancelled")
	}
	return err
}

// jobID is the SLURM job's. Outside of SLURM it is a word, for trying podrunner out.
func jobID(env []string) string {
	if id := lookup(env, "SLURM_JOB_ID"); id != "" {
		return id
	}
	return "local"
}

func restartCount(env []string) int {
	n, err := strconv.ParseUint(lookup(env, "SLURM_RESTART_COUNT"), 10, 31)
	if err != nil {
		return 0
	}
	return int(n)
}

// nodeName is the node's, as SLURM calls it.
func nodeName(env []string) string {
	if name := lookup(env, "SLURMD_NODENAME"); name != "" {
		return name
	}
	name, _ := os.Hostname()
	return name
}

func lookup(env []string, name string) string {
	value := ""
	for _, entry := range env {
		if len(entry) > len(name) && entry[len(name)] == '=' && entry[:len(name)] == name {
			value = entry[len(name)+1:]
		}
	}
	return value
}

// clock tells the time by the monotonic clock of this machine from a first look at its calendar on: a calendar that is set meanwhile
// changes no deadline.
type clock struct{ start time.Time }

func newClock() clock { return clock{time.Now()} }

func (c clock) now() time.Time { return c.start.Add(time.Since(c.start)) }

// run drives the pod to its end and cleans up after it.
func (r *runner) run(terms <-chan told) (int, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer r.forget()
	var d podlifecycle.Decision
	if err := r.prepare(ctx, terms); err == nil {
		d = r.loop(ctx, terms)
	}
	cancel()
	err := r.end(d)
	if d.Phase == "Succeeded" && err == nil {
		return ExitDone, nil
	}
	return ExitFailed, err
}
