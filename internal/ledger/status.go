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

package ledger

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// Question asks how a pod is.
type Question struct {
	// Pod is the pod. Namespace and Name may be empty where the caller knows the UID alone.
	Pod v1alpha1.PodReference
	// JobID is what Create answered for the pod, as the pod carries it; empty before.
	JobID string
	// InitContainers and Containers are the names of the pod's containers, in order.
	InitContainers, Containers []string
}

// Status answers questions about pods, as a JSON list of PodStatus in the order of the questions. A pod that the ledger does not know is
// left out, since it may be on its way, unless it carries a job ID: then its job is lost, and it is reported as ended. That is said only
// after the API server itself said that there is no such RemoteJob. An Error of kind Unavailable means that nothing can be said now.
func (l *Ledger) Status(ctx context.Context, questions []Question) ([]byte, error) {
	if err := l.Ready(); err != nil {
		return nil, err
	}
	out := make([]byte, 0, 2048)
	out = append(out, '[')
	for i := range questions {
		answer, err := l.answer(ctx, &questions[i])
		if err != nil {
			return nil, err
		}
		if answer == nil {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, answer...)
	}
	return append(out, ']'), nil
}

// answer returns the JSON of one answer, nil to leave the pod out.
func (l *Ledger) answer(ctx context.Context, q *Question) ([]byte, error) {
	found := l.index.find(q.Pod)
	if len(found) > 1 {
		found = best(found)
	}
	if len(found) > 1 {
		return nil, ambiguous(q.Pod)
	}
	if len(found) == 1 && !IsTombstone(found[0].job) {
		l.noteQuestion(ctx, found[0])
		return found[0].answer(), nil
	}
	if q.JobID == "" || len(q.Containers) == 0 {
		return nil, nil
	}
	if len(found) == 0 {
		job, err := l.findLive(ctx, q.Pod)
		if err != nil {
			return nil, cannotRead(err)
		}
		if job != nil && !IsTombstone(job) {
			return mustJSON(StatusOf(job)), nil
		}
	}
	return mustJSON(lost(q, metav1.NewTime(l.clock.Now()))), nil
}

// best picks, of several RemoteJobs, the one that runs the pod. Several of one pod can be there only when the pod's namespace came or
// went between two calls; those of different pods stay several.
func best(found []*entry) []*entry {
	first := found[0].job
	pick := found[0]
	for _, e := range found[1:] {
		if !samePod(e.job, *first.Spec.PodRef) {
			return found
		}
		was, is := pick.job, e.job
		if IsTombstone(was) != IsTombstone(is) {
			if IsTombstone(was) {
				pick = e
			}
			continue
		}
		if is.CreationTimestamp.Time.Before(was.CreationTimestamp.Time) {
			pick = e
		}
	}
	return []*entry{pick}
}

func ambiguous(pod v1alpha1.PodReference) *Error {
	return Errorf(Invalid, ReasonAmbiguous, "several pods have the UID %q: the request must give the pod's namespace and name too", pod.UID)
}

// lost is the answer about a pod that was handed over once and that the ledger holds no more.
func lost(q *Question, now metav1.Time) PodStatus {
	message := fmt.Sprintf("the RemoteJob of this pod (job %s) is gone from the ledger: it was deleted, and what it ran was stopped with it", q.JobID)
	end := func(names []string) []corev1.ContainerStatus {
		out := make([]corev1.ContainerStatus, 0, len(names))
		for _, name := range names {
			out = append(out, corev1.ContainerStatus{Name: name, State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
				ExitCode: exitLost, Reason: "JobLost", Message: message, FinishedAt: now,
			}}})
		}
		return out
	}
	return PodStatus{
		Name: q.Pod.Name, UID: string(q.Pod.UID), Namespace: q.Pod.Namespace, JobID: q.JobID,
		Containers: end(q.Containers), InitContainers: end(q.InitContainers),
	}
}

// Find returns the RemoteJob of a pod, whose namespace and name may be empty, from the cache. It must not be changed.
func (l *Ledger) Find(pod v1alpha1.PodReference) (*v1alpha1.RemoteJob, error) {
	if err := l.Ready(); err != nil {
		return nil, err
	}
	found := l.index.find(pod)
	if len(found) > 1 {
		found = best(found)
	}
	switch {
	case len(found) > 1:
		return nil, ambiguous(pod)
	case len(found) == 0:
		return nil, Errorf(NotFound, ReasonNotFound, "there is no RemoteJob for the pod %s", describe(pod))
	}
	return found[0].job, nil
}

// FindAny is Find, and finds the RemoteJobs that a person wrote as well: such a one goes by its own UID.
func (l *Ledger) FindAny(pod v1alpha1.PodReference) (*v1alpha1.RemoteJob, error) {
	job, err := l.Find(pod)
	if own, ok := AsError(err); ok && own.Kind == NotFound {
		if written := l.index.written(pod.UID); written != nil {
			return written, nil
		}
	}
	return job, err
}

// describe names a pod to a person, by what is known of it.
func describe(pod v1alpha1.PodReference) string {
	var parts []string
	if pod.Name != "" {
		parts = append(parts, strings.TrimPrefix(pod.Namespace+"/"+pod.Name, "/"))
	}
	return strings.Join(append(parts, fmt.Sprintf("with the UID %q", pod.UID)), " ")
}

// findLive reads the RemoteJob of a pod from the API server, nil when the API server says that there is none.
func (l *Ledger) findLive(ctx context.Context, pod v1alpha1.PodReference) (*v1alpha1.RemoteJob, error) {
	for _, namespace := range l.homes(pod) {
		job := &v1alpha1.RemoteJob{}
		err := l.reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: nameOf(pod)}, job)
		switch {
		case isAbsent(err):
			continue
		case err != nil:
			return nil, err
		case !samePod(job, pod):
			return nil, Errorf(Conflict, ReasonNameCollision, "the RemoteJob %s/%s belongs to another pod or to none", namespace, job.Name)
		}
		return job, nil
	}
	return nil, nil
}

// homes are the namespaces that the RemoteJob of a pod can be in: the pod's own, and the one for pods of namespaces that are not here.
func (l *Ledger) homes(pod v1alpha1.PodReference) []string {
	var homes []string
	if l.keeps(pod.Namespace) {
		homes = append(homes, pod.Namespace)
	}
	if l.namespace != "" && l.namespace != pod.Namespace {
		homes = append(homes, l.namespace)
	}
	return homes
}

// keeps tells whether RemoteJobs can be in a namespace.
func (l *Ledger) keeps(namespace string) bool {
	return len(l.namespaces) == 0 || slices.Contains(l.namespaces, namespace)
}
