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
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/client"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// change edits a RemoteBackend as kubectl edit does.
func (s *side) change(b *v1alpha1.RemoteBackend, edit func(*v1alpha1.RemoteBackend)) {
	s.t.Helper()
	harness.Eventually(s.t, longTime, "edit RemoteBackend "+b.Name, func() error {
		if err := s.ledger.Get(s.ctx, objectKey("", b.Name), b); err != nil {
			return err
		}
		edit(b)
		return s.ledger.Update(s.ctx, b)
	})
}

func TestAPodGoesToTheBackendOfItsAnnotationElseOfItsNodeElseToTheDefault(t *testing.T) {
	s := onShared(t)
	other := s.ledger.NewBackend(s.ctx, t, "other", s.engine.Host)
	node := s.ledger.NewBackend(s.ctx, t, "node", s.engine.Host)
	for want, pod := range map[string]*corev1.Pod{
		other.Name:  harness.NewPod("by-annotation", other.Name, harness.Shell("c", "true")),
		node.Name:   harness.NewPod("by-node", "", harness.Shell("c", "true")),
		mainBackend: harness.NewPod("by-default", "", harness.Shell("c", "true")),
	} {
		if pod.Annotations["remotejob.dev/backend"] == "" {
			delete(pod.Annotations, "remotejob.dev/backend")
		}
		pod.Spec.NodeName = node.Name
		if want == mainBackend {
			pod.Spec.NodeName = "a-node-without-a-backend"
		}
		s.run(pod)
		job := s.ledger.MustJob(s.ctx, t, pod)
		if job.Spec.BackendName != want || job.Labels["remotejob.dev/backend"] != want {
			t.Errorf("pod %s went to %q (label %q), want %q", pod.Name, job.Spec.BackendName, job.Labels["remotejob.dev/backend"], want)
		}
		s.exits(s.ended(pod, longTime), map[string]int32{"c": 0})
	}
}

func TestABackendThatIsAwayTakesAPodAndRunsItWhenItIsBack(t *testing.T) {
	s := onShared(t)
	// A socket on which nobody listens, until a link makes it the engine's.
	nowhere := "unix://" + filepath.Join(t.TempDir(), "docker.sock")
	b := s.ledger.MakeBackend(s.ctx, t, "away", nowhere)
	harness.Eventually(t, longTime, "the backend says that it is away", func() error {
		if err := s.ledger.BackendReady(s.ctx, b.Name, metav1.ConditionFalse); err != nil {
			return err
		}
		if err := s.ledger.Get(s.ctx, objectKey("", b.Name), b); err != nil {
			return err
		}
		if c := meta.FindStatusCondition(b.Status.Conditions, v1alpha1.ConditionReady); !strings.Contains(c.Message, "docker.sock") {
			return fmt.Errorf("its words are %q", c.Message)
		}
		return nil
	})

	pod := harness.NewPod("patient", b.Name, harness.Shell("c", "exit 8"))
	begin := time.Now()
	created := s.run(pod)
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("/create took %s while the backend was away", took)
	}
	st, err := s.status(pod)
	if err != nil || st.Ended() || st.Containers[0].State.Waiting == nil {
		t.Errorf("while the backend is away the pod waits: %v, %s", err, states(st))
	}

	s.change(b, func(b *v1alpha1.RemoteBackend) { b.Spec.Docker.Host = s.engine.Host })
	s.exits(s.ended(pod, longTime), map[string]int32{"c": 8})
	again, answer, err := s.manager.Create(s.ctx, harness.Request(pod).Body(t))
	if err != nil || answer.Code != http.StatusOK || again.PodJID == "" {
		t.Errorf("/create again: %v, %d %s; the first id was %q", err, answer.Code, answer.Body, created.PodJID)
	}
	s.started(pod, "c")
}

func TestEditingARemoteBackendTakesEffectWithoutARestart(t *testing.T) {
	s := onShared(t)
	b := s.ledger.NewBackend(s.ctx, t, "edited", s.engine.Host)
	if b.Status.Version == "" {
		if err := s.ledger.Get(s.ctx, objectKey("", b.Name), b); err != nil || !strings.HasPrefix(b.Status.Version, "docker ") {
			t.Errorf("its version is %q (%v)", b.Status.Version, err)
		}
	}

	pod := harness.NewPod("edited-1", b.Name, harness.Shell("c", "sleep 1000"))
	pod.Spec.TerminationGracePeriodSeconds = ptr(int64(1))
	s.run(pod)
	s.running(pod, "c")

	s.change(b, func(b *v1alpha1.RemoteBackend) { b.Spec.Policy.AllowedImages = []string{"only/this"} })
	second := harness.NewPod("edited-2", b.Name, harness.Shell("c", "true"))
	harness.Eventually(t, longTime, "the new policy holds", func() error {
		second.UID = harness.NewUID()
		s.deleteAfterwards(second.DeepCopy())
		_, answer, err := s.manager.Create(s.ctx, harness.Request(second).Body(t))
		if err != nil || answer.Code == http.StatusOK || !strings.Contains(string(answer.Body), "allowedImages") {
			return fmt.Errorf("/create: %s, %d %s", fmt.Sprint(err), answer.Code, answer.Body)
		}
		return nil
	})
	// What runs goes on, whatever is edited.
	if st, err := s.status(pod); err != nil || st.Containers[0].State.Running == nil {
		t.Errorf("the pod that ran: %v, %s", err, states(st))
	}

	s.change(b, func(b *v1alpha1.RemoteBackend) { b.Spec.Docker.Host = "unix:///no/such/docker.sock" })
	harness.Eventually(t, longTime, "it is not ready", func() error { return s.ledger.BackendReady(s.ctx, b.Name, metav1.ConditionFalse) })
	if st, err := s.status(pod); err != nil || st.Ended() {
		t.Errorf("a pod on a backend that is away has not ended: %v, %s", err, states(st))
	}
	s.change(b, func(b *v1alpha1.RemoteBackend) { b.Spec.Docker.Host = s.engine.Host })
	harness.Eventually(t, longTime, "it is ready again", func() error { return s.ledger.BackendReady(s.ctx, b.Name, metav1.ConditionTrue) })
	s.gone(pod, longTime)
	s.started(pod, "c")
}

func TestMoreJobsThanABackendMayHoldWaitInTheLedger(t *testing.T) {
	s := onShared(t)
	b := s.ledger.NewBackend(s.ctx, t, "narrow", s.engine.Host, func(b *v1alpha1.RemoteBackend) { b.Spec.MaxActiveJobs = 1 })
	first := harness.NewPod("narrow-1", b.Name, harness.Shell("c", "while [ ! -e /go ]; do sleep 0.05; done"))
	second := harness.NewPod("narrow-2", b.Name, harness.Shell("c", "exit 2"))
	s.run(first)
	s.running(first, "c")
	s.run(second)
	harness.Eventually(t, longTime, "the backend counts them", func() error {
		if err := s.ledger.Get(s.ctx, objectKey("", b.Name), b); err != nil {
			return err
		}
		if b.Status.Jobs.Active != 1 || b.Status.Jobs.Queued != 1 {
			return fmt.Errorf("it counts %+v", b.Status.Jobs)
		}
		return nil
	})
	if starts := s.engine.Events().Starts(s.ledger.Token(second)); len(starts) > 0 {
		t.Errorf("the second pod was started beside the first: %v", starts)
	}
	if err := harness.Exec(s.ctx, s.engine.Client, s.ledger.Token(first)+"-c-0", "touch", "/go"); err != nil {
		t.Logf("the container ended while the command ran in it: %v", err)
	}
	s.exits(s.ended(first, longTime), map[string]int32{"c": 0})
	s.exits(s.ended(second, longTime), map[string]int32{"c": 2})
}

func TestARemoteBackendThatIsDeletedWaitsForItsJobs(t *testing.T) {
	s := onShared(t)
	b := s.ledger.NewBackend(s.ctx, t, "deleted", s.engine.Host)
	pod := harness.NewPod("last", b.Name, harness.Shell("c", "while [ ! -e /go ]; do sleep 0.05; done; exit 3"))
	s.run(pod)
	s.running(pod, "c")
	if err := s.ledger.Delete(s.ctx, b); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, longTime, "it says what it waits for", func() error {
		if err := s.ledger.Get(s.ctx, objectKey("", b.Name), b); err != nil {
			return err
		}
		for _, c := range b.Status.Conditions {
			if strings.Contains(c.Message, "1 ") || strings.Contains(c.Message, "one ") {
				return nil
			}
		}
		return fmt.Errorf("its conditions: %+v", b.Status.Conditions)
	})
	refused := harness.NewPod("too-late", b.Name, harness.Shell("c", "true"))
	if _, answer, err := s.manager.Create(s.ctx, harness.Request(refused).Body(t)); err != nil || answer.Code < 400 || answer.Code >= 500 {
		t.Errorf("a new pod on a backend that goes: %v, %d %s", err, answer.Code, answer.Body)
	}
	if err := harness.Exec(s.ctx, s.engine.Client, s.ledger.Token(pod)+"-c-0", "touch", "/go"); err != nil {
		t.Logf("the container ended while the command ran in it: %v", err)
	}
	s.exits(s.ended(pod, longTime), map[string]int32{"c": 3})
	s.gone(pod, longTime)
	harness.Eventually(t, longTime, "it is gone", func() error {
		err := s.ledger.Get(s.ctx, objectKey("", b.Name), b)
		if err == nil {
			return fmt.Errorf("it is there: %+v", b.Status)
		}
		return ignoreNotFound(err)
	})
}

func TestWhatAnEngineHoldsWithoutAnOwnerIsListed(t *testing.T) {
	s := onShared(t)
	b := s.ledger.NewBackend(s.ctx, t, "leftovers", s.engine.Host)
	pod := harness.NewPod("owned", b.Name, harness.Shell("c", "sleep 1000"))
	pod.Spec.TerminationGracePeriodSeconds = ptr(int64(1))
	s.run(pod)
	s.running(pod, "c")
	// A sandbox with all the marks of ours, of a job that no RemoteJob owns: what a ledger that was restored from a backup finds.
	token := s.ledger.Token(pod)
	orphan := token[:len(token)-4] + "0000"
	owned, err := s.inspect(token)
	if err != nil {
		t.Fatal(err)
	}
	config := *owned.Config
	config.Labels = map[string]string{}
	for key, value := range owned.Config.Labels {
		config.Labels[key] = strings.ReplaceAll(value, token, orphan)
	}
	if _, err := s.engine.Client.ContainerCreate(s.ctx, client.ContainerCreateOptions{Name: orphan, Config: &config}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = harness.RemoveJob(context.Background(), s.engine.Client, orphan) })
	harness.Eventually(t, 2*time.Minute, "it is listed", func() error {
		if err := s.ledger.Get(s.ctx, objectKey("", b.Name), b); err != nil {
			return err
		}
		if l := b.Status.Leftovers; len(l) == 1 && l[0].Token == orphan && l[0].Pod == "default/owned" {
			return nil
		}
		return fmt.Errorf("it lists %+v", b.Status.Leftovers)
	})
	// It is reported first; it goes a day later.
	list, err := harness.Containers(s.ctx, s.engine.Client, orphan)
	if err != nil || len(list) != 1 {
		t.Errorf("it was touched: %v %v", err, list)
	}
	if err := harness.RemoveJob(s.ctx, s.engine.Client, orphan); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 2*time.Minute, "it is listed no more", func() error {
		if err := s.ledger.Get(s.ctx, objectKey("", b.Name), b); err != nil {
			return err
		}
		if len(b.Status.Leftovers) > 0 {
			return fmt.Errorf("it lists %+v", b.Status.Leftovers)
		}
		return nil
	})
}

func TestAPodThatIsUnknownIsLeftOutUntilItsJobIDSaysThatItWasKnown(t *testing.T) {
	s := onShared(t)
	pod := harness.NewPod("unknown-to-status", mainBackend, harness.Shell("a", "true"), harness.Shell("b", "true"))
	pod.Spec.InitContainers = []corev1.Container{harness.Shell("i", "true")}
	if list, answer, err := s.manager.Status(s.ctx, pod); err != nil || answer.Code != http.StatusOK || len(list) != 0 {
		t.Errorf("a pod that may still be on its way: %v, %d %s", err, answer.Code, answer.Body)
	}
	pod.Annotations["JobID"] = "some-job"
	st, err := s.status(pod)
	if err != nil || !st.Ended() {
		t.Fatalf("a pod that had a job and has none: %v, %s", err, states(st))
	}
	for _, c := range append(st.InitContainers, st.Containers...) {
		if end := c.State.Terminated; end == nil || end.ExitCode == 0 || end.Message == "" {
			t.Errorf("container %s: %s", c.Name, states(st))
		}
	}
}
