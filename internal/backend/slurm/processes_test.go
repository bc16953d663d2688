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

package slurm

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/runtime"
	slurmcluster "github.com/remotejob-dev/remotejob-operator/test/harness/slurm"
)

// daemons are processes in sessions of their own that take no notice of TERM.
const daemons = `for i in 1 2 3; do setsid sh -c 'trap "" TERM HUP; sleep 1000 & sleep 1000' & done; `

// TestNoProcessIsLeftOnTheNodeWhateverTheClusterDoesToTheJob counts a pod's processes after its job is gone, on clusters that find a job's
// processes by its control group and on ones that follow who started whom.
func TestNoProcessIsLeftOnTheNodeWhateverTheClusterDoesToTheJob(t *testing.T) {
	ends := map[string][]string{
		"scancel":      nil,
		"scancel KILL": {"--signal=KILL", "--full"},
	}
	for _, proctrack := range []string{"cgroup", "linuxproc"} {
		for _, kind := range []string{runtime.None, runtime.Podman} {
			t.Run(proctrack+" "+kind, func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				image := "any"
				w.spec.Runtime = v1alpha1.SlurmRuntime{Type: kind}
				if kind == runtime.Podman {
					needProgram(t, "podman")
					w.spec.Runtime.Options = slurmcluster.PodmanOptions()
					image = podmanImages(t).plain
				}
				own := w.ownCluster(t, proctrack)
				b := w.connect(t)
				for name, signal := range ends {
					p := w.pod(t, "true", func(pod *corev1.Pod) {
						c := &pod.Spec.Containers[0]
						c.Image, c.Command = image, []string{"sh", "-c", daemons + "while :; do sleep 0.1; done"}
					})
					id := p.submit(b)
					p.until(b, "the pod to run", isRunning)
					eventually(t, "all processes to be there", func() string {
						if left := processesOf(t, p.Token); len(left) < 8 {
							return strings.Join(left, "\n")
						}
						return ""
					})
					if out, err := own.Command(t.Context(), "scancel", append(signal, id)...).CombinedOutput(); err != nil {
						t.Fatalf("%s: %v: %s", name, err, out)
					}
					eventually(t, "no process after "+name, func() string { return strings.Join(processesOf(t, p.Token), "\n") })
					p.until(b, "the pod's end", hasEnded)
					p.remove(b)
				}
			})
		}
	}
}

// processesOf are the processes that have a token in their arguments or their environment, which all of a pod's have.
func processesOf(t *testing.T, token string) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, e := range entries {
		args, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		env, _ := os.ReadFile("/proc/" + e.Name() + "/environ")
		if bytes.Contains(args, []byte(token)) || bytes.Contains(env, []byte(token)) {
			found = append(found, fmt.Sprintf("%s %s", e.Name(), bytes.ReplaceAll(args, []byte{0}, []byte{' '})))
		}
	}
	return found
}
