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
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// reasonAsked is that of the condition Unasked once somebody has asked again.
const reasonAsked = "Asked"

// noteQuestion notes that somebody asks about a job, and takes it off the list of those that nobody asks about.
func (l *Ledger) noteQuestion(ctx context.Context, e *entry) {
	e.asked.Store(l.clock.Now().UnixNano())
	if l.status == nil || !meta.IsStatusConditionTrue(e.job.Status.Conditions, v1alpha1.ConditionUnasked) {
		return
	}
	e.again.Do(func() { go l.askedAgain(context.WithoutCancel(ctx), e.job) })
}

// askedAgain writes that somebody asks about a job again. What fails is done with the next question about the next version of it.
func (l *Ledger) askedAgain(ctx context.Context, stored *v1alpha1.RemoteJob) {
	ctx, cancel := context.WithTimeout(ctx, l.outlastFor)
	defer cancel()
	job := stored.DeepCopy()
	meta.SetStatusCondition(&job.Status.Conditions, metav1.Condition{
		Type: v1alpha1.ConditionUnasked, Status: metav1.ConditionFalse, Reason: reasonAsked, Message: "somebody asks about the job again",
		ObservedGeneration: job.Generation, LastTransitionTime: metav1.NewTime(l.clock.Now().Truncate(time.Second)),
	})
	if err := l.status.Patch(ctx, job, client.MergeFromWithOptions(stored, client.MergeFromWithOptimisticLock{})); err != nil {
		log.FromContext(ctx).V(1).Info("could not write that somebody asks about a job again", "remotejob", keyOf(job), "cause", err.Error())
	}
}

// LastAsked is when somebody last asked this process about a job, zero for never.
func (l *Ledger) LastAsked(job *v1alpha1.RemoteJob) time.Time {
	l.index.mu.RLock()
	defer l.index.mu.RUnlock()
	if e := l.index.byKey[keyOf(job)]; e != nil && e.job.UID == job.UID {
		return e.lastAsked()
	}
	return time.Time{}
}

func (e *entry) lastAsked() time.Time {
	if at := e.asked.Load(); at != 0 {
		return time.Unix(0, at)
	}
	return time.Time{}
}

// Unasked are the jobs of pods that nobody has asked this process about since a time, and that do not say so yet.
func (l *Ledger) Unasked(since time.Time) []types.NamespacedName {
	l.index.mu.RLock()
	defer l.index.mu.RUnlock()
	var out []types.NamespacedName
	for key, e := range l.index.byKey {
		conditions := e.job.Status.Conditions
		if e.lastAsked().Before(since) && e.job.CreationTimestamp.Time.Before(since) &&
			!meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionUnasked) && !meta.IsStatusConditionTrue(conditions, v1alpha1.ConditionPodFound) {
			out = append(out, key)
		}
	}
	return out
}
