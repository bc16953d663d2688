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
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

func execHook(script string) *corev1.LifecycleHandler {
	return &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"sh", "-c", script}}}
}

// Hooks: https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/
func hookCases() []testCase {
	return []testCase{
		{name: "postStart runs in the container", run: func(e *env) {
			p := e.run(e.pod("while [ ! -e /hooked ]; do sleep 0.1; done; exit 0", with(func(c *corev1.Container) {
				c.Lifecycle = &corev1.Lifecycle{PostStart: execHook("touch /hooked")}
			})), workload.Payload{})
			e.ended(p.end(), corev1.PodSucceeded, 0)
		}},
		{name: "a postStart that fails ends the container", run: func(e *env) {
			p := e.run(e.pod(deaf, grace(1), with(func(c *corev1.Container) {
				c.Lifecycle = &corev1.Lifecycle{PostStart: execHook("exit 4")}
			})), workload.Payload{})
			if d := p.end(); d.Phase != corev1.PodFailed {
				e.Errorf("the pod ended %s", d.Phase)
			}
		}},
		{name: "while postStart runs the container is neither started nor ready, and its probes wait", run: func(e *env) {
			p := e.run(e.pod("echo up; while [ ! -e /shared/go ]; do sleep 0.1; done; "+onTerm, shared(), grace(1), with(func(c *corev1.Container) {
				c.Lifecycle = &corev1.Lifecycle{PostStart: execHook("sleep 20; touch /shared/go")}
				c.LivenessProbe = execProbe("test -e /shared/go")
			})), workload.Payload{})
			p.untilReady(true)
			p.mustHaveBeen("main#0=running]")
			if s, _ := find(p.decision(), "main"); s.RestartCount != 0 {
				e.Errorf("main was restarted %d times", s.RestartCount)
			}
		}},
		{name: "hooks by httpGet reach the container's ports, whatever they are answered", run: func(e *env) {
			p := e.run(e.server(grace(120), with(func(c *corev1.Container) {
				c.Ports = []corev1.ContainerPort{{Name: "web", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}}
				c.Lifecycle = &corev1.Lifecycle{
					// The hook comes as soon as the container runs, and nobody may listen yet.
					PostStart: execHook("until wget -q -O - http://127.0.0.1:8080/started; do sleep 0.1; done"),
					PreStop: &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{
						Path: "/fail", Port: intstr.FromString("web"), HTTPHeaders: []corev1.HTTPHeader{{Name: "User-Agent", Value: "me"}},
					}},
				}
			})), workload.Payload{})
			p.untilReady(true)
			p.ask(20 * time.Second)
			e.ended(p.end(), corev1.PodFailed, 0)
			got := p.logs("main", corev1.PodLogOptions{})
			if stop, term := strings.Index(got, "GET http /fail me\n"), strings.Index(got, "got TERM\n"); stop < 0 || term < stop {
				e.Errorf("got %q", got)
			}
		}},
		{name: "a postStart by httpGet that nobody answers ends the container", run: func(e *env) {
			p := e.run(e.pod(deaf, grace(1), with(func(c *corev1.Container) {
				c.Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt32(1)}}}
			})), workload.Payload{})
			d := p.end()
			e.endedBySignal(d, corev1.PodFailed)
			if got := e.terminated(d, "main").Message; e.kills == nil && !strings.Contains(got, "postStart") {
				e.Errorf("the message is %q", got)
			}
		}},
		{name: "preStop runs before TERM is sent", run: func(e *env) {
			p := e.run(e.pod(`trap 'echo TERM >> /shared/order; cat /shared/order; exit 0' TERM; echo up; while :; do sleep 0.1; done`, grace(120), shared(),
				with(func(c *corev1.Container) {
					c.Lifecycle = &corev1.Lifecycle{PreStop: execHook("sleep 1; echo preStop >> /shared/order")}
				})), workload.Payload{})
			p.untilLogged("main", "up")
			p.ask(20 * time.Second)
			p.end()
			got := p.logs("main", corev1.PodLogOptions{})
			if e.kills != nil {
				// A hook is run once at least: one whose end nobody saw is run again.
				got = strings.Replace(got, strings.Repeat("preStop\n", 2), "preStop\n", 1)
			}
			if got != "up\npreStop\nTERM\n" {
				e.Errorf("the order was %q", got)
			}
		}},
		{name: "preStop does not run in a container that ended by itself", run: func(e *env) {
			p := e.run(e.pod("exit 0", and(e.container("other", "sleep 3; ls /shared")), shared(), with(func(c *corev1.Container) {
				c.Lifecycle = &corev1.Lifecycle{PreStop: execHook("touch /shared/stopped")}
			})), workload.Payload{})
			e.ended(p.end(), corev1.PodSucceeded, 0)
			if got := p.logs("other", corev1.PodLogOptions{}); got != "" {
				e.Errorf("the hook left %q", got)
			}
		}},
		{name: "a sleep hook holds TERM back", run: func(e *env) {
			p := e.run(e.pod(onTerm, grace(30), with(func(c *corev1.Container) {
				c.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 3}}}
			})), workload.Payload{})
			p.untilLogged("main", "up")
			asked := time.Now()
			p.ask(30 * time.Second)
			p.end()
			if took := time.Since(asked); took < 3*time.Second {
				e.Errorf("main ended after %s", took)
			}
		}},
		{name: "a preStop that takes longer than the grace period does not hold the pod up", run: func(e *env) {
			p := e.run(e.pod(deaf, grace(2), with(func(c *corev1.Container) {
				c.Lifecycle = &corev1.Lifecycle{PreStop: execHook("sleep 1000")}
			})), workload.Payload{})
			p.untilLogged("main", "up")
			p.ask(2 * time.Second)
			p.end()
		}},
	}
}
