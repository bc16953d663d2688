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

package script

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/sbatch"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// DefaultFlavor is the name of the flavor of pods that name none.
const DefaultFlavor = "default"

// flavorOf is the flavor that a pod names; else, where it asks for GPUs, the first that has some; else the default one, if there is one.
func flavorOf(pod *corev1.Pod, need resources, flavors []v1alpha1.SlurmFlavor) (*v1alpha1.SlurmFlavor, error) {
	if name := pod.Annotations[workload.AnnotationSlurmFlavor]; name != "" {
		if f := find(flavors, func(f *v1alpha1.SlurmFlavor) bool { return f.Name == name }); f != nil {
			return f, nil
		}
		return nil, fmt.Errorf("metadata.annotations[%s]: there is no flavor %q; %s", workload.AnnotationSlurmFlavor, name, known(flavors))
	}
	if len(need.gpus) > 0 {
		if f := find(flavors, hasGPUs); f != nil {
			return f, nil
		}
	}
	return find(flavors, func(f *v1alpha1.SlurmFlavor) bool { return f.Name == DefaultFlavor }), nil
}

func find(flavors []v1alpha1.SlurmFlavor, is func(f *v1alpha1.SlurmFlavor) bool) *v1alpha1.SlurmFlavor {
	for i := range flavors {
		if is(&flavors[i]) {
			return &flavors[i]
		}
	}
	return nil
}

func known(flavors []v1alpha1.SlurmFlavor) string {
	if len(flavors) == 0 {
		return "the RemoteBackend has none"
	}
	names := make([]string, len(flavors))
	for i := range flavors {
		names[i] = flavors[i].Name
	}
	return "the RemoteBackend has " + strings.Join(names, ", ")
}

func hasGPUs(f *v1alpha1.SlurmFlavor) bool {
	return slices.ContainsFunc(flavorFlags(f), func(flag sbatch.Flag) bool {
		return slices.Contains(gpuOptions, flag.Name) || flag.Name == "gres" && isGPU(flag.Value)
	})
}

// flavorFlags are a flavor's options; none where they can't be read.
func flavorFlags(f *v1alpha1.SlurmFlavor) []sbatch.Flag {
	if f == nil {
		return nil
	}
	flags, _ := checkFlavor(f)
	return flags
}

// checkFlavor reads a flavor's options. A site may give any to its flavors but those that the operator finds its jobs by.
func checkFlavor(f *v1alpha1.SlurmFlavor) ([]sbatch.Flag, error) {
	flags, err := sbatch.ParseWords(f.Flags)
	if err == nil {
		names := make([]string, len(flags))
		for i := range flags {
			names[i] = flags[i].Name
		}
		err = sbatch.Check(flags, names)
	}
	if err != nil {
		return nil, fmt.Errorf("the flavor %s of the RemoteBackend: %w", f.Name, err)
	}
	return flags, nil
}

// CheckSpec says what is wrong with a RemoteBackend's flavors and allowed options, so that it is known before a pod needs them.
func CheckSpec(spec *v1alpha1.SlurmBackend) error {
	for i := range spec.Flavors {
		if _, err := checkFlavor(&spec.Flavors[i]); err != nil {
			return err
		}
	}
	for _, name := range spec.AllowedFlags {
		if err := sbatch.CheckName(name); err != nil {
			return fmt.Errorf("allowedFlags: %w", err)
		}
	}
	return nil
}
