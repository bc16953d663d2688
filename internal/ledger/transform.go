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
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// Transform drops from a RemoteJob, before it goes into a cache, what no answer needs: managed fields, and of the template all but the
// containers' names, images and what a policy may bound of their resources, which init containers restart, and the pod's restart policy. Who
// needs the template reads it live.
// What went through it already comes out as it is.
func Transform(obj any) (any, error) {
	if final, ok := obj.(cache.DeletedFinalStateUnknown); ok {
		inner, err := Transform(final.Obj)
		final.Obj = inner
		return final, err
	}
	job, ok := obj.(*v1alpha1.RemoteJob)
	if !ok {
		return obj, nil
	}
	job.ManagedFields = nil
	delete(job.Annotations, corev1.LastAppliedConfigAnnotation)
	job.Spec.Template = reduced(&job.Spec.Template)
	return job, nil
}

func reduced(template *v1alpha1.JobTemplate) v1alpha1.JobTemplate {
	out := v1alpha1.JobTemplate{Problem: template.Problem}
	out.Spec.RestartPolicy = template.Spec.RestartPolicy
	out.Spec.InitContainers = reducedContainers(template.Spec.InitContainers)
	out.Spec.Containers = reducedContainers(template.Spec.Containers)
	return out
}

func reducedContainers(containers []corev1.Container) []corev1.Container {
	if len(containers) == 0 {
		return nil
	}
	out := make([]corev1.Container, len(containers))
	for i := range containers {
		out[i].Name, out[i].Image, out[i].RestartPolicy = containers[i].Name, containers[i].Image, containers[i].RestartPolicy
		out[i].Resources = workload.Reduced(&containers[i].Resources)
	}
	return out
}

// IsTombstone tells whether a RemoteJob only records that its pod was deleted before it arrived. Nothing of it ever ran. It holds for
// RemoteJobs read live and for those that went through Transform.
func IsTombstone(job *v1alpha1.RemoteJob) bool {
	return job.Spec.PodRef != nil && job.Spec.Cancel && len(job.Spec.Template.Spec.Containers) == 0
}
