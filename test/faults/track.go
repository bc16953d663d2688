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
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/test/faults/history"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

func (t *track) token(s *stage) string { return s.ledger.Token(t.actor.pod) }

// read is what is known of the pod so far.
func (t *track) read() history.Pod {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.pod
	p.Seen, p.Wrong = slices.Clone(p.Seen), slices.Clone(p.Wrong)
	return p
}

// snapshot is the pod as it is sent now.
func (t *track) snapshot() *corev1.Pod {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.actor.pod.DeepCopy()
}

// settled takes note that nothing of the pod is left, unless the ledger was restored meanwhile.
func (t *track) settled(now history.Moment) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pod.Restored > t.pod.Deleted {
		return false
	}
	t.pod.Settled = now
	return true
}

func (t *track) wrong(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Contains(t.pod.Wrong, what) {
		t.pod.Wrong = append(t.pod.Wrong, what)
	}
}

// see takes an answer to the question for the pod's status.
func (t *track) see(now history.Moment, list []harness.PodStatus) {
	if what := t.malformed(list); what != "" {
		t.wrong("got a status that " + what)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range slices.Concat(list[0].InitContainers, list[0].Containers) {
		s := seen(now, c)
		before := slices.IndexFunc(t.pod.Seen, func(old history.Seen) bool { return old.Container == c.Name })
		for i := range t.pod.Seen {
			if t.pod.Seen[i].Container == c.Name {
				before = i
			}
		}
		if before >= 0 {
			old := t.pod.Seen[before]
			if old.At = now; old == s {
				continue
			}
		}
		t.pod.Seen = append(t.pod.Seen, s)
	}
	if list[0].Ended() && t.pod.Ended == 0 {
		t.pod.Ended = now
	}
}

// malformed says what of an answer no virtual kubelet can live with.
func (t *track) malformed(list []harness.PodStatus) string {
	if len(list) != 1 {
		return fmt.Sprintf("is about %d pods", len(list))
	}
	st, pod := list[0], t.actor.pod
	if st.UID != t.pod.UID || st.Name != pod.Name || st.Namespace != pod.Namespace {
		return fmt.Sprintf("is about %s/%s (%s)", st.Namespace, st.Name, st.UID)
	}
	names := func(list []corev1.Container) (names []string) {
		for _, c := range list {
			names = append(names, c.Name)
		}
		return names
	}
	got := []string{}
	for _, c := range st.Containers {
		got = append(got, c.Name)
	}
	if want := names(pod.Spec.Containers); !slices.Equal(got, want) {
		return fmt.Sprintf("has the containers %v and not %v", got, want)
	}
	for _, c := range slices.Concat(st.InitContainers, st.Containers) {
		n := 0
		for _, set := range []bool{c.State.Waiting != nil, c.State.Running != nil, c.State.Terminated != nil} {
			if set {
				n++
			}
		}
		if n != 1 {
			return fmt.Sprintf("has %d states of %s", n, c.Name)
		}
	}
	return ""
}

func seen(now history.Moment, c corev1.ContainerStatus) history.Seen {
	s := history.Seen{At: now, Container: c.Name, Restarts: c.RestartCount}
	switch {
	case c.State.Running != nil:
		s.State = history.Running
	case c.State.Terminated != nil:
		s.State, s.Code = history.Terminated, c.State.Terminated.ExitCode
		s.Words = c.State.Terminated.Reason + ": " + c.State.Terminated.Message
	case c.State.Waiting != nil:
		s.Words = c.State.Waiting.Reason + ": " + c.State.Waiting.Message
	}
	return s
}
