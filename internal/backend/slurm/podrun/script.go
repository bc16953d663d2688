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

package podrun

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
)

// scripted is the pod of a job that brings a script of its own. The script does what the pod's containers do, so it stands for the first
// of them, and all others have nothing to do and end well at once.
func scripted(spec *jobdir.Spec) (*jobdir.Spec, *corev1.Pod) {
	pod := spec.Pod.DeepCopy()
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			c := &list[i]
			c.RestartPolicy, c.RestartPolicyRules = nil, nil
			c.Lifecycle, c.StartupProbe, c.LivenessProbe, c.ReadinessProbe = nil, nil, nil, nil
			c.Command, c.Args, c.WorkingDir, c.VolumeMounts = []string{"/bin/sh", "-c", ":"}, nil, "", nil
			// The message of a process of the node would go into the node's own file.
			c.TerminationMessagePath = ""
		}
	}
	out := *spec
	out.Pod, out.Launch = pod, nil
	return &out, pod
}

// writeScript writes the job's script and has the first container run it.
func (r *runner) writeScript() error {
	path := filepath.Join(r.scratch, "job-script")
	if err := os.WriteFile(path, []byte(r.spec.JobScript), 0o700); err != nil { //nolint:gosec // a script
		return fmt.Errorf("write the job's script: %w", err)
	}
	command := []string{path}
	if !strings.HasPrefix(r.spec.JobScript, "#!") {
		command = []string{"/bin/sh", path}
	}
	if len(r.pod.Spec.Containers) > 0 {
		r.pod.Spec.Containers[0].Command = command
		r.pod.Spec.Containers[0].WorkingDir = orRoot(lookup(r.Env, "SLURM_SUBMIT_DIR"))
	}
	return nil
}

func orRoot(dir string) string {
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return "/"
	}
	return dir
}
