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
	"fmt"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/queue"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// stage is where the queue has a job.
type stage int

const (
	// waits means that the job is in the queue, for the first time or again.
	waits stage = iota
	// runs means that the job's processes run, or did until just now.
	runs
	// ended means that the job has ended.
	ended
)

// sighting is one job of a token in the queue, or in the accounting where the queue has forgotten it.
type sighting struct {
	id string
	// submit is when it was submitted, or put back into the queue.
	submit time.Time
	// node is where it runs or ran; empty for one that never began.
	node  string
	stage stage
	// word is what the queue says of a job that waits, or has ended.
	word backend.Word
}

// sightingOf is a job as squeue or sacct shows it.
func sightingOf(j *queue.Job) sighting {
	e := j.Explain()
	s := sighting{id: j.ID, submit: j.Submit, node: j.Nodes, word: backend.Word{Reason: e.Reason, Message: e.Message, ExitCode: e.ExitCode}}
	switch e.Kind {
	case queue.Waits:
		s.stage = waits
	case queue.Runs:
		s.stage = runs
	case queue.Ended:
		s.stage, s.word.Ended = ended, true
	}
	return s
}

// judge says what is to be made of a job: what podrunner says of the pod goes before what the queue says of the job, where both speak of
// the same attempt. It changes nothing but the job's endedSince.
func (j *job) judge(rows []sighting, now time.Time, settle time.Duration) backend.ObservedJob {
	out := backend.ObservedJob{JobID: j.id, Pod: j.pod, Job: j.named}
	row := choose(rows, j.state)
	switch {
	case j.state != nil:
		out.JobID = j.state.JobID
	case row != nil:
		out.JobID = keptWord(j.id, row.id)
	}
	j.count(row)
	mine := j.state != nil && j.state.RestartCount >= j.restarts || j.over()
	if mine {
		out.NodeName = j.state.Node
	}
	out.Requeues = int32(j.restarts)
	if row == nil || row.stage != ended {
		j.endedSince = time.Time{}
	}
	switch {
	case mine && j.state.Finished:
		out.Report = j.finalReport(row)
	case row == nil:
		out.Remains = true
	case row.stage == waits:
		out.NodeName, out.Word = "", &row.word
	case row.stage == runs:
		if out.NodeName == "" {
			out.NodeName = row.node
		}
		if mine {
			out.Report = j.report()
		}
	case row.stage == ended:
		j.end(&out, row, mine, now, settle)
	}
	out.Fingerprint = fingerprint(&out, j, row)
	return out
}

// count brings the job's number of restarts up to date. squeue's lines do not hold it: what they show is that a job was submitted anew, which
// SLURM says of one that it puts back into the queue. That a job waits which ran says less: a controller that was killed may have forgotten
// that it started it. So the number is a guess where podrunner has not spoken of the new attempt, and at most one ahead of it.
func (j *job) count(row *sighting) {
	before := j.restarts
	if j.state != nil {
		j.restarts = max(before, j.state.RestartCount)
	}
	if row != nil {
		if j.again(row) {
			j.restarts = max(j.restarts, before+1)
		}
		j.submit, j.submitOf = row.submit, keptWord(j.submitOf, row.id)
	}
	if j.state != nil {
		j.restarts = min(j.restarts, j.state.RestartCount+1)
	}
}

// again tells whether the queue shows a job that was submitted anew, later than when it was seen last; or, of one that waits and was not seen
// before, than when the attempt began that podrunner speaks of.
func (j *job) again(row *sighting) bool {
	if row.id == j.submitOf {
		return row.submit.After(j.submit) && !j.submit.IsZero()
	}
	return row.stage == waits && j.state != nil && j.state.JobID == row.id && row.submit.After(j.state.StartTime)
}

// end says that a job has ended of which podrunner has not said so: at once where it never began, else when podrunner's own word, which
// may be on its way through the shared file system, has had the time to arrive.
func (j *job) end(out *backend.ObservedJob, row *sighting, mine bool, now time.Time, settle time.Duration) {
	if j.endedSince.IsZero() {
		j.endedSince = now
	}
	if out.NodeName == "" {
		out.NodeName = row.node
	}
	if row.node == "" || now.Sub(j.endedSince) >= settle {
		out.Word = &row.word
		return
	}
	if mine {
		out.Report = j.report()
	}
}

// report is what podrunner says of the pod; nil before it knows the pod's containers.
func (j *job) report() *podlifecycle.Decision {
	if len(j.state.Decision.Containers) == 0 {
		return nil
	}
	return &j.state.Decision
}

// finalReport is what podrunner says of the pod's end; nil where that is on record, or not the end yet. A job that SLURM told to end may
// have been told so to be started anew, or because somebody cancelled it, or its time was over: the queue says which, and its words are
// the end's then.
func (j *job) finalReport(row *sighting) *podlifecycle.Decision {
	if j.dropped {
		return nil
	}
	d := &j.state.Decision
	if d.Reason != jobdir.ReasonTerminated || row == nil {
		return d
	}
	if row.stage != ended {
		return nil
	}
	if row.word.Ended && row.word.Reason != queue.ReasonResultLost {
		told := *d
		told.Reason, told.Message = row.word.Reason, row.word.Message
		return &told
	}
	return d
}

// choose returns the job that counts of all that carry a token: the one whose podrunner speaks, which has the claim. Before any does, one
// that runs goes before one that waits, and that before one that has ended: a job that found the claim taken ends at once.
func choose(rows []sighting, state *jobdir.State) *sighting {
	var best *sighting
	for i := range rows {
		row := &rows[i]
		if state != nil {
			if row.id == state.JobID {
				return row
			}
			continue
		}
		if best == nil || rank(row) > rank(best) {
			best = row
		}
	}
	return best
}

func rank(s *sighting) int {
	switch s.stage {
	case runs:
		return 2
	case waits:
		return 1
	}
	return 0
}

// fingerprint sums up what is said of a job. A state's number stands for its content.
func fingerprint(out *backend.ObservedJob, j *job, row *sighting) string {
	sequence := int64(-1)
	if j.state != nil {
		sequence = j.state.Sequence
	}
	said, stage := "", stage(-1)
	if out.Word != nil {
		said = fmt.Sprintf("%t %d %s %s", out.Word.Ended, out.Word.ExitCode, out.Word.Reason, out.Word.Message)
	}
	if row != nil {
		stage = row.stage
	}
	return fmt.Sprintf("%s/%d/%d/%d/%t/%s/%s", out.JobID, out.Requeues, sequence, stage, out.Report != nil && !j.dropped, out.NodeName, said)
}
