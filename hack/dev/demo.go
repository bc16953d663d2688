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

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/controlplane"
)

const (
	endWithin  = 90 * time.Second
	goneWithin = time.Minute
)

// demo shows the main job from end to end: three pods, from their HTTP call to their end, and everything cleaned up. It fails when one of
// them does not end as it should.
func demo(ctx context.Context, root, files string) (err error) {
	var c cleanup
	managerLog := filepath.Join(files, "demo-manager.log")
	defer func() {
		if err != nil && !errors.Is(err, context.Canceled) {
			fmt.Fprintf(os.Stderr, "The manager's last words (%s):\n%s\n", managerLog, lastLines(managerLog, 20))
		}
		say("cleaning up")
		err = errors.Join(err, c.run(2*time.Minute))
		if err == nil {
			say("done: nothing is left of it")
		}
	}()

	s, err := bringUp(ctx, root, files, controlplane.Options{}, &c)
	if err != nil {
		return err
	}
	if err := s.site.note(ctx); err != nil {
		return err
	}
	c.add(s.removeTraces)
	log, err := os.Create(managerLog)
	if err != nil {
		return err
	}
	defer log.Close()
	address, err := harness.FreeAddress()
	if err != nil {
		return err
	}
	say("starting bin/manager, with its endpoint for interLink at %s", address)
	if err := s.startManager(ctx, address, log, &c); err != nil {
		return err
	}
	if err := s.show(ctx, "get", "remotebackends"); err != nil {
		return err
	}

	pods := s.demoPods()
	// Whatever happens from here on, the pods are deleted while the manager still runs.
	c.add(func(ctx context.Context) error { return s.deletePods(ctx, pods) })
	for _, p := range pods {
		say("POST /create: pod %s, %s", p.request.Pod.Name, p.about)
		if err := s.create(ctx, p); err != nil {
			return err
		}
	}
	say("kubectl get remotejobs, each time that something changed")
	if err := s.watchJobs(ctx); err != nil {
		return err
	}
	for _, p := range pods {
		if err := s.check(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

func (s *stack) create(ctx context.Context, p demoPod) error {
	body, err := json.Marshal(p.request)
	if err != nil {
		return err
	}
	_, answer, err := s.interlink.Create(ctx, body)
	if err != nil {
		return err
	}
	fmt.Printf("%d %s\n", answer.Code, bytes.TrimSpace(answer.Body))
	if answer.Code != http.StatusOK {
		return fmt.Errorf("/create of pod %s answers %d", p.request.Pod.Name, answer.Code)
	}
	return nil
}

// watchJobs shows the RemoteJobs whenever they changed, until all have finished.
func (s *stack) watchJobs(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, endWithin)
	defer cancel()
	var shown string
	return s.until(ctx, func(ctx context.Context) error {
		var jobs v1alpha1.RemoteJobList
		if err := s.client.List(ctx, &jobs); err != nil {
			return err
		}
		var now []string
		running := 0
		for i := range jobs.Items {
			j := &jobs.Items[i]
			now = append(now, fmt.Sprint(j.Name, j.Status.Phase, j.Status.Ready, j.Status.JobID))
			if !j.Finished() {
				running++
			}
		}
		sort.Strings(now)
		if state := strings.Join(now, "\n"); state != shown {
			shown = state
			if err := s.show(ctx, "get", "remotejobs"); err != nil {
				return err
			}
		}
		if running > 0 {
			return fmt.Errorf("%d jobs have not ended within %s", running, endWithin)
		}
		return nil
	})
}

// check asks for a pod's end and its logs as the virtual kubelet does.
func (s *stack) check(ctx context.Context, p demoPod) error {
	pod := p.request.Pod
	say("GET /status and /getLogs: pod %s", pod.Name)
	// It is answered from the manager's cache, which may be a moment behind kubectl.
	var list []harness.PodStatus
	err := harness.Poll(time.Minute, func() (err error) {
		var answer harness.Answer
		if list, answer, err = s.interlink.Status(ctx, pod); err == nil && (len(list) != 1 || !list[0].Ended()) {
			err = fmt.Errorf("/status of pod %s answers %d %s", pod.Name, answer.Code, answer.Body)
		}
		return err
	})
	if err != nil {
		return err
	}
	for i := range pod.Spec.Containers {
		name := pod.Spec.Containers[i].Name
		log, err := s.interlink.Logs(ctx, pod, name, harness.LogOpts{})
		if err != nil {
			return err
		}
		exit := list[0].Exit(name)
		fmt.Printf("container %s ended with exit code %d; its log:\n%s", name, exit, indent(log.Body))
		if exit != p.exits[name] {
			return fmt.Errorf("container %s of pod %s ended with exit code %d, not %d", name, pod.Name, exit, p.exits[name])
		}
		if !strings.Contains(string(log.Body), p.logs[name]) {
			return fmt.Errorf("the log of container %s of pod %s lacks %q", name, pod.Name, p.logs[name])
		}
	}
	return nil
}

func indent(text []byte) string {
	var b strings.Builder
	for line := range strings.Lines(string(text)) {
		b.WriteString("    " + strings.TrimSuffix(line, "\n") + "\n")
	}
	return b.String()
}

// deletePods deletes them as the virtual kubelet does, and waits until nothing of them is left in the ledger.
func (s *stack) deletePods(ctx context.Context, pods []demoPod) error {
	say("POST /delete: all three")
	for _, p := range pods {
		answer, err := s.interlink.Delete(ctx, p.request.Pod)
		if err != nil {
			return err
		}
		if answer.Code != http.StatusOK {
			return fmt.Errorf("/delete of pod %s answers %d %s", p.request.Pod.Name, answer.Code, answer.Body)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, goneWithin)
	defer cancel()
	err := s.until(ctx, func(ctx context.Context) error {
		var jobs v1alpha1.RemoteJobList
		if err := s.client.List(ctx, &jobs); err != nil {
			return err
		}
		if n := len(jobs.Items); n > 0 {
			return fmt.Errorf("%d RemoteJobs are left", n)
		}
		return nil
	})
	return errors.Join(err, s.show(ctx, "get", "remotejobs"))
}

// show runs kubectl for the reader to see.
func (s *stack) show(ctx context.Context, args ...string) error {
	cmd := s.Kubectl(ctx, args...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	return cmd.Run()
}
