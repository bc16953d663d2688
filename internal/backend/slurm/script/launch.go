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
	"strconv"
	"strings"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/sbatch"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// srun starts the ranks of an app container on all nodes: in the environment that podrunner gives it, and one that fails ends the others.
var srun = []string{"srun", "--export=ALL", "--kill-on-bad-exit=1"}

// mpiDefault is a value of the annotation for MPI that asks for ranks and has no options.
const mpiDefault = "true"

// launchOf is what starts the ranks of the pod's only app container; nothing where it is one process on one node. A job script starts what
// it wants by itself.
func launchOf(w *workload.Workload, options *optionSet) ([]string, error) {
	flags := w.Pod.Annotations[workload.AnnotationSlurmMPIFlags]
	nodes, _ := options.get("nodes")
	most, err := mostNodes(nodes)
	if err != nil {
		return nil, err
	}
	if w.JobScript != "" || flags == "" && most <= 1 {
		return nil, nil
	}
	if n := len(w.Pod.Spec.Containers); n > 1 {
		return nil, fmt.Errorf("a job of several ranks or nodes can have one container, and the pod has %d", n)
	}
	if flags == "" || flags == mpiDefault {
		return srun, nil
	}
	words, err := sbatch.Words(flags)
	if err != nil {
		return nil, fmt.Errorf("metadata.annotations[%s]: %w", workload.AnnotationSlurmMPIFlags, err)
	}
	launch := []string{"mpiexec", "-np", "$(SLURM_NTASKS)"}
	for _, word := range words {
		// What the pod wrote is to arrive as it is.
		launch = append(launch, strings.ReplaceAll(word, "$(", "$$("))
	}
	return launch, nil
}

// mostNodes is the largest number of nodes that a value of --nodes allows, such as 4, 1-4, 2,4 or 2-8:2. It is 0 for no value.
func mostNodes(value string) (most int, err error) {
	if value == "" {
		return 0, nil
	}
	counts, _, _ := strings.Cut(value, ":")
	for _, count := range strings.FieldsFunc(counts, func(r rune) bool { return r == '-' || r == ',' }) {
		unit := 1
		if digits, ok := strings.CutSuffix(strings.ToLower(count), "k"); ok {
			count, unit = digits, 1024
		} else if digits, ok := strings.CutSuffix(strings.ToLower(count), "m"); ok {
			count, unit = digits, 1<<20
		}
		n, err := strconv.ParseUint(count, 10, 31)
		if err != nil {
			return 0, fmt.Errorf("--nodes=%s is no number of nodes", value)
		}
		most = max(most, int(n)*unit)
	}
	if most == 0 {
		return 0, fmt.Errorf("--nodes=%s is no number of nodes", value)
	}
	return most, nil
}
