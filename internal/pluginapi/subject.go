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
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/tracing"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// maxNamedPods bounds how many pods of one call are named in the log.
const maxNamedPods = 16

// maxNamedImages bounds how many images of one pod are named.
const maxNamedImages = 32

// subject is what a call turns out to be about, for the line of the log that says how it ended.
type subject struct {
	pods []v1alpha1.PodReference
	// images and flags are what a pod that is to be run asks for, where the call is about one.
	images []string
	flags  string
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

// asksFor notes what a pod asks for that is to be run: as much as may be read by anybody who may read RemoteJobs.
func asksFor(ctx context.Context, pod *corev1.Pod) {
	s, ok := ctx.Value(subjectKey{}).(*subject)
	if !ok {
		return
	}
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if len(s.images) < maxNamedImages {
				s.images = append(s.images, oneLine(list[i].Name+"="+list[i].Image))
			}
		}
	}
	s.flags = oneLine(pod.Annotations[workload.AnnotationSlurmFlags])
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
		values := namesOf(s.pods[0], ledgers)
		if len(s.images) > 0 {
			values = append(values, "images", s.images)
		}
		if s.flags != "" {
			values = append(values, "slurmFlags", s.flags)
		}
		return values
	}
	list := make([]string, len(s.pods))
	for i, pod := range s.pods {
		list[i] = oneLine(pod.Namespace + "/" + pod.Name + " " + string(pod.UID))
	}
	return []any{"pods", list}
}

// refused returns the pod of a /create that comes to nothing for good, of which no RemoteJob tells, where its names can be an object's.
func (s *subject) refused(path string, err error) (v1alpha1.PodReference, bool) {
	own, ok := ledger.AsError(err)
	if path != "/create" || len(s.pods) != 1 || !ok || own.Recorded || own.Kind == ledger.Unavailable {
		return v1alpha1.PodReference{}, false
	}
	pod := s.pods[0]
	return pod, pod.UID != "" && len(validation.IsDNS1123Subdomain(pod.Name)) == 0 && len(validation.IsDNS1123Label(pod.Namespace)) == 0
}

// tell puts the pod that a call is about into its span.
func (s *subject) tell(ctx context.Context) {
	if len(s.pods) == 1 {
		tracing.Tell(ctx, "k8s.namespace.name", s.pods[0].Namespace, "k8s.pod.name", s.pods[0].Name, "k8s.pod.uid", string(s.pods[0].UID),
			"remotejob.images", strings.Join(s.images, " "), "remotejob.slurm_flags", s.flags)
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
