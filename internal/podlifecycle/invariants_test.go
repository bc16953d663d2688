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

package podlifecycle

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// check holds a decision against what must be so whatever happens.
func (w *world) check(in Input, d Decision) {
	w.t.Helper()
	w.checkStatuses(w.pod.Spec.InitContainers, d.InitContainers, d)
	w.checkStatuses(w.pod.Spec.Containers, d.Containers, d)
	if d.Finished() {
		w.checkEnd(in, d)
		return
	}
	if d.Phase != corev1.PodPending && d.Phase != corev1.PodRunning {
		w.t.Fatalf("phase %q", d.Phase)
	}
	// Whoever reads the answers takes a pod for ended when all its app containers are: none may look so and be run again.
	if !slices.ContainsFunc(d.Containers, func(s corev1.ContainerStatus) bool { return s.State.Terminated == nil }) {
		for _, a := range d.Actions {
			if a.Kind == ActionStart || a.Kind == ActionNewSandbox {
				w.t.Fatalf("all containers are shown as ended, and there is more to start:\n%s", dump(d))
			}
		}
	}
	w.checkOrder(in, d)
}

func (w *world) checkStatuses(specs []corev1.Container, list []corev1.ContainerStatus, d Decision) {
	w.t.Helper()
	if len(list) != len(specs) {
		w.t.Fatalf("%d statuses for %d containers:\n%s", len(list), len(specs), dump(d))
	}
	for i := range list {
		s := &list[i]
		if s.Name != specs[i].Name {
			w.t.Fatalf("status %d is of %q, want %q", i, s.Name, specs[i].Name)
		}
		states := 0
		for _, set := range []bool{s.State.Waiting != nil, s.State.Running != nil, s.State.Terminated != nil} {
			if set {
				states++
			}
		}
		if states != 1 {
			w.t.Fatalf("%s has %d states:\n%s", s.Name, states, dump(d))
		}
		if s.State.Waiting != nil && s.State.Waiting.Reason == "" || s.State.Terminated != nil && s.State.Terminated.Reason == "" {
			w.t.Fatalf("%s is without a reason:\n%s", s.Name, dump(d))
		}
		if s.RestartCount < w.counts[s.Name] {
			w.t.Fatalf("restartCount of %s falls from %d to %d:\n%s", s.Name, w.counts[s.Name], s.RestartCount, dump(d))
		}
		w.counts[s.Name] = s.RestartCount
		ended := s.State.Terminated != nil || s.State.Waiting != nil && s.LastTerminationState.Terminated != nil
		if last, ok := w.ended[s.Name]; ok && last >= s.RestartCount && s.State.Running != nil {
			w.t.Fatalf("run %d of %s is shown as running after it had ended:\n%s", s.RestartCount, s.Name, dump(d))
		}
		if ended {
			w.ended[s.Name] = s.RestartCount
		}
	}
}

// checkEnd holds the end of a pod against what has to be so then.
func (w *world) checkEnd(in Input, d Decision) {
	w.t.Helper()
	for name, list := range in.Instances {
		for _, i := range list {
			if i.State == InstanceRunning {
				w.t.Fatalf("the pod has ended and %s/%d runs:\n%s", name, i.N, dump(d))
			}
		}
	}
	if len(d.Actions) > 0 && slices.ContainsFunc(d.Actions, func(a Action) bool { return a.Kind != ActionRemove }) {
		w.t.Fatalf("the pod has ended and there is more to do:\n%s", dump(d))
	}
	failed := false
	for _, s := range slices.Concat(d.InitContainers, d.Containers) {
		if s.State.Terminated == nil {
			w.t.Fatalf("the pod has ended and %s has not:\n%s", s.Name, dump(d))
		}
		failed = failed || s.State.Terminated.ExitCode != 0
	}
	for _, s := range d.Containers {
		if d.Phase == corev1.PodSucceeded && s.State.Terminated.ExitCode != 0 {
			w.t.Fatalf("the pod has succeeded though %s has not:\n%s", s.Name, dump(d))
		}
	}
	if d.Phase == corev1.PodFailed && !failed && in.Stop == nil && d.Reason != ReasonDeadlineExceeded {
		w.t.Fatalf("the pod has failed and no container has:\n%s", dump(d))
	}
	if d.Phase == corev1.PodFailed && d.Reason == "" {
		w.t.Fatalf("the pod has failed without a reason:\n%s", dump(d))
	}
	if in.Recorded.Finished && (d.Phase != in.Recorded.Phase || d.Reason != in.Recorded.Reason) {
		w.t.Fatalf("the end changes from %s %s to %s %s", in.Recorded.Phase, in.Recorded.Reason, d.Phase, d.Reason)
	}
}

// checkOrder holds what is started and stopped against the order of init containers and sidecars.
func (w *world) checkOrder(in Input, d Decision) {
	w.t.Helper()
	present := func(name string) *Instance {
		list := in.Instances[name]
		if len(list) == 0 {
			return nil
		}
		return &list[len(list)-1]
	}
	anyPresent := func(list []corev1.Container) bool {
		return slices.ContainsFunc(list, func(c corev1.Container) bool { return present(c.Name) != nil })
	}
	begun := anyPresent(w.pod.Spec.Containers)
	for _, a := range d.Actions {
		if a.Kind != ActionStart {
			continue
		}
		for i := range w.pod.Spec.InitContainers {
			c := &w.pod.Spec.InitContainers[i]
			if c.Name == a.Container {
				break
			}
			last := present(c.Name)
			switch {
			case begun, anyPresent(w.pod.Spec.InitContainers[i+1:]):
				// It was passed: a sidecar may be between two runs, and nothing may be left of another.
			case isSidecar(c):
				if last == nil || last.State != InstanceRunning || c.StartupProbe != nil && last.Probes.Startup != Success {
					w.t.Fatalf("%s is started before %s has started:\n%s", a.Container, c.Name, dump(d))
				}
			case last == nil:
				if _, ended := w.ended[c.Name]; !ended {
					w.t.Fatalf("%s is started before %s has run:\n%s", a.Container, c.Name, dump(d))
				}
			case last.State == InstanceRunning || last.State == InstanceCreated:
				w.t.Fatalf("%s is started while %s is %s:\n%s", a.Container, c.Name, last.State, dump(d))
			}
		}
	}
}
