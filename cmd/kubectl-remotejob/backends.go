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

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

func (p *plugin) backends() *cobra.Command {
	o := &output{}
	cmd := &cobra.Command{
		Use:               "backends",
		Short:             "List the machines and batch systems that run jobs",
		Example:           "  kubectl remotejob backends -o wide",
		Args:              cobra.NoArgs,
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, _, err := p.client()
			if err != nil {
				return err
			}
			list := &v1alpha1.RemoteBackendList{}
			if err := c.List(cmd.Context(), list); err != nil {
				return err
			}
			if len(list.Items) == 0 && (o.format == "table" || o.format == "wide") {
				fmt.Fprintln(p.ErrOut, "No backends found.")
				return nil
			}
			return o.print(p.Out, list, func() *metav1.Table { return backendTable(list) }, false)
		},
	}
	o.addFlags(cmd, formats)
	return cmd
}

func backendTable(list *v1alpha1.RemoteBackendList) *metav1.Table {
	table := &metav1.Table{ColumnDefinitions: columns("Name", "Type", "Ready", "Reason", "Version", "Active", "Queued", "Slots", "CPU", "Memory", "Age", "Leftovers*", "Message*")}
	for i := range list.Items {
		rb := &list.Items[i]
		ready := readyOf(rb)
		slots := "<none>"
		if rb.Spec.MaxActiveJobs > 0 {
			slots = fmt.Sprint(rb.Spec.MaxActiveJobs)
		}
		capacity := rb.Status.Capacity
		table.Rows = append(table.Rows, row(rb, rb.Name, string(rb.Spec.Type), string(ready.Status), ready.Reason, orNone(rb.Status.Version), rb.Status.Jobs.Active,
			rb.Status.Jobs.Queued, slots, capacity.Cpu().String(), capacity.Memory().String(), ageOf(rb.CreationTimestamp), len(rb.Status.Leftovers), oneLine(ready.Message)))
	}
	return table
}

// readyOf is a backend's condition Ready, of the status Unknown where there is none yet.
func readyOf(rb *v1alpha1.RemoteBackend) metav1.Condition {
	if c := meta.FindStatusCondition(rb.Status.Conditions, v1alpha1.ConditionReady); c != nil {
		return *c
	}
	return metav1.Condition{Status: metav1.ConditionUnknown, Message: "no manager has looked at it yet"}
}
