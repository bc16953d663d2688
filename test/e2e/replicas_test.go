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
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// TestTwoManagersWithLedgersOfTheirOwnShareOneEngine has pods of the same namespace, name and UID in two clusters on one engine.
func TestTwoManagersWithLedgersOfTheirOwnShareOneEngine(t *testing.T) {
	t.Parallel()
	one := shares(t)
	two, _, backend := alone(t, harness.ManagerOptions{})
	const script = "while [ ! -e /go ]; do sleep 0.05; done; exit %d"
	a := harness.NewPod("same", mainBackend, harness.Shell("c", fmt.Sprintf(script, 1)))
	b := harness.NewPod("same", backend, harness.Shell("c", fmt.Sprintf(script, 2)))
	b.UID = a.UID
	if one.ledger.Token(a) == two.ledger.Token(b) {
		t.Fatal("two ledgers give one token")
	}
	one.run(a)
	two.run(b)
	one.running(a, "c")
	two.running(b, "c")

	// Each cancels and loses its own, and no more. A restart makes it look at all that the engine holds.
	two.manager.Kill()
	if err := two.manager.Start(); err != nil {
		t.Fatal(err)
	}
	if err := two.manager.WaitReady(); err != nil {
		t.Fatal(err)
	}
	b.Spec.TerminationGracePeriodSeconds = ptr(int64(1))
	now := b.DeepCopy()
	now.DeletionGracePeriodSeconds = ptr(int64(1))
	two.gone(now, longTime)
	if st, err := one.status(a); err != nil || st.Containers[0].State.Running == nil {
		t.Errorf("the other ledger's pod: %v, %s", err, states(st))
	}
	// Neither lists the other's as leftovers.
	harness.Always(t, 5*time.Second, "no leftovers", func() error {
		for _, s := range []*side{one, two} {
			if err := s.noLeftover(one.ledger.Token(a), two.ledger.Token(b)); err != nil {
				return err
			}
		}
		return nil
	})
	one.touch(a, "c", "/go")
	one.exits(one.ended(a, longTime), map[string]int32{"c": 1})
	one.started(a, "c")
}

// TestAReplicaWhoseWatchLagsNeverCallsALiveJobLost asks a second replica about pods that it has not seen yet.
func TestAReplicaWhoseWatchLagsNeverCallsALiveJobLost(t *testing.T) {
	t.Parallel()
	leader, w, backend := alone(t, harness.ManagerOptions{Args: elect})
	proxy, err := harness.NewAPIProxy(w.plane.Config)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	lagging := *leader
	lagging.manager = harness.StartManager(t, harness.ManagerOptions{Binaries: shared.binaries, Config: proxy.Config, DefaultBackend: backend, Args: elect})

	// Before its watch lags it is as good as the other: it takes pods too, which the leader runs.
	through := harness.NewPod("through-the-second", backend, harness.Shell("c", "exit 7"))
	lagging.run(through)
	lagging.exits(lagging.ended(through, longTime), map[string]int32{"c": 7})
	if got := lagging.log(through, "c", harness.LogOpts{}); got != "" {
		t.Errorf("the log is %q", got)
	}

	release := proxy.HoldWatches()
	pod := harness.NewPod("new", backend, harness.Shell("c", "while [ ! -e /go ]; do sleep 0.05; done; exit 3"))
	created := leader.run(pod)
	leader.running(pod, "c")
	known := pod.DeepCopy()
	known.Annotations["JobID"] = created.PodJID
	harness.Always(t, 3*time.Second, "a replica that lags", func() error {
		list, answer, err := lagging.manager.Status(lagging.ctx, known)
		if err != nil {
			return err
		}
		switch {
		case answer.Code == http.StatusServiceUnavailable, answer.Code == http.StatusOK && len(list) == 0:
			return nil
		case answer.Code != http.StatusOK:
			return fmt.Errorf("/status: %d %s", answer.Code, answer.Body)
		case list[0].Ended():
			return fmt.Errorf("it calls the pod ended: %s", states(list[0]))
		}
		return wellFormed(known, list[0])
	})
	// The same /create at the replica that lags is the same job.
	again, answer, err := lagging.manager.Create(lagging.ctx, harness.Request(pod).Body(t))
	if err != nil || answer.Code != http.StatusOK {
		t.Errorf("/create at the replica that lags: %v, %d %s", err, answer.Code, answer.Body)
	} else if again.PodUID != created.PodUID {
		t.Errorf("/create at the replica that lags: %s", answer.Body)
	}
	release()
	leader.touch(pod, "c", "/go")
	lagging.exits(lagging.ended(pod, longTime), map[string]int32{"c": 3})
	leader.started(pod, "c")

	// A job whose record somebody took away is lost at every replica.
	lost := harness.NewPod("lost", backend, harness.Shell("c", "true"))
	lost.Annotations["JobID"] = "some"
	for _, s := range []*side{leader, &lagging} {
		if st, err := s.status(lost); err != nil || !st.Ended() || st.Exit("c") == 0 {
			t.Errorf("a pod whose job is gone: %v, %s", err, states(st))
		}
	}
}

// TestALeaderThatIsCutOffChangesNothingAndEndsWhenAnotherHasLed cuts the leader alone off from the API server. The line to its engine holds.
func TestALeaderThatIsCutOffChangesNothingAndEndsWhenAnotherHasLed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	proxy, err := harness.NewAPIProxy(w.plane.Config)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	cutOff, backend := aloneIn(t, w, harness.ManagerOptions{Config: proxy.Config, Args: elect, Supervised: true})
	running := harness.NewPod("running", backend, harness.Shell("c", "while [ ! -e /go ]; do sleep 0.05; done; exit 4"))
	running.Spec.RestartPolicy = corev1.RestartPolicyOnFailure
	cutOff.run(running)
	cutOff.running(running, "c")
	successor := *cutOff
	successor.manager = harness.StartManager(t, harness.ManagerOptions{Binaries: shared.binaries, Config: w.plane.Config, DefaultBackend: backend, Args: elect})

	mend := proxy.Cut()
	// The container ends at once, which the leader sees: to run it again is its successor's.
	cutOff.touch(running, "c", "/go")
	ended := harness.NewPod("ended", backend, harness.Shell("c", "exit 3"))
	successor.run(ended)
	successor.exits(successor.ended(ended, longTime), map[string]int32{"c": 3})
	again := func(s *side) error {
		st, err := s.status(running)
		if err != nil || st.Containers[0].RestartCount == 0 {
			return fmt.Errorf("%w, %s", err, states(st))
		}
		return nil
	}
	harness.Eventually(t, longTime, "its container is run again", func() error { return again(&successor) })
	// Who is cut off goes on answering, of what it knew.
	if st, err := cutOff.status(running); err != nil || st.Ended() {
		t.Errorf("at the leader that is cut off: %v, %s", err, states(st))
	}
	if n := cutOff.manager.Ends(); n != 0 {
		t.Errorf("it has ended %d times while it was cut off", n)
	}

	mend()
	harness.Eventually(t, longTime, "it ends", func() error {
		if cutOff.manager.Ends() == 0 {
			return errors.New("it goes on")
		}
		return nil
	})
	harness.Eventually(t, longTime, "it answers anew", func() error { return again(cutOff) })
	cutOff.exits(cutOff.ended(ended, longTime), map[string]int32{"c": 3})
	cutOff.started(ended, "c")
	if n := cutOff.manager.Ends(); n != 1 {
		t.Errorf("it has ended %d times", n)
	}
}

// noLeftover returns an error while one of the tokens is listed as a leftover of any backend.
func (s *side) noLeftover(tokens ...string) error {
	var backends v1alpha1.RemoteBackendList
	if err := s.ledger.List(s.ctx, &backends); err != nil {
		return err
	}
	for _, b := range backends.Items {
		for _, l := range b.Status.Leftovers {
			for _, token := range tokens {
				if l.Token == token {
					return fmt.Errorf("RemoteBackend %s lists %+v", b.Name, l)
				}
			}
		}
	}
	return nil
}
