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

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// await waits for the backend's word on a job: its id, or why it is refused. Until there is one, or when the time is up or the caller
// gone, the answer is the ledger's own id: a backend that is away must not fail the pod.
func (l *Ledger) await(ctx context.Context, job *v1alpha1.RemoteJob, timeUp <-chan struct{}) (string, error) {
	key, uid := keyOf(job), job.UID
	changed, done := l.index.watch(key)
	defer done()
	for {
		// What the API server answered and what the cache holds are both versions of the job; either may hold the word.
		for _, version := range []*v1alpha1.RemoteJob{job, l.cached(key, uid)} {
			if id, ok, err := verdict(version); ok {
				return id, err
			}
		}
		select {
		case <-changed:
		case <-timeUp:
			return job.Name, nil
		case <-ctx.Done():
			return job.Name, nil
		}
	}
}

func (l *Ledger) cached(key types.NamespacedName, uid types.UID) *v1alpha1.RemoteJob {
	if job := l.index.get(key); job != nil && job.UID == uid {
		return job
	}
	return nil
}

// verdict returns what is final about a job: the backend's id for it, or why it will never have one; ok is false while neither is known.
func verdict(job *v1alpha1.RemoteJob) (id string, ok bool, err error) {
	switch {
	case job == nil:
		return "", false, nil
	case job.Spec.Cancel || job.DeletionTimestamp != nil:
		return "", true, Errorf(Conflict, ReasonCancelled, "the pod %s was deleted before: its RemoteJob is cancelled and a pod is never run twice", describe(*job.Spec.PodRef))
	case job.Status.JobID != "" && (job.Finished() || meta.IsStatusConditionTrue(job.Status.Conditions, v1alpha1.ConditionSubmitted)):
		return job.Status.JobID, true, nil
	case job.Finished():
		reason, message := job.Status.Reason, job.Status.Message
		if reason == "" {
			reason = ReasonRefused
		}
		if message == "" {
			message = "the backend " + job.Spec.BackendName + " refused the pod: " + reason
		}
		return "", true, &Error{Kind: Refused, Reason: reason, Message: message, Recorded: true}
	}
	return "", false, nil
}
