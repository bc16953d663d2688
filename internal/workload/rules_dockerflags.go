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

package workload

import (
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// textDockerFlags says for the docs what becomes of the options.
const textDockerFlags = "options of docker run for each of the pod's containers: cap-add, cap-drop, cpus, cpuset-cpus, cpuset-mems, device, env, gpus, " +
	"group-add, init, label, memory, memory-reservation, memory-swap, pids-limit, privileged, read-only, runtime, security-opt, shm-size, storage-opt, " +
	"sysctl, tmpfs, ulimit; rm and detach change nothing; all others are refused by name. The policy holds for them as for the pod's fields"

// checkDockerFlags holds the options of docker run against the policy.
func checkDockerFlags(c *checker, at string, line string) *Refusal {
	flags, err := ParseDockerFlags(line)
	if err != nil {
		return refuse(at, ReasonInvalid, "%s", err)
	}
	for _, check := range []func(*checker, string, *DockerFlags) *Refusal{checkFlagPrivileges, checkFlagSysctls, checkFlagResources, checkFlagNames} {
		if refusal := check(c, at, flags); refusal != nil {
			return refusal
		}
	}
	return nil
}

// checkFlagPrivileges finds what only policy allows.
func checkFlagPrivileges(c *checker, at string, f *DockerFlags) *Refusal {
	for _, reaches := range []struct {
		asked bool
		what  string
	}{
		{f.Privileged, "privileged containers (--privileged)"},
		{len(f.Devices) > 0, "devices of the machine (--device)"},
		{f.Runtime != "", "runtimes of the pod's choice (--runtime)"},
		{slices.ContainsFunc(f.SecurityOpt, weakens), "what weakens the engine's own profiles (--security-opt)"},
		{slices.ContainsFunc(f.CapAdd, beyondDefault), "capabilities beyond those that containers have anyway (--cap-add)"},
	} {
		if reaches.asked && !c.policy.AllowPrivileged {
			return c.needsPrivileged(at, reaches.what)
		}
	}
	if f.GPUs != "" && !c.abilities.Has(FeatureGPUs) {
		return c.unable(at, FeatureGPUs)
	}
	return nil
}

// weakens tells whether a security option does more than to take rights away.
func weakens(option string) bool {
	return option != "no-new-privileges" && option != "no-new-privileges:true" && option != "no-new-privileges=true"
}

func beyondDefault(capability string) bool {
	return !slices.Contains(defaultCapabilities, corev1.Capability(strings.TrimPrefix(strings.ToUpper(capability), "CAP_")))
}

func checkFlagSysctls(c *checker, at string, f *DockerFlags) *Refusal {
	sysctls := slices.Clone(c.pod.Spec.SecurityContext.Sysctls)
	for _, name := range slices.Sorted(maps.Keys(f.Sysctl)) {
		sysctls = append(sysctls, corev1.Sysctl{Name: name, Value: f.Sysctl[name]})
	}
	if refusal := checkSysctls(c, at, sysctls); refusal != nil {
		return refuse(at, refusal.Reason, "--sysctl: %s", refusal.Message)
	}
	return nil
}

// checkFlagResources finds options about what a container's own fields speak of.
func checkFlagResources(c *checker, at string, f *DockerFlags) *Refusal {
	var refusal *Refusal
	eachContainer(&c.pod.Spec, func(_ string, container *corev1.Container) {
		limits := container.Resources.Limits
		gpus := slices.ContainsFunc(slices.Collect(maps.Keys(limits)), isGPU)
		for _, both := range []struct {
			clash      bool
			name, what string
		}{
			{f.NanoCPUs != 0 && !limits.Cpu().IsZero(), "cpus", "limit of cpu"},
			{f.Memory != 0 && !limits.Memory().IsZero(), "memory", "limit of memory"},
			{f.GPUs != "" && gpus, "gpus", "limit of GPUs"},
		} {
			if both.clash && refusal == nil {
				refusal = refuse(at, ReasonInvalid, "--%s: the container %q has a %s of its own", both.name, container.Name, both.what)
			}
		}
	})
	return refusal
}

// checkFlagNames keeps jobs from taking names that others rely on.
func checkFlagNames(_ *checker, at string, f *DockerFlags) *Refusal {
	for name := range f.Label {
		if strings.HasPrefix(name, "remotejob.dev/") {
			return refuse(at, ReasonInvalid, "--label: labels below remotejob.dev/ are the operator's own")
		}
	}
	return nil
}
