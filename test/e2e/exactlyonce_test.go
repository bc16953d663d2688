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
	"sync"
	"testing"
	"time"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

func TestTheSameCreateFromEightClientsAtOnceIsOneJob(t *testing.T) {
	s := onShared(t)
	pod := harness.NewPod("eight", mainBackend, harness.Shell("a", "echo a; exit 3"), harness.Shell("b", "echo b"))
	body := harness.Request(pod).Body(t)
	s.deleteAfterwards(pod)

	var mu sync.Mutex
	ids := map[string]int{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			created, answer, err := s.manager.Create(s.ctx, body)
			mu.Lock()
			defer mu.Unlock()
			if err != nil || answer.Code != http.StatusOK {
				t.Errorf("/create: %v, %d %s", err, answer.Code, answer.Body)
			}
			ids[created.PodJID]++
		})
	}
	wg.Wait()
	s.exits(s.ended(pod, time.Minute), map[string]int32{"a": 3, "b": 0})
	s.started(pod, "a", "b")

	// The same call once more, when all is over, is still the same job.
	created, answer, err := s.manager.Create(s.ctx, body)
	if err != nil || answer.Code != http.StatusOK {
		t.Errorf("a late /create: %v, %d %s", err, answer.Code, answer.Body)
	}
	ids[created.PodJID]++

	// A call that has waited --create-wait in vain answers with the RemoteJob's name, the others with the engine's: both are the one job.
	job := s.ledger.MustJob(s.ctx, t, pod)
	if n := ids[job.Name] + ids[job.Status.JobID]; n != 9 {
		t.Errorf("nine calls got the job ids %v, want %s or %s", ids, job.Status.JobID, job.Name)
	}
	harness.Always(t, 2*time.Second, "started once", func() error {
		return s.engine.Events().StartedOnce(s.ledger.Token(pod), "a", "b")
	})
	for _, c := range job.Status.ContainerStatuses {
		if c.RestartCount != 0 {
			t.Errorf("container %s counts %d restarts", c.Name, c.RestartCount)
		}
	}
}

func TestAHundredPodsAtOnceEndEachWithItsOwnCodeAndLog(t *testing.T) {
	s := onShared(t)
	const n = 100
	type one struct {
		create harness.CreateRequest
		code   int32
		line   string
	}
	pods := make([]one, n)
	for i := range pods {
		line := fmt.Sprintf("pod %d says %x", i, i*7919)
		pod := harness.NewPod(fmt.Sprintf("many-%d", i), mainBackend, harness.Shell("c", fmt.Sprintf("echo '%s'; exit %d", line, i)))
		pods[i] = one{create: harness.Request(pod), code: int32(i), line: line}
		s.deleteAfterwards(pod)
	}
	var wg sync.WaitGroup
	for _, p := range pods {
		wg.Go(func() {
			_, answer, err := s.manager.Create(s.ctx, p.create.Body(t))
			if err != nil || answer.Code != http.StatusOK {
				t.Errorf("create pod %s: %v, %d %s", p.create.Pod.Name, err, answer.Code, answer.Body)
			}
		})
	}
	wg.Wait()
	for _, p := range pods {
		st := s.ended(p.create.Pod, 4*time.Minute)
		if got := st.Exit("c"); got != p.code {
			t.Errorf("pod %s ended with code %d, want %d", st.Name, got, p.code)
		}
		if got := s.log(p.create.Pod, "c", harness.LogOpts{}); got != p.line+"\n" {
			t.Errorf("the log of pod %s is %q, want %q", st.Name, got, p.line+"\n")
		}
		s.started(p.create.Pod, "c")
	}
}

// TestAskedAboutOnePodAfterAnotherTheAnswerIsAboutTheOneThatWasAsked holds against the habit of answering from the last answer.
func TestAskedAboutOnePodAfterAnotherTheAnswerIsAboutTheOneThatWasAsked(t *testing.T) {
	s := onShared(t)
	a := harness.NewPod("asked-a", mainBackend, harness.Shell("c", "exit 1"))
	b := harness.NewPod("asked-b", mainBackend, harness.Shell("c", "exit 2"))
	s.run(a)
	s.run(b)
	for range 3 {
		s.exits(s.ended(a, time.Minute), map[string]int32{"c": 1})
		s.exits(s.ended(b, time.Minute), map[string]int32{"c": 2})
	}

	// One call about both answers about both, in the order of the question.
	list, answer, err := s.manager.Status(s.ctx, b, a)
	if err != nil || answer.Code != http.StatusOK || len(list) != 2 {
		t.Fatalf("/status about two pods: %v, %d %s", err, answer.Code, answer.Body)
	}
	if list[0].Name != b.Name || list[1].Name != a.Name {
		t.Errorf("the answer is about %s and %s, in this order", list[0].Name, list[1].Name)
	}
}
