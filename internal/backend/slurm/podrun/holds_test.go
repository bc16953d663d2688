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

package podrun

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/agent"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// newTestRunner makes the runner of a pod that is never to restart, whose job has the claim.
func newTestRunner(t *testing.T) *runner {
	t.Helper()
	dir := jobdir.Base(t.TempDir()).Job("rj-0123456789abcdef0123456789abcdef")
	if err := os.MkdirAll(string(dir), jobdir.DirMode); err != nil {
		t.Fatal(err)
	}
	claim, won, err := dir.Take(jobdir.Claim{JobID: "5"})
	if err != nil || !won {
		t.Fatal(won, err)
	}
	r := newRunner(Options{Dir: dir}, nil, claim, nil, t.Logf)
	r.spec, r.pod = &jobdir.Spec{}, &corev1.Pod{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever}}
	return r
}

// TestAPodIsSaidToRunBeforeItsClaimIsReadAgain is about a job that is started anew while its first start is about to run a command: the new
// one takes the claim and then looks for the mark, so the old one has to write the mark and then look at the claim.
func TestAPodIsSaidToRunBeforeItsClaimIsReadAgain(t *testing.T) {
	r := newTestRunner(t)
	if _, won, err := r.Dir.Take(jobdir.Claim{JobID: "5", RestartCount: 1}); err != nil || !won {
		t.Fatal(won, err)
	}
	if err := r.startCommand(t.Context(), &instance{}, agent.Start{}); !errors.Is(err, errOvertaken) {
		t.Errorf("got %v", err)
	}
	if begun, err := r.Dir.HasBegun(); err != nil || !begun {
		t.Errorf("the mark is there: %v, %v", begun, err)
	}
}

// TestAPodThatIsNeverToRestartWaitsWhereNobodyCanSayWhoseItIs is about a shared file system that is away for a moment.
func TestAPodThatIsNeverToRestartWaitsWhereNobodyCanSayWhoseItIs(t *testing.T) {
	for name, hide := range map[string]func(*runner) error{
		"its claim cannot be read": func(r *runner) error {
			return errors.Join(os.Remove(r.Dir.Claim()), os.Mkdir(r.Dir.Claim(), jobdir.DirMode))
		},
		"its claim is gone": func(r *runner) error { return os.Remove(r.Dir.Claim()) },
		"the directory of the markers of cancels cannot be read": func(r *runner) error {
			base, _, err := jobdir.BaseOf(r.Dir)
			return errors.Join(err, os.WriteFile(base.DoneDir(), nil, jobdir.FileMode))
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestRunner(t)
			if err := hide(r); err != nil {
				t.Fatal(err)
			}
			if err := r.startCommand(t.Context(), &instance{}, agent.Start{}); err == nil || errors.Is(err, errOvertaken) {
				t.Errorf("got %v", err)
			}
			if r.overtaken() {
				t.Error("a pod of which nothing is known is taken for another's")
			}
		})
	}
}

// TestEachTryToSayAStateHasANumberOfItsOwn is about a write whose error came after it had taken effect.
func TestEachTryToSayAStateHasANumberOfItsOwn(t *testing.T) {
	r := newTestRunner(t)
	if err := os.MkdirAll(r.Dir.State()+"/in-the-way", jobdir.DirMode); err != nil {
		t.Fatal(err)
	}
	if err := r.record(podlifecycle.Decision{Phase: corev1.PodPending}, true); err == nil {
		t.Fatal("a state was written")
	}
	err := errors.Join(os.RemoveAll(r.Dir.State()), r.record(podlifecycle.Decision{Phase: corev1.PodRunning}, true))
	if state, readErr := r.Dir.ReadState(); err != nil || readErr != nil || state.Sequence != 2 {
		t.Errorf("got %+v, %v, %v", state, err, readErr)
	}
}

// TestACommandThatWasHandedOverIsNotCalledOff is about a pod that is told to end when a command runs already, and its agent has not said so
// yet: the command is to be told to end, too.
func TestACommandThatWasHandedOverIsNotCalledOff(t *testing.T) {
	r := newTestRunner(t)
	i, f := newFakeAgent(t, r)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- r.startCommand(ctx, i, agent.Start{Args: []string{"main"}}) }()
	<-f.starts
	cancel()
	if _, err := f.conn.Write([]byte(`{"started":7}` + "\n")); err != nil {
		t.Fatal(err)
	}
	if err := <-result; err != nil {
		t.Errorf("got %v", err)
	}
	i.closeLog()
}

func TestACommandIsNotHandedOverOnceItsStartIsCalledOff(t *testing.T) {
	r := newTestRunner(t)
	i, f := newFakeAgent(t, r)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var lost *agent.LostError
	if err := r.startCommand(ctx, i, agent.Start{Args: []string{"main"}}); !errors.Is(err, context.Canceled) || errors.As(err, &lost) {
		t.Errorf("got %v", err)
	}
	if _, more := <-f.signals; more || len(f.starts) > 0 {
		t.Error("the command was handed over")
	}
}

// TestACommandOfWhichNobodyKnowsWhetherItWasStartedHasRun is about an agent that is killed after it has started the command and before it
// could say so: another start would run it twice.
func TestACommandOfWhichNobodyKnowsWhetherItWasStartedHasRun(t *testing.T) {
	r := newTestRunner(t)
	r.pod.Spec.Containers = []corev1.Container{{Name: "main"}}
	r.sandbox.State = podlifecycle.SandboxReady
	i := &instance{name: "main", spec: &r.pod.Spec.Containers[0], state: podlifecycle.InstanceCreated, oomKills: oomKills()}
	r.instances["main"] = []*instance{i}
	r.brought(t.Context(), i, fmt.Errorf("start: %w", &agent.LostError{Err: agent.ErrGone}))
	d := podlifecycle.Decide(r.input())
	if d.Phase != corev1.PodFailed {
		t.Fatalf("got %+v", d)
	}
	if end := d.Containers[0].State.Terminated; end.ExitCode != 137 || end.Message != lostMessage {
		t.Errorf("it ended as %+v", end)
	}
}
