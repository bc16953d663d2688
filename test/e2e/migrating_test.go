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

package e2e

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/docs"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// oldConfig is a plugin's configuration, as far as it says what jobs are like.
type oldConfig struct {
	ImagePrefix, DataRootFolder, ContainerRuntime, SingularityPath, DefaultFlavor string
	Flavors                                                                       map[string]struct {
		Name, MemoryDefault string
		CPUDefault          int32
		SlurmFlags          []string
	}
}

// sample is the configuration that docs/migrating.md shows for a plugin, and the RemoteBackend that is to take its place.
func sample(t *testing.T, plugin string) (old oldConfig, now v1alpha1.RemoteBackend) {
	t.Helper()
	const page = "docs/migrating.md"
	text, err := os.ReadFile(filepath.Join(harness.Root(), page))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## "+plugin+"\n")
	section, _, _ = strings.Cut(section, "\n## ")
	blocks, err := docs.Blocks(page, section)
	if err != nil {
		t.Fatal(err)
	}
	blocks = slices.DeleteFunc(blocks, func(b docs.Block) bool { return b.Language != "yaml" })
	if len(blocks) != 2 {
		t.Fatalf("%s has %d samples for %s, want the old and the new one", page, len(blocks), plugin)
	}
	if err := yaml.Unmarshal([]byte(blocks[0].Content), &old); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict([]byte(blocks[1].Content), &now); err != nil {
		t.Fatal(err)
	}
	return old, now
}

func TestAMigratedSlurmPluginAsksForTheSameJobs(t *testing.T) {
	old, now := sample(t, "interlink-slurm-plugin")
	after := now.Spec.Slurm
	if after.Runtime.ImagePrefix != old.ImagePrefix || after.BaseDirectory != strings.TrimSuffix(old.DataRootFolder, "/") ||
		!strings.EqualFold(after.Runtime.Type, old.ContainerRuntime) || after.Runtime.Path != old.SingularityPath || len(after.Flavors) != len(old.Flavors) {
		t.Errorf("%+v is not %+v", after, old)
	}
	f := onSLURM(t)
	// As it stands it is one that the API server takes.
	if err := f.ledger.Create(f.ctx, now.DeepCopy(), client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	// What it says of jobs is put to the test on the cluster that there is, where containers are processes.
	var rb v1alpha1.RemoteBackend
	if err := f.ledger.Get(f.ctx, client.ObjectKey{Name: f.backend}, &rb); err != nil {
		t.Fatal(err)
	}
	was := rb.DeepCopy()
	rb.Spec.Slurm.Defaults, rb.Spec.Slurm.Flavors, rb.Spec.Slurm.AllowedFlags = after.Defaults, after.Flavors, after.AllowedFlags
	if err := f.ledger.Patch(f.ctx, &rb, client.MergeFrom(was)); err != nil {
		t.Fatal(err)
	}

	f.ready(metav1.ConditionTrue)
	// What the plugin made of a pod: CPUs rounded up, memory in MiB, the flavor's defaults and flags, then the pod's own.
	plain := harness.NewPod("plain", f.backend, harness.Shell("main", "exit 0"))
	large := harness.NewPod("large", f.backend, harness.Shell("main", "exit 0"))
	large.Annotations["slurm-job.vk.io/flavor"] = "large"
	var whole map[string]json.RawMessage
	if err := json.Unmarshal(harness.Recorded(t, "create-rich"), &whole); err != nil {
		t.Fatal(err)
	}
	rich := recordedPod(t, harness.Recorded(t, "create-rich"))
	rich.UID = harness.NewUID()
	rich.Annotations["remotejob.dev/backend"] = f.backend
	for i := range rich.Spec.Volumes {
		if dir := rich.Spec.Volumes[i].EmptyDir; dir != nil {
			dir.SizeLimit = nil // see "What pods will notice"
		}
	}
	of := func(name string) map[string]string {
		flavor := old.Flavors[name]
		job := map[string]string{"NumCPUs": strconv.Itoa(int(flavor.CPUDefault)), "MinMemoryNode": flavor.MemoryDefault, "Partition": "main", "NumNodes": "1"}
		for _, flag := range flavor.SlurmFlags {
			if limit, ok := strings.CutPrefix(flag, "--time="); ok {
				job["TimeLimit"] = limit
			}
		}
		return job
	}
	for _, tt := range []struct {
		pod  *corev1.Pod
		body map[string]json.RawMessage
		want map[string]string
	}{
		{plain, nil, of(old.DefaultFlavor)},
		{large, nil, of("large")},
		// 1500m and 256Mi, and podrunner's 64Mi; the flags are its annotation's.
		{rich, whole, map[string]string{"NumCPUs": "2", "MinMemoryNode": "320M", "TimeLimit": "00:10:00", "NumNodes": "1", "Partition": "main"}},
	} {
		if tt.body == nil {
			f.run(tt.pod)
		} else {
			f.deleteAfterwards(tt.pod)
			if answer := f.send(tt.body, tt.pod); answer.Code != http.StatusOK {
				t.Fatalf("/create of pod %s: %d %s", tt.pod.Name, answer.Code, answer.Body)
			}
		}
		st := f.ended(tt.pod, 2*time.Minute)
		for _, c := range append(st.InitContainers, st.Containers...) {
			if st.Exit(c.Name) != 0 {
				t.Errorf("pod %s: %s", tt.pod.Name, states(st))
			}
		}
		id := f.ledger.MustJob(f.ctx, t, tt.pod).Status.JobID
		out, err := f.site.cluster.Command(f.ctx, "scontrol", "show", "job", "--oneliner", id).CombinedOutput()
		if err != nil {
			t.Fatalf("scontrol: %v: %s", err, out)
		}
		said := " " + string(out)
		for name, value := range tt.want {
			if !strings.Contains(said, " "+name+"="+value+" ") {
				t.Errorf("SLURM's job of pod %s has not %s=%s: %s", tt.pod.Name, name, value, out)
			}
		}
	}
	if got, want := f.log(rich, "main", harness.LogOpts{}), "prepared\nhello\n"; !strings.HasSuffix(got, want) {
		t.Errorf("main wrote %q, want %q at its end", got, want)
	}
}

func TestAMigratedDockerPluginRunsTheSamePods(t *testing.T) {
	s := onShared(t)
	_, now := sample(t, "interlink-docker-plugin")
	if err := s.ledger.Create(s.ctx, now.DeepCopy(), client.DryRunAll); err != nil {
		t.Fatal(err)
	}
	b := s.ledger.NewBackend(s.ctx, t, "migrated", s.engine.Host, func(b *v1alpha1.RemoteBackend) {
		b.Spec = now.Spec
		b.Spec.Docker.Host = s.engine.Host
	})
	r, whole := s.rich(true)
	r.Pod.Annotations["remotejob.dev/backend"] = b.Name
	s.runRich(whole, r.Pod)
	s.exits(s.ended(r.Pod, 2*time.Minute), map[string]int32{"prepare": 0, "main": 0, "sidecar": 0})
	want := "mode=fast\nthreads=4\ns3cr3t with spaces & 'quotes'prepared\nhello\n"
	if got := s.log(r.Pod, "main", harness.LogOpts{}); got != want {
		t.Errorf("main wrote %q, want %q", got, want)
	}
	// What the plugin gave to docker run: the limits of the container.
	main, err := s.inspect(s.ledger.Token(r.Pod) + "-main-0")
	if err != nil || main.HostConfig.NanoCPUs != 1_500_000_000 || main.HostConfig.Memory != 256<<20 {
		t.Errorf("main has the limits %+v, %v", main.HostConfig, err)
	}
	// And what it passed through, where others are refused. Whether it can be had is the machine's affair.
	privileged := harness.NewPod("privileged", b.Name, harness.Shell("main", "exit 0"))
	privileged.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: ptr(true)}
	s.run(privileged)
	s.ended(privileged, time.Minute)
	main, err = s.inspect(s.ledger.Token(privileged) + "-main-0")
	if err != nil || !main.HostConfig.Privileged {
		t.Errorf("it was not made privileged: %v", err)
	}
	s.gone(r.Pod, time.Minute)
}
