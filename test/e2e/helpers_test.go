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
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	crclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/controlplane"
)

// side is what a test works with: who it talks to, where its jobs stand, and on which engine they run, if it is one.
type side struct {
	t       *testing.T
	ctx     context.Context
	manager *harness.Manager
	ledger  *harness.Ledger
	engine  *harness.Dockerd
	// plane is the control plane of the ledger, where it is not the shared one.
	plane *controlplane.ControlPlane
}

// onShared runs the test beside others on the shared parts.
func onShared(t *testing.T) *side {
	t.Helper()
	t.Parallel()
	return shares(t)
}

// shares uses the shared parts, without running beside others.
func shares(t *testing.T) *side {
	t.Helper()
	return &side{t: t, ctx: harness.Context(t), manager: shared.manager, ledger: shared.ledger, engine: shared.engine}
}

func quiet() logr.Logger { return logr.Discard() }

// create sends a pod, expects that it is taken, and deletes it when the test has ended.
func (s *side) create(r harness.CreateRequest) harness.Created {
	s.t.Helper()
	s.deleteAfterwards(r.Pod)
	created, answer, err := s.manager.Create(s.ctx, r.Body(s.t))
	if err != nil {
		s.t.Fatalf("create pod %s: %v", r.Pod.Name, err)
	}
	if answer.Code != http.StatusOK {
		s.t.Fatalf("create pod %s: %d %s", r.Pod.Name, answer.Code, answer.Body)
	}
	if created.PodUID != string(r.Pod.UID) || created.PodJID == "" {
		s.t.Fatalf("create pod %s (%s): the answer is %s", r.Pod.Name, r.Pod.UID, answer.Body)
	}
	return created
}

// run creates a pod of which nothing was collected.
func (s *side) run(pod *corev1.Pod) harness.Created {
	s.t.Helper()
	return s.create(harness.Request(pod))
}

func (s *side) deleteAfterwards(pod *corev1.Pod) {
	s.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		if s.t.Failed() {
			s.explain(ctx, pod)
		}
		now := pod.DeepCopy()
		now.DeletionGracePeriodSeconds = new(int64)
		_, _ = s.manager.Delete(ctx, now)
	})
}

// explain logs what is known of a pod whose test failed.
func (s *side) explain(ctx context.Context, pod *corev1.Pod) {
	if job, err := s.ledger.Job(ctx, pod); err != nil {
		s.t.Logf("the RemoteJob of pod %s: %v", pod.Name, err)
	} else if text, err := json.MarshalIndent(job.Status, "", " "); err == nil {
		s.t.Logf("status of RemoteJob %s, cancel %v, finalizers %v:\n%s", job.Name, job.Spec.Cancel, job.Finalizers, text)
	}
	if s.engine != nil {
		if left, err := harness.Left(ctx, s.engine.Client, s.ledger.Token(pod)); err == nil {
			s.t.Logf("on the engine: %v", left)
		}
	}
	s.t.Logf("the manager on pod %s:\n%s", pod.UID, s.manager.Lines(string(pod.UID)))
}

// status asks about one pod as the virtual kubelet does, and holds the answer against what the virtual kubelet takes for granted.
func (s *side) status(pod *corev1.Pod) (harness.PodStatus, error) {
	list, answer, err := s.manager.Status(s.ctx, pod)
	if err != nil {
		return harness.PodStatus{}, err
	}
	if answer.Code != http.StatusOK {
		return harness.PodStatus{}, fmt.Errorf("/status: %d %s", answer.Code, answer.Body)
	}
	if len(list) != 1 {
		return harness.PodStatus{}, fmt.Errorf("/status for one pod answers about %d: %s", len(list), answer.Body)
	}
	if err := wellFormed(pod, list[0]); err != nil {
		s.t.Errorf("/status: %v: %s", err, answer.Body)
	}
	return list[0], nil
}

// wellFormed holds an answer against the virtual kubelet's assumptions: the pod that was asked for, all its containers in its order,
// each in exactly one state, and no init container ended before an earlier one.
func wellFormed(pod *corev1.Pod, got harness.PodStatus) error {
	if got.UID != string(pod.UID) || got.Name != pod.Name || got.Namespace != pod.Namespace {
		return fmt.Errorf("the answer is about %s/%s (%s), and the question was about %s/%s (%s)", got.Namespace, got.Name, got.UID, pod.Namespace, pod.Name, pod.UID)
	}
	if len(got.Containers) != len(pod.Spec.Containers) {
		return fmt.Errorf("the answer has %d containers, and the pod %d", len(got.Containers), len(pod.Spec.Containers))
	}
	for i, c := range got.Containers {
		if c.Name != pod.Spec.Containers[i].Name {
			return fmt.Errorf("container %d is %q, and in the pod %q", i, c.Name, pod.Spec.Containers[i].Name)
		}
	}
	for _, c := range append(append([]corev1.ContainerStatus{}, got.InitContainers...), got.Containers...) {
		states := 0
		for _, set := range []bool{c.State.Waiting != nil, c.State.Running != nil, c.State.Terminated != nil} {
			if set {
				states++
			}
		}
		if states != 1 {
			return fmt.Errorf("container %s has %d states at once", c.Name, states)
		}
	}
	notEnded := ""
	for _, c := range got.InitContainers {
		if c.State.Terminated == nil {
			notEnded = c.Name
		} else if notEnded != "" {
			return fmt.Errorf("init container %s has ended before %s", c.Name, notEnded)
		}
	}
	return nil
}

// eventually waits until the pod's status is as it should be.
func (s *side) eventually(pod *corev1.Pod, within time.Duration, what string, condition func(harness.PodStatus) error) harness.PodStatus {
	s.t.Helper()
	var last harness.PodStatus
	harness.Eventually(s.t, within, fmt.Sprintf("pod %s %s", pod.Name, what), func() error {
		var err error
		if last, err = s.status(pod); err != nil {
			return err
		}
		return condition(last)
	})
	return last
}

// ended waits until the virtual kubelet would take the pod for ended.
func (s *side) ended(pod *corev1.Pod, within time.Duration) harness.PodStatus {
	s.t.Helper()
	return s.eventually(pod, within, "ends", func(st harness.PodStatus) error {
		if !st.Ended() {
			return fmt.Errorf("it has not: %s", states(st))
		}
		return nil
	})
}

// running waits until the given container runs.
func (s *side) running(pod *corev1.Pod, container string) harness.PodStatus {
	s.t.Helper()
	return s.eventually(pod, time.Minute, "runs "+container, func(st harness.PodStatus) error {
		for _, c := range append(append([]corev1.ContainerStatus{}, st.InitContainers...), st.Containers...) {
			if c.Name == container && c.State.Running != nil {
				return nil
			}
		}
		return fmt.Errorf("it does not: %s", states(st))
	})
}

// exits checks how the containers of a pod that has ended did end.
func (s *side) exits(st harness.PodStatus, want map[string]int32) {
	s.t.Helper()
	for name, code := range want {
		if got := st.Exit(name); got != code {
			s.t.Errorf("container %s of pod %s ended with code %d, want %d: %s", name, st.Name, got, code, states(st))
		}
	}
}

func states(st harness.PodStatus) string {
	text := ""
	for _, c := range append(append([]corev1.ContainerStatus{}, st.InitContainers...), st.Containers...) {
		switch {
		case c.State.Waiting != nil:
			text += fmt.Sprintf("%s waits (%s: %s); ", c.Name, c.State.Waiting.Reason, c.State.Waiting.Message)
		case c.State.Running != nil:
			text += fmt.Sprintf("%s runs; ", c.Name)
		case c.State.Terminated != nil:
			text += fmt.Sprintf("%s ended %d (%s: %s); ", c.Name, c.State.Terminated.ExitCode, c.State.Terminated.Reason, c.State.Terminated.Message)
		}
	}
	return text
}

// log is all that a container wrote, as /getLogs has it.
func (s *side) log(pod *corev1.Pod, container string, opts harness.LogOpts) string {
	s.t.Helper()
	answer, err := s.manager.Logs(s.ctx, pod, container, opts)
	if err != nil {
		s.t.Fatalf("logs of %s: %v", container, err)
	}
	if answer.Code != http.StatusOK {
		s.t.Fatalf("logs of %s: %d %s", container, answer.Code, answer.Body)
	}
	return string(answer.Body)
}

// gone deletes the pod and waits until nothing of it is left, on the engine or in the ledger.
func (s *side) gone(pod *corev1.Pod, within time.Duration) {
	s.t.Helper()
	var secrets []string
	if job, err := s.ledger.Job(s.ctx, pod); err == nil {
		secrets = job.Spec.PayloadSecretNames
	}
	answer, err := s.manager.Delete(s.ctx, pod)
	if err != nil || answer.Code != http.StatusOK {
		s.t.Fatalf("delete pod %s: %v, %d %s", pod.Name, err, answer.Code, answer.Body)
	}
	harness.Eventually(s.t, within, "nothing left of pod "+pod.Name, func() error {
		if err := s.ledger.Gone(s.ctx, pod, secrets); err != nil {
			return err
		}
		return s.nothingLeft(pod)
	})
}

// nothingLeft returns an error while the engine holds a container or a volume of the pod.
func (s *side) nothingLeft(pod *corev1.Pod) error {
	left, err := harness.Left(s.ctx, s.engine.Client, s.ledger.Token(pod))
	if err != nil {
		return err
	}
	if len(left) > 0 {
		return fmt.Errorf("the engine still holds %v", left)
	}
	return nil
}

// started fails the test unless each of the containers was started exactly once.
func (s *side) started(pod *corev1.Pod, containers ...string) {
	s.t.Helper()
	if err := s.engine.Events().StartedOnce(s.ledger.Token(pod), containers...); err != nil {
		s.t.Errorf("pod %s: %v", pod.Name, err)
	}
}

func configMap(name string, data map[string]string) corev1.ConfigMap {
	return corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Data: data}
}

func secret(name string, data map[string][]byte) corev1.Secret {
	return corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, Data: data}
}

func ptr[T any](v T) *T { return &v }

// inspect is what the engine says of a container.
func (s *side) inspect(name string) (container.InspectResponse, error) {
	result, err := s.engine.Client.ContainerInspect(s.ctx, name, client.ContainerInspectOptions{})
	return result.Container, err
}

// scratch is an emptyDir volume and its mount.
func scratch(path string) ([]corev1.Volume, []corev1.VolumeMount) {
	return []corev1.Volume{{Name: "scratch", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}},
		[]corev1.VolumeMount{{Name: "scratch", MountPath: path}}
}

// longTime is more than anything takes that is not held up.
const longTime = time.Minute

var infoOptions = client.InfoOptions{}

var errNotYet = errors.New("not yet")

type listObject = crclient.ObjectList

func objectKey(namespace, name string) crclient.ObjectKey {
	return crclient.ObjectKey{Namespace: namespace, Name: name}
}

func ignoreNotFound(err error) error { return crclient.IgnoreNotFound(err) }

// named gives a RemoteBackend a name of the test's choice.
func named(name string) func(*v1alpha1.RemoteBackend) {
	return func(b *v1alpha1.RemoteBackend) { b.Name, b.GenerateName = name, "" }
}

func inNamespace(name string) crclient.ListOption { return crclient.InNamespace(name) }
