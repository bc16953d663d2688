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

package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// cancelOptions are the flags of cancel.
type cancelOptions struct {
	wait    bool
	timeout time.Duration
}

func (p *plugin) cancel() *cobra.Command {
	o := &cancelOptions{}
	cmd := &cobra.Command{
		Use:   "cancel JOB...",
		Short: "Stop jobs, and remove them",
		Long: `Stop jobs with their grace periods, and remove them with all that is left of them on their backends. It can't be taken back.

A pod whose job is cancelled is reported to its cluster as failed. To end a pod that is still wanted gone, delete the pod.`,
		Example:           "  kubectl remotejob cancel hello --timeout 1m",
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: p.completeJobs(0),
		RunE:              func(cmd *cobra.Command, args []string) error { return p.runCancel(cmd.Context(), o, args) },
	}
	cmd.Flags().BoolVar(&o.wait, "wait", true, "Wait until nothing of the jobs is left.")
	cmd.Flags().DurationVar(&o.timeout, "timeout", 0, "How long to wait; 0 for ever.")
	return cmd
}

func (p *plugin) runCancel(ctx context.Context, o *cancelOptions, names []string) error {
	c, namespace, err := p.client()
	if err != nil {
		return err
	}
	var jobs []*v1alpha1.RemoteJob
	for _, name := range names {
		job, err := find(ctx, c, namespace, name)
		if err != nil {
			return err // before any is cancelled: it may be a slip
		}
		jobs = append(jobs, job)
	}
	for _, job := range jobs {
		patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"cancel":true}}`))
		if err := client.IgnoreNotFound(c.Patch(ctx, job, patch)); err != nil {
			return fmt.Errorf("cancel %s: %w", job.Name, err)
		}
		fmt.Fprintf(p.Out, "remotejob.remotejob.dev/%s is being cancelled\n", job.Name)
	}
	if !o.wait {
		return nil
	}
	if o.timeout > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, o.timeout)
		defer stop()
	}
	for _, job := range jobs {
		if err := p.waitGone(ctx, c, job); err != nil {
			return err
		}
		fmt.Fprintf(p.Out, "remotejob.remotejob.dev/%s is gone\n", job.Name)
	}
	return nil
}

// pollEvery is how often a job that is waited for is looked at.
const pollEvery = 500 * time.Millisecond

// waitGone waits until a job is gone, and tells meanwhile what it waits for.
func (p *plugin) waitGone(ctx context.Context, c client.Client, job *v1alpha1.RemoteJob) error {
	progress := newProgress(p.ErrOut)
	defer progress.end()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	uid := job.UID
	for {
		err := c.Get(ctx, client.ObjectKeyFromObject(job), job)
		switch {
		case apierrors.IsNotFound(err), err == nil && job.UID != uid:
			return nil
		case err == nil:
			progress.say("waiting for " + job.Name + ": " + stoppingWords(job))
		case ctx.Err() == nil:
			return err
		}
		select {
		case <-ctx.Done():
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return fmt.Errorf("%s is still there after --timeout: %s", job.Name, stoppingWords(job))
			}
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// stoppingWords says what a job that is being cancelled waits for.
func stoppingWords(job *v1alpha1.RemoteJob) string {
	if c := meta.FindStatusCondition(job.Status.Conditions, v1alpha1.ConditionStopping); c != nil {
		return c.Message
	}
	if job.Finished() {
		return "it has ended, and its backend is being cleared of it"
	}
	return "no manager has seen to it yet"
}
