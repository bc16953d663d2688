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
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

var (
	noon   = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	settle = time.Minute
)

func said(id string, restarts int, finished bool) *jobdir.State {
	phase := corev1.PodRunning
	if finished {
		phase = corev1.PodSucceeded
	}
	return &jobdir.State{
		JobID: id, RestartCount: restarts, Sequence: int64(restarts) + 1, Node: "n1", Finished: finished,
		Decision: podlifecycle.Decision{Phase: phase, Containers: []corev1.ContainerStatus{{Name: "main"}}},
	}
}

// startedAt is a state of an attempt that began at some time.
func startedAt(s *jobdir.State, at time.Time) *jobdir.State {
	s.StartTime = at
	return s
}

// told is the end of a pod whose job was told to end.
func told(id string, restarts int) *jobdir.State {
	s := said(id, restarts, true)
	s.Decision.Phase, s.Decision.Reason = corev1.PodFailed, jobdir.ReasonTerminated
	return s
}

func row(id string, at stage, node string) sighting {
	s := sighting{id: id, submit: noon, node: node, stage: at, word: backend.Word{Reason: "R"}}
	if at == ended {
		s.word.Ended, s.word.ExitCode = true, 137
	}
	return s
}

func TestWhatPodrunnerSaysGoesBeforeWhatTheQueueSays(t *testing.T) {
	tests := []struct {
		name  string
		known job
		rows  []sighting
		// id, node and requeues are what is observed; report and word say which of the two speaks, remains that neither does.
		id, node              string
		requeues              int32
		report, word, remains bool
	}{
		{name: "it waits", rows: []sighting{row("1", waits, "")}, id: "1", word: true},
		{name: "it runs, and podrunner has said nothing yet", rows: []sighting{row("1", runs, "n1")}, id: "1", node: "n1"},
		{name: "it runs", known: job{state: said("1", 0, false)}, rows: []sighting{row("1", runs, "n1")}, id: "1", node: "n1", report: true},
		{name: "its pod has ended, and the queue does not know yet", known: job{state: said("1", 0, true)}, rows: []sighting{row("1", runs, "n1")}, id: "1", node: "n1", report: true},
		{name: "SLURM says that it failed, podrunner that it went well", known: job{state: said("1", 0, true)}, rows: []sighting{row("1", ended, "n1")}, id: "1", node: "n1", report: true},
		{name: "the queue has forgotten it", known: job{state: said("1", 0, true)}, id: "1", node: "n1", report: true},
		{name: "its statuses are on record", known: job{state: said("1", 0, true), dropped: true}, id: "1", node: "n1"},
		{name: "it vanished while it ran", known: job{state: said("1", 0, false)}, id: "1", node: "n1", remains: true},
		{name: "only its directory is there", known: job{}, remains: true},
		{name: "it ended in the queue", rows: []sighting{row("1", ended, "")}, id: "1", word: true},
		{name: "it was killed just now", known: job{state: said("1", 0, false)}, rows: []sighting{row("1", ended, "n1")}, id: "1", node: "n1", report: true},
		{name: "it was killed before it said anything", rows: []sighting{row("1", ended, "n1")}, id: "1", node: "n1"},
		{name: "it was killed a while ago", known: job{state: said("1", 0, false), endedSince: noon.Add(-settle)}, rows: []sighting{row("1", ended, "n1")}, id: "1", node: "n1", word: true},
		{name: "it was told to end, and may be to begin anew", known: job{state: told("1", 0)}, rows: []sighting{row("1", runs, "n1")}, id: "1", node: "n1"},
		{name: "it was told to end, and has", known: job{state: told("1", 0)}, rows: []sighting{row("1", ended, "n1")}, id: "1", node: "n1", report: true},
		{name: "it was told to end long ago", known: job{state: told("1", 0)}, id: "1", node: "n1", report: true},
		{name: "it was told to end to begin anew", known: job{state: told("1", 0)}, rows: []sighting{row("1", waits, "")}, id: "1", requeues: 1, word: true},
		{name: "it is put back into the queue", known: job{state: said("1", 0, false)}, rows: []sighting{row("1", waits, "")}, id: "1", requeues: 1, word: true},
		{name: "its pod had ended when it was put back", known: job{state: said("1", 0, true)}, rows: []sighting{row("1", waits, "")}, id: "1", node: "n1", requeues: 1, report: true},
		{name: "its pod had ended when it was started again", known: job{state: said("1", 0, true), restarts: 1}, rows: []sighting{row("1", runs, "n2")}, id: "1", node: "n1", requeues: 1, report: true},
		{name: "it was told to end, and runs again", known: job{state: told("1", 0), restarts: 1}, rows: []sighting{row("1", runs, "n2")}, id: "1", node: "n2", requeues: 1},
		{name: "it runs again, and podrunner has said nothing of that yet", known: job{state: said("1", 0, false), restarts: 1}, rows: []sighting{row("1", runs, "n2")}, id: "1", node: "n2", requeues: 1},
		{name: "its start is forgotten by the controller", known: job{state: said("1", 0, false), submitOf: "1", submit: noon}, rows: []sighting{row("1", waits, "")}, id: "1", word: true},
		{name: "its start was forgotten before it was looked at", known: job{state: startedAt(said("1", 0, false), noon)}, rows: []sighting{row("1", waits, "")}, id: "1", word: true},
		{name: "it was put back before it was looked at", known: job{state: startedAt(said("1", 0, false), noon.Add(-time.Minute))}, rows: []sighting{row("1", waits, "")}, id: "1", requeues: 1, word: true},
		{name: "it was put back, and began after the queue was asked", known: job{state: said("1", 1, false), submitOf: "1", submit: noon.Add(-time.Hour)}, rows: []sighting{row("1", waits, "")}, id: "1", requeues: 1, word: true},
		{name: "it runs again", known: job{state: said("1", 1, false), restarts: 1}, rows: []sighting{row("1", runs, "n2")}, id: "1", node: "n1", requeues: 1, report: true},
		{name: "it was put back and taken up between two looks", known: job{state: said("1", 0, false), submitOf: "1", submit: noon.Add(-time.Hour)}, rows: []sighting{row("1", runs, "n2")}, id: "1", node: "n2", requeues: 1},
		{name: "a second job waits behind the one that runs", known: job{}, rows: []sighting{row("2", waits, ""), row("1", runs, "n1")}, id: "1", node: "n1"},
		{name: "a second job found the claim taken", known: job{state: said("1", 0, false)}, rows: []sighting{row("2", ended, "n1"), row("1", runs, "n1")}, id: "1", node: "n1", report: true},
		{name: "the one with the claim is forgotten, a second one waits", known: job{state: said("1", 0, false)}, rows: []sighting{row("2", waits, "")}, id: "1", node: "n1", remains: true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := tt.known.judge(tt.rows, noon, settle)
			if got.JobID != tt.id || got.NodeName != tt.node || got.Requeues != tt.requeues || (got.Report != nil) != tt.report || (got.Word != nil) != tt.word || got.Remains != tt.remains {
				t.Errorf("got %+v", got)
			}
			again := tt.known.judge(tt.rows, noon, settle)
			if again.Fingerprint != got.Fingerprint || again.Requeues != got.Requeues {
				t.Errorf("the same look says %q and %q", got.Fingerprint, again.Fingerprint)
			}
		})
	}
}

// TestAControllerThatForgetsAStartIsNotMistakenForARequeue follows a job whose slurmctld was killed, showed it as one that waits, noticed,
// and put it back: once, and not twice.
func TestAControllerThatForgetsAStartIsNotMistakenForARequeue(t *testing.T) {
	j := job{}
	look := func(state *jobdir.State, at stage, submit time.Time) backend.ObservedJob {
		j.take(state)
		r := row("1", at, "")
		r.submit = submit
		return j.judge([]sighting{r}, noon, settle)
	}
	first, later := noon, noon.Add(20*time.Second)
	look(startedAt(said("1", 0, false), noon.Add(time.Second)), runs, first)
	for _, step := range []struct {
		at       stage
		submit   time.Time
		requeues int32
	}{{waits, first, 0}, {waits, later, 1}, {waits, later.Add(time.Second), 1}, {runs, later.Add(time.Second), 1}} {
		if got := look(nil, step.at, step.submit); got.Requeues != step.requeues {
			t.Fatalf("in %+v it was requeued %d times", step, got.Requeues)
		}
	}
	if got := look(said("1", 1, true), ended, later); got.Requeues != 1 || !got.Ends() || got.Report == nil {
		t.Errorf("its end is %+v", got)
	}
}

func TestACancelledJobThatTheQueueShowsAgainHasRisen(t *testing.T) {
	tokens := tracker{}
	tokens.init()
	rows := map[string]*sighted{"rj-1": {rows: []sighting{row("1", runs, "n1")}}, "rj-2": {rows: []sighting{row("2", runs, "n1")}}, "rj-3": {rows: []sighting{row("3", ended, "n1")}}}
	got := tokens.snapshot(rows, &looked{cancelled: map[string]bool{"rj-1": true, "rj-3": true}}, noon, noon, settle).Jobs
	if !got["rj-1"].Risen || got["rj-1"].Cancelled || got["rj-2"].Risen || got["rj-3"].Risen || !got["rj-3"].Cancelled {
		t.Errorf("got %+v", got)
	}
}

// A look that is under way while a job is removed has read the queue and the job's state before.
func TestAJobThatIsRemovedDuringALookDoesNotComeBackByIt(t *testing.T) {
	tokens := tracker{}
	tokens.init()
	rows := map[string]*sighted{"rj-1": {rows: []sighting{row("1", ended, "n1")}}, "rj-2": {rows: []sighting{row("2", runs, "n1")}}}
	tokens.snapshot(rows, &looked{}, time.Now(), noon, settle)
	begun := time.Now()
	tokens.gone("rj-1")
	seen := &looked{states: map[string]*jobdir.State{"rj-1": said("1", 0, true)}}
	for range 2 { // two may begin before the first one's time is over
		if got := tokens.snapshot(rows, seen, begun, noon, settle).Jobs; len(got) != 1 || got["rj-2"].JobID != "2" {
			t.Errorf("the look shows %+v", got)
		}
	}
	// What the queue has not forgotten by then has the marker of its cancel looked for.
	later := time.Now().Add(time.Second)
	got := tokens.snapshot(rows, &looked{cancelled: map[string]bool{"rj-1": true}}, later, noon, settle).Jobs
	if !got["rj-1"].Cancelled || len(tokens.left) > 0 {
		t.Errorf("the next look shows %+v, and %v are kept", got, tokens.left)
	}
	// Nobody asks for the marker of what is not in the queue and has no directory.
	delete(rows, "rj-1")
	got = tokens.snapshot(rows, &looked{}, later, noon, settle).Jobs
	if job, ok := got["rj-1"]; ok && !job.Cancelled || tokens.jobs["rj-1"] != nil {
		t.Errorf("when the queue has forgotten it a look shows %+v", got)
	}
}

func TestAnOlderStateTakesNothingBack(t *testing.T) {
	j := job{}
	newer := said("1", 2, false)
	j.take(newer)
	j.take(said("1", 1, true))
	if j.state != newer {
		t.Errorf("the state is %+v", j.state)
	}
}

func TestALookThatIsNotWholeSaysNothing(t *testing.T) {
	const whole = "\x1dqueue\n\x1e1\x1fa\n\x1dstates\nrj-0123456789abcdef {\"jobID\":\"1\",\"sequence\":3}\nrj-1123456789abcdef cancelled\nrj-2123456789abcdef {\"jobID\":\n" +
		"\x1dexit\n0\n\x1ddirectories\nrj-3\nrj-4\n\x1dend\n"
	l, err := parseLook([]byte(whole), "")
	if err != nil {
		t.Fatal(err)
	}
	if string(l.queue) != "\x1e1\x1fa\n" || len(l.states) != 1 || l.states["rj-0123456789abcdef"].Sequence != 3 || !l.cancelled["rj-1123456789abcdef"] || len(l.directories) != 2 {
		t.Errorf("got %+v", l)
	}
	for cut := range len(whole) - len("\n") {
		if _, err := parseLook([]byte(whole[:cut]), ""); !backend.IsUnavailable(err) {
			t.Fatalf("cut off after %d bytes: %v", cut, err)
		}
	}
}

func TestTheQueueSaysWhyAJobWasToldToEnd(t *testing.T) {
	j := job{state: told("1", 0)}
	end := row("1", ended, "n1")
	end.word.Reason, end.word.Message = "Cancelled", "SLURM job 1 was cancelled by user 0"
	got := j.judge([]sighting{end}, noon, settle)
	if got.Report == nil || got.Report.Reason != "Cancelled" || got.Report.Message != end.word.Message || got.Report.Phase != corev1.PodFailed || len(got.Report.Containers) != 1 {
		t.Errorf("got %+v", got.Report)
	}
	if j.state.Decision.Reason != jobdir.ReasonTerminated {
		t.Error("what podrunner said was changed")
	}
}
