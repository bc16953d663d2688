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
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// storyteller is a manager whose traces are collected.
type storyteller struct {
	*side
	got *spans
}

// story is what each way of asking must tell of a job that failed: what was asked, what the backend said in its own words, and where it
// ended.
type story struct {
	asked, said, ended []string
}

// tells fails the test unless describe, one query of the log and one trace, each found by nothing but the pod's UID, tell the whole story.
func (s *storyteller) tells(uid string, want story) {
	s.t.Helper()
	for source, tell := range map[string]func() (string, error){
		"kubectl remotejob describe": func() (string, error) { return s.plugin(s.ctx, "describe", uid) },
		"the log":                    func() (string, error) { return s.logged(uid), nil },
		"the trace":                  func() (string, error) { return s.got.about(uid) },
	} {
		var text string
		err := harness.Poll(longTime, func() (err error) {
			if text, err = tell(); err != nil {
				return err
			}
			for part, words := range map[string][]string{"what was asked": want.asked, "what the backend said": want.said, "where it ended": want.ended} {
				for _, word := range words {
					if !strings.Contains(text, word) {
						return fmt.Errorf("it lacks, of %s, %q", part, word)
					}
				}
			}
			return nil
		})
		if err != nil {
			s.t.Errorf("%s: %v:\n%s", source, err, text)
		}
	}
}

// logged are the lines of the manager's log whose field podUID is the pod's, without what JSON makes of quotes.
func (s *storyteller) logged(uid string) string {
	var out strings.Builder
	for line := range strings.Lines(s.manager.Lines(uid)) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) != nil || fields["podUID"] != uid {
			continue
		}
		for _, name := range []string{"ts", "msg", "call", "code", "images", "slurmFlags", "phase", "reason", "message", "error", "jobID", "node"} {
			if value, ok := fields[name]; ok {
				fmt.Fprintf(&out, "%s=%v ", name, value)
			}
		}
		out.WriteString("\n")
	}
	return out.String()
}

// about is the one trace with spans about the pod, as text.
func (s *spans) about(uid string) (string, error) {
	var found []string
	for _, id := range s.traces() {
		if slices.ContainsFunc(s.of(id), func(span *tracev1.Span) bool { return value(span, "k8s.pod.uid") == uid }) {
			found = append(found, id)
		}
	}
	if len(found) != 1 {
		return "", fmt.Errorf("there are %d traces about the pod: %v", len(found), found)
	}
	list := s.of(found[0])
	slices.SortFunc(list, func(a, b *tracev1.Span) int { return int(a.StartTimeUnixNano) - int(b.StartTimeUnixNano) })
	var out strings.Builder
	for _, span := range list {
		fmt.Fprintf(&out, "%s: %s", span.Name, span.Status.GetMessage())
		for _, a := range span.Attributes {
			fmt.Fprintf(&out, " %s=%s", a.Key, a.Value.GetStringValue())
		}
		out.WriteString("\n")
	}
	return out.String(), nil
}

// onDocker is a storyteller with an engine of its own.
func onDocker(t *testing.T) (*storyteller, string) {
	t.Helper()
	t.Parallel()
	got, flag := collect(t)
	w := newWorld(t)
	s := &side{t: t, ctx: harness.Context(t), ledger: w.ledger, plane: w.plane, engine: newEngine(t)}
	s.manager = harness.StartManager(t, harness.ManagerOptions{Binaries: shared.binaries, Config: w.plane.Config, Args: []string{flag, "--create-wait=1s"}})
	return &storyteller{side: s, got: got}, s.ledger.NewBackend(s.ctx, t, "told", s.engine.Host).Name
}

func TestABadImageIsToldFromThePodsUID(t *testing.T) {
	s, backend := onDocker(t)
	pod := harness.NewPod("bad-image", backend, harness.Shell("main", "exit 0"))
	pod.Spec.Containers[0].Image = "127.0.0.1:9/no/such:1"
	pod.Spec.ActiveDeadlineSeconds = ptr(int64(30))
	s.run(pod)
	s.ended(pod, longTime)
	s.tells(string(pod.UID), story{
		asked: []string{"127.0.0.1:9/no/such:1"},
		said:  []string{"ErrImagePull", "connection refused"},
		ended: []string{"Failed", "DeadlineExceeded"},
	})
}

func TestALostEngineIsToldFromThePodsUID(t *testing.T) {
	s, backend := onDocker(t)
	pod := harness.NewPod("lost", backend, harness.Shell("main", "sleep 1000"))
	s.run(pod)
	s.running(pod, "main")
	if err := s.engine.Kill(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, longTime, "the backend is away", func() error { return s.ledger.BackendReady(s.ctx, backend, metav1.ConditionFalse) })
	if err := s.engine.Start(s.ctx); err != nil {
		t.Fatal(err)
	}
	s.ended(pod, 2*time.Minute)
	s.tells(string(pod.UID), story{
		asked: []string{pod.Spec.Containers[0].Image},
		said:  []string{"NodeLost", "restarted"},
		ended: []string{"Failed"},
	})
}

func TestAnEngineThatIsAwayIsToldFromThePodsUID(t *testing.T) {
	s, backend := onDocker(t)
	if err := s.engine.Stop(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, longTime, "the backend is away", func() error { return s.ledger.BackendReady(s.ctx, backend, metav1.ConditionFalse) })
	pod := harness.NewPod("waits", backend, harness.Shell("main", "exit 3"))
	s.run(pod)
	want := story{asked: []string{pod.Spec.Containers[0].Image}, said: []string{"BackendNotReady", "docker.sock"}, ended: []string{"Pending"}}
	s.tells(string(pod.UID), want)
	if err := s.engine.Start(s.ctx); err != nil {
		t.Fatal(err)
	}
	s.exits(s.ended(pod, longTime), map[string]int32{"main": 3})
	want.said, want.ended = []string{"docker.sock"}, []string{"Failed", "ended with exit code 3"}
	s.tells(string(pod.UID), want)
}

// TestAPodThatIsRefusedOutrightIsToldFromItsUID is about pods of which there never is a RemoteJob.
func TestAPodThatIsRefusedOutrightIsToldFromItsUID(t *testing.T) {
	s, backend := onDocker(t)
	pod := harness.NewPod("refused", backend, harness.Shell("main", "exit 0"))
	pod.Spec.HostNetwork = true
	_, answer, err := s.manager.Create(s.ctx, harness.Request(pod).Body(t))
	if err != nil || answer.Code != http.StatusUnprocessableEntity {
		t.Fatalf("/create: %v, %d %s", err, answer.Code, answer.Body)
	}
	s.tells(string(pod.UID), story{asked: []string{"hostNetwork"}, said: []string{"the backend's policy does not allow", "allowHostNetwork"}, ended: []string{"efused"}})
	if _, err := s.plugin(s.ctx, "describe", "no-such-uid"); err == nil {
		t.Error("a pod that never was is described")
	}
}

// onSLURMTold is a storyteller on SLURM.
func onSLURMTold(t *testing.T) (*far, *storyteller) {
	t.Helper()
	got, flag := collect(t)
	f := onSLURM(t, flag, "--create-wait=1s")
	return f, &storyteller{side: f.side, got: got}
}

func TestAFlagThatIsRefusedIsToldFromThePodsUID(t *testing.T) {
	f, s := onSLURMTold(t)
	for flags, words := range map[string]string{
		"--partition=nowhere": "invalid partition specified: nowhere", // by sbatch
		"--licenses=matlab":   "--licenses is not among",              // by the RemoteBackend
	} {
		pod := harness.NewPod("refused", f.backend, harness.Shell("main", "exit 0"))
		pod.Annotations["slurm-job.vk.io/flags"] = flags
		f.deleteAfterwards(pod)
		if _, answer, err := f.manager.Create(f.ctx, harness.Request(pod).Body(t)); err != nil {
			t.Fatalf("/create: %v, %d %s", err, answer.Code, answer.Body)
		}
		f.ended(pod, longTime)
		s.tells(string(pod.UID), story{asked: []string{flags}, said: []string{words}, ended: []string{"Failed", "Rejected"}})
	}
}

func TestATimeLimitIsToldFromThePodsUID(t *testing.T) {
	f, s := onSLURMTold(t)
	pod := harness.NewPod("too-long", f.backend, harness.Shell("main", "sleep 1000"))
	pod.Annotations["slurm-job.vk.io/flags"] = "--time=1"
	f.run(pod)
	f.ended(pod, 4*time.Minute)
	s.tells(string(pod.UID), story{
		asked: []string{"--time=1"},
		said:  []string{"SLURM job " + f.ledger.MustJob(f.ctx, t, pod).Status.JobID + " reached its time limit"},
		ended: []string{"Failed", "TimeLimitExceeded"},
	})
}

func TestALoginNodeThatIsAwayIsToldFromThePodsUID(t *testing.T) {
	f, s := onSLURMTold(t)
	f.line.Refuse(true)
	f.line.Cut()
	f.ready(metav1.ConditionFalse)
	pod := harness.NewPod("waits", f.backend, harness.Shell("main", "exit 3"))
	f.run(pod)
	want := story{asked: []string{pod.Spec.Containers[0].Image}, said: []string{"BackendNotReady", f.line.Address()}, ended: []string{"Pending"}}
	s.tells(string(pod.UID), want)
	f.line.Refuse(false)
	f.exits(f.ended(pod, 2*time.Minute), map[string]int32{"main": 3})
	want.said, want.ended = []string{f.line.Address()}, []string{"Failed", "ended with exit code 3"}
	s.tells(string(pod.UID), want)
}

// TestALostNodeIsToldFromThePodsUID takes the node away from a SLURM of its own.
func TestALostNodeIsToldFromThePodsUID(t *testing.T) {
	t.Parallel()
	own, err := startSite()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := own.stop(); err != nil {
			t.Log(err)
		}
	})
	got, flag := collect(t)
	f := atSite(t, own, flag)
	s := &storyteller{side: f.side, got: got}
	pod := harness.NewPod("lost", f.backend, harness.Shell("main", "sleep 1000"))
	pod.Spec.RestartPolicy = corev1.RestartPolicyNever
	f.run(pod)
	f.running(pod, "main")
	node := f.ledger.MustJob(f.ctx, t, pod).Status.NodeName
	if err := own.loseNode(f.ctx, node); err != nil {
		t.Fatal(err)
	}
	f.ended(pod, 3*time.Minute)
	s.tells(string(pod.UID), story{
		asked: []string{pod.Spec.Containers[0].Image},
		said:  []string{"lost its node"},
		ended: []string{"Failed", "NodeLost"},
	})
	if phase := f.ledger.MustJob(f.ctx, t, pod).Status.Phase; phase != v1alpha1.PhaseFailed {
		t.Errorf("the job is %s", phase)
	}
}
