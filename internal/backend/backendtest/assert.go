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

package backendtest

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// find returns a container's status, init container or not.
func find(d podlifecycle.Decision, container string) (corev1.ContainerStatus, bool) {
	for _, some := range [][]corev1.ContainerStatus{d.InitContainers, d.Containers} {
		for _, s := range some {
			if s.Name == container {
				return s, true
			}
		}
	}
	return corev1.ContainerStatus{}, false
}

// terminated returns how a container ended; it fails the case if it has not.
func (e *env) terminated(d podlifecycle.Decision, container string) corev1.ContainerStateTerminated {
	e.Helper()
	s, ok := find(d, container)
	if !ok || s.State.Terminated == nil {
		e.Fatalf("container %s has not ended: %v %v", container, states(d.InitContainers), states(d.Containers))
	}
	return *s.State.Terminated
}

// ended checks a pod's end: its phase and the exit code of container main.
func (e *env) ended(d podlifecycle.Decision, phase corev1.PodPhase, code int32) {
	e.Helper()
	if d.Phase != phase {
		e.Errorf("the pod ended %s (%s: %s), want %s", d.Phase, d.Reason, d.Message, phase)
	}
	if got := e.terminated(d, "main"); got.ExitCode != code {
		e.Errorf("main ended with %d (%s: %s), want %d", got.ExitCode, got.Reason, got.Message, code)
	}
}

// endedBySignal is ended for a container that is stopped as soon as it runs: TERM may find its script before it has turned deaf.
func (e *env) endedBySignal(d podlifecycle.Decision, phase corev1.PodPhase) {
	e.Helper()
	code := int32(137)
	if e.terminated(d, "main").ExitCode == 143 {
		code = 143
	}
	e.ended(d, phase, code)
}

// states writes statuses short, for people.
func states(statuses []corev1.ContainerStatus) []string {
	var out []string
	for _, s := range statuses {
		word := s.Name + "#" + fmt.Sprint(s.RestartCount) + "="
		switch {
		case s.State.Waiting != nil:
			word += "waiting:" + s.State.Waiting.Reason
		case s.State.Running != nil:
			word += "running"
			if s.Ready {
				word += "+ready"
			}
		case s.State.Terminated != nil:
			word += fmt.Sprintf("ended:%s(%d)", s.State.Terminated.Reason, s.State.Terminated.ExitCode)
		default:
			word += "none"
		}
		out = append(out, word)
	}
	return out
}

// messages are what a decision says in words, for people.
func messages(d podlifecycle.Decision) []string {
	out := []string{d.Message}
	for _, some := range [][]corev1.ContainerStatus{d.InitContainers, d.Containers} {
		for _, s := range some {
			switch {
			case s.State.Waiting != nil:
				out = append(out, s.Name+": "+s.State.Waiting.Message)
			case s.State.Terminated != nil:
				out = append(out, s.Name+": "+s.State.Terminated.Message)
			}
		}
	}
	return out
}

// wentBack tells in words whether a decision takes back what was recorded: an end that is no end any more, or fewer restarts.
func wentBack(recorded podlifecycle.Recorded, d podlifecycle.Decision) string {
	if recorded.Finished && recorded.Phase != d.Phase {
		return fmt.Sprintf("the pod had ended %s and is %s", recorded.Phase, d.Phase)
	}
	for _, was := range append(append([]corev1.ContainerStatus{}, recorded.InitContainers...), recorded.Containers...) {
		is, ok := find(d, was.Name)
		switch {
		case !ok:
			return was.Name + " is not listed any more"
		case is.RestartCount < was.RestartCount:
			return fmt.Sprintf("%s had been restarted %d times, now %d", was.Name, was.RestartCount, is.RestartCount)
		case is.RestartCount == was.RestartCount && was.State.Terminated != nil && is.State.Running != nil:
			return was.Name + " had ended and runs"
		}
	}
	return ""
}
