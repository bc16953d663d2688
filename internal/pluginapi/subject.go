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

package pluginapi

import (
	"context"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// maxNamedPods bounds how many pods of one call are named in the log.
const maxNamedPods = 16

// subject is what a call turns out to be about, for the line of the log that says how it ended.
type subject struct {
	pods []string
	// ping is set when the call asks about no pod.
	ping bool
}

type subjectKey struct{}

func withSubject(ctx context.Context) (context.Context, *subject) {
	s := &subject{}
	return context.WithValue(ctx, subjectKey{}, s), s
}

// about notes a pod that the call is about. It belongs to the goroutine that serves the call.
func about(ctx context.Context, pod v1alpha1.PodReference) {
	if s, ok := ctx.Value(subjectKey{}).(*subject); ok && len(s.pods) < maxNamedPods {
		s.pods = append(s.pods, oneLine(pod.Namespace+"/"+pod.Name+" "+string(pod.UID)))
	}
}

// aboutNoPod notes that the call is a ping.
func aboutNoPod(ctx context.Context) {
	if s, ok := ctx.Value(subjectKey{}).(*subject); ok {
		s.ping = true
	}
}

// values are what a line of the log says of the subject.
func (s *subject) values() []any {
	if len(s.pods) == 0 {
		return nil
	}
	return []any{"pods", s.pods}
}
