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
	"unsafe"

	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/queue"
)

// TestTheTextOfALookIsNotKept holds that of an answer with a line for each job nothing stays in memory that is known already: a word of it would
// keep all of it.
func TestTheTextOfALookIsNotKept(t *testing.T) {
	var all tracker
	all.init()
	for range 2 {
		text := string([]byte("rj-token 17 ns job pod"))
		token, id, ns, job, pod := text[:8], text[9:11], text[12:14], text[15:18], text[19:]
		rows := map[string]*sighted{token: {
			comment: queue.Comment{Token: token, Job: types.NamespacedName{Namespace: ns, Name: job}, Pod: types.NamespacedName{Namespace: ns, Name: pod}},
			rows:    []sighting{row(id, runs, "n1")},
		}}
		seen := all.snapshot(rows, &looked{}, noon, noon, settle)
		j, observed := all.jobs["rj-token"], seen.Jobs["rj-token"]
		if j == nil || j.named.Name != "job" || j.pod.Name != "pod" || j.id != "17" || j.submitOf != "17" || observed.JobID != "17" {
			t.Fatalf("got %+v, %+v", j, observed)
		}
		words := []string{j.named.Namespace, j.named.Name, j.pod.Namespace, j.pod.Name, j.id, j.submitOf, observed.JobID, observed.Pod.Name, observed.Job.Name}
		for token := range all.jobs {
			words = append(words, token)
		}
		for token := range seen.Jobs {
			words = append(words, token)
		}
		for _, word := range words {
			if partOf(word, text) {
				t.Errorf("%q is a part of the look's text", word)
			}
		}
	}
}

// partOf tells whether a string lies in the memory of another.
func partOf(word, text string) bool {
	at, begin := uintptr(unsafe.Pointer(unsafe.StringData(word))), uintptr(unsafe.Pointer(unsafe.StringData(text)))
	return at >= begin && at < begin+uintptr(len(text))
}
