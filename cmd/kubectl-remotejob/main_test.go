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

package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/controlplane"
)

var (
	plane  *controlplane.ControlPlane
	ledger *harness.Ledger
)

func TestMain(m *testing.M) {
	code, err := withControlPlane(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withControlPlane(m *testing.M) (code int, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	if plane, err = controlplane.Start(ctx, controlplane.Options{}); err != nil {
		return 1, err
	}
	defer func() { _ = plane.Stop(context.Background()) }()
	if ledger, err = harness.NewLedger(ctx, plane.Config); err != nil {
		return 1, err
	}
	return m.Run(), nil
}

// user is somebody who uses the plugin in a namespace of their own.
type user struct {
	t         *testing.T
	namespace string
}

func newUser(t *testing.T) *user {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "user-"}}
	if err := ledger.Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
	return &user{t: t, namespace: namespace.Name}
}

// run runs the plugin and returns what it printed, and its error.
func (u *user) run(args ...string) (out, words string, err error) {
	u.t.Helper()
	var stdout, stderr bytes.Buffer
	err = u.runTo(&stdout, &stderr, args...)
	return stdout.String(), stderr.String(), err
}

func (u *user) runTo(stdout, stderr io.Writer, args ...string) error {
	root := newRoot(genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: stdout, ErrOut: stderr})
	root.SetArgs(append([]string{"--kubeconfig", plane.Kubeconfig, "--namespace", u.namespace}, args...))
	return root.ExecuteContext(u.t.Context())
}

// ok runs the plugin, which must not fail.
func (u *user) ok(args ...string) string {
	u.t.Helper()
	out, words, err := u.run(args...)
	if err != nil {
		u.t.Fatalf("%v: %v\n%s%s", args, err, out, words)
	}
	return out
}

// refused runs the plugin, which must fail with these words.
func (u *user) refused(words string, args ...string) {
	u.t.Helper()
	if out, _, err := u.run(args...); err == nil || !strings.Contains(err.Error(), words) {
		u.t.Errorf("%v: the error is %v, want %q\n%s", args, err, words, out)
	}
}

func (u *user) prints(out string, words ...string) {
	u.t.Helper()
	for _, word := range words {
		if !strings.Contains(out, word) {
			u.t.Errorf("%q is not in\n%s", word, out)
		}
	}
}

// job makes a RemoteJob with a status.
func (u *user) job(name string, change ...func(*v1alpha1.RemoteJob)) *v1alpha1.RemoteJob {
	u.t.Helper()
	job := &v1alpha1.RemoteJob{ObjectMeta: metav1.ObjectMeta{Namespace: u.namespace, Name: name}}
	job.Spec.BackendName = "box"
	job.Spec.Template.Spec = corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "main", Image: "busybox:1.36"}}}
	for _, f := range change {
		f(job)
	}
	status := job.Status
	if err := ledger.Create(u.t.Context(), job); err != nil {
		u.t.Fatal(err)
	}
	job.Status = status
	if err := ledger.Status().Update(u.t.Context(), job); err != nil {
		u.t.Fatal(err)
	}
	return job
}

func phase(p v1alpha1.RemoteJobPhase) func(*v1alpha1.RemoteJob) {
	return func(j *v1alpha1.RemoteJob) { j.Status.Phase = p }
}

var uids atomic.Int64

// ofPod makes a job one of a pod.
func ofPod(name string) func(*v1alpha1.RemoteJob) {
	uid := fmt.Sprintf("uid-%d-%s", uids.Add(1), name)
	return func(j *v1alpha1.RemoteJob) {
		j.Labels = map[string]string{v1alpha1.LabelPodUID: uid, v1alpha1.LabelBackend: "box", "app": "mine"}
		j.Spec.PodRef = &v1alpha1.PodReference{Namespace: "pods", Name: name, UID: types.UID(uid)}
	}
}

func TestListShowsJobsInEveryForm(t *testing.T) {
	u := newUser(t)
	u.job("one", phase(v1alpha1.PhaseRunning), func(j *v1alpha1.RemoteJob) { j.Status.JobID, j.Status.NodeName = "rj-123", "gpu7" })
	u.job("two", phase(v1alpha1.PhaseFailed), ofPod("train"), func(j *v1alpha1.RemoteJob) {
		j.Status.Reason, j.Status.Message, j.Spec.BackendName = "OOMKilled", "container main\nused too much", "other"
	})
	table := u.ok("list")
	u.prints(table, "NAME", "PHASE", "one", "Running", "two", "pods/train", "OOMKilled")
	if strings.Contains(table, "rj-123") || strings.Contains(table, "\x1b") || len(strings.Split(strings.TrimSpace(table), "\n")) != 3 {
		t.Errorf("the table is\n%s", table)
	}
	u.prints(u.ok("list", "-o", "wide"), "MESSAGE", "rj-123", "gpu7", "container main used too much")
	if got := u.ok("list", "--no-headers", "--phase", "Failed"); strings.Contains(got, "NAME") || strings.Contains(got, "Running") || !strings.Contains(got, "two") {
		t.Errorf("--phase Failed: %s", got)
	}
	if got := u.ok("list", "--backend", "box", "-o", "name"); got != "remotejob.remotejob.dev/one\n" {
		t.Errorf("--backend box: %q", got)
	}
	if got := u.ok("list", "-l", "app=mine", "-o", "name"); got != "remotejob.remotejob.dev/two\n" {
		t.Errorf("-l app=mine: %q", got)
	}
	u.job("orphan", phase(v1alpha1.PhaseRunning), ofPod("gone"), func(j *v1alpha1.RemoteJob) {
		j.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionUnasked, Status: metav1.ConditionTrue, Reason: "NotAsked", LastTransitionTime: metav1.Now()}}
	})
	if got := u.ok("list", "--unasked", "-o", "name"); got != "remotejob.remotejob.dev/orphan\n" {
		t.Errorf("--unasked: %q", got)
	}
	u.prints(u.ok("list", "-o", "json"), `"kind": "RemoteJobList"`, `"apiVersion": "remotejob.dev/v1alpha1"`, `"name": "one"`)
	u.prints(u.ok("list", "-o", "yaml"), "kind: RemoteJobList", "- apiVersion: remotejob.dev/v1alpha1", "name: two")
	u.prints(u.ok("list", "--all-namespaces"), "NAMESPACE", u.namespace)
	u.refused(`no phase "Done"`, "list", "--phase", "Done")
	u.refused(`unknown output "xml"`, "list", "-o", "xml")
	if out, words, err := newUser(t).run("list"); err != nil || out != "" || !strings.Contains(words, "No jobs found") {
		t.Errorf("of no jobs it says %q %q %v", out, words, err)
	}
}

func TestColoursAreForTerminalsOnly(t *testing.T) {
	text := "NAME     PHASE       AGE\nFailed   Running     5s\nother    Succeeded   5s\nthird    Failed\n"
	want := "NAME     PHASE       AGE\nFailed   \x1b[32mRunning\x1b[0m     5s\nother    \x1b[32mSucceeded\x1b[0m   5s\nthird    \x1b[31mFailed\x1b[0m\n"
	if got := dressed(text, false, colourOf); got != want {
		t.Errorf("%q", got)
	}
	if got := dressed(text, false, colourless); got != text {
		t.Errorf("without colours: %q", got)
	}
	file, err := os.Create(t.TempDir() + "/file")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	if wantsColour(file) || wantsColour(&bytes.Buffer{}) {
		t.Error("a file is taken for a terminal")
	}
}

func TestDescribeTellsAllThatIsKnown(t *testing.T) {
	u := newUser(t)
	rb := &v1alpha1.RemoteBackend{ObjectMeta: metav1.ObjectMeta{GenerateName: "box-"}, Spec: v1alpha1.RemoteBackendSpec{Type: v1alpha1.BackendDocker, Docker: &v1alpha1.DockerBackend{}}}
	if err := ledger.Create(t.Context(), rb); err != nil {
		t.Fatal(err)
	}
	rb.Status.Version = "docker 28"
	rb.Status.Conditions = []metav1.Condition{{Type: "Ready", Status: metav1.ConditionFalse, Reason: "Unreachable", Message: "no route to host", LastTransitionTime: metav1.Now()}}
	if err := ledger.Status().Update(t.Context(), rb); err != nil {
		t.Fatal(err)
	}
	now := metav1.Now()
	job := u.job("failed-one", phase(v1alpha1.PhaseFailed), ofPod("train"), func(j *v1alpha1.RemoteJob) {
		j.Spec.BackendName = rb.Name
		j.Annotations = map[string]string{v1alpha1.AnnotationSession: "CreatePod#7"}
		s := &j.Status
		s.Reason, s.Message, s.JobID, s.NodeName, s.Attempts, s.StartTime, s.CompletionTime = "Error", "container main ended with exit code 3", "rj-123", "gpu7", 2, &now, &now
		s.Conditions = []metav1.Condition{{Type: "Finished", Status: metav1.ConditionTrue, Reason: "Error", Message: "it is over", LastTransitionTime: now}}
		s.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3, Reason: "Error", Message: "out of luck"}}}}
	})
	event := &eventsv1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: u.namespace, GenerateName: "e-"}, EventTime: metav1.NowMicro(), Type: "Warning", Reason: "Error", Action: "Run",
		Note: "container main ended badly", ReportingController: "test", ReportingInstance: "test",
		Regarding: corev1.ObjectReference{Kind: "RemoteJob", APIVersion: "remotejob.dev/v1alpha1", Namespace: u.namespace, Name: job.Name, UID: job.UID},
	}
	if err := ledger.Create(t.Context(), event); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"failed-one", "pod/train", string(job.Spec.PodRef.UID)} {
		u.prints(u.ok("describe", name), "failed-one", "pods/train", "CreatePod#7", "Failed", "container main ended with exit code 3", "busybox:1.36",
			"ended with exit code 3, Error, out of luck", "it is over", rb.Name, "rj-123", "gpu7", "2 times", "False, Unreachable", "no route to host", "docker 28",
			"container main ended badly")
	}
	// A UID is found whatever the namespace.
	newUser(t).prints(newUser(t).ok("describe", string(job.Spec.PodRef.UID)), "failed-one")
	u.refused(`there is no RemoteJob "nobody"`, "describe", "nobody")
	u.refused("pod nobody", "describe", "pod/nobody")
	u.prints(u.ok("backends"), rb.Name, "Docker", "False", "Unreachable", "docker 28")
	u.prints(u.ok("backends", "-o", "wide"), "no route to host")
	u.prints(u.ok("backends", "-o", "yaml"), "kind: RemoteBackendList")
}

func TestCancelWaitsUntilNothingIsLeft(t *testing.T) {
	u := newUser(t)
	job := u.job("long", phase(v1alpha1.PhaseRunning), func(j *v1alpha1.RemoteJob) { j.Finalizers = []string{v1alpha1.FinalizerCancel} })
	u.refused("no RemoteJob", "cancel", "long", "no-such-job")
	get := func() error { return ledger.Get(t.Context(), client.ObjectKeyFromObject(job), job) }
	if err := get(); err != nil || job.Spec.Cancel {
		t.Fatalf("it was cancelled beside one that is not there: %v", err)
	}
	u.refused("still there after --timeout: no manager has seen to it yet", "cancel", "long", "--timeout", "100ms")
	if err := get(); err != nil || !job.Spec.Cancel {
		t.Fatalf("it is not cancelled: %v", err)
	}
	u.prints(u.ok("list"), "Cancelling")

	job.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionStopping, Status: metav1.ConditionTrue, Reason: "Cancelled", Message: "the job is being stopped", LastTransitionTime: metav1.Now()}}
	if err := ledger.Status().Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	words := make(chan string, 100) // more than it ever says
	done := make(chan error, 1)
	go func() { done <- u.runTo(&out, said(words), "cancel", "long") }()
	for told := ""; !strings.Contains(told, "the job is being stopped"); {
		select {
		case word := <-words:
			told += word
		case err := <-done:
			t.Fatalf("it did not wait: %v, %s%s", err, told, &out)
		}
	}
	if err := get(); err != nil {
		t.Fatal(err)
	}
	job.Finalizers = nil
	if err := ledger.Update(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if err := ledger.Delete(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil || !strings.Contains(out.String(), "long is gone") {
		t.Errorf("%v, %s", err, &out)
	}
	other := u.job("other")
	u.ok("cancel", other.Name, "--wait=false")
}

// said passes on what is written.
type said chan<- string

func (s said) Write(text []byte) (int, error) {
	s <- string(text)
	return len(text), nil
}

func TestRetryMakesANewJobWhereItCan(t *testing.T) {
	u := newUser(t)
	ttl := int32(60)
	old := u.job("hello", phase(v1alpha1.PhaseFailed), func(j *v1alpha1.RemoteJob) {
		j.Labels = map[string]string{"app": "mine"}
		j.Spec.TTLSecondsAfterFinished = &ttl
		j.Spec.Template.Spec.Containers[0].Env = []corev1.EnvVar{{Name: "A", Value: "b"}}
	})
	name := strings.TrimSpace(strings.TrimPrefix(u.ok("retry", "hello"), "remotejob.remotejob.dev/"))
	next := &v1alpha1.RemoteJob{}
	if err := ledger.Get(t.Context(), client.ObjectKey{Namespace: u.namespace, Name: name}, next); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(name, "hello-retry-") || next.Labels["app"] != "mine" || next.Annotations[annotationRetryOf] != "hello" || next.Spec.BackendName != "box" ||
		*next.Spec.TTLSecondsAfterFinished != 60 || next.Spec.Template.Spec.Containers[0].Env[0].Value != "b" || next.Status.Phase != "" {
		t.Errorf("the new job is %+v", next)
	}
	if got := u.ok("retry", "hello", "--backend", "elsewhere", "--dry-run", "-o", "yaml"); !strings.Contains(got, "backendName: elsewhere") || !strings.Contains(got, "kind: RemoteJob") {
		t.Errorf("as YAML: %s", got)
	}
	if err := ledger.Get(t.Context(), client.ObjectKeyFromObject(old), old); err != nil || old.Spec.Cancel {
		t.Errorf("the old job is not as it was: %v %+v", err, old.Spec)
	}
	list := &v1alpha1.RemoteJobList{}
	if err := ledger.List(t.Context(), list, client.InNamespace(u.namespace)); err != nil || len(list.Items) != 2 {
		t.Errorf("there are %d jobs, and a dry run makes none: %v", len(list.Items), err)
	}

	u.job("running", phase(v1alpha1.PhaseRunning))
	u.refused("has not ended (Running)", "retry", "running")
	u.job("secretive", phase(v1alpha1.PhaseFailed), ofPod("train"), func(j *v1alpha1.RemoteJob) { j.Spec.PayloadSecretNames = []string{"s"} })
	u.refused("delete that pod and make it anew", "retry", "secretive")
	u.job("plain", phase(v1alpha1.PhaseFailed), ofPod("plain"))
	if got := u.ok("retry", "pod/plain", "-o", "json"); strings.Contains(got, "podRef") || strings.Contains(got, v1alpha1.LabelPodUID) || !strings.Contains(got, `"app": "mine"`) {
		t.Errorf("a retry of a pod's job is not the pod's: %s", got)
	}
	for name, want := range map[string]string{"hello": "hello-retry-", "hello-retry-abcde": "hello-retry-", strings.Repeat("x", 63): strings.Repeat("x", 51) + "-retry-"} {
		if got := retryName(name); got != want {
			t.Errorf("a retry of %s is called %s…, want %s…", name, got, want)
		}
	}
}

func TestCompletion(t *testing.T) {
	u := newUser(t)
	u.job("first", phase(v1alpha1.PhaseRunning))
	u.job("second", phase(v1alpha1.PhaseFailed))
	complete := func(args ...string) []string {
		var names []string
		for line := range strings.Lines(u.ok(append([]string{"__completeNoDesc"}, args...)...)) {
			if line = strings.TrimSpace(line); !strings.HasPrefix(line, ":") {
				names = append(names, line)
			}
		}
		return names
	}
	at := []string{"--kubeconfig", plane.Kubeconfig, "--namespace", u.namespace}
	for _, tt := range []struct {
		args []string
		want []string
	}{
		{[]string{"describe", ""}, []string{"first", "second"}},
		{[]string{"cancel", "first", ""}, []string{"second"}},
		{[]string{"retry", "first", ""}, nil},
		{[]string{"logs", "first", "-c", ""}, []string{"main"}},
		{[]string{"list", "--phase", ""}, phases},
		{[]string{"list", "-o", ""}, formats},
	} {
		if got := complete(slices.Concat(at, tt.args)...); !slices.Equal(got, tt.want) {
			t.Errorf("%v is completed by %v, want %v", tt.args, got, tt.want)
		}
	}
	u.prints(u.ok("completion", "bash"), "__start_kubectl-remotejob")
}
