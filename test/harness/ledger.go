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

package harness

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// Ledger is the API server's side of a test: the RemoteJobs and what belongs to them.
type Ledger struct {
	client.Client
	// Config reaches the API server.
	Config *rest.Config
	// ID of the ledger.
	ID string
}

// NewLedger installs the project's CRDs and returns a client.
func NewLedger(ctx context.Context, cfg *rest.Config) (*Ledger, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.QPS = -1
	_, err := envtest.InstallCRDs(cfg, envtest.CRDInstallOptions{
		Paths: []string{filepath.Join(Root(), "config", "crd", "bases")}, ErrorIfPathMissing: true, MaxTime: time.Minute,
	})
	if err != nil {
		return nil, fmt.Errorf("install the CRDs: %w", err)
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, err
		}
	}
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	// The API server makes its own namespaces soon after it is ready.
	l := &Ledger{Client: c, Config: cfg}
	return l, Poll(pollLong, func() error {
		var system, pods corev1.Namespace
		if err := c.Get(ctx, client.ObjectKey{Name: "default"}, &pods); err != nil {
			return err
		}
		err := c.Get(ctx, client.ObjectKey{Name: "kube-system"}, &system)
		l.ID = string(system.UID)
		return err
	})
}

// Token of a pod's job on its backend.
func (l *Ledger) Token(pod *corev1.Pod) string {
	return workload.PodToken(l.ID, pod.Namespace, string(pod.UID))
}

// Job is the pod's RemoteJob, and NotFound where there is none.
func (l *Ledger) Job(ctx context.Context, pod *corev1.Pod) (*v1alpha1.RemoteJob, error) {
	var jobs v1alpha1.RemoteJobList
	if err := l.List(ctx, &jobs, client.InNamespace(pod.Namespace)); err != nil {
		return nil, err
	}
	for i := range jobs.Items {
		if ref := jobs.Items[i].Spec.PodRef; ref != nil && ref.UID == pod.UID {
			return &jobs.Items[i], nil
		}
	}
	return nil, apierrors.NewNotFound(v1alpha1.GroupVersion.WithResource("remotejobs").GroupResource(), string(pod.UID))
}

// MustJob is the pod's RemoteJob; a missing one fails the test.
func (l *Ledger) MustJob(ctx context.Context, t testing.TB, pod *corev1.Pod) *v1alpha1.RemoteJob {
	t.Helper()
	job, err := l.Job(ctx, pod)
	if err != nil {
		t.Fatalf("the RemoteJob of pod %s: %v", pod.Name, err)
	}
	return job
}

// Gone returns an error while anything of a job stands in the ledger: the RemoteJob itself or one of the given payload Secrets.
func (l *Ledger) Gone(ctx context.Context, pod *corev1.Pod, secrets []string) error {
	if job, err := l.Job(ctx, pod); err == nil {
		return fmt.Errorf("RemoteJob %s is there: phase %s, finalizers %v, conditions %v", job.Name, job.Status.Phase, job.Finalizers, job.Status.Conditions)
	} else if !apierrors.IsNotFound(err) {
		return err
	}
	for _, name := range secrets {
		var secret corev1.Secret
		err := l.Get(ctx, client.ObjectKey{Namespace: pod.Namespace, Name: name}, &secret)
		if err == nil {
			return fmt.Errorf("payload Secret %s is there", name)
		} else if !apierrors.IsNotFound(err) {
			return err
		}
	}
	return nil
}

// NewBackend makes a RemoteBackend of type Docker, whose name is not taken, and waits until it is ready.
func (l *Ledger) NewBackend(ctx context.Context, t testing.TB, prefix, host string, change ...func(*v1alpha1.RemoteBackend)) *v1alpha1.RemoteBackend {
	t.Helper()
	b := l.MakeBackend(ctx, t, prefix, host, change...)
	Eventually(t, pollLong, "RemoteBackend "+b.Name+" ready", func() error { return l.BackendReady(ctx, b.Name, metav1.ConditionTrue) })
	return b
}

// MakeBackend makes a RemoteBackend of type Docker, whose name is not taken.
func (l *Ledger) MakeBackend(ctx context.Context, t testing.TB, prefix, host string, change ...func(*v1alpha1.RemoteBackend)) *v1alpha1.RemoteBackend {
	t.Helper()
	b := &v1alpha1.RemoteBackend{
		ObjectMeta: metav1.ObjectMeta{GenerateName: prefix + "-"},
		Spec:       v1alpha1.RemoteBackendSpec{Type: v1alpha1.BackendDocker, Docker: &v1alpha1.DockerBackend{Host: host}},
	}
	for _, f := range change {
		f(b)
	}
	if err := l.Create(ctx, b); err != nil {
		t.Fatalf("make a RemoteBackend: %v", err)
	}
	return b
}

// BackendReady returns an error unless the RemoteBackend's condition Ready has the given status.
func (l *Ledger) BackendReady(ctx context.Context, name string, want metav1.ConditionStatus) error {
	var b v1alpha1.RemoteBackend
	if err := l.Get(ctx, client.ObjectKey{Name: name}, &b); err != nil {
		return err
	}
	ready := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case ready == nil:
		return fmt.Errorf("it has no condition Ready")
	case ready.Status != want:
		return fmt.Errorf("it is ready: %s (%s: %s)", ready.Status, ready.Reason, ready.Message)
	case ready.ObservedGeneration != 0 && ready.ObservedGeneration != b.Generation:
		return fmt.Errorf("its condition speaks of generation %d, and it is at %d", ready.ObservedGeneration, b.Generation)
	}
	return nil
}

// Context is a context that ends with the test, some time before the test's own deadline.
func Context(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), slack*5*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
