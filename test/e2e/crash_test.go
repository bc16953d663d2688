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
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/faultpoint"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// TestAManagerKilledBetweenAnyTwoStepsLeadsToTheSameEnd kills the manager by SIGKILL at each step of a job's life, one step a life, and
// starts it again. Whatever the step, the pod ends with its own code and log, each of its containers was started once, and its delete
// leaves nothing.
func TestAManagerKilledBetweenAnyTwoStepsLeadsToTheSameEnd(t *testing.T) {
	t.Parallel()
	binaries, err := crashing()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	ctx := harness.Context(t)
	engine := newEngine(t)
	b := w.ledger.MakeBackend(ctx, t, "walk", engine.Host)

	// The lives that a point is passed in.
	lives := map[string]func(*life){"ends": (*life).ends, "deleted while it runs": (*life).deletedWhileItRuns, "deleted first": (*life).deletedFirst}
	for _, point := range faultpoint.All {
		for name, live := range lives {
			if !passes(point, name) {
				continue
			}
			t.Run(fmt.Sprintf("%s in a life that %s", point, name), func(t *testing.T) {
				hit := filepath.Join(t.TempDir(), "hit")
				m := harness.StartManager(t, harness.ManagerOptions{
					Binaries: binaries, Config: w.plane.Config, DefaultBackend: b.Name, KeepAlive: true,
					Env: []string{"REMOTEJOB_FAULTPOINT=" + string(point), "REMOTEJOB_FAULTPOINT_FILE=" + hit},
				})
				l := &life{side: &side{t: t, ctx: harness.Context(t), manager: m, ledger: w.ledger, engine: engine}, backend: b.Name}
				if point == faultpoint.DockerAfterImage {
					// The backend loads the image of its infra containers only where it is missing.
					if err := engine.ForgetImages(l.ctx); err != nil {
						t.Fatal(err)
					}
				}
				live(l)
				if _, err := os.Stat(hit); err != nil || m.Kills() != 1 {
					t.Errorf("the point was not passed: %v, killed %d times", err, m.Kills())
				}
			})
		}
	}
}

// passes tells which points are passed in which life. A point that is passed in none is never killed at, which a test of the list holds
// against.
func passes(point faultpoint.Point, name string) bool {
	switch {
	case point == faultpoint.CancelAfterTombstone:
		return name == "deleted first"
	case point == faultpoint.FinishAfterStatus:
		return name == "ends"
	case point == faultpoint.CancelAfterFinalizer || strings.HasPrefix(string(point), "cancel-"):
		return name == "ends" || name == "deleted while it runs"
	default:
		return name == "ends"
	}
}

// life is one pod's, of which the manager may be killed at any moment.
type life struct {
	*side
	backend string
	secrets []string
}

// again repeats a call until it is answered. interLink does not, and marks the pod as failed; here it is the state that counts which an
// unanswered call leaves behind.
func (l *life) again(what string, call func() (harness.Answer, error)) harness.Answer {
	l.t.Helper()
	var last harness.Answer
	harness.Eventually(l.t, longTime, what, func() error {
		var err error
		if last, err = call(); err != nil {
			return err
		}
		if last.Code >= 500 {
			return fmt.Errorf("%d %s", last.Code, last.Body)
		}
		return nil
	})
	return last
}

func (l *life) create(r harness.CreateRequest) {
	l.t.Helper()
	l.deleteAfterwards(r.Pod)
	answer := l.again("/create", func() (harness.Answer, error) {
		_, answer, err := l.manager.Create(l.ctx, r.Body(l.t))
		return answer, err
	})
	if answer.Code != http.StatusOK {
		l.t.Fatalf("/create: %d %s", answer.Code, answer.Body)
	}
	harness.Eventually(l.t, longTime, "the RemoteJob", func() error {
		job, err := l.ledger.Job(l.ctx, r.Pod)
		if err == nil {
			l.secrets = job.Spec.PayloadSecretNames
		}
		return err
	})
	if len(l.secrets) == 0 {
		l.t.Error("the pod has files and no payload Secret")
	}
}

func (l *life) delete(pod *corev1.Pod) {
	l.t.Helper()
	answer := l.again("/delete", func() (harness.Answer, error) { return l.manager.Delete(l.ctx, pod) })
	if answer.Code != http.StatusOK {
		l.t.Fatalf("/delete: %d %s", answer.Code, answer.Body)
	}
	harness.Eventually(l.t, longTime, "nothing left", func() error {
		if err := l.ledger.Gone(l.ctx, pod, l.secrets); err != nil {
			return err
		}
		return l.nothingLeft(pod)
	})
	l.noStrayPayload(pod)
}

// ends is the life of a pod that runs to its end and is deleted then.
func (l *life) ends() {
	pod := harness.NewPod("ends", l.backend, harness.Shell("a", "cat /cfg/k /sec/k; exit 3"), harness.Shell("b", "echo b"))
	pod.Spec.InitContainers = []corev1.Container{harness.Shell("i", "cat /cfg/k")}
	l.create(withFiles(pod))
	l.exits(l.ended(pod, longTime), map[string]int32{"i": 0, "a": 3, "b": 0})
	harness.Eventually(l.t, longTime, "the logs", func() error {
		for name, want := range map[string]string{"i": "config\n", "a": "config\nsecret\n", "b": "b\n"} {
			answer, err := l.manager.Logs(l.ctx, pod, name, harness.LogOpts{})
			if err != nil || answer.Code != http.StatusOK || string(answer.Body) != want {
				return fmt.Errorf("of %s: %s, %d %q", name, fmt.Sprint(err), answer.Code, answer.Body)
			}
		}
		return nil
	})
	harness.Eventually(l.t, longTime, "the RemoteJob is Failed", func() error { return l.phase(pod, v1alpha1.PhaseFailed) })
	job := l.ledger.MustJob(l.ctx, l.t, pod)
	if !meta.IsStatusConditionTrue(job.Status.Conditions, v1alpha1.ConditionSubmitted) || job.Status.Restarts != 0 {
		l.t.Errorf("its status is %+v", job.Status)
	}
	l.delete(pod)
	l.started(pod, "i", "a", "b")
}

// deletedWhileItRuns is the life of a pod that is deleted while its container runs.
func (l *life) deletedWhileItRuns() {
	pod := harness.NewPod("deleted", l.backend, harness.Shell("c", "trap 'exit 0' TERM; while :; do sleep 0.05; done"))
	l.create(withFiles(pod))
	l.running(pod, "c")
	l.delete(pod)
	l.started(pod, "c")
}

// deletedFirst is the life of a pod whose delete comes before its create.
func (l *life) deletedFirst() {
	pod := harness.NewPod("deleted-first", l.backend, harness.Shell("c", "sleep 1000"))
	answer := l.again("/delete", func() (harness.Answer, error) { return l.manager.Delete(l.ctx, pod) })
	if answer.Code != http.StatusOK {
		l.t.Fatalf("/delete: %d %s", answer.Code, answer.Body)
	}
	answer = l.again("/create", func() (harness.Answer, error) {
		_, answer, err := l.manager.Create(l.ctx, harness.Request(pod).Body(l.t))
		return answer, err
	})
	if answer.Code != http.StatusConflict {
		l.t.Errorf("/create after /delete: %d %s", answer.Code, answer.Body)
	}
	if starts := l.engine.Events().Starts(l.ledger.Token(pod)); len(starts) > 0 {
		l.t.Errorf("it was started: %v", starts)
	}
	l.noStrayPayload(pod)
}

// noStrayPayload fails the test when a payload Secret stands in the ledger that no RemoteJob lists, but those that the sweeper will find:
// a /create that was killed between its payload and its RemoteJob, and was never repeated, leaves one.
func (l *life) noStrayPayload(pod *corev1.Pod) {
	l.t.Helper()
	var secrets corev1.SecretList
	if err := l.ledger.List(l.ctx, &secrets, inNamespace(pod.Namespace)); err != nil {
		l.t.Fatal(err)
	}
	var jobs v1alpha1.RemoteJobList
	if err := l.ledger.List(l.ctx, &jobs, inNamespace(pod.Namespace)); err != nil {
		l.t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, job := range jobs.Items {
		for _, name := range job.Spec.PayloadSecretNames {
			listed[name] = true
		}
	}
	for _, secret := range secrets.Items {
		if !listed[secret.Name] {
			l.t.Errorf("Secret %s is listed by no RemoteJob", secret.Name)
		}
	}
}

func TestEveryFaultPointIsWalkedThrough(t *testing.T) {
	for _, point := range faultpoint.All {
		walked := false
		for _, name := range []string{"ends", "deleted while it runs", "deleted first"} {
			walked = walked || passes(point, name)
		}
		if !walked {
			t.Errorf("%s is passed in no life", point)
		}
	}
}
