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
	"fmt"
	"slices"
	"strings"
)

// Invariant is something that holds whatever goes wrong.
type Invariant struct {
	Name string
	// check returns a sentence for each violation by a pod, given its runs by container.
	check func(h *History, p *Pod, runs map[string][]Run) []string
}

// Invariants are those of pods.
var Invariants = []Invariant{
	{"every pod is accepted", accepted},
	{"no container runs too often", notTooOften},
	{"no container that ended well ran too seldom", notTooSeldom},
	{"no two runs of a container overlap", noOverlap},
	{"every pod that ends has the right exit codes", rightCodes},
	{"every pod comes to its end and leaves nothing", comesToItsEnd},
	{"nothing runs after its delete has settled", nothingAfterDelete},
	{"nothing is killed that a restored ledger does not know", noneKilled},
	{"no status goes backwards", neverBackwards},
	{"no answer is about something else", rightAnswers},
	{"no log is cut without a cause", wholeLogs},
}

// Violation is an invariant that does not hold. Pod is the UID of the pod that it is about, if it is about one.
type Violation struct{ Invariant, What, Pod string }

func (v Violation) String() string { return v.Invariant + ": " + v.What }

// Check holds a history against all invariants.
func Check(h *History) []Violation {
	var violations []Violation
	byPod := map[string]map[string][]Run{}
	for i := range h.Pods {
		p := &h.Pods[i]
		runs := h.runsOf(p.UID)
		byPod[p.UID] = runs
		for _, invariant := range Invariants {
			for _, what := range invariant.check(h, p, runs) {
				violations = append(violations, Violation{invariant.Name, fmt.Sprintf("pod %s on %s %s", p.UID, p.Backend, what), p.UID})
			}
		}
	}
	for _, r := range h.Runs {
		if byPod[r.UID] == nil {
			violations = append(violations, Violation{"nothing runs that nobody created", fmt.Sprintf("%s of pod %s, run %s", r.Container, r.UID, r.ID), r.UID})
		}
	}
	for _, what := range h.Left {
		violations = append(violations, Violation{Invariant: "nothing is left behind", What: what})
	}
	for _, what := range h.Trouble {
		violations = append(violations, Violation{Invariant: "the managers are well", What: what})
	}
	return violations
}

func accepted(h *History, p *Pod, _ map[string][]Run) []string {
	switch {
	case p.Accepted != 0, p.Raced, h.struck(p, MayEnd) > 0:
		return nil
	case p.Refused != 0:
		return []string{"was refused: " + p.Refusal}
	}
	return []string{"was never answered: " + p.Refusal}
}

func notTooOften(h *History, p *Pod, runs map[string][]Run) (wrong []string) {
	for _, c := range p.Containers {
		most := c.Runs * (1 + h.struck(p, MayRepeat))
		if p.Restartable {
			most += h.struck(p, MayMiss) // an unknown code is no success
		}
		if len(runs[c.Name]) > most {
			wrong = append(wrong, fmt.Sprintf("ran %s %d times, and %d at most were allowed: %s", c.Name, len(runs[c.Name]), most, describe(runs[c.Name])))
		}
	}
	return wrong
}

func notTooSeldom(_ *History, p *Pod, runs map[string][]Run) (wrong []string) {
	for _, c := range p.Containers {
		if n := len(runs[c.Name]); p.endedWell(c) && n < c.Runs {
			wrong = append(wrong, fmt.Sprintf("is said to have ended well, and ran %s %d times of %d", c.Name, n, c.Runs))
		}
	}
	return wrong
}

// endedWell tells whether a container was said to have ended by itself as expected, while nobody had deleted it.
func (p *Pod) endedWell(c Container) bool {
	last, ok := p.last(c.Name)
	return ok && p.Ended != 0 && !p.Endless && last.Code == c.Code && last.State == Terminated && !strings.Contains(last.Words, lostWords)
}

// unknownCode is an exit code that a runtime has missed.
const unknownCode = 255

// startedAlready are words of an engine that has lost track of a container which its containerd knows.
var startedAlready = []string{"already exists", "id already in use", "failed to start shim: mkdir"}

// missed tells whether an engine says that it does not know how a container ended, or that it has started one already.
func missed(s Seen) bool {
	return s.Code == unknownCode || lostTrack(s)
}

func lostTrack(s Seen) bool {
	return s.Code == 128 && slices.ContainsFunc(startedAlready, func(words string) bool { return strings.Contains(s.Words, words) })
}

// startLost tells whether a pod has lost a container that its engine could not start, and with that came to another end than its own.
func (p *Pod) startLost() bool {
	return slices.ContainsFunc(p.Containers, func(c Container) bool {
		last, ok := p.last(c.Name)
		return ok && lostTrack(last)
	})
}

// lostWords are in the message of what was called lost. A code of 0 never goes with them.
const lostWords = "lost"

func noOverlap(_ *History, p *Pod, runs map[string][]Run) (wrong []string) {
	for _, c := range p.Containers {
		sorted := slices.SortedFunc(slices.Values(runs[c.Name]), func(a, b Run) int { return int(a.Began - b.Began) })
		for i := 1; i < len(sorted); i++ {
			if before := sorted[i-1]; before.Ended > sorted[i].Began {
				wrong = append(wrong, fmt.Sprintf("ran %s twice at once: %s", c.Name, describe(sorted[i-1:i+1])))
			}
		}
	}
	return wrong
}

func rightCodes(h *History, p *Pod, _ map[string][]Run) (wrong []string) {
	if p.Ended == 0 {
		return nil
	}
	// A pod that is being deleted ends as it can.
	excused := h.struck(p, MayLose|MayEnd) > 0 || p.startLost() && h.struck(p, MayMiss) > 0 || p.Forgotten || p.Back || (p.Deleting != 0 && p.Ended >= p.Deleting)
	failed := false
	for _, c := range p.Containers {
		last, ok := p.last(c.Name)
		switch {
		case !ok:
			wrong = append(wrong, fmt.Sprintf("ended, and nothing was ever said of %s", c.Name))
			continue
		case p.Endless && !excused:
			wrong = append(wrong, fmt.Sprintf("ended by itself with code %d, and was to run on: %s", last.Code, last.Words))
		case missed(last) && h.struck(p, MayMiss) > 0:
		case last.Code != c.Code && !excused:
			wrong = append(wrong, fmt.Sprintf("has code %d of %s, which ends with %d: %s", last.Code, c.Name, c.Code, last.Words))
		}
		failed = failed || last.Code != 0
	}
	// However it was lost, it must not look as if it had succeeded unless it has.
	if excused && !failed && p.Endless && !p.Back && len(wrong) == 0 {
		wrong = append(wrong, "was ended before its time, and all its codes are 0")
	}
	return wrong
}

func comesToItsEnd(_ *History, p *Pod, _ map[string][]Run) (wrong []string) {
	if p.Accepted != 0 && p.Ended == 0 && !p.Endless && !p.Raced {
		wrong = append(wrong, "never ended: "+p.lastWords())
		if p.Deleting == 0 {
			return wrong // it was not deleted since it had not ended
		}
	}
	switch {
	case p.Deleted == 0:
		wrong = append(wrong, "could not be deleted")
	case p.Settled == 0:
		wrong = append(wrong, "was deleted, and something of it stayed")
	case p.Back && p.SettledAgain == 0:
		wrong = append(wrong, "came back with the ledger, and did not go again")
	}
	return wrong
}

func nothingAfterDelete(_ *History, p *Pod, runs map[string][]Run) (wrong []string) {
	if p.Settled == 0 {
		return nil
	}
	for _, c := range p.Containers {
		for _, r := range runs[c.Name] {
			if r.Began > p.Settled {
				wrong = append(wrong, fmt.Sprintf("began %s at %s, and its delete had settled at %s", c.Name, r.Began, p.Settled))
			}
		}
	}
	return wrong
}

// noneKilled holds for pods that the ledger had forgotten. They are deleted only after they have come to their own ends, where they have one.
func noneKilled(_ *History, p *Pod, runs map[string][]Run) (wrong []string) {
	if !p.Forgotten || p.Endless || p.Deleting != 0 && p.Deleting < p.Restored {
		return nil
	}
	for _, c := range p.Containers {
		for _, r := range runs[c.Name] {
			if r.Ended == 0 {
				wrong = append(wrong, fmt.Sprintf("was forgotten, and its %s was ended: %s", c.Name, describe([]Run{r})))
			}
		}
	}
	return wrong
}

func neverBackwards(h *History, p *Pod, _ map[string][]Run) (wrong []string) {
	repeated, forgotten := h.struck(p, MayRepeat) > 0, h.struck(p, MayEnd) > 0 || p.Forgotten || p.Back
	for _, c := range p.Containers {
		// Between two runs it waits, which may be all that is seen of the first one's end.
		restarts := c.Runs > 1 || p.Restartable && h.struck(p, MayMiss) > 0
		var before *Seen
		for i := range p.Seen {
			s := &p.Seen[i]
			if s.Container != c.Name {
				continue
			}
			// What was written down after a backup is not known any more once it is restored.
			undone := p.Restored != 0 && before != nil && before.At < p.Restored && s.At >= p.Restored
			if before != nil && !repeated && !undone {
				// Of a pod whose record was taken away it is only known that it is gone.
				gone := forgotten && s.State == Terminated && s.Code != 0
				if what := step(before, s, restarts); what != "" && !gone {
					wrong = append(wrong, fmt.Sprintf("%s of %s at %s: %s", what, c.Name, s.At, describeStep(before, s)))
				}
			}
			before = s
		}
	}
	return wrong
}

// step says what is wrong with a step from one status to the next, if anything.
func step(before, after *Seen, restarts bool) string {
	switch {
	case after.Restarts < before.Restarts:
		return "the restart count fell"
	case after.Restarts > before.Restarts:
		return ""
	case before.State == Terminated && after.State == Terminated && after.Code != before.Code:
		return "the exit code changed"
	case after.State >= before.State:
		return ""
	case after.State == Waiting && restarts:
		return ""
	}
	return "the state went back"
}

func rightAnswers(_ *History, p *Pod, _ map[string][]Run) []string { return p.Wrong }

func wholeLogs(h *History, p *Pod, _ map[string][]Run) []string {
	if h.struck(p, MayMute) > 0 {
		return nil
	}
	return p.Cut
}

func (p *Pod) last(container string) (Seen, bool) {
	for _, s := range slices.Backward(p.Seen) {
		if s.Container == container {
			return s, true
		}
	}
	return Seen{}, false
}

func (p *Pod) lastWords() string {
	if len(p.Seen) == 0 {
		return "nothing was ever said of it"
	}
	s := p.Seen[len(p.Seen)-1]
	return fmt.Sprintf("%s was %s (%s) at %s", s.Container, s.State, s.Words, s.At)
}

func describeStep(a, b *Seen) string {
	return fmt.Sprintf("%s code %d restarts %d (%s), then %s code %d restarts %d (%s)", a.State, a.Code, a.Restarts, a.Words, b.State, b.Code, b.Restarts, b.Words)
}

func describe(runs []Run) string {
	var words []string
	for _, r := range runs {
		words = append(words, fmt.Sprintf("%s from %s to %s", r.ID, r.Began, r.Ended))
	}
	return strings.Join(words, "; ")
}

func (s State) String() string { return [...]string{"waiting", "running", "terminated"}[s] }
