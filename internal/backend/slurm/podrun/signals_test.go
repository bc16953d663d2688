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
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// TestWhatCameFirstSaysHowAPodEnded has a signal and the end of the only container, which exits with 0, before the loop looks at either.
func TestWhatCameFirstSaysHowAPodEnded(t *testing.T) {
	for name, c := range map[string]struct {
		signal, end time.Duration
		reason      string
	}{
		"the signal": {signal: -time.Minute, end: -time.Second, reason: jobdir.ReasonTerminated},
		"the end":    {signal: -time.Second, end: -time.Minute},
		"the end, by less than a job takes to end": {signal: -time.Minute, end: -time.Minute - together/2, reason: jobdir.ReasonTerminated},
	} {
		t.Run(name, func(t *testing.T) {
			r := newTestRunner(t)
			i := runningMain(r)
			terms := make(chan told, 1)
			terms <- told{syscall.SIGTERM, r.now().Add(c.signal)}
			exited(r, i, r.now().Add(c.end))
			d := r.loop(t.Context(), terms)
			if succeeded := d.Phase == corev1.PodSucceeded; succeeded != (c.reason == "") || d.Reason != c.reason {
				t.Errorf("got %+v", d)
			}
		})
	}
}

// TestAnEndIsNotTakenForItsOwnBeforeTheSignalThatBroughtItAbout has the container hear of the job's end before podrunner does.
func TestAnEndIsNotTakenForItsOwnBeforeTheSignalThatBroughtItAbout(t *testing.T) {
	r := newTestRunner(t)
	i := runningMain(r)
	// Were it not in an hour, the test would have to be quick.
	end := r.now().Add(time.Hour)
	exited(r, i, end)
	terms := make(chan told)
	go func() { terms <- told{syscall.SIGTERM, end.Add(together / 2)} }()
	if d := r.loop(t.Context(), terms); d.Phase != corev1.PodFailed || d.Reason != jobdir.ReasonTerminated {
		t.Errorf("got %+v", d)
	}
}

func TestAnEndWithoutASignalIsItsOwn(t *testing.T) {
	r := newTestRunner(t)
	exited(r, runningMain(r), r.now())
	if d := r.loop(t.Context(), make(chan told)); d.Phase != corev1.PodSucceeded {
		t.Errorf("got %+v", d)
	}
}

// TestTheTimeOfASignalIsNotedThoughNobodyListens is about a loop that waits for a shared file system.
func TestTheTimeOfASignalIsNotedThoughNobodyListens(t *testing.T) {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGHUP, fence)
	defer signal.Stop(signals)
	l := listen(signals)
	before := time.Now()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for deadline := before.Add(time.Minute); len(l.terms) == 0; l.catchUp() {
		if time.Now().After(deadline) {
			t.Fatal("nobody noted it")
		}
	}
	after := time.Now()
	if got := <-l.terms; got.signal != syscall.SIGHUP || got.at.Before(before) || got.at.After(after) {
		t.Errorf("got %+v", got)
	}
}

// runningMain has a runner know of a container that runs.
func runningMain(r *runner) *instance {
	r.pod.Spec.Containers = []corev1.Container{{Name: "main"}}
	r.sandbox.State = podlifecycle.SandboxReady
	i := &instance{name: "main", spec: &r.pod.Spec.Containers[0], state: podlifecycle.InstanceRunning, started: r.now().Add(-time.Hour)}
	r.instances["main"] = []*instance{i}
	return i
}

// exited has a container have ended with 0.
func exited(r *runner, i *instance, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	i.state, i.finished = podlifecycle.InstanceExited, at
}
