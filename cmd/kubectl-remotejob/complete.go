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
	"slices"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// completeJobs completes the names of jobs that are not named yet, where the command takes any more.
func (p *plugin) completeJobs(most int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		c, namespace, err := p.client()
		if err != nil || most > 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		list := &v1alpha1.RemoteJobList{}
		if err := c.List(cmd.Context(), list, client.InNamespace(namespace)); err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var out []cobra.Completion
		for i := range list.Items {
			if job := &list.Items[i]; !slices.Contains(args, job.Name) {
				out = append(out, cobra.CompletionWithDesc(job.Name, phaseWords(job)+" on "+job.Spec.BackendName))
			}
		}
		return out, cobra.ShellCompDirectiveNoFileComp
	}
}

func (p *plugin) completeBackends(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	list := &v1alpha1.RemoteBackendList{}
	c, _, err := p.client()
	if err != nil || c.List(cmd.Context(), list) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []cobra.Completion
	for i := range list.Items {
		out = append(out, list.Items[i].Name)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

func (p *plugin) completeNamespaces(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	list := &corev1.NamespaceList{}
	c, _, err := p.client()
	if err != nil || c.List(cmd.Context(), list) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var out []cobra.Completion
	for i := range list.Items {
		out = append(out, list.Items[i].Name)
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeContainers completes the containers of the job that is named.
func (p *plugin) completeContainers(cmd *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
	c, namespace, err := p.client()
	if err != nil || len(args) != 1 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	job, err := find(cmd.Context(), c, namespace, args[0])
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return containersOf(job), cobra.ShellCompDirectiveNoFileComp
}
