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
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// The rules of these cases: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/ (pod phase, container states).
func endCases() []testCase {
	return []testCase{
		{name: "a container that ends with 0 makes the pod succeed", run: func(e *env) {
			d := e.run(e.pod("exit 0"), workload.Payload{}).end()
			e.ended(d, corev1.PodSucceeded, 0)
			got := e.terminated(d, "main")
			if got.Reason != "Completed" || got.StartedAt.IsZero() || got.FinishedAt.Before(&got.StartedAt) || got.ContainerID == "" {
				e.Errorf("main ended as %+v", got)
			}
		}},
		{name: "a container that ends with another code makes the pod fail with that code", run: func(e *env) {
			d := e.run(e.pod("exit 42"), workload.Payload{}).end()
			e.ended(d, corev1.PodFailed, 42)
			if got := e.terminated(d, "main").Reason; got != "Error" {
				e.Errorf("main ended with reason %s", got)
			}
		}},
		{name: "a pod of several containers ends with the last of them, and fails if one failed", run: func(e *env) {
			p := e.run(e.pod("while [ ! -e /shared/go ]; do sleep 0.1; done; exit 0",
				and(e.container("other", "touch /shared/go; exit 7")), shared()), workload.Payload{})
			d := p.end()
			e.ended(d, corev1.PodFailed, 0)
			if got := e.terminated(d, "other").ExitCode; got != 7 {
				e.Errorf("other ended with %d", got)
			}
		}},
		{name: "a container that uses more memory than its limit is OOMKilled", run: func(e *env) {
			hungry := with(func(c *corev1.Container) {
				c.Command = []string{"dd", "if=/dev/zero", "of=/dev/null", "bs=128M", "count=1"}
				c.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("24Mi")}
			})
			// An engine that is busy can see the end before the kernel's word on its cause, and then never tells the cause (Docker 20.10).
			got := ""
			for try := 0; try < 3 && got != "OOMKilled"; try++ {
				d := e.run(e.pod("", hungry), workload.Payload{}).end()
				e.ended(d, corev1.PodFailed, 137)
				got = e.terminated(d, "main").Reason
			}
			if got != "OOMKilled" {
				e.Errorf("main ended with reason %s", got)
			}
		}},
		{name: "a command that does not exist is a StartError with words", run: func(e *env) {
			p := e.run(e.pod("", with(func(c *corev1.Container) { c.Command = []string{"/no/such/program"} })), workload.Payload{})
			d := p.end()
			e.ended(d, corev1.PodFailed, 128)
			got := e.terminated(d, "main")
			if log := p.logs("main", corev1.PodLogOptions{}); log != "" {
				e.Errorf("the log of a container that was never started is %q", log)
			}
			if got.Reason != "StartError" || !strings.Contains(got.Message, "/no/such/program") {
				e.Errorf("main ended as %s: %s", got.Reason, got.Message)
			}
		}},
		{name: "code 137 without the memory limit reached is an Error, not OOMKilled", run: func(e *env) {
			d := e.run(e.pod("sh -c 'kill -KILL $$$$'; exit $?"), workload.Payload{}).end()
			e.ended(d, corev1.PodFailed, 137)
			if got := e.terminated(d, "main").Reason; got != "Error" {
				e.Errorf("main ended with reason %s", got)
			}
		}},
		{name: "the termination message comes from its file", run: func(e *env) {
			d := e.run(e.pod("printf 'what went wrong' > /dev/termination-log; exit 3"), workload.Payload{}).end()
			if got := e.terminated(d, "main").Message; got != "what went wrong" {
				e.Errorf("the message is %q", got)
			}
		}},
		{name: "the termination message comes from another path, and is cut at 4096 bytes", run: func(e *env) {
			d := e.run(e.pod("head -c 5000 /dev/zero | tr '\\0' x > /message; exit 0", with(func(c *corev1.Container) {
				c.TerminationMessagePath = "/message"
			})), workload.Payload{}).end()
			if got := e.terminated(d, "main").Message; got != strings.Repeat("x", 4096) {
				e.Errorf("the message has %d bytes: %.40q", len(got), got)
			}
		}},
		{name: "FallbackToLogsOnError takes the end of the log of a container that failed without a message", run: func(e *env) {
			fallback := with(func(c *corev1.Container) {
				c.TerminationMessagePolicy = corev1.TerminationMessageFallbackToLogsOnError
			})
			d := e.run(e.pod("echo the last words; exit 1", fallback), workload.Payload{}).end()
			if got := e.terminated(d, "main").Message; got != "the last words\n" {
				e.Errorf("the message is %q", got)
			}
			d = e.run(e.pod("echo all is well; exit 0", fallback), workload.Payload{}).end()
			if got := e.terminated(d, "main").Message; got != "" {
				e.Errorf("the message of one that succeeded is %q", got)
			}
		}},
		{name: "activeDeadlineSeconds ends the pod as DeadlineExceeded", run: func(e *env) {
			// The time counts from when the backend first held the pod: a machine that was too slow to start it gets more.
			for _, seconds := range []int64{3, 15, 60} {
				p := e.run(e.pod(onTerm, func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = &seconds }), workload.Payload{})
				d := p.end()
				if d.Phase != corev1.PodFailed || d.Reason != "DeadlineExceeded" {
					e.Fatalf("the pod ended %s, %s", d.Phase, d.Reason)
				}
				if e.terminated(d, "main").StartedAt.Time.IsZero() {
					continue
				}
				out := p.logs("main", corev1.PodLogOptions{})
				if !strings.Contains(out, "up\n") {
					continue // TERM found its script before the trap was set
				}
				if !strings.Contains(out, "got TERM") {
					e.Errorf("main was not asked to end: %q", out)
				}
				return
			}
			e.Error("main was never up")
		}},
		{name: "50 pods at once end each with its own code and log", run: func(e *env) {
			var wg sync.WaitGroup
			for i := range 50 {
				code := i%7 + 1
				p := e.run(e.pod(`echo "I am $0"; exit $1`, with(func(c *corev1.Container) {
					c.Args = []string{strings.Repeat("x", i), string(rune('0' + code))}
				})), workload.Payload{})
				wg.Go(func() {
					if got := e.terminated(p.end(), "main"); got.ExitCode != int32(code) {
						e.Errorf("pod %d ended with %d (%s: %s), want %d", i, got.ExitCode, got.Reason, got.Message, code)
					}
					if got, want := p.logs("main", corev1.PodLogOptions{}), "I am "+strings.Repeat("x", i)+"\n"; got != want {
						e.Errorf("pod %d wrote %q", i, got)
					}
				})
			}
			wg.Wait()
		}},
	}
}

// Init containers: https://kubernetes.io/docs/concepts/workloads/pods/init-containers/
func initCases() []testCase {
	return []testCase{
		{name: "init containers run one after another, before the others", run: func(e *env) {
			p := e.run(e.pod("cat /shared/order", first(e.container("one", "sleep 1; echo one >> /shared/order")),
				first(e.container("two", "echo two >> /shared/order")), shared()), workload.Payload{})
			if got := p.output(); got != "one\ntwo\n" {
				e.Errorf("the order was %q", got)
			}
			e.ended(p.end(), corev1.PodSucceeded, 0)
		}},
		{name: "an init container that fails ends a pod that does not restart, and what never ran is terminated too", run: func(e *env) {
			d := e.run(e.pod("echo never", first(e.container("one", "exit 9")), first(e.container("two", "echo never"))), workload.Payload{}).end()
			if d.Phase != corev1.PodFailed || e.terminated(d, "one").ExitCode != 9 {
				e.Errorf("the pod ended %s, %v", d.Phase, states(d.InitContainers))
			}
			for _, name := range []string{"two", "main"} {
				if got := e.terminated(d, name); got.ExitCode == 0 || got.Message == "" {
					e.Errorf("%s, which never ran, ended as %+v", name, got)
				}
			}
		}},
		{name: "an init container that fails is run again where the pod restarts on failure", run: func(e *env) {
			p := e.run(e.pod("echo up", restarting(corev1.RestartPolicyOnFailure),
				first(e.container("one", "if [ -e /shared/once ]; then exit 0; fi; touch /shared/once; exit 1")), shared()), workload.Payload{})
			d := p.end()
			e.ended(d, corev1.PodSucceeded, 0)
			if s, _ := find(d, "one"); s.RestartCount != 1 {
				e.Errorf("one was restarted %d times", s.RestartCount)
			}
		}},
		{name: "while an init container runs the others wait for it", run: func(e *env) {
			p := e.run(e.pod("exit 0", first(e.container("one", onTerm))), workload.Payload{})
			p.running("one")
			d := p.decision()
			if s, _ := find(d, "main"); s.State.Waiting == nil || s.State.Waiting.Reason != "PodInitializing" {
				e.Errorf("main is %v", states(d.Containers))
			}
		}},
	}
}

// Restarts: https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/#restart-policy
func restartCases() []testCase {
	return []testCase{
		{name: "Never does not restart", run: func(e *env) {
			p := e.run(e.pod("echo ran >> /shared/runs; exit 1", shared()), workload.Payload{})
			d := p.end()
			if s, _ := find(d, "main"); s.RestartCount != 0 {
				e.Errorf("main was restarted %d times", s.RestartCount)
			}
		}},
		{name: "OnFailure restarts until the container succeeds, and keeps the last end", run: func(e *env) {
			p := e.run(e.pod("echo run >> /shared/runs; [ $(wc -l < /shared/runs) -ge 2 ]", restarting(corev1.RestartPolicyOnFailure), shared()), workload.Payload{})
			d := p.end()
			e.ended(d, corev1.PodSucceeded, 0)
			s, _ := find(d, "main")
			if s.RestartCount != 1 || s.LastTerminationState.Terminated == nil || s.LastTerminationState.Terminated.ExitCode != 1 {
				e.Errorf("main was restarted %d times, its last end is %+v", s.RestartCount, s.LastTerminationState.Terminated)
			}
		}},
		{name: "Always restarts a container that succeeded, and a second end waits in CrashLoopBackOff", run: func(e *env) {
			p := e.run(e.pod("echo run; exit 0", restarting(corev1.RestartPolicyAlways)), workload.Payload{})
			d := p.until("a back-off", func(d podlifecycle.Decision) bool {
				s, ok := find(d, "main")
				return ok && s.State.Waiting != nil && s.State.Waiting.Reason == "CrashLoopBackOff"
			})
			s, _ := find(d, "main")
			if s.LastTerminationState.Terminated == nil || s.LastTerminationState.Terminated.ExitCode != 0 {
				e.Errorf("the last end is %+v", s.LastTerminationState.Terminated)
			}
			p.ask(time.Second)
			p.end()
		}},
		{name: "a container's own restart rules go before its policy, and that before the pod's", run: func(e *env) {
			never := corev1.ContainerRestartPolicyNever
			p := e.run(e.pod("echo run >> /shared/runs; [ $(wc -l < /shared/runs) -ge 2 ] && exit 7; exit 42", shared(), with(func(c *corev1.Container) {
				c.RestartPolicy = &never
				c.RestartPolicyRules = []corev1.ContainerRestartRule{{
					Action:    corev1.ContainerRestartRuleActionRestart,
					ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{42}},
				}}
			}), restarting(corev1.RestartPolicyAlways)), workload.Payload{})
			d := p.end()
			e.ended(d, corev1.PodFailed, 7)
			if s, _ := find(d, "main"); s.RestartCount != 1 {
				e.Errorf("main was restarted %d times", s.RestartCount)
			}
		}, needs: []workload.Feature{workload.FeatureContainerRestartRule}},
		{name: "a rule can run all containers of the pod anew, init containers too", run: func(e *env) {
			never := corev1.ContainerRestartPolicyNever
			p := e.run(e.pod("echo main >> /shared/runs; if [ $(grep -c main /shared/runs) -ge 2 ]; then cat /shared/runs; exit 0; fi; exit 42",
				first(e.container("init", "echo init >> /shared/runs")), shared(), with(func(c *corev1.Container) {
					c.RestartPolicy = &never
					c.RestartPolicyRules = []corev1.ContainerRestartRule{{
						Action:    corev1.ContainerRestartRuleActionRestartAllContainers,
						ExitCodes: &corev1.ContainerRestartRuleOnExitCodes{Operator: corev1.ContainerRestartRuleOnExitCodesOpIn, Values: []int32{42}},
					}}
				})), workload.Payload{})
			if got := p.output(); got != "init\nmain\ninit\nmain\n" {
				e.Errorf("the order was %q", got)
			}
			e.ended(p.end(), corev1.PodSucceeded, 0)
		}, needs: []workload.Feature{workload.FeatureContainerRestartRule}},
		{name: "previous is the log of the run before", run: func(e *env) {
			p := e.run(e.pod("echo run >> /shared/runs; echo this is run $(wc -l < /shared/runs); if [ $(wc -l < /shared/runs) -ge 2 ]; then "+onTerm+"; fi; exit 1",
				restarting(corev1.RestartPolicyOnFailure), shared()), workload.Payload{})
			p.untilLogged("main", "this is run 2")
			p.until("the second run to be told of", func(d podlifecycle.Decision) bool {
				s, ok := find(d, "main")
				return ok && s.State.Running != nil && s.RestartCount == 1
			})
			if got := p.logs("main", corev1.PodLogOptions{Previous: true}); got != "this is run 1\n" {
				e.Errorf("the previous log is %q", got)
			}
			p.ask(time.Second)
			p.end()
		}},
	}
}
