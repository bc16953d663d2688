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
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

const token = "rj-0123456789abcdef0123456789abcdef"

// pod is a workload with the given containers and annotations (name, value, …).
func pod(containers []corev1.Container, annotations ...string) *workload.Workload {
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "train", UID: "uid 1", Annotations: map[string]string{}}}
	for i := 0; i+1 < len(annotations); i += 2 {
		p.Annotations[annotations[i]] = annotations[i+1]
	}
	p.Spec.Containers = containers
	return &workload.Workload{
		Token: token, Ledger: "ledger-1", Backend: "backend-1", Job: types.NamespacedName{Namespace: "team", Name: "train-x"}, Pod: p,
	}
}

// container has limits as in "cpu=2 memory=1Gi"; those that begin with ~ are requests.
func container(resources string) corev1.Container {
	c := corev1.Container{Name: "main", Resources: corev1.ResourceRequirements{Limits: corev1.ResourceList{}, Requests: corev1.ResourceList{}}}
	for field := range strings.FieldsSeq(resources) {
		name, value, _ := strings.Cut(field, "=")
		if request, ok := strings.CutPrefix(name, "~"); ok {
			c.Resources.Requests[corev1.ResourceName(request)] = resource.MustParse(value)
			continue
		}
		c.Resources.Limits[corev1.ResourceName(name)] = resource.MustParse(value)
	}
	return c
}

func one(resources string) []corev1.Container { return []corev1.Container{container(resources)} }

func site() *v1alpha1.SlurmBackend {
	return &v1alpha1.SlurmBackend{
		BaseDirectory: "/scratch/jobs",
		Defaults:      v1alpha1.SlurmDefaults{Partition: "main", TimeLimit: &metav1.Duration{Duration: time.Hour}, CPUs: new(int32(2)), Memory: new(resource.MustParse("1Gi"))},
		Flavors: []v1alpha1.SlurmFlavor{
			{Name: "big", CPUs: new(int32(16)), Memory: new(resource.MustParse("64Gi")), Flags: []string{"--partition=big", "--qos", "high"}},
			{Name: "gpu", CPUs: new(int32(8)), Flags: []string{"-p", "gpu", "--gres=gpu:a100:1,tmp:10G"}},
		},
		AllowedFlags: []string{
			"--time", "--partition", "--gres", "--nodes", "--ntasks", "--constraint", "--qos", "--account", "--mem", "--mem-per-cpu", "--cpus-per-task", "--gpus",
			"--gpus-per-node", "--ntasks-per-node",
		},
	}
}

func withDefaultFlavor(s *v1alpha1.SlurmBackend) {
	s.Flavors = append(s.Flavors, v1alpha1.SlurmFlavor{Name: DefaultFlavor, CPUs: new(int32(3)), Flags: []string{"--partition=short", "--time=5"}})
}

// chosen are a job's options but those that the operator gives to all.
func chosen(job *Job) string {
	var args []string
	for _, f := range job.Options {
		if !slices.Contains([]string{"parsable", "job-name", "comment", "chdir", "output", "open-mode", "input", "export", "requeue", "no-requeue"}, f.Name) {
			args = append(args, f.String())
		}
	}
	return strings.Join(args, " ")
}

func TestOptions(t *testing.T) {
	const flags, flavor, mpi = workload.AnnotationSlurmFlags, workload.AnnotationSlurmFlavor, workload.AnnotationSlurmMPIFlags
	for _, c := range []struct {
		name     string
		workload *workload.Workload
		change   func(s *v1alpha1.SlurmBackend)
		want     string
	}{
		{"a pod that says nothing gets the defaults", pod(one("")), nil,
			"--nodes=1 --ntasks=1 --partition=main --time=01:00:00 --cpus-per-task=2 --mem=1024M"},
		{"without defaults SLURM's own hold", pod(one("")), func(s *v1alpha1.SlurmBackend) { s.Defaults = v1alpha1.SlurmDefaults{} },
			"--nodes=1 --ntasks=1 --cpus-per-task=1"},
		{"the default flavor goes before the defaults", pod(one("")), withDefaultFlavor,
			"--nodes=1 --ntasks=1 --mem=1024M --cpus-per-task=3 --partition=short --time=5"},
		{"the pod's resources go before the flavor's, rounded up, with room for podrunner", pod(one("cpu=1500m memory=1Gi"), flavor, "big"), nil,
			"--nodes=1 --ntasks=1 --time=01:00:00 --partition=big --qos=high --cpus-per-task=2 --mem=1088M"},
		{"a named flavor", pod(one(""), flavor, "big"), nil,
			"--nodes=1 --ntasks=1 --time=01:00:00 --cpus-per-task=16 --mem=65536M --partition=big --qos=high"},
		{"containers add up", pod([]corev1.Container{container("cpu=1 memory=100Mi"), container("~cpu=500m ~memory=28Mi")}), nil,
			"--nodes=1 --ntasks=1 --partition=main --time=01:00:00 --cpus-per-task=2 --mem=192M"},
		{"a GPU request chooses a flavor with GPUs and keeps their kind", pod(one("nvidia.com/gpu=4")), withDefaultFlavor,
			"--nodes=1 --ntasks=1 --time=01:00:00 --mem=1024M --cpus-per-task=8 --partition=gpu --gres=gpu:a100:4,tmp:10G"},
		{"a named flavor goes before the one with GPUs", pod(one("amd.com/gpu=2"), flavor, "big"), nil,
			"--nodes=1 --ntasks=1 --time=01:00:00 --cpus-per-task=16 --mem=65536M --partition=big --qos=high --gres=gpu:2"},
		{"slices of a GPU go by their kind", pod(one("nvidia.com/mig-1g.5gb=2 nvidia.com/gpu=1"), flavor, "big"), nil,
			"--nodes=1 --ntasks=1 --time=01:00:00 --cpus-per-task=16 --mem=65536M --partition=big --qos=high --gres=gpu:1,gpu:1g.5gb:2"},
		{"GPUs of two kinds take the place of the flavor's", pod(one("nvidia.com/mig-1g.5gb=2 nvidia.com/gpu=1")), nil,
			"--nodes=1 --ntasks=1 --time=01:00:00 --mem=1024M --cpus-per-task=8 --partition=gpu --gres=tmp:10G,gpu:1,gpu:1g.5gb:2"},
		{"options of the annotation go last", pod(one("cpu=1"), flags, "-p long -t 2-0 --cpus-per-task=4"), nil,
			"--nodes=1 --ntasks=1 --mem=1024M --partition=long --time=2-0 --cpus-per-task=4"},
		{"memory by CPU takes the place of memory by node", pod(one("memory=1Gi"), flags, "--mem-per-cpu=2G"), nil,
			"--nodes=1 --ntasks=1 --partition=main --time=01:00:00 --cpus-per-task=2 --mem-per-cpu=2G"},
		{"GPUs in another way take the place of gres", pod(one("nvidia.com/gpu=1"), flags, "--gpus=h100:1"), nil,
			"--nodes=1 --ntasks=1 --time=01:00:00 --mem=1024M --cpus-per-task=8 --partition=gpu --gres=tmp:10G --gpus=h100:1"},
		{"what one annotation says twice is sbatch's to judge", pod(one(""), flags, "--mem=1G --mem-per-cpu=1G"), nil,
			"--nodes=1 --ntasks=1 --partition=main --time=01:00:00 --cpus-per-task=2 --mem=1G --mem-per-cpu=1G"},
		{"more tasks stay on one node", pod(one(""), flags, "--ntasks=4"), nil,
			"--nodes=1 --partition=main --time=01:00:00 --cpus-per-task=2 --mem=1024M --ntasks=4"},
		{"tasks by node take the place of tasks", pod(one(""), flags, "--nodes=2 --ntasks-per-node=4"), nil,
			"--partition=main --time=01:00:00 --cpus-per-task=2 --mem=1024M --nodes=2 --ntasks-per-node=4"},
		{"ranks of MPI may be spread", pod(one(""), flags, "--ntasks=64", mpi, "--bind-to core"), nil,
			"--partition=main --time=01:00:00 --cpus-per-task=2 --mem=1024M --ntasks=64"},
		{"a job script's options count, and the annotation's go before them",
			script(pod(one(""), flags, "--time=7"), "#!/bin/sh\n#SBATCH --time=5 --qos=low\nsleep 1\n#SBATCH --uid=0\n"), nil,
			"--nodes=1 --ntasks=1 --partition=main --cpus-per-task=2 --mem=1024M --qos=low --time=7"},
		{"a deadline becomes the time limit, with grace and reserve", deadline(pod(one("")), 600, nil), nil,
			"--nodes=1 --ntasks=1 --partition=main --cpus-per-task=2 --mem=1024M --time=00:12:30"},
		{"a deadline with a grace period of its own", deadline(pod(one("")), 90000, new(int64(5))), nil,
			"--nodes=1 --ntasks=1 --partition=main --cpus-per-task=2 --mem=1024M --time=1-01:02:05"},
		{"a time that the user gives goes before the deadline", deadline(pod(one(""), flags, "--time=00:30:00"), 600, nil), nil,
			"--nodes=1 --ntasks=1 --partition=main --cpus-per-task=2 --mem=1024M --time=00:30:00"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := site()
			if c.change != nil {
				c.change(s)
			}
			job, err := Make(Input{Workload: c.workload, Spec: s})
			if err != nil {
				t.Fatal(err)
			}
			if got := chosen(job); got != c.want {
				t.Errorf("\n got %s\nwant %s", got, c.want)
			}
		})
	}
}

func script(w *workload.Workload, s string) *workload.Workload {
	w.JobScript = s
	return w
}

func deadline(w *workload.Workload, seconds int64, grace *int64) *workload.Workload {
	w.Pod.Spec.ActiveDeadlineSeconds, w.Pod.Spec.TerminationGracePeriodSeconds = &seconds, grace
	return w
}

func TestRefusals(t *testing.T) {
	const flags = workload.AnnotationSlurmFlags
	two := []corev1.Container{container(""), container("")}
	for _, c := range []struct {
		name     string
		workload *workload.Workload
		want     string
	}{
		{"an option that the site does not allow", pod(one(""), flags, "--licenses=x"), "metadata.annotations[slurm-job.vk.io/flags]: --licenses is not among the RemoteBackend's allowedFlags"},
		{"an option that would hide the job", pod(one(""), flags, "-J x"), "--job-name can't be set by a pod"},
		{"an abbreviation", pod(one(""), flags, "--part=x"), "write --partition in full"},
		{"several jobs at once", pod(one(""), flags, "--nodes=1 : --nodes=2"), `":" is no option of sbatch`},
		{"an array", pod(one(""), flags, "--array=0-3"), "--array can't be set by a pod: a pod is one job"},
		{"an option of a job script", script(pod(one("")), "#!/bin/sh\n#SBATCH --uid=0\n"), "jobScript: --uid can't be set by a pod"},
		{"a heterogeneous job script", script(pod(one("")), "#SBATCH hetjob\n"), `jobScript: line 1: "hetjob" is no option`},
		{"a flavor that there is not", pod(one(""), workload.AnnotationSlurmFlavor, "huge"), `there is no flavor "huge"; the RemoteBackend has big, gpu`},
		{"two containers on two nodes", pod(two, flags, "--nodes=2"), "a job of several ranks or nodes can have one container, and the pod has 2"},
		{"two containers with ranks", pod(two, workload.AnnotationSlurmMPIFlags, "true"), "can have one container"},
		{"a number of nodes that is none", pod(one(""), flags, "--nodes=all"), "--nodes=all is no number of nodes"},
		{"an open quote in MPI's options", pod(one(""), workload.AnnotationSlurmMPIFlags, "'x"), "single quote is not closed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Make(Input{Workload: c.workload, Spec: site()})
			rejected, ok := backend.IsRejected(err)
			if !ok || rejected.Reason != ReasonInvalidOptions || !strings.Contains(rejected.Message, c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if _, err := Make(Input{Workload: pod(one(""), flags, "--nodes=2,4"), Spec: site()}); err != nil {
		t.Errorf("one container on two nodes: %v", err)
	}
}

func TestWhatTheOperatorSets(t *testing.T) {
	w := pod(one(""))
	w.Pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	s := site()
	s.BaseDirectory = "/scratch/100%"
	job, err := Make(Input{Workload: w, Spec: s})
	if err != nil {
		t.Fatal(err)
	}
	args := job.Args()
	for _, want := range []string{
		"--parsable", "--job-name=" + token, "--chdir=/scratch/100%", "--output=/scratch/100%%/out/" + token + ".out", "--open-mode=append", "--input=/dev/null",
		"--export=ALL", "--no-requeue",
		"--comment=remotejob;token=" + token + ";ledger=ledger-1;backend=backend-1;jobNamespace=team;job=train-x;namespace=team;pod=train;uid=uid+1",
	} {
		if !slices.Contains(args, want) {
			t.Errorf("%s is not among %q", want, args)
		}
	}
	w.Pod.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
	if job, err = Make(Input{Workload: w, Spec: s}); err != nil || !slices.Contains(job.Args(), "--requeue") {
		t.Errorf("a pod whose containers may start again: %q, %v", job.Args(), err)
	}
	if job.TimeLimit != time.Hour {
		t.Errorf("its time limit is %s", job.TimeLimit)
	}
}

func TestLaunch(t *testing.T) {
	const flags, mpi = workload.AnnotationSlurmFlags, workload.AnnotationSlurmMPIFlags
	for _, c := range []struct {
		name     string
		workload *workload.Workload
		want     string
	}{
		{"one process on one node", pod(one(""), flags, "--ntasks=4"), ""},
		{"nodes without a word of MPI go out by srun", pod(one(""), flags, "-N 1-2"), "srun --export=ALL --kill-on-bad-exit=1"},
		{"MPI without options, too", pod(one(""), mpi, "true"), "srun --export=ALL --kill-on-bad-exit=1"},
		{"MPI with options by mpiexec", pod(one(""), mpi, `--mca btl "a $(b)"`), "mpiexec -np $(SLURM_NTASKS) --mca btl a $$(b)"},
		{"a job script starts its own", script(pod(one(""), mpi, "-x"), "#!/bin/sh\n"), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			job, err := Make(Input{Workload: c.workload, Spec: site()})
			if err != nil || strings.Join(job.Launch, " ") != c.want {
				t.Errorf("got %q, %v, want %q", job.Launch, err, c.want)
			}
		})
	}
}

func TestPreExec(t *testing.T) {
	for _, c := range []struct {
		name        string
		annotations []string
		want, err   string
	}{
		{"nothing", nil, "", ""},
		{"the pod's own commands stay as they are", []string{workload.AnnotationSlurmPreExec, "module load a\nb 'c'"}, "module load a\nb 'c'", ""},
		{"address and tunnel come first", []string{workload.AnnotationSlurmPreExec, "own", workload.AnnotationWstunnelCommands, "./wstunnel client x &", workload.AnnotationPodIP, "10.1.2.3; id"},
			"export POD_IP='10.1.2.3; id'\n./wstunnel client x &\nown", ""},
		{"a full mesh can't be had", []string{workload.AnnotationSlurmPreExec, "cat <<'EOFMESH' > $TMPDIR/mesh.sh\nexec \"$@\"\nEOFMESH\n"}, "", "it sets up a full mesh"},
	} {
		t.Run(c.name, func(t *testing.T) {
			job, err := Make(Input{Workload: pod(one(""), c.annotations...), Spec: site()})
			switch {
			case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Errorf("got %v, want %q", err, c.err)
			case c.err == "" && (err != nil || job.PreExec != c.want):
				t.Errorf("got %q, %v, want %q", job.PreExec, err, c.want)
			}
		})
	}
}

func TestCheckSpec(t *testing.T) {
	if err := CheckSpec(site()); err != nil {
		t.Error(err)
	}
	for _, c := range []struct {
		change func(s *v1alpha1.SlurmBackend)
		want   string
	}{
		{func(s *v1alpha1.SlurmBackend) { s.Flavors[0].Flags = []string{"--part=x"} }, "the flavor big of the RemoteBackend: --part is no option of sbatch: write --partition in full"},
		{func(s *v1alpha1.SlurmBackend) { s.Flavors[1].Flags = []string{"--comment=x"} }, "the flavor gpu of the RemoteBackend: --comment can't be set"},
		{func(s *v1alpha1.SlurmBackend) { s.AllowedFlags = []string{"--tim"} }, "allowedFlags: --tim is no option of sbatch: write --time or --time-min in full"},
		{func(s *v1alpha1.SlurmBackend) { s.AllowedFlags = []string{"export"} }, "allowedFlags: --export can't be set"},
		{func(s *v1alpha1.SlurmBackend) { s.AllowedFlags = []string{"--foo"} }, "allowedFlags: --foo is no option of sbatch"},
	} {
		s := site()
		c.change(s)
		if err := CheckSpec(s); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %v, want %q", err, c.want)
		}
	}
}
