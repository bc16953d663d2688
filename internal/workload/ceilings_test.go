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

package workload_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

func ceiling(cpu, memory string, gpus int64) *v1alpha1.ResourceCeiling {
	c := &v1alpha1.ResourceCeiling{}
	if cpu != "" {
		c.CPU = new(resource.MustParse(cpu))
	}
	if memory != "" {
		c.Memory = new(resource.MustParse(memory))
	}
	if gpus >= 0 {
		c.GPUs = new(gpus)
	}
	return c
}

func TestPodsAreHeldAgainstTheCeilingsOfThePolicy(t *testing.T) {
	perJob := func(c *v1alpha1.ResourceCeiling) v1alpha1.BackendPolicy { return v1alpha1.BackendPolicy{MaxPerJob: c} }
	inTotal := func(c *v1alpha1.ResourceCeiling) v1alpha1.BackendPolicy { return v1alpha1.BackendPolicy{MaxInTotal: c} }
	const (
		small   = `"resources": {"limits": {"cpu": "500m", "memory": "1Gi"}}`
		sidecar = `"initContainers": [{"name": "s", "image": "i", "restartPolicy": "Always", ` + small + `}]`
		before  = `"initContainers": [{"name": "b", "image": "i", "resources": {"limits": {"cpu": "3", "memory": "4Gi"}}}]`
		second  = "spec.containers[0].resources.limits"
	)
	for name, c := range map[string]struct {
		spec, container string
		policy          v1alpha1.BackendPolicy
		want            string
	}{
		"no ceiling":             {"", "", v1alpha1.BackendPolicy{}, ""},
		"an empty ceiling":       {"", "", perJob(ceiling("", "", -1)), ""},
		"within both":            {"", small, v1alpha1.BackendPolicy{MaxPerJob: ceiling("500m", "1Gi", 0), MaxInTotal: ceiling("1", "2Gi", 4)}, ""},
		"more cpu":               {"", small, perJob(ceiling("400m", "", -1)), "spec.containers[*].resources.limits[cpu]: the backend's policy does not allow pods that have 500m of cpu in all (maxPerJob.cpu is 400m)"},
		"more memory":            {"", small, perJob(ceiling("", "1000Mi", -1)), "spec.containers[*].resources.limits[memory]: the backend's policy does not allow pods that have 1Gi of memory in all (maxPerJob.memory is 1000Mi)"},
		"more GPUs":              {"", `"resources": {"limits": {"nvidia.com/gpu": "1", "amd.com/gpu": "2"}}`, perJob(ceiling("", "", 2)), "spec.containers[*].resources.limits[GPUs]: the backend's policy does not allow pods that have 3 of GPUs in all (maxPerJob.gpus is 2)"},
		"GPUs where none may be": {"", `"resources": {"limits": {"nvidia.com/gpu": "1"}}`, perJob(ceiling("", "", 0)), "spec.containers[*].resources.limits[GPUs]: the backend's policy does not allow pods that have 1 of GPUs in all (maxPerJob.gpus is 0)"},
		"none of the GPUs":       {"", "", perJob(ceiling("", "", 0)), ""},
		"more than all may have": {"", small, inTotal(ceiling("", "512Mi", -1)), "spec.containers[*].resources.limits[memory]: the backend's policy does not allow pods that have 1Gi of memory in all (maxInTotal.memory is 512Mi)"},
		"no limit":               {"", `"resources": {"requests": {"cpu": "1"}}`, perJob(ceiling("4", "", -1)), second + "[cpu]: the backend's policy does not allow containers without a limit of cpu (maxPerJob.cpu is 4)"},
		"a limit of nothing":     {"", `"resources": {"limits": {"memory": "0"}}`, inTotal(ceiling("", "4Gi", -1)), second + "[memory]: the backend's policy does not allow containers without a limit of memory (maxInTotal.memory is 4Gi)"},
		"with a sidecar":         {sidecar, small, perJob(ceiling("1", "2Gi", -1)), ""},
		"a sidecar too many":     {sidecar, small, perJob(ceiling("999m", "", -1)), "spec.containers[*].resources.limits[cpu]: the backend's policy does not allow pods that have 1 of cpu in all (maxPerJob.cpu is 999m)"},
		"what comes before":      {before, small, perJob(ceiling("3", "4Gi", -1)), ""},
		"too much before":        {before, small, perJob(ceiling("2", "", -1)), "spec.containers[*].resources.limits[cpu]: the backend's policy does not allow pods that have 3 of cpu in all (maxPerJob.cpu is 2)"},
		"no limit before":        {`"initContainers": [{"name": "b", "image": "i"}]`, small, perJob(ceiling("2", "", -1)), "spec.initContainers[0].resources.limits[cpu]: the backend's policy does not allow containers without a limit of cpu (maxPerJob.cpu is 2)"},
	} {
		err := workload.Check(aPod(t, c.spec, c.container), allFeatures(), c.policy)
		switch refusal, refused := workload.IsRefusal(err); {
		case c.want == "" && err != nil, c.want != "" && (err == nil || err.Error() != c.want):
			t.Errorf("%s: %v\nwant %s", name, err, c.want)
		case refused && refusal.Reason != workload.ReasonForbidden:
			t.Errorf("%s: the reason is %s", name, refusal.Reason)
		}
	}
}

func TestOptionsOfDockerRunDoNotLeadPastACeiling(t *testing.T) {
	const limits = `"resources": {"limits": {"cpu": "1", "memory": "1Gi"}}`
	all := v1alpha1.BackendPolicy{MaxPerJob: ceiling("1", "1Gi", 0)}
	for flags, want := range map[string]string{
		"--memory-swap=-1": "--memory-swap in the place of limits (maxPerJob.memory is 1Gi)",
		"--gpus all":       "--gpus in the place of limits (maxPerJob.gpus is 0)",
		"--shm-size=1m":    "",
	} {
		pod := aPod(t, "", limits)
		pod.Annotations = map[string]string{"docker-options.vk.io/flags": flags}
		if want != "" {
			want = "metadata.annotations[docker-options.vk.io/flags]: the backend's policy does not allow " + want
		}
		if err := workload.Check(pod, allFeatures(), all); want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%s: %v\nwant %s", flags, err, want)
		}
		// To a backend that does not know them they say nothing.
		abilities := allFeatures()
		delete(abilities.Features, workload.FeatureDockerFlags)
		if err := workload.Check(aPod(t, "", limits), abilities, all); err != nil {
			t.Errorf("%s, where they mean nothing: %v", flags, err)
		}
	}
	for _, flags := range []string{"--cpus=64", "--memory=1t"} {
		pod := aPod(t, "", "")
		pod.Annotations = map[string]string{"docker-options.vk.io/flags": flags}
		if err := workload.Check(pod, allFeatures(), all); err == nil {
			t.Errorf("%s, and no limit, passes", flags)
		}
	}
}

func TestDemandsOfReducedPodsAreThoseOfWholeOnes(t *testing.T) {
	pod := aPod(t, `"initContainers": [{"name": "b", "image": "i", "resources": {"limits": {"cpu": "3"}, "requests": {"memory": "2Gi"}}}]`,
		`"resources": {"limits": {"cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "2", "ephemeral-storage": "1Gi"}}`)
	want := workload.Demand{MilliCPUs: 3000, Memory: 2 << 30, GPUs: 2}
	if got := workload.DemandOf(&pod.Spec); got != want {
		t.Errorf("it is %+v", got)
	}
	for i := range pod.Spec.Containers {
		pod.Spec.Containers[i].Resources = workload.Reduced(&pod.Spec.Containers[i].Resources)
	}
	for i := range pod.Spec.InitContainers {
		pod.Spec.InitContainers[i].Resources = workload.Reduced(&pod.Spec.InitContainers[i].Resources)
	}
	if got := workload.DemandOf(&pod.Spec); got != want {
		t.Errorf("reduced, it is %+v", got)
	}
	if _, kept := pod.Spec.Containers[0].Resources.Limits["ephemeral-storage"]; kept {
		t.Error("more is kept than is looked at")
	}
	huge := aPod(t, "", `"resources": {"limits": {"cpu": "9E", "memory": "9E"}}`)
	sum := workload.Demand{}
	for range 1000 {
		sum = sum.Plus(workload.DemandOf(&huge.Spec), 1)
	}
	if sum.MilliCPUs <= 0 || sum.Memory <= 0 || sum.Within(ceiling("1000", "", -1)) {
		t.Errorf("a thousand huge pods come to %+v", sum)
	}
}
