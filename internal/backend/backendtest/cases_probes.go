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
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

func execProbe(script string, change ...func(*corev1.Probe)) *corev1.Probe {
	p := &corev1.Probe{
		ProbeHandler:  corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"sh", "-c", script}}},
		PeriodSeconds: 1, TimeoutSeconds: 2, SuccessThreshold: 1, FailureThreshold: 1,
	}
	for _, c := range change {
		c(p)
	}
	return p
}

func networkProbe(handler corev1.ProbeHandler) *corev1.Probe {
	return &corev1.Probe{ProbeHandler: handler, PeriodSeconds: 1, TimeoutSeconds: 2, SuccessThreshold: 1, FailureThreshold: 1}
}

// mustHaveBeen checks that the pod has been in a state, as states writes it.
func (p *pod) mustHaveBeen(state string) {
	p.env.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if seen := strings.Join(p.history, "\n"); !strings.Contains(seen, state) {
		p.env.Errorf("the pod has never been in the state %s: %s", state, seen)
	}
}

func (p *pod) untilReady(want bool) {
	p.env.Helper()
	p.until("main to be ready or not", func(d podlifecycle.Decision) bool {
		s, ok := find(d, "main")
		return ok && s.State.Running != nil && s.Ready == want
	})
}

// Probes: https://kubernetes.io/docs/tasks/configure-pod-container/configure-liveness-readiness-startup-probes/
func probeCases() []testCase {
	return []testCase{
		{name: "without a readiness probe a container is ready when it runs", run: func(e *env) {
			p := e.run(e.pod(onTerm), workload.Payload{})
			p.untilReady(true)
		}},
		{name: "a readiness probe by exec makes a container ready, and not ready again", run: func(e *env) {
			// It is ready for as long as a busy machine needs to probe it a few times.
			p := e.run(e.pod("sleep 10; : > /shared/asked; touch /shared/ready; while [ $(wc -l < /shared/asked) -lt 8 ]; do sleep 0.1; done; rm /shared/ready; "+onTerm, shared(),
				with(func(c *corev1.Container) {
					c.ReadinessProbe = execProbe("echo x >> /shared/asked; test -e /shared/ready")
				})), workload.Payload{})
			p.untilReady(true)
			p.mustHaveBeen("main#0=running]")
			p.untilReady(false)
		}},
		{name: "a liveness probe that fails restarts the container", run: func(e *env) {
			// It fails when its trap is set, and no more when it has been told to end.
			p := e.run(e.pod("[ -e /shared/once ] && exit 0; touch /shared/once; trap 'rm /shared/fail; exit 5' TERM; touch /shared/fail; while :; do sleep 0.1; done",
				shared(), restarting(corev1.RestartPolicyOnFailure), grace(60),
				with(func(c *corev1.Container) { c.LivenessProbe = execProbe("test ! -e /shared/fail") })), workload.Payload{})
			d := p.end()
			e.ended(d, corev1.PodSucceeded, 0)
			s, _ := find(d, "main")
			if s.RestartCount != 1 || s.LastTerminationState.Terminated.ExitCode != 5 {
				e.Errorf("main was restarted %d times, its last end is %+v", s.RestartCount, s.LastTerminationState.Terminated)
			}
		}},
		{name: "a startup probe holds the others back until it has succeeded", run: func(e *env) {
			p := e.run(e.pod("sleep 10; touch /shared/started; "+onTerm, shared(), with(func(c *corev1.Container) {
				c.StartupProbe = execProbe("test -e /shared/started", func(p *corev1.Probe) { p.FailureThreshold = 30 })
				c.LivenessProbe = execProbe("test -e /shared/started")
			})), workload.Payload{})
			p.untilReady(true)
			p.mustHaveBeen("main#0=running]")
			if s, _ := find(p.decision(), "main"); s.RestartCount != 0 || s.Started == nil || !*s.Started {
				e.Errorf("main: restarts %d, started %v", s.RestartCount, s.Started)
			}
		}},
		{name: "a startup probe that fails ends the container", run: func(e *env) {
			p := e.run(e.pod(deaf, grace(1), with(func(c *corev1.Container) { c.StartupProbe = execProbe("false") })), workload.Payload{})
			e.endedBySignal(p.end(), corev1.PodFailed)
		}},
		{name: "an httpGet probe reaches a named port inside the pod, with its headers", run: func(e *env) {
			e.takePorts()
			p := e.run(e.pod(`mkdir -p /www/cgi-bin; printf '#!/bin/sh\n[ "$HTTP_X_ASK" = please ] && echo Status: 200 OK || echo Status: 403 Forbidden\necho\n' > /www/cgi-bin/ask; chmod +x /www/cgi-bin/ask; httpd -f -p 8080 -h /www`,
				grace(1), with(func(c *corev1.Container) {
					c.Ports = []corev1.ContainerPort{{Name: "web", ContainerPort: 8080, Protocol: corev1.ProtocolTCP}}
					c.ReadinessProbe = networkProbe(corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
						Path: "/cgi-bin/ask", Port: intstr.FromString("web"), Scheme: corev1.URISchemeHTTP,
						HTTPHeaders: []corev1.HTTPHeader{{Name: "X-Ask", Value: "please"}},
					}})
				})), workload.Payload{})
			p.untilReady(true)
		}},
		{name: "an httpGet probe that is answered with an error fails", run: func(e *env) {
			p := e.run(e.pod(`mkdir -p /www; httpd -f -p 8082 -h /www`, grace(1), with(func(c *corev1.Container) {
				c.LivenessProbe = networkProbe(corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/nothing", Port: intstr.FromInt32(8082), Scheme: corev1.URISchemeHTTP}})
			})), workload.Payload{})
			d := p.end()
			if d.Phase != corev1.PodFailed {
				e.Errorf("the pod ended %s", d.Phase)
			}
		}},
		{name: "a tcpSocket probe succeeds when the port is open", run: func(e *env) {
			p := e.run(e.pod(`sleep 10; mkdir -p /www; httpd -f -p 8081 -h /www`, grace(1), with(func(c *corev1.Container) {
				c.ReadinessProbe = networkProbe(corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(8081)}})
			})), workload.Payload{})
			p.untilReady(false)
			p.untilReady(true)
		}},
		{name: "an httpGet probe speaks HTTPS where its scheme says so, and takes any certificate", run: func(e *env) {
			p := e.run(e.server(with(func(c *corev1.Container) {
				c.ReadinessProbe = networkProbe(corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/ok?secure", Port: intstr.FromInt32(8443), Scheme: corev1.URISchemeHTTPS}})
			})), workload.Payload{})
			p.untilReady(true)
			p.untilLogged("main", "GET https /ok?secure kube-probe/")
		}},
		{name: "a grpc probe asks the health service for the service that it names", run: func(e *env) {
			for service, ready := range map[string]bool{"": true, "good": true, "bad": false, "unknown": false} {
				p := e.run(e.server(with(func(c *corev1.Container) {
					c.ReadinessProbe = networkProbe(corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: 9090, Service: &service}})
				}), and(e.container("other", "sleep 4; "+onTerm))), workload.Payload{})
				p.untilLogged("other", "up") // the probe has had its turns
				if ready {
					p.untilReady(true)
				} else if s, _ := find(p.decision(), "main"); s.Ready {
					e.Errorf("main is ready by the service %q", service)
				}
				p.ask(time.Second)
				p.end() // the next one may need its ports
			}
		}},
		{name: "thresholds say how often a probe must say the same, and initialDelaySeconds when it begins", run: func(e *env) {
			// The container tells when it was asked: what the test sees of it may be late.
			p := e.run(e.pod("trap 'cat /shared/asked; exit 0' TERM; while :; do sleep 0.1; done", shared(), with(func(c *corev1.Container) {
				c.ReadinessProbe = execProbe("date +%s >> /shared/asked", func(p *corev1.Probe) { p.SuccessThreshold, p.InitialDelaySeconds = 3, 3 })
			})), workload.Payload{})
			p.untilReady(true)
			p.ask(30 * time.Second)
			began := e.terminated(p.end(), "main").StartedAt
			asked := strings.Fields(p.logs("main", corev1.PodLogOptions{}))
			if len(asked) < 3 {
				e.Fatalf("main was ready before it had said so three times: %q", asked)
			}
			// The machine's clock may differ from the manager's by a part of a second.
			if first, err := strconv.ParseInt(asked[0], 10, 64); err != nil || first-began.Unix() < 2 {
				e.Errorf("main began at %d, and was first asked at %s (%v), and not 3 s later", began.Unix(), asked[0], err)
			}

			// Were it ended by the second failure, it would be dead before it says so; the third comes after that.
			p = e.run(e.pod("trap '' TERM; while [ $(cat /shared/asked 2>/dev/null | wc -l) -lt 2 ]; do sleep 0.1; done; sleep 3; echo alive; "+deaf, shared(), grace(1),
				with(func(c *corev1.Container) {
					c.LivenessProbe = execProbe("echo x >> /shared/asked; false", func(p *corev1.Probe) { p.FailureThreshold, p.PeriodSeconds = 3, 15 })
				})), workload.Payload{})
			e.ended(p.end(), corev1.PodFailed, 137)
			if got := p.logs("main", corev1.PodLogOptions{}); !strings.Contains(got, "alive\n") {
				e.Errorf("main did not outlive two failures: %q", got)
			}
		}},
		{name: "a probe that takes longer than its timeout has failed", run: func(e *env) {
			p := e.run(e.pod(deaf, grace(1), with(func(c *corev1.Container) {
				c.LivenessProbe = execProbe("sleep 100", func(p *corev1.Probe) { p.TimeoutSeconds = 1 })
			})), workload.Payload{})
			d := p.end()
			e.endedBySignal(d, corev1.PodFailed)
			if got := e.terminated(d, "main").Message; e.kills == nil && !strings.Contains(got, "liveness probe") {
				e.Errorf("the message is %q", got)
			}
		}},
		{name: "variables are expanded in a probe's command, and only in a probe's", run: func(e *env) {
			p := e.run(e.pod("while [ ! -e /shared/value ] || [ ! -s /shared/hook ]; do sleep 0.1; done; cat /shared/value; cat /shared/hook", shared(), with(func(c *corev1.Container) {
				c.Env = []corev1.EnvVar{{Name: "VALUE", Value: "a b"}}
				c.Lifecycle = &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"sh", "-c", "echo '$(VALUE)' > /shared/hook"}}}}
				c.ReadinessProbe = execProbe("echo '$(VALUE) $$(VALUE) $(NONE)' > /shared/tmp; mv /shared/tmp /shared/value")
			})), workload.Payload{})
			if got := p.output(); got != "a b $(VALUE) $(NONE)\n$(VALUE)\n" {
				e.Errorf("got %q", got)
			}
		}},
		{name: "the pod's conditions say when it is initialized and ready", run: func(e *env) {
			conditions := func(initialized, ready corev1.ConditionStatus) func(podlifecycle.Decision) bool {
				return func(d podlifecycle.Decision) bool {
					is := map[corev1.PodConditionType]corev1.ConditionStatus{}
					for _, c := range d.Conditions {
						is[c.Type] = c.Status
					}
					return is[corev1.PodInitialized] == initialized && is[corev1.ContainersReady] == ready && is[corev1.PodReady] == ready
				}
			}
			p := e.run(e.pod(onTerm, first(e.container("one", onTerm))), workload.Payload{})
			p.running("one")
			p.until("a pod that is not initialized", conditions(corev1.ConditionFalse, corev1.ConditionFalse))
			p = e.run(e.pod(onTerm, first(e.container("one", "exit 0")), with(func(c *corev1.Container) { c.ReadinessProbe = execProbe("false") })), workload.Payload{})
			p.running("main")
			p.until("a pod that is not ready", conditions(corev1.ConditionTrue, corev1.ConditionFalse))
			p = e.run(e.pod(onTerm, first(e.container("one", "exit 0")), sidecar(e.container("side", onTerm)), grace(1)), workload.Payload{})
			p.until("a pod that is ready", conditions(corev1.ConditionTrue, corev1.ConditionTrue))
		}},
		{name: "a liveness probe's own grace period goes before the pod's", run: func(e *env) {
			short := int64(1)
			p := e.run(e.pod("trap '' TERM; touch /shared/deaf; while :; do sleep 0.1; done", shared(), grace(1000), with(func(c *corev1.Container) {
				c.LivenessProbe = execProbe("test ! -e /shared/deaf", func(p *corev1.Probe) { p.TerminationGracePeriodSeconds = &short })
			})), workload.Payload{})
			d := p.end()
			e.ended(d, corev1.PodFailed, 137)
			if got := e.terminated(d, "main"); got.FinishedAt.Sub(got.StartedAt.Time) > 300*time.Second {
				e.Errorf("it ran from %s to %s", got.StartedAt, got.FinishedAt)
			}
		}},
	}
}

// server is a pod whose container main answers on the ports of the suite's server.
func (e *env) server(options ...option) *corev1.Pod {
	e.takePorts()
	return e.pod("", append([]option{grace(1), with(func(c *corev1.Container) {
		c.Image, c.Command = e.suite.ServerImage, []string{"testserver"}
	})}, options...)...)
}
