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
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

func TestADeleteThatComesBeforeItsCreateLeavesNothingRunning(t *testing.T) {
	s := onShared(t)
	pod := harness.NewPod("early", mainBackend, harness.Shell("c", "sleep 1000"))
	answer, err := s.manager.Delete(s.ctx, pod)
	if err != nil || answer.Code != http.StatusOK {
		t.Fatalf("/delete: %v, %d %s", err, answer.Code, answer.Body)
	}
	_, answer, err = s.manager.Create(s.ctx, harness.Request(pod).Body(t))
	if err != nil || answer.Code != http.StatusConflict {
		t.Errorf("/create after /delete: %v, %d %s", err, answer.Code, answer.Body)
	}
	harness.Always(t, 3*time.Second, "nothing is started", func() error {
		if starts := s.engine.Events().Starts(s.ledger.Token(pod)); len(starts) > 0 {
			return fmt.Errorf("started: %v", starts)
		}
		return s.nothingRuns(pod.Name, s.ledger.Token(pod))
	})
	job := s.ledger.MustJob(s.ctx, t, pod)
	if !job.Spec.Cancel {
		t.Error("the record of the /delete is not one of a job that was cancelled")
	}
}

func TestADeleteOfAnUnknownPodAndASecondDeleteAreAnsweredWell(t *testing.T) {
	s := onShared(t)
	unknown := harness.NewPod("unknown", mainBackend, harness.Shell("c", "true"))
	for range 2 {
		answer, err := s.manager.Delete(s.ctx, unknown)
		if err != nil || answer.Code != http.StatusOK {
			t.Errorf("/delete of an unknown pod: %v, %d %s", err, answer.Code, answer.Body)
		}
	}
	known := harness.NewPod("twice", mainBackend, harness.Shell("c", "sleep 1000"))
	known.Spec.TerminationGracePeriodSeconds = ptr(int64(1))
	s.run(known)
	s.running(known, "c")
	for range 2 {
		answer, err := s.manager.Delete(s.ctx, known)
		if err != nil || answer.Code != http.StatusOK {
			t.Errorf("/delete: %v, %d %s", err, answer.Code, answer.Body)
		}
	}
	s.gone(known, time.Minute)
	// And once more, when it is gone.
	answer, err := s.manager.Delete(s.ctx, known)
	if err != nil || answer.Code != http.StatusOK {
		t.Errorf("/delete of a pod that is gone: %v, %d %s", err, answer.Code, answer.Body)
	}
}

func TestADeleteHonoursTheGracePeriod(t *testing.T) {
	s := onShared(t)
	// Its log is followed, so that what it says while it ends can be seen after it is gone.
	patient := harness.NewPod("patient", mainBackend, harness.Shell("c", "trap 'echo stopping; sleep 2; echo stopped; exit 0' TERM; echo ready; while :; do sleep 0.1; done"))
	stubborn := harness.NewPod("stubborn", mainBackend, harness.Shell("c", "trap 'echo ignored' TERM; echo ready; while :; do sleep 0.1; done"))
	stubborn.Spec.TerminationGracePeriodSeconds = ptr(int64(2))
	for _, pod := range []struct {
		name string
		run  harness.CreateRequest
		want string
	}{
		{"an application that ends by itself", harness.Request(patient), "ready\nstopping\nstopped\n"},
		{"one that does not", harness.Request(stubborn), "ready\nignored\n"},
	} {
		s.create(pod.run)
		p := pod.run.Pod
		s.running(p, "c")
		followed := s.follow(p, "c")
		followed.has("ready\n")
		begin := time.Now()
		s.gone(p, time.Minute)
		if took := time.Since(begin); took < 2*time.Second {
			t.Errorf("%s: its grace period was cut to %s", pod.name, took)
		}
		if got := followed.all(); got != pod.want {
			t.Errorf("%s: it wrote %q, want %q", pod.name, got, pod.want)
		}
	}
}

func TestADeleteAtAnyMomentOfACreateLeavesNothing(t *testing.T) {
	s := onShared(t)
	for name, reached := range map[string]func(*corev1.Pod) bool{
		"at-once": func(*corev1.Pod) bool { return true },
		"recorded": func(pod *corev1.Pod) bool {
			_, err := s.ledger.Job(s.ctx, pod)
			return err == nil
		},
		"on-the-engine": func(pod *corev1.Pod) bool {
			list, err := harness.Containers(s.ctx, s.engine.Client, s.ledger.Token(pod))
			return err == nil && len(list) > 0
		},
		"sandbox-started": func(pod *corev1.Pod) bool { return len(s.engine.Events().Starts(s.ledger.Token(pod))) > 0 },
		"started":         func(pod *corev1.Pod) bool { return len(s.engine.Events().Starts(s.ledger.Token(pod))) > 1 },
	} {
		pod := harness.NewPod("race-"+name, mainBackend, harness.Shell("c", "sleep 1000"))
		pod.Spec.TerminationGracePeriodSeconds = ptr(int64(1))
		pod.Spec.Containers[0].Env = append(pod.Spec.Containers[0].Env, envVar("SECRET", "x"))
		var wg sync.WaitGroup
		wg.Go(func() {
			_, answer, err := s.manager.Create(s.ctx, harness.Request(pod).Body(t))
			if err != nil || answer.Code >= 500 {
				t.Errorf("/create beside /delete: %v, %d %s", err, answer.Code, answer.Body)
			}
		})
		harness.Eventually(t, time.Minute, name, func() error {
			if !reached(pod) {
				return errors.New("not yet")
			}
			return nil
		})
		answer, err := s.manager.Delete(s.ctx, pod)
		if err != nil || answer.Code != http.StatusOK {
			t.Errorf("/delete beside /create: %v, %d %s", err, answer.Code, answer.Body)
		}
		wg.Wait()
		harness.Eventually(t, time.Minute, "nothing runs", func() error { return s.nothingRuns(pod.Name, s.ledger.Token(pod)) })
		harness.Eventually(t, time.Minute, "no payload is left", func() error { return s.noPayload(pod) })
	}
}

func TestAListOfPodsIsCheckedWholeBeforeAnyIsRecorded(t *testing.T) {
	s := onShared(t)
	good := harness.NewPod("list-good", mainBackend, harness.Shell("c", "true"))
	bad := harness.NewPod("list-bad", mainBackend, harness.Shell("c", "true"))
	bad.Spec.HostNetwork = true
	body, err := json.Marshal([]harness.CreateRequest{harness.Request(good), harness.Request(bad)})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := s.manager.Do(s.ctx, http.MethodPost, "/create", body)
	if err != nil || answer.Code < 400 || answer.Code >= 500 || !strings.Contains(string(answer.Body), "hostNetwork") {
		t.Fatalf("/create of a good and a bad pod: %v, %d %s", err, answer.Code, answer.Body)
	}
	if list, _, err := s.manager.Status(s.ctx, good, bad); err != nil || len(list) != 0 {
		t.Errorf("/status knows of them: %v, %v", err, list)
	}
	if _, err := s.ledger.Job(s.ctx, good); err == nil {
		t.Error("the good pod was recorded")
	}

	bad.Spec.HostNetwork = false
	body, err = json.Marshal([]harness.CreateRequest{harness.Request(good), harness.Request(bad)})
	if err != nil {
		t.Fatal(err)
	}
	s.deleteAfterwards(good)
	s.deleteAfterwards(bad)
	answer, err = s.manager.Do(s.ctx, http.MethodPost, "/create", body)
	var created []harness.Created
	if err != nil || answer.Code != http.StatusOK || json.Unmarshal(answer.Body, &created) != nil || len(created) != 2 {
		t.Fatalf("/create of two good pods: %v, %d %s", err, answer.Code, answer.Body)
	}
	if created[0].PodUID != string(good.UID) || created[1].PodUID != string(bad.UID) {
		t.Errorf("the answers are not in the order of the pods: %s", answer.Body)
	}
	s.exits(s.ended(good, time.Minute), map[string]int32{"c": 0})
	s.exits(s.ended(bad, time.Minute), map[string]int32{"c": 0})
}
