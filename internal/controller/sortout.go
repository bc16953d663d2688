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
	"context"
	"fmt"
	"maps"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/metrics"
)

// ownersPage is how many RemoteJobs are listed in one call, where a leftover's owner must be looked for among all.
const ownersPage = 500

// sortOut finds the jobs that the backend holds and no RemoteJob owns, and removes those that have been listed for long enough.
func (o *observer) sortOut(ctx context.Context, jobs map[string]backend.ObservedJob) {
	next, suspects := map[string]leftover{}, map[string]bool{}
	for token, job := range jobs {
		if job.Cancelled {
			continue
		}
		if _, ok := o.roster.find(token); ok {
			continue
		}
		// The roster follows a cache, which may lag: that there is no owner is the API server's to say. It is asked once.
		if known, ok := o.unowned[token]; ok {
			next[token] = known
			continue
		}
		// A job whose RemoteJob went while the backend was being looked at is in what was seen, and not in the next look. What was listed
		// before this manager began must not lose its time, though.
		if o.unowned != nil && !o.suspects[token] {
			suspects[token] = true
			continue
		}
		owned, err := o.owned(ctx, token, job)
		if err != nil {
			// Half a list would take the other half off the status, and with it the times since when its jobs are listed.
			log.FromContext(ctx).Info("could not look for the owner of a job on the backend", "token", token, "error", err.Error())
			return
		}
		if !owned {
			log.FromContext(ctx).Info("the backend holds a job that no RemoteJob owns", "token", token, "pod", job.Pod.String())
			next[token] = leftover{token: token, pod: podName(job.Pod)}
		}
	}
	o.mu.Lock()
	same := o.unowned != nil && maps.Equal(o.unowned, next)
	o.unowned, o.suspects = next, suspects
	o.mu.Unlock()
	if !same {
		o.listed(o.name)
	}
	if len(next) > 0 {
		o.clear(ctx, jobs)
	}
}

func podName(pod types.NamespacedName) string {
	if pod.Name == "" {
		return ""
	}
	return pod.String()
}

// owned asks the API server whether a RemoteJob owns a job: the one that the job names, or, where it names none, any.
func (o *observer) owned(ctx context.Context, token string, job backend.ObservedJob) (bool, error) {
	if job.Job.Name != "" {
		owner := &v1alpha1.RemoteJob{}
		err := o.live.Get(ctx, job.Job, owner)
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil && o.ledger.Token(owner) == token, err
	}
	for next := ""; ; {
		page := &v1alpha1.RemoteJobList{}
		if err := o.live.List(ctx, page, client.Limit(ownersPage), client.Continue(next)); err != nil {
			return false, fmt.Errorf("list RemoteJobs: %w", err)
		}
		for i := range page.Items {
			if o.ledger.Token(&page.Items[i]) == token {
				return true, nil
			}
		}
		if next = page.Continue; next == "" {
			return false, nil
		}
	}
}

// clear removes the leftovers that have been on the RemoteBackend's list for long enough, and those that were cancelled once already, if they
// still have no owner.
func (o *observer) clear(ctx context.Context, jobs map[string]backend.ObservedJob) {
	rb := &v1alpha1.RemoteBackend{}
	if err := o.client.Get(ctx, client.ObjectKey{Name: o.name}, rb); err != nil || rb.UID != o.uid {
		return
	}
	late := overdue(rb.Status.Leftovers, o.clock.Now(), o.timings.LeftoverAfter)
	for _, token := range slices.Sorted(maps.Keys(o.unowned)) {
		if !jobs[token].Risen && !slices.Contains(late, token) {
			continue
		}
		if err := o.removeLeftover(ctx, token, jobs[token]); err != nil {
			log.FromContext(ctx).Info("a job without an owner could not be removed", "token", token, "error", err.Error())
		}
	}
}

func (o *observer) removeLeftover(ctx context.Context, token string, job backend.ObservedJob) error {
	if owned, err := o.owned(ctx, token, job); owned || err != nil {
		o.mu.Lock()
		defer o.mu.Unlock()
		if owned {
			delete(o.unowned, token)
		}
		return err
	}
	guarded, cancel, err := o.fence.Guard(ctx, cancelTimeout)
	if err != nil {
		return err
	}
	defer cancel()
	gone, err := timed(o.metrics, o.name, metrics.CallCancel, func() (bool, error) {
		return o.backend.Cancel(guarded, backend.JobRef{Token: token, JobID: job.JobID})
	})
	if gone {
		log.FromContext(ctx).Info("removed a job that no RemoteJob owns", "token", token, "pod", job.Pod.String())
	}
	return err
}

func (o *observer) leftovers() ([]leftover, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Collect(maps.Values(o.unowned)), o.unowned != nil
}
