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

package ledger_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// The control plane that the tests of this package share.
var (
	config *rest.Config
	scheme = runtime.NewScheme()
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	if fuzz := flag.Lookup("test.fuzz"); fuzz != nil && fuzz.Value.String() != "" {
		return m.Run() // fuzzing needs no control plane, and each of its workers comes by here
	}
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	root := filepath.Join("..", "..")
	environment := &envtest.Environment{
		BinaryAssetsDirectory: filepath.Join(root, "bin", "k8s"),
		CRDDirectoryPaths:     []string{filepath.Join(root, "config", "crd", "bases")},
		ErrorIfCRDPathMissing: true,
		// A busy machine takes longer than the 20 s and 10 s that these have by default.
		ControlPlaneStartTimeout: 3 * time.Minute, CRDInstallOptions: envtest.CRDInstallOptions{MaxTime: time.Minute},
	}
	var err error
	if config, err = environment.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "start a control plane (make controlplane builds one):", err)
		return 1
	}
	config.QPS, config.Burst = -1, -1
	defer func() { _ = environment.Stop() }()
	return m.Run()
}

// backends are the RemoteBackends that a test's ledger knows.
type backends map[string]ledger.Backend

func (b backends) Backend(name string) (ledger.Backend, bool) {
	backend, ok := b[name]
	return backend, ok
}

// bench is a ledger on the shared control plane, in a namespace of its own.
type bench struct {
	*testing.T
	ledger    *ledger.Ledger
	client    client.Client
	namespace string
}

// option changes what a bench's ledger is made of.
type option func(*ledger.Options)

func newBench(t *testing.T, options ...option) *bench {
	t.Helper()
	b := idleBench(t, options...)
	b.follow(b.ledger)
	return b
}

// idleBench is a bench whose ledger does not follow the API server yet.
func idleBench(t *testing.T, options ...option) *bench {
	t.Helper()
	c, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, client: c, namespace: newNamespace(t, c)}
	b.ledger = b.newLedger(options...)
	return b
}

var namespaces atomic.Int32

func newNamespace(t *testing.T, c client.Client) string {
	t.Helper()
	name := fmt.Sprintf("test-%d-%d", time.Now().UnixNano(), namespaces.Add(1))
	if err := c.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
		t.Fatal(err)
	}
	return name
}

func (b *bench) newLedger(options ...option) *ledger.Ledger {
	b.Helper()
	opts := ledger.Options{
		ID: "ledger-1", Writer: b.client, Reader: b.client, DefaultBackend: "docker",
		Backends: backends{"docker": {UID: "backend-1", Abilities: workload.DockerAbilities()}},
	}
	for _, change := range options {
		change(&opts)
	}
	l, err := ledger.New(opts)
	if err != nil {
		b.Fatal(err)
	}
	return l
}

// follow lets a ledger follow the API server until the test ends.
func (b *bench) follow(l *ledger.Ledger) {
	b.Helper()
	start := b.attach(l)
	start()
	b.eventually("the ledger is ready", func() bool { return l.Ready() == nil })
}

// attach makes a ledger ready to follow the API server, which it does once the function that is returned is called.
func (b *bench) attach(l *ledger.Ledger) (start func()) {
	b.Helper()
	c, err := cache.New(config, cache.Options{
		Scheme:   scheme,
		ByObject: map[client.Object]cache.ByObject{&v1alpha1.RemoteJob{}: {Transform: ledger.Transform}},
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := l.Follow(b.Context(), c); err != nil {
		b.Fatal(err)
	}
	return func() { go func() { _ = c.Start(b.Context()) }() }
}

func (b *bench) eventually(what string, holds func() bool) {
	b.Helper()
	err := wait.PollUntilContextTimeout(b.Context(), 10*time.Millisecond, time.Minute, true, func(context.Context) (bool, error) { return holds(), nil })
	if err != nil {
		b.Fatalf("it did not come true that %s", what)
	}
}

var pods atomic.Int32

// pod returns a pod with one container, of a name and UID of its own.
func (b *bench) pod(change ...func(*corev1.Pod)) *corev1.Pod {
	n := pods.Add(1)
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.namespace, Name: fmt.Sprintf("pod-%d", n), UID: types.UID(fmt.Sprintf("uid-%d", n))},
		Spec:       corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{{Name: "main", Image: "busybox:1"}}},
	}
	for _, f := range change {
		f(pod)
	}
	return pod
}

func reference(pod *corev1.Pod) v1alpha1.PodReference {
	return v1alpha1.PodReference{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID}
}

func (b *bench) create(pod *corev1.Pod) (string, error) {
	return createWith(b, b.ledger, pod, workload.Payload{})
}

func createWith(b *bench, l *ledger.Ledger, pod *corev1.Pod, payload workload.Payload) (string, error) {
	created, err := l.Create(b.Context(), []ledger.CreateRequest{{Pod: pod, Payload: payload}})
	if err != nil {
		return "", err
	}
	if len(created) != 1 || created[0].UID != pod.UID {
		b.Errorf("the answer to one pod is %v", created)
	}
	return created[0].JobID, nil
}

func (b *bench) mustCreate(pod *corev1.Pod) string {
	b.Helper()
	id, err := b.create(pod)
	if err != nil {
		b.Fatalf("create: %v", err)
	}
	return id
}

// job reads the RemoteJob of a pod, nil where there is none.
func (b *bench) job(pod *corev1.Pod) *v1alpha1.RemoteJob {
	b.Helper()
	return b.jobIn(b.namespace, pod)
}

func (b *bench) jobIn(namespace string, pod *corev1.Pod) *v1alpha1.RemoteJob {
	b.Helper()
	job := &v1alpha1.RemoteJob{}
	err := b.client.Get(b.Context(), client.ObjectKey{Namespace: namespace, Name: ledger.Name(pod.Namespace, pod.Name, pod.UID)}, job)
	if client.IgnoreNotFound(err) != nil {
		b.Fatal(err)
	}
	if err != nil {
		return nil
	}
	return job
}

func (b *bench) jobs() []v1alpha1.RemoteJob {
	b.Helper()
	list := &v1alpha1.RemoteJobList{}
	if err := b.client.List(b.Context(), list, client.InNamespace(b.namespace)); err != nil {
		b.Fatal(err)
	}
	return list.Items
}

func (b *bench) secrets() []corev1.Secret {
	b.Helper()
	list := &corev1.SecretList{}
	if err := b.client.List(b.Context(), list, client.InNamespace(b.namespace)); err != nil {
		b.Fatal(err)
	}
	return list.Items
}

// report does what the reconciler does: it writes a job's status.
func (b *bench) report(pod *corev1.Pod, change func(*v1alpha1.RemoteJobStatus)) {
	b.Helper()
	job := b.job(pod)
	if job == nil {
		b.Fatal("there is no RemoteJob to report on")
	}
	before := job.DeepCopy()
	change(&job.Status)
	if err := b.client.Status().Patch(b.Context(), job, client.MergeFrom(before)); err != nil {
		b.Fatal(err)
	}
}

// submitted is the status of a job that a backend holds.
func submitted(id string) func(*v1alpha1.RemoteJobStatus) {
	return func(status *v1alpha1.RemoteJobStatus) {
		status.JobID, status.Phase = id, v1alpha1.PhaseQueued
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{Type: v1alpha1.ConditionSubmitted, Status: metav1.ConditionTrue, Reason: "Submitted"})
	}
}

// rejected is the status of a job that a backend will never take.
func rejected(reason, message string) func(*v1alpha1.RemoteJobStatus) {
	return func(status *v1alpha1.RemoteJobStatus) {
		now := metav1.Now()
		status.Phase, status.Reason, status.Message, status.CompletionTime = v1alpha1.PhaseFailed, reason, message, &now
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{Type: v1alpha1.ConditionSubmitted, Status: metav1.ConditionFalse, Reason: reason, Message: message})
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{Type: v1alpha1.ConditionFinished, Status: metav1.ConditionTrue, Reason: reason})
	}
}

// wantError fails unless err is an Error of that kind whose message holds all the words.
func wantError(t *testing.T, err error, kind ledger.Kind, words ...string) {
	t.Helper()
	e, ok := ledger.AsError(err)
	if !ok {
		t.Fatalf("the error is %v, want an Error", err)
	}
	if e.Kind != kind {
		t.Errorf("the error %q is of kind %d, want %d", e.Message, e.Kind, kind)
	}
	for _, word := range words {
		if !strings.Contains(e.Message, word) {
			t.Errorf("the error %q does not say %q", e.Message, word)
		}
	}
}

func metaNamed(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Name: name} }
