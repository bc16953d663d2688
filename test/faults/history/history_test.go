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

package history

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const s = time.Second

// good is a history without fault: one pod that ran once, and was deleted.
func good() *History {
	return &History{
		Pods: []Pod{{
			UID: "a", Backend: "slurm", Containers: []Container{{Name: "c", Runs: 1, Code: 3}},
			Accepted: 1 * s, Ended: 4 * s, Deleting: 5 * s, Deleted: 6 * s, Settled: 8 * s,
			Seen: []Seen{{At: 1 * s, Container: "c"}, {At: 2 * s, Container: "c", State: Running}, {At: 4 * s, Container: "c", State: Terminated, Code: 3}},
		}},
		Runs: []Run{{UID: "a", Container: "c", ID: "1", Began: 2 * s, Ended: 3 * s}},
	}
}

func TestInvariants(t *testing.T) {
	again := Run{UID: "a", Container: "c", ID: "2", Began: 3500 * time.Millisecond, Ended: 4 * s}
	at := func(effect Effect) Fault {
		return Fault{Kind: "k", From: 2 * s, To: 3 * s, Backends: []string{"slurm"}, May: effect}
	}
	endless := func(h *History) {
		p := &h.Pods[0]
		p.Endless, p.Ended, p.Seen, p.Containers[0].Code = true, 0, p.Seen[:2], 143
		h.Runs[0].Ended = 0
	}
	lost := func(h *History) {
		h.Pods[0].Seen[2].Code, h.Pods[0].Seen[2].Words = 137, "JobLost: the job was lost"
		h.Runs[0].Ended = 0
	}
	for name, c := range map[string]struct {
		change func(*History)
		// want is the invariant that is violated, empty for none.
		want string
	}{
		"all is well":                         {func(*History) {}, ""},
		"it ran twice":                        {func(h *History) { h.Runs = append(h.Runs, again) }, "no container runs too often"},
		"a fault struck and it ran twice":     {func(h *History) { h.Runs = append(h.Runs, again); h.Faults = []Fault{at(MayLose)} }, "no container runs too often"},
		"it was requeued and ran twice":       {func(h *History) { h.Runs = append(h.Runs, again); h.Faults = []Fault{at(MayRepeat)} }, ""},
		"it was requeued and ran three times": {func(h *History) { h.Runs = append(h.Runs, again, again); h.Faults = []Fault{at(MayRepeat)} }, "no container runs too often"},
		"its policy let SLURM run it again": {func(h *History) {
			h.Pods[0].Restartable, h.Runs, h.Faults = true, append(h.Runs, again), []Fault{at(MayRequeue)}
		}, ""},
		"its policy did not let SLURM run it again": {func(h *History) { h.Runs, h.Faults = append(h.Runs, again), []Fault{at(MayRequeue)} }, "no container runs too often"},
		"its code was missed and it ran twice": {func(h *History) {
			h.Pods[0].Restartable, h.Runs, h.Faults = true, append(h.Runs, again), []Fault{at(MayMiss)}
		}, ""},
		"its code was missed and its policy was Never": {func(h *History) { h.Runs, h.Faults = append(h.Runs, again), []Fault{at(MayMiss)} }, "no container runs too often"},
		"another backend repeats": {func(h *History) {
			h.Runs = append(h.Runs, again)
			h.Faults = []Fault{{Backends: []string{"docker"}, May: MayRepeat}}
		}, "no container runs too often"},
		"it never ran and has its code": {func(h *History) { h.Runs = nil }, "no container that ended well ran too seldom"},
		"two runs at once": {func(h *History) {
			again := again
			again.Began = 2500 * time.Millisecond
			h.Runs = append(h.Runs, again)
			h.Faults = []Fault{at(MayRepeat)}
		}, "no two runs of a container overlap"},
		"the wrong code":      {func(h *History) { h.Pods[0].Seen[2].Code = 1 }, "every pod that ends has the right exit codes"},
		"its code is unknown": {func(h *History) { h.Pods[0].Seen[2].Code = 255 }, "every pod that ends has the right exit codes"},
		"its code was missed": {func(h *History) { h.Pods[0].Seen[2].Code, h.Faults = 255, []Fault{at(MayMiss)} }, ""},
		"it could not be started": {func(h *History) {
			h.Pods[0].Seen[2].Code, h.Pods[0].Seen[2].Words = 128, "StartError: id already in use"
		}, "every pod that ends has the right exit codes"},
		"its engine had lost track of its start": {func(h *History) {
			h.Pods[0].Containers = append(h.Pods[0].Containers, Container{Name: "d", Runs: 1})
			h.Pods[0].Seen[2].Code, h.Pods[0].Seen[2].Words = 128, "StartError: id already in use"
			h.Pods[0].Seen = append(h.Pods[0].Seen, Seen{At: 4 * s, Container: "d", State: Terminated, Code: 137})
			h.Runs, h.Faults = nil, []Fault{at(MayMiss)}
		}, ""},
		"an endless one's engine had lost track of its start": {func(h *History) {
			endless(h)
			h.Pods[0].Ended = 3 * s
			h.Pods[0].Seen = append(h.Pods[0].Seen, Seen{At: 3 * s, Container: "c", State: Terminated, Code: 128, Words: "StartError: id already in use"})
			h.Faults = []Fault{at(MayMiss)}
		}, ""},
		"its code is wrong, and was not missed": {func(h *History) { h.Pods[0].Seen[2].Code, h.Faults = 1, []Fault{at(MayMiss)} }, "every pod that ends has the right exit codes"},
		"it was lost and no fault explains it":  {lost, "every pod that ends has the right exit codes"},
		"it was lost and a fault explains it":   {func(h *History) { lost(h); h.Faults = []Fault{at(MayLose)} }, ""},
		"a fault that struck after its end": {func(h *History) {
			lost(h)
			h.Faults = []Fault{{Backends: []string{"slurm"}, From: 5 * s, To: 6 * s, May: MayLose}}
		}, "every pod that ends has the right exit codes"},
		"a fault aimed at another pod": {func(h *History) { lost(h); h.Faults = []Fault{{Pod: "b", From: 2 * s, To: 3 * s, May: MayEnd}} }, "every pod that ends has the right exit codes"},
		"it was refused":               {func(h *History) { h.Pods[0].Accepted, h.Pods[0].Refused, h.Pods[0].Refusal = 0, 1*s, "no" }, "every pod is accepted"},
		"it was never answered":        {func(h *History) { h.Pods[0].Accepted = 0 }, "every pod is accepted"},
		"a raced one was refused":      {func(h *History) { h.Pods[0].Accepted, h.Pods[0].Refused, h.Pods[0].Raced = 0, 1*s, true }, ""},
		"it never ended":               {func(h *History) { h.Pods[0].Ended = 0; h.Pods[0].Seen = h.Pods[0].Seen[:2] }, "every pod comes to its end and leaves nothing"},
		"it could not be deleted":      {func(h *History) { h.Pods[0].Deleted, h.Pods[0].Settled = 0, 0 }, "every pod comes to its end and leaves nothing"},
		"something of it stayed":       {func(h *History) { h.Pods[0].Settled = 0 }, "every pod comes to its end and leaves nothing"},
		"an endless one was deleted":   {endless, ""},
		"an endless one ended by itself": {func(h *History) {
			endless(h)
			h.Pods[0].Ended = 3 * s
			h.Pods[0].Seen = append(h.Pods[0].Seen, Seen{At: 3 * s, Container: "c", State: Terminated, Code: 143})
		}, "every pod that ends has the right exit codes"},
		"an endless one was lost and looks well": {func(h *History) {
			endless(h)
			h.Pods[0].Ended = 3 * s
			h.Pods[0].Seen = append(h.Pods[0].Seen, Seen{At: 3 * s, Container: "c", State: Terminated})
			h.Faults = []Fault{at(MayLose)}
		}, "every pod that ends has the right exit codes"},
		"it began after its delete had settled": {func(h *History) { h.Runs[0].Began, h.Runs[0].Ended = 9*s, 10*s }, "nothing runs after its delete has settled"},
		"it ran again after it had ended": {func(h *History) {
			h.Pods[0].Seen = append(h.Pods[0].Seen, Seen{At: 5 * s, Container: "c", State: Running})
			h.Pods[0].Containers[0].Code = 0
		}, "no status goes backwards"},
		"its code changed": {func(h *History) {
			h.Pods[0].Seen = append([]Seen{{At: 1, Container: "c", State: Terminated, Code: 9}}, h.Pods[0].Seen[2])
		}, "no status goes backwards"},
		"its record was deleted after its end": {func(h *History) {
			h.Pods[0].Seen = append(h.Pods[0].Seen, Seen{At: 5 * s, Container: "c", State: Terminated, Code: 137})
			h.Faults = []Fault{{Pod: "a", From: 4 * s, To: 4 * s, May: MayEnd}}
		}, ""},
		"its restarts fell": {func(h *History) { h.Pods[0].Seen[0].Restarts = 1 }, "no status goes backwards"},
		"it was restarted":  {func(h *History) { restarted(h) }, ""},
		"it was restarted, and its end was missed": {func(h *History) {
			restarted(h)
			h.Pods[0].Seen = slices.Delete(h.Pods[0].Seen, 1, 2)
		}, ""},
		"it waits though nothing restarts it": {func(h *History) { waitsAgain(h) }, "no status goes backwards"},
		"an engine missed its end, and nothing restarts it": {func(h *History) {
			waitsAgain(h)
			h.Faults = []Fault{at(MayMiss)}
		}, "no status goes backwards"},
		"an engine missed its end, for which it is restarted": {func(h *History) {
			waitsAgain(h)
			h.Pods[0].Restartable = true
			h.Faults = []Fault{at(MayMiss)}
		}, ""},
		"the ledger was restored": {func(h *History) {
			h.Pods[0].Seen = append(h.Pods[0].Seen, Seen{At: 4600 * time.Millisecond, Container: "c", State: Running}, h.Pods[0].Seen[2])
			h.Pods[0].Restored = 4500 * time.Millisecond
		}, ""},
		"it was forgotten and went on": {func(h *History) {
			h.Pods[0].Restored, h.Pods[0].Forgotten, h.Pods[0].Seen[2].Code, h.Pods[0].Seen[2].Words = 2*s, true, 137, "JobLost"
		}, ""},
		"it was forgotten and killed": {func(h *History) {
			h.Pods[0].Restored, h.Pods[0].Forgotten, h.Runs[0].Ended = 2*s, true, 0
		}, "nothing is killed that a restored ledger"},
		"it was forgotten and repeated": {func(h *History) {
			h.Pods[0].Restored, h.Pods[0].Forgotten = 2*s, true
			h.Runs = append(h.Runs, again)
		}, "no container runs too often"},
		"it came back and stayed": {func(h *History) { h.Pods[0].Restored, h.Pods[0].Back = 9*s, true }, "every pod comes to its end"},
		"it came back and ran": {func(h *History) {
			h.Pods[0].Restored, h.Pods[0].Back, h.Pods[0].SettledAgain = 9*s, true, 12*s
			h.Runs = append(h.Runs, Run{UID: "a", Container: "c", ID: "2", Began: 10 * s, Ended: 11 * s})
		}, "nothing runs after its delete"},
		"an answer was about another pod":         {func(h *History) { h.Pods[0].Wrong = []string{"got the status of b"} }, "no answer is about something else"},
		"its log was cut":                         {func(h *History) { h.Pods[0].Cut = []string{"cut"} }, "no log is cut without a cause"},
		"its log was cut where there was no room": {func(h *History) { h.Pods[0].Cut = []string{"cut"}; h.Faults = []Fault{at(MayMute)} }, ""},
		"a pod that nobody created ran":           {func(h *History) { h.Runs = append(h.Runs, Run{UID: "z", Container: "c"}) }, "nothing runs that nobody created"},
		"something was left":                      {func(h *History) { h.Left = []string{"a container"} }, "nothing is left behind"},
		"a manager panicked":                      {func(h *History) { h.Trouble = []string{"panic"} }, "the managers are well"},
	} {
		h := good()
		c.change(h)
		violations := Check(h)
		switch {
		case c.want == "" && len(violations) > 0:
			t.Errorf("%s: %v", name, violations)
		case c.want != "" && !violated(violations, c.want):
			t.Errorf("%s: %q is not among the violations %v", name, c.want, violations)
		}
	}
}

func TestAStoryTellsWhatWasSeenAndWhatStruck(t *testing.T) {
	h := good()
	h.Faults = []Fault{{Kind: "k", From: 2500 * time.Millisecond, To: 3 * s}, {Kind: "other", From: 2 * s, To: 2 * s, Pod: "b"}, {Kind: "late", From: 9 * s, To: 9 * s}}
	got := strings.Join(h.Story("a"), "\n")
	last := -1
	for _, want := range []string{"1.0s: it is accepted", "2.0s: c begins", "2.5s: k strikes", "3.0s: c ends", "4.0s: c is terminated, code 3", "8.0s: nothing"} {
		at := strings.Index(got, want)
		if at <= last {
			t.Errorf("%q is not in its place", want)
		}
		last = at
	}
	if strings.Contains(got, "other") || strings.Contains(got, "late") || h.Story("z") != nil {
		t.Error("the story tells what is another's")
	}
	if t.Failed() {
		t.Log(got)
	}
}

func TestEveryInvariantIsViolatedBySomeHistory(t *testing.T) {
	// The table above is by name; a new invariant without a history that violates it would go unnoticed there.
	h := &History{Pods: []Pod{{
		UID: "a", Containers: []Container{{Name: "c", Runs: 1, Code: 3}}, Ended: 4 * s, Settled: 1 * s, Wrong: []string{"x"}, Cut: []string{"y"},
		Seen: []Seen{{Container: "c", State: Terminated, Code: 1}, {Container: "c", State: Running}},
	}, {UID: "b", Ended: 1, Containers: []Container{{Name: "c", Runs: 1}}, Seen: []Seen{{Container: "c", State: Terminated}}}},
		Runs: []Run{{UID: "a", Container: "c", Began: 2 * s, Ended: 4 * s}, {UID: "a", Container: "c", Began: 3 * s}}}
	h.Pods = append(h.Pods, Pod{UID: "k", Containers: []Container{{Name: "c", Runs: 1}}, Forgotten: true})
	h.Runs = append(h.Runs, Run{UID: "k", Container: "c", Began: 1})
	violations := Check(h)
	for _, invariant := range Invariants {
		if !violated(violations, invariant.Name) {
			t.Errorf("%q holds: %v", invariant.Name, violations)
		}
	}
}

// waitsAgain has a container wait after it was seen running.
func waitsAgain(h *History) {
	seen := h.Pods[0].Seen
	h.Pods[0].Seen = []Seen{{Container: "c", State: Running}, {Container: "c", State: Waiting}, seen[len(seen)-1]}
}

func restarted(h *History) {
	p := &h.Pods[0]
	p.Containers[0].Runs, p.Containers[0].Code = 2, 0
	p.Seen = []Seen{
		{Container: "c", State: Running}, {Container: "c", State: Terminated, Code: 9}, {Container: "c", State: Waiting},
		{Container: "c", State: Running, Restarts: 1}, {Container: "c", State: Terminated, Restarts: 1},
	}
	h.Runs = append(h.Runs, Run{UID: "a", Container: "c", Began: 3500 * time.Millisecond, Ended: 4 * s})
}

func violated(violations []Violation, name string) bool {
	for _, v := range violations {
		if strings.HasPrefix(v.Invariant, name) {
			return true
		}
	}
	return false
}
