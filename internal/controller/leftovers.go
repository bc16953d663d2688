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

package controller

import (
	"sort"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// maxLeftovers is how many leftovers a RemoteBackend's status holds. Further ones come in as others are removed.
const maxLeftovers = 200

// leftover is a job that the backend holds and no RemoteJob owns.
type leftover struct {
	token string
	pod   string
}

// nextLeftovers is the list of leftovers after an observation: those that it showed, each since it was first listed. The oldest come
// first, and stay when there are more than the list takes.
func nextLeftovers(listed []v1alpha1.Leftover, seen []leftover, now time.Time) []v1alpha1.Leftover {
	since := make(map[string]metav1.Time, len(listed))
	for _, l := range listed {
		since[l.Token] = l.Since
	}
	next := make([]v1alpha1.Leftover, 0, len(seen))
	for _, l := range seen {
		first, ok := since[l.token]
		if !ok {
			first = metav1.NewTime(now.Truncate(time.Second))
		}
		next = append(next, v1alpha1.Leftover{Token: l.token, Pod: l.pod, Since: first})
	}
	sort.Slice(next, func(i, j int) bool {
		if !next[i].Since.Equal(&next[j].Since) {
			return next[i].Since.Before(&next[j].Since)
		}
		return next[i].Token < next[j].Token
	})
	if len(next) > maxLeftovers {
		next = next[:maxLeftovers]
	}
	if len(next) == 0 {
		return nil
	}
	return next
}

// overdue are the tokens of the leftovers that have been listed for long enough to be removed.
func overdue(listed []v1alpha1.Leftover, now time.Time, after time.Duration) []string {
	var tokens []string
	for _, l := range listed {
		if now.Sub(l.Since.Time) >= after {
			tokens = append(tokens, l.Token)
		}
	}
	return tokens
}
