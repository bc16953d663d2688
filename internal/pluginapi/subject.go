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
	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/tracing"
)

// maxNamedPods bounds how many pods of one call are named in the log.
const maxNamedPods = 16

// subject is what a call turns out to be about, for the line of the log that says how it ended.
type subject struct {
	pods []v1alpha1.PodReference
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
		s.pods = append(s.pods, pod)
	}
}

// aboutNoPod notes that the call is a ping.
func aboutNoPod(ctx context.Context) {
	if s, ok := ctx.Value(subjectKey{}).(*subject); ok {
		s.ping = true
	}
}

// values are what a line of the log says of the subject: of one pod all its names, of several what they are.
func (s *subject) values(ledgers Ledger) []any {
	switch len(s.pods) {
	case 0:
		return nil
	case 1:
		return namesOf(s.pods[0], ledgers)
	}
	list := make([]string, len(s.pods))
	for i, pod := range s.pods {
		list[i] = oneLine(pod.Namespace + "/" + pod.Name + " " + string(pod.UID))
	}
	return []any{"pods", list}
}

// tell puts the pod that a call is about into its span.
func (s *subject) tell(ctx context.Context) {
	if len(s.pods) == 1 {
		tracing.Tell(ctx, "k8s.namespace.name", s.pods[0].Namespace, "k8s.pod.name", s.pods[0].Name, "k8s.pod.uid", string(s.pods[0].UID))
	}
}

func namesOf(pod v1alpha1.PodReference, ledgers Ledger) []any {
	values := []any{"pod", oneLine(pod.Namespace + "/" + pod.Name), "podUID", oneLine(string(pod.UID))}
	if pod.Namespace == "" || pod.Name == "" {
		return values // it is asked about by its UID alone
	}
	job := &v1alpha1.RemoteJob{Spec: v1alpha1.RemoteJobSpec{PodRef: &pod}}
	return append(values, "remotejob", ledger.Name(pod.Namespace, pod.Name, pod.UID), "token", ledgers.Token(job))
}
