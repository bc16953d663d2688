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
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// pod is a pod of a test, and a file to which each of its runs adds a line.
type pod struct {
	*workload.Workload
	t    testing.TB
	runs string
}

// pod writes a pod with one container that says in a file that it runs, and then runs the shell script.
func (w *world) pod(t testing.TB, script string, change ...func(*corev1.Pod)) *pod {
	t.Helper()
	uid := randomID()
	runs := filepath.Join(place, "runs-"+uid)
	grace := int64(5)
	spec := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p-" + uid, Namespace: "tests", UID: types.UID(uid)},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, TerminationGracePeriodSeconds: &grace,
			Containers: []corev1.Container{{Name: "main", Image: "any", Command: []string{"sh", "-c", "echo run >>" + runs + "; " + script}}},
		},
	}
	for _, f := range change {
		f(spec)
	}
	workload.Default(spec)
	template, payload := workload.Split(spec)
	resolved, err := workload.Resolve(workload.ResolveRequest{
		Token: workload.PodToken(w.ledger, spec.Namespace, uid), Ledger: w.ledger, Backend: w.backend,
		Job:       types.NamespacedName{Namespace: spec.Namespace, Name: spec.Name},
		Namespace: spec.Namespace, Name: spec.Name, UID: spec.UID, Template: template, Payload: payload,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(runs, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chown(runs, jobUserID(t), -1); err != nil {
		t.Fatal(err)
	}
	return &pod{Workload: resolved, t: t, runs: runs}
}

func jobUserID(t testing.TB) int {
	t.Helper()
	uid, err := strconv.Atoi(cluster.JobUser.Uid)
	if err != nil {
		t.Fatal(err)
	}
	return uid
}

// flags sets sbatch options of a pod.
func flags(options string) func(*corev1.Pod) {
	return func(p *corev1.Pod) { p.Annotations = map[string]string{workload.AnnotationSlurmFlags: options} }
}

func restartOnFailure(p *corev1.Pod) { p.Spec.RestartPolicy = corev1.RestartPolicyOnFailure }

// ran is how often the container ran.
func (p *pod) ran() int {
	p.t.Helper()
	content, err := os.ReadFile(p.runs)
	if err != nil {
		p.t.Fatal(err)
	}
	return strings.Count(string(content), "run\n")
}

func (p *pod) ref(id string) backend.JobRef { return backend.JobRef{Token: p.Token, JobID: id} }

// submit hands the pod over, which must work.
func (p *pod) submit(b *Backend) string {
	p.t.Helper()
	id, err := b.Submit(p.t.Context(), p.Workload)
	if err != nil {
		p.t.Fatal(err)
	}
	return id
}

// until waits for an observation of the pod that the condition holds for.
func (p *pod) until(b *Backend, what string, condition func(backend.ObservedJob) bool) backend.ObservedJob {
	p.t.Helper()
	var seen backend.ObservedJob
	eventually(p.t, what, func() string {
		snapshot, err := b.Observe(p.t.Context())
		if err != nil {
			return err.Error()
		}
		var ok bool
		if seen, ok = snapshot.Jobs[p.Token]; ok && condition(seen) {
			return ""
		}
		return describe(seen)
	})
	return seen
}

func describe(seen backend.ObservedJob) string {
	out := fmt.Sprintf("%+v", seen)
	if seen.Report != nil {
		out += fmt.Sprintf(" report %+v", *seen.Report)
	}
	if seen.Word != nil {
		out += fmt.Sprintf(" word %+v", *seen.Word)
	}
	return out
}

func isRunning(seen backend.ObservedJob) bool {
	return seen.Report != nil && len(seen.Report.Containers) > 0 && seen.Report.Containers[0].State.Running != nil
}

func hasEnded(seen backend.ObservedJob) bool {
	return seen.Report != nil && seen.Report.Finished() || seen.Word != nil && seen.Word.Ended
}

// succeeds waits for the pod's end, which must be a good one.
func (p *pod) succeeds(b *Backend) backend.ObservedJob {
	p.t.Helper()
	seen := p.until(b, "the pod's end", hasEnded)
	if seen.Report == nil || seen.Report.Phase != corev1.PodSucceeded {
		p.t.Errorf("the pod ended as %s", describe(seen))
	}
	return seen
}

// fails waits for the pod's end, which must be a failure for the given reason.
func (p *pod) fails(b *Backend, reason string) backend.ObservedJob {
	p.t.Helper()
	seen := p.until(b, "the pod's end", hasEnded)
	got := ""
	switch {
	case seen.Word != nil:
		got = seen.Word.Reason
	case seen.Report.Phase == corev1.PodFailed:
		got = seen.Report.Reason
	}
	if got != reason {
		p.t.Errorf("the pod ended as %s, want %s", describe(seen), reason)
	}
	return seen
}

// remove cancels the pod until nothing of it is left.
func (p *pod) remove(b *Backend) {
	p.t.Helper()
	eventually(p.t, "the pod to be gone", func() string {
		gone, err := b.Cancel(p.t.Context(), p.ref(""))
		if !gone || err != nil {
			return fmt.Sprintf("gone %t, %v", gone, err)
		}
		return ""
	})
}

// slurm runs one of SLURM's commands as root, which must work.
func slurm(t testing.TB, name string, args ...string) {
	t.Helper()
	if _, err := command(t, name, args...); err != nil {
		t.Fatal(err)
	}
}

// command runs one of SLURM's commands as root.
func command(t testing.TB, name string, args ...string) (string, error) {
	t.Helper()
	out, err := cluster.Command(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out)), nil
}

// lingers says which of the pod's jobs have not ended, or why SLURM can't tell now; empty where all have.
func (p *pod) lingers() string {
	out, err := command(p.t, "squeue", "--noheader", "--name="+p.Token, "--format=%A")
	if err != nil {
		return err.Error()
	}
	return out
}

// wrap puts a script before a command on the PATH of a world's connections. REAL is the command itself.
func (w *world) wrap(t testing.TB, command, script string) {
	t.Helper()
	path, err := exec.LookPath(command)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(place, "wrap-"+randomID())
	if err := os.Mkdir(dir, 0o755); err != nil { // another user runs it
		t.Fatal(err)
	}
	content := "#!/bin/sh\nREAL=" + path + "\n" + script
	if err := os.WriteFile(filepath.Join(dir, command), []byte(content), 0o755); err != nil {
		t.Fatal(err)
	}
	before := os.Getenv("PATH")
	for _, entry := range w.env {
		if wrapped, ok := strings.CutPrefix(entry, "PATH="); ok {
			before = wrapped
		}
	}
	w.env = append(w.env, "PATH="+dir+":"+before)
}

// gate is a file that a script waits for.
type gate string

func newGate() gate { return gate(filepath.Join(shared(), "gate-"+randomID())) }

func (g gate) open(t testing.TB) {
	t.Helper()
	if err := os.WriteFile(string(g), nil, 0o644); err != nil { // another user looks for it
		t.Fatal(err)
	}
}

func (g gate) isOpen() bool {
	_, err := os.Stat(string(g))
	return !errors.Is(err, fs.ErrNotExist)
}
