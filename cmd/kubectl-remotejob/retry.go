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
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// annotationRetryOf on a RemoteJob names the one that it runs again.
const annotationRetryOf = "remotejob.dev/retry-of"

// retryOptions are the flags of retry.
type retryOptions struct {
	output
	backend string
	dryRun  bool
}

func (p *plugin) retry() *cobra.Command {
	o := &retryOptions{}
	cmd := &cobra.Command{
		Use:   "retry JOB",
		Short: "Run a job that has ended once more, as a new one",
		Long: `Make a new RemoteJob of one that has ended. The old one stays as it is.

A job that came as a pod can be run again as long as nothing came with the pod that is kept secret (env, ConfigMaps, Secrets, scripts): only
the operator may use that, and only for the pod. The new job is nobody's pod, so the pod's cluster does not see what becomes of it. To run
the pod itself again, delete and make the pod anew; a Job or a Deployment does so by itself.`,
		Example: `  kubectl remotejob retry hello
  kubectl remotejob retry hello --backend other-box
  kubectl remotejob retry hello --dry-run -o yaml`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: p.completeJobs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, namespace, err := p.client()
			if err != nil {
				return err
			}
			job, err := find(cmd.Context(), c, namespace, args[0])
			if err != nil {
				return err
			}
			next, err := retryOf(job, o.backend)
			if err != nil {
				return err
			}
			var opts []client.CreateOption
			if o.dryRun {
				opts = append(opts, client.DryRunAll)
			}
			if err := c.Create(cmd.Context(), next, opts...); err != nil {
				return err
			}
			if o.format != "name" {
				return o.print(p.Out, next, nil, false)
			}
			fmt.Fprintf(p.Out, "remotejob.remotejob.dev/%s\n", next.Name)
			return nil
		},
	}
	cmd.Flags().StringVar(&o.backend, "backend", "", "Run it on this RemoteBackend, and not on the one that it ran on.")
	cmd.Flags().BoolVar(&o.dryRun, "dry-run", false, "Have the API server check the new job, and do not make it.")
	o.addFlags(cmd, []string{"name", "json", "yaml"})
	must(cmd.RegisterFlagCompletionFunc("backend", p.completeBackends))
	return cmd
}

// retryOf is a new RemoteJob that runs what another one ran, or why there can be none.
func retryOf(job *v1alpha1.RemoteJob, backend string) (*v1alpha1.RemoteJob, error) {
	switch {
	case job.Spec.Template.Problem != "":
		return nil, fmt.Errorf("%s can't be run again: %s", job.Name, job.Spec.Template.Problem)
	case len(job.Spec.Template.Spec.Containers) == 0:
		return nil, fmt.Errorf("%s can't be run again: it only records that its pod was deleted before it arrived", job.Name)
	case !job.Finished():
		return nil, fmt.Errorf("%s has not ended (%s): wait for its end, or cancel it first (kubectl remotejob cancel %s)", job.Name, orNone(phaseWords(job)), job.Name)
	case len(job.Spec.PayloadSecretNames) > 0:
		return nil, fmt.Errorf("%s can't be run again from here: it came as the pod %s, with env, files or scripts that only the operator may use, and only for that pod; "+
			"delete that pod and make it anew", job.Name, podOf(job))
	}
	if backend == "" {
		backend = job.Spec.BackendName
	}
	next := &v1alpha1.RemoteJob{ObjectMeta: metav1.ObjectMeta{
		Namespace: job.Namespace, GenerateName: retryName(job.Name), Annotations: map[string]string{annotationRetryOf: job.Name},
	}}
	for key, value := range job.Labels {
		if key == v1alpha1.LabelPodUID || key == v1alpha1.LabelBackend {
			continue // the operator's own, about the old job
		}
		if next.Labels == nil {
			next.Labels = map[string]string{}
		}
		next.Labels[key] = value
	}
	next.Spec.BackendName = backend
	next.Spec.TTLSecondsAfterFinished = job.Spec.TTLSecondsAfterFinished
	job.Spec.Template.DeepCopyInto(&next.Spec.Template)
	return next, nil
}

// retryName is what the API server makes a name of by adding five letters. A retry of a retry has no longer a name.
func retryName(name string) string {
	const mark, added = "-retry-", 5
	if at := strings.LastIndex(name, mark); at > 0 && len(name)-at-len(mark) == added {
		name = name[:at]
	}
	return strings.TrimRight(name[:min(len(name), validation.DNS1123LabelMaxLength-len(mark)-added)], "-.") + mark
}
