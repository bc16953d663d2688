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
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// phases are what --phase takes.
var phases = []string{
	string(v1alpha1.PhasePending), string(v1alpha1.PhaseQueued), string(v1alpha1.PhaseRunning), string(v1alpha1.PhaseSucceeded), string(v1alpha1.PhaseFailed),
}

// listOptions are the flags of list.
type listOptions struct {
	output
	all      bool
	unasked  bool
	backend  string
	phases   []string
	selector string
}

func (p *plugin) list() *cobra.Command {
	o := &listOptions{}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls", "get"},
		Short:   "List jobs",
		Example: `  kubectl remotejob list --all-namespaces -o wide
  kubectl remotejob list --backend gpu-box --phase Failed
  kubectl remotejob list --all-namespaces --unasked`,
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return p.runList(cmd, o) },
	}
	flags := cmd.Flags()
	flags.BoolVarP(&o.all, "all-namespaces", "A", false, "List the jobs of all namespaces.")
	flags.StringVar(&o.backend, "backend", "", "List the jobs of this RemoteBackend only.")
	flags.StringSliceVar(&o.phases, "phase", nil, "List the jobs in these phases only: "+strings.Join(phases, ", ")+".")
	flags.BoolVar(&o.unasked, "unasked", false, "List the jobs only that nobody has asked about for long: their pods may be gone.")
	flags.StringVarP(&o.selector, "selector", "l", "", "List the jobs with these labels only.")
	o.addFlags(cmd, formats)
	must(cmd.RegisterFlagCompletionFunc("backend", p.completeBackends))
	must(cmd.RegisterFlagCompletionFunc("phase", cobra.FixedCompletions(phases, cobra.ShellCompDirectiveNoFileComp)))
	return cmd
}

func (p *plugin) runList(cmd *cobra.Command, o *listOptions) error {
	c, namespace, err := p.client()
	if err != nil {
		return err
	}
	selector, err := labels.Parse(o.selector)
	if err != nil {
		return fmt.Errorf("--selector: %w", err)
	}
	for _, phase := range o.phases {
		if !slices.Contains(phases, phase) {
			return fmt.Errorf("--phase: there is no phase %q, but %s", phase, strings.Join(phases, ", "))
		}
	}
	if o.all {
		namespace = ""
	}
	list := &v1alpha1.RemoteJobList{}
	if err := c.List(cmd.Context(), list, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: selector}); err != nil {
		return err
	}
	list.Items = slices.DeleteFunc(list.Items, func(job v1alpha1.RemoteJob) bool { return !o.wants(&job) })
	if len(list.Items) == 0 && slices.Contains([]string{"table", "wide"}, o.format) {
		fmt.Fprintln(p.ErrOut, "No jobs found.")
		return nil
	}
	return o.print(p.Out, list, func() *metav1.Table { return jobTable(list) }, o.all)
}

func (o *listOptions) wants(job *v1alpha1.RemoteJob) bool {
	if o.unasked && !meta.IsStatusConditionTrue(job.Status.Conditions, v1alpha1.ConditionUnasked) {
		return false
	}
	return (o.backend == "" || job.Spec.BackendName == o.backend) && (len(o.phases) == 0 || slices.Contains(o.phases, string(job.Status.Phase)))
}

func jobTable(list *v1alpha1.RemoteJobList) *metav1.Table {
	table := &metav1.Table{ColumnDefinitions: columns("Name", "Pod", "Backend", "Phase", "Ready", "Restarts", "Reason", "Age", "Job*", "Node*", "Pod-UID*", "Message*")}
	for i := range list.Items {
		job := &list.Items[i]
		uid := ""
		if ref := job.Spec.PodRef; ref != nil {
			uid = string(ref.UID)
		}
		s := &job.Status
		table.Rows = append(table.Rows, row(job, job.Name, orNone(podOf(job)), job.Spec.BackendName, orNone(phaseWords(job)), orNone(s.Ready), s.Restarts,
			s.Reason, ageOf(job.CreationTimestamp), orNone(s.JobID), orNone(s.NodeName), orNone(uid), oneLine(s.Message)))
	}
	return table
}

// phaseWords is a job's phase, or that it is on its way out.
func phaseWords(job *v1alpha1.RemoteJob) string {
	if (job.Spec.Cancel || job.DeletionTimestamp != nil) && !job.Finished() {
		return "Cancelling"
	}
	return string(job.Status.Phase)
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
