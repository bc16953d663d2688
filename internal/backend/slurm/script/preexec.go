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
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/sbatch"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// meshScript is what the virtual kubelet's set-up of a full mesh writes: a script that is to run the whole pod in a network namespace of its
// own. Run as pre-exec it would only be written, and the pod would run without the mesh and not say so.
const meshScript = "$TMPDIR/mesh.sh"

// preExecOf is what runs in the allocation before any container, in the order in which the other plugins run it: the pod's address in the
// cluster, the tunnel to it, and the pod's own commands.
func preExecOf(pod *corev1.Pod) (string, error) {
	own := pod.Annotations[workload.AnnotationSlurmPreExec]
	if strings.Contains(own, "EOFMESH") && strings.Contains(own, meshScript) {
		return "", fmt.Errorf("metadata.annotations[%s]: it sets up a full mesh, which SLURM jobs of this operator can't join; ports that are exposed by a tunnel can be had",
			workload.AnnotationSlurmPreExec)
	}
	var lines []string
	if ip := pod.Annotations[workload.AnnotationPodIP]; ip != "" {
		lines = append(lines, "export POD_IP="+sbatch.Quote(ip))
	}
	for _, commands := range []string{pod.Annotations[workload.AnnotationWstunnelCommands], own} {
		if commands != "" {
			lines = append(lines, commands)
		}
	}
	return strings.Join(lines, "\n"), nil
}
