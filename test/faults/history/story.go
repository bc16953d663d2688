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
	"cmp"
	"fmt"
	"slices"
)

// Story tells in order what was seen of a pod, and which faults struck meanwhile.
func (h *History) Story(uid string) []string {
	type event struct {
		at   Moment
		what string
	}
	var events []event
	add := func(at Moment, format string, args ...any) {
		if at != 0 {
			events = append(events, event{at, fmt.Sprintf(format, args...)})
		}
	}
	for i := range h.Pods {
		p := &h.Pods[i]
		if p.UID != uid {
			continue
		}
		add(p.Accepted, "it is accepted")
		add(p.Refused, "it is refused: %s", p.Refusal)
		add(p.Ended, "a status shows its end")
		add(p.Deleting, "it is being deleted")
		add(p.Deleted, "its delete is answered")
		add(p.Settled, "nothing of it is left")
		add(p.SettledAgain, "nothing of it is left again")
		switch {
		case p.Forgotten:
			add(p.Restored, "the ledger is restored, and does not know it")
		case p.Back:
			add(p.Restored, "the ledger is restored, and has it again")
		default:
			add(p.Restored, "the ledger is restored")
		}
		for _, s := range p.Seen {
			add(s.At, "%s is %s, code %d, restarts %d (%s)", s.Container, s.State, s.Code, s.Restarts, s.Words)
		}
	}
	for _, r := range h.Runs {
		if r.UID == uid {
			add(r.Began, "%s begins, run %s", r.Container, r.ID)
			add(r.Ended, "%s ends, run %s", r.Container, r.ID)
		}
	}
	if len(events) == 0 {
		return nil
	}
	byTime := func(a, b event) int { return cmp.Compare(a.at, b.at) }
	slices.SortStableFunc(events, byTime)
	from, to := events[0].at-settling, events[len(events)-1].at
	for _, f := range h.Faults {
		if f.To >= from && f.From <= to && (f.Pod == "" || f.Pod == uid) {
			add(max(f.From, 1), "%s strikes, until %.1fs", f.Kind, f.To.Seconds())
		}
	}
	slices.SortStableFunc(events, byTime)
	var story []string
	for _, e := range events {
		story = append(story, fmt.Sprintf("%.1fs: %s", e.at.Seconds(), e.what))
	}
	return story
}
