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
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// phase is a state of a pod's life that it does not leave by itself.
type phase struct {
	name    string
	options []option
	reached func(*pod)
	needs   []workload.Feature
}

func phases(e *env) []phase {
	state := func(container string, holds func(corev1.ContainerState) bool) func(*pod) {
		return func(p *pod) {
			p.until("container "+container+" to be there", func(d podlifecycle.Decision) bool {
				s, ok := find(d, container)
				return ok && holds(s.State)
			})
		}
	}
	waits := func(reason string) func(*pod) {
		return state("main", func(s corev1.ContainerState) bool { return s.Waiting != nil && s.Waiting.Reason == reason })
	}
	runs := func(container string) func(*pod) {
		return state(container, func(s corev1.ContainerState) bool { return s.Running != nil })
	}
	lacks := waits("ContainerCreating")
	if e.suite.EndsUnfit {
		lacks = func(p *pod) { p.end() }
	}
	slow := e.container("side", onTerm)
	slow.StartupProbe = execProbe("false", func(p *corev1.Probe) { p.FailureThreshold = 1000 })
	return []phase{
		{name: "as soon as it is submitted", reached: func(*pod) {}},
		{name: "while its machine lacks a path", options: []option{volume("x", "/x", hostPath(e.suite.HostDir+"/no/such/path", corev1.HostPathFile))},
			reached: lacks, needs: []workload.Feature{workload.FeatureHostPath}},
		{name: "while its configuration is wrong", options: []option{with(func(c *corev1.Container) { c.SecurityContext = &corev1.SecurityContext{RunAsNonRoot: new(true)} })},
			reached: waits("CreateContainerConfigError"), needs: []workload.Feature{workload.FeatureSecurityContext}},
		{name: "while a sidecar has not started", options: []option{sidecar(slow)}, reached: runs("side"),
			needs: []workload.Feature{workload.FeatureSidecars, workload.FeatureProbes}},
		{name: "in its postStart hook", options: []option{with(func(c *corev1.Container) { c.Lifecycle = &corev1.Lifecycle{PostStart: execHook("sleep 1000")} })},
			reached: runs("main"), needs: []workload.Feature{workload.FeatureHooks}},
		{name: "when some of its containers have ended", options: []option{and(e.container("other", "exit 3"))},
			reached: state("other", func(s corev1.ContainerState) bool { return s.Terminated != nil })},
		{name: "in its preStop hook", options: []option{shared(), with(func(c *corev1.Container) {
			c.Command[2] = strings.Replace(c.Command[2], "do sleep", "do if [ -e /shared/stopping ]; then echo stopping; fi; sleep", 1)
			c.Lifecycle = &corev1.Lifecycle{PreStop: execHook("touch /shared/stopping; sleep 1000")}
		})},
			reached: func(p *pod) {
				p.running("main")
				p.ask(time.Minute)
				p.untilLogged("main", "stopping")
			}, needs: []workload.Feature{workload.FeatureHooks}},
	}
}

// Whatever a pod is doing, it can be ended with words, and removed without a trace.
func phaseCases() []testCase {
	var cases []testCase
	for i, ph := range phases(&env{}) {
		cases = append(cases, testCase{name: "a pod that is deleted " + ph.name + " ends, and leaves nothing", needs: ph.needs, run: func(e *env) {
			ph := phases(e)[i]
			asked := e.run(e.pod(onTerm, append([]option{grace(60)}, ph.options...)...), workload.Payload{})
			cancelled := e.run(e.pod(onTerm, append([]option{grace(60)}, ph.options...)...), workload.Payload{})
			ph.reached(asked)
			asked.ask(time.Second)
			d := asked.end()
			if d.Phase != corev1.PodFailed {
				e.Errorf("the pod ended %s, %s", d.Phase, d.Reason)
			}
			for _, s := range append(append([]corev1.ContainerStatus{}, d.InitContainers...), d.Containers...) {
				if s.State.Terminated == nil {
					e.Errorf("container %s has not ended: %v", s.Name, states([]corev1.ContainerStatus{s}))
				}
			}
			ph.reached(cancelled)
			for _, p := range []*pod{asked, cancelled} {
				p.halt()
				p.mustBeRemoved()
				p.mustNotBeThere()
			}
		}})
	}
	return cases
}

// A sandbox that ends takes the pod's network with it, so its containers are run anew, as a kubelet does after a reboot.
func sandboxCases() []testCase {
	return []testCase{
		{name: "a pod whose sandbox ends gets another, and its containers run again as the restartPolicy says", run: func(e *env) {
			if e.suite.KillSandbox == nil {
				e.Log("the backend has no sandboxes")
				return
			}
			files := workload.Payload{ConfigMaps: map[string]workload.FileData{"c": {"a": []byte("AAA\n")}}}
			script := "cat /cfg/a; echo run >> /shared/runs; wc -l < /shared/runs; " + onTerm
			always := e.run(e.pod(script, restarting(corev1.RestartPolicyAlways), grace(1), shared(), volume("cfg", "/cfg", configMap(0o644)), first(e.container("init", "exit 0"))), files)
			never := e.run(e.pod(script, grace(1), shared(), volume("cfg", "/cfg", configMap(0o644))), files)
			for _, p := range []*pod{always, never} {
				p.untilLogged("main", "up")
				e.suite.KillSandbox(e.T, p.token())
			}
			d := never.end()
			if d.Phase != corev1.PodFailed || e.terminated(d, "main").ExitCode == 0 {
				e.Errorf("the pod that does not restart ended %s, %v", d.Phase, states(d.Containers))
			}
			always.until("main to run again", func(d podlifecycle.Decision) bool {
				s, ok := find(d, "main")
				return ok && s.RestartCount > 0 && s.State.Running != nil
			})
			always.untilLogged("main", "AAA\n2\nup")
		}},
	}
}

// Logs that are longer than what is kept of them.
func rotationCases() []testCase {
	return []testCase{
		{name: "of a log without end the last part is kept, without a gap", run: func(e *env) {
			const lines = 600_000
			p := e.run(e.pod(`awk 'BEGIN { for (i = 0; i < 600000; i++) printf "%0100d\n", i }'`), workload.Payload{})
			out := p.output()
			if len(out) < 20<<20 || len(out) > 60<<20 {
				e.Errorf("of 60 MB there are %d bytes left", len(out))
			}
			number := func(line string) string { return strings.TrimLeft(strings.TrimSuffix(line, "\n"), "0") }
			whole := slices.Collect(strings.Lines(out))
			if len(whole[0]) != 101 {
				whole = whole[1:] // the rest of a line that began in a part that is gone
			}
			for i, line := range whole {
				if len(line) != 101 {
					e.Fatalf("line %d is %q", i, line)
				}
			}
			last, n := whole[len(whole)-1], len(whole)
			if want := "599999"; number(last) != want {
				e.Errorf("the last line is %q, want %s", last, want)
			}
			if first := lines - n; number(whole[0]) != strconv.Itoa(first) {
				e.Errorf("%d lines begin with %q: some are missing", n, whole[0])
			}
			two := int64(2)
			if got := p.logs("main", corev1.PodLogOptions{TailLines: &two}); len(got) != 202 || !strings.HasSuffix(got, last) {
				e.Errorf("the last two lines are %q", got)
			}
		}},
	}
}
