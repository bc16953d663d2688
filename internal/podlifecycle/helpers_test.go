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
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// epoch is when simulated time begins.
var epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// after is a time after the beginning.
func after(d time.Duration) time.Time { return epoch.Add(d) }

// option changes a pod under test.
type option func(*corev1.Pod)

func podOf(options ...option) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "ns", UID: "u"},
		Spec:       corev1.PodSpec{RestartPolicy: corev1.RestartPolicyAlways, TerminationGracePeriodSeconds: new(int64(30))},
	}
	for _, o := range options {
		o(p)
	}
	return p
}

func policyOf(r corev1.RestartPolicy) option {
	return func(p *corev1.Pod) { p.Spec.RestartPolicy = r }
}

var (
	never     = policyOf(corev1.RestartPolicyNever)
	onFailure = policyOf(corev1.RestartPolicyOnFailure)
	always    = policyOf(corev1.RestartPolicyAlways)
)

func graceOf(seconds int64) option {
	return func(p *corev1.Pod) { p.Spec.TerminationGracePeriodSeconds = &seconds }
}

func activeDeadline(seconds int64) option {
	return func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = &seconds }
}

func containerOf(name string, with ...func(*corev1.Container)) corev1.Container {
	c := corev1.Container{Name: name, Image: "img"}
	for _, f := range with {
		f(&c)
	}
	return c
}

func app(name string, with ...func(*corev1.Container)) option {
	return func(p *corev1.Pod) { p.Spec.Containers = append(p.Spec.Containers, containerOf(name, with...)) }
}

func initc(name string, with ...func(*corev1.Container)) option {
	return func(p *corev1.Pod) { p.Spec.InitContainers = append(p.Spec.InitContainers, containerOf(name, with...)) }
}

func sidecar(name string, with ...func(*corev1.Container)) option {
	return initc(name, append(with, restartPolicy(corev1.ContainerRestartPolicyAlways))...)
}

func restartPolicy(r corev1.ContainerRestartPolicy) func(*corev1.Container) {
	return func(c *corev1.Container) { c.RestartPolicy = &r }
}

func rule(action corev1.ContainerRestartRuleAction, op corev1.ContainerRestartRuleOnExitCodesOperator, codes ...int32) func(*corev1.Container) {
	return func(c *corev1.Container) {
		c.RestartPolicyRules = append(c.RestartPolicyRules, corev1.ContainerRestartRule{
			Action: action, ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: op, Values: codes},
		})
	}
}

func startupProbe(c *corev1.Container)   { c.StartupProbe = &corev1.Probe{} }
func livenessProbe(c *corev1.Container)  { c.LivenessProbe = &corev1.Probe{} }
func readinessProbe(c *corev1.Container) { c.ReadinessProbe = &corev1.Probe{} }

func postStart(c *corev1.Container) {
	if c.Lifecycle == nil {
		c.Lifecycle = &corev1.Lifecycle{}
	}
	c.Lifecycle.PostStart = &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 1}}
}

func preStop(c *corev1.Container) {
	if c.Lifecycle == nil {
		c.Lifecycle = &corev1.Lifecycle{}
	}
	c.Lifecycle.PreStop = &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 1}}
}

// scripts gives each container's runs their behaviour: the n-th, the last one for all that follow.
func scripts(m map[string][]behaviour) func(string, int32) behaviour {
	return func(name string, n int32) behaviour {
		list := m[name]
		if len(list) == 0 {
			return behaviour{}
		}
		return list[min(int(n), len(list)-1)]
	}
}

// exits is a run that ends by itself after one second.
func exits(code int32) behaviour { return behaviour{runsFor: time.Second, exit: code} }

// runs is a run that goes on until it is stopped, and then ends with 0 at once.
func runs() behaviour { return behaviour{} }

// summary is a status in few words: "app=running/1 ready", "app=CrashLoopBackOff/2 last:Error:1".
func summary(s corev1.ContainerStatus) string {
	var b strings.Builder
	b.WriteString(s.Name + "=")
	switch {
	case s.State.Waiting != nil:
		b.WriteString(s.State.Waiting.Reason)
	case s.State.Running != nil:
		b.WriteString("running")
	case s.State.Terminated != nil:
		fmt.Fprintf(&b, "%s:%d", s.State.Terminated.Reason, s.State.Terminated.ExitCode)
	}
	fmt.Fprintf(&b, "/%d", s.RestartCount)
	if t := s.LastTerminationState.Terminated; t != nil {
		fmt.Fprintf(&b, " last:%s:%d", t.Reason, t.ExitCode)
	}
	if s.Started != nil && *s.Started {
		b.WriteString(" started")
	}
	if s.Ready {
		b.WriteString(" ready")
	}
	return b.String()
}

// summaries are all statuses of a decision, init containers first.
func summaries(d Decision) []string {
	var out []string
	for _, s := range d.InitContainers {
		out = append(out, summary(s))
	}
	for _, s := range d.Containers {
		out = append(out, summary(s))
	}
	return out
}

func actionsOf(d Decision) []string {
	var out []string
	for _, a := range d.Actions {
		s := string(a.Kind)
		if a.Container != "" {
			s += fmt.Sprintf(" %s/%d", a.Container, a.N)
		}
		if a.Reason != "" {
			s += " " + a.Reason
		}
		if a.RunPreStop {
			s += " preStop"
		}
		if !a.Deadline.IsZero() {
			s += " by " + a.Deadline.Sub(epoch).String()
		}
		out = append(out, s)
	}
	return out
}

func equal(t *testing.T, what string, got, want []string) {
	t.Helper()
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s:\n got %q\nwant %q", what, got, want)
	}
}

func expectEnd(t *testing.T, w *world, phase corev1.PodPhase, reason string, statuses ...string) {
	t.Helper()
	if !w.recorded.Finished {
		t.Fatalf("the pod has not ended:\n%s\nlog: %q", dump(w.last), w.log)
	}
	if w.recorded.Phase != phase || w.recorded.Reason != reason {
		t.Errorf("ended %s %q (%s), want %s %q", w.recorded.Phase, w.recorded.Reason, w.recorded.Message, phase, reason)
	}
	equal(t, "statuses", summaries(w.last), statuses)
}
