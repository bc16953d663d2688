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
	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// Sidecars: KEP-753, https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
func sidecarCases() []testCase {
	return []testCase{
		{name: "a sidecar starts before the others and is stopped after them", run: func(e *env) {
			p := e.run(e.pod("while [ ! -e /shared/sidecar ]; do sleep 0.1; done; echo main >> /shared/order; exit 0", grace(60),
				sidecar(e.container("side", `trap 'echo side >> /shared/order; cat /shared/order; exit 3' TERM; touch /shared/sidecar; while :; do sleep 0.1; done`)),
				shared()), workload.Payload{})
			d := p.end()
			e.ended(d, corev1.PodSucceeded, 0)
			if got := p.logs("side", corev1.PodLogOptions{}); got != "main\nside\n" {
				e.Errorf("the order of the ends was %q", got)
			}
		}},
		{name: "a sidecar that ends is started again whatever the pod's restartPolicy", run: func(e *env) {
			p := e.run(e.pod("while [ ! -e /shared/twice ]; do sleep 0.1; done; exit 0", grace(2),
				sidecar(e.container("side", "if [ -e /shared/once ]; then touch /shared/twice; "+onTerm+"; fi; touch /shared/once; exit 1")), shared()), workload.Payload{})
			d := p.end()
			e.ended(d, corev1.PodSucceeded, 0)
			if s, _ := find(d, "side"); s.RestartCount < 1 {
				e.Errorf("side was restarted %d times", s.RestartCount)
			}
		}},
		{name: "sidecars start in their order, each once the one before has started, and end in the reverse order", run: func(e *env) {
			script := func(name string) string {
				return "trap 'sleep 1; echo stop " + name + " >> /shared/order; cat /shared/order; exit 0' TERM; echo start " + name + " >> /shared/order; sleep 1; touch /shared/" + name + "; while :; do sleep 0.1; done"
			}
			one, two := e.container("one", script("one")), e.container("two", script("two"))
			one.StartupProbe = execProbe("test -e /shared/one", func(p *corev1.Probe) { p.FailureThreshold = 30 })
			// Main may start as soon as two has, whose script need not have said so yet.
			p := e.run(e.pod("while [ ! -e /shared/two ]; do sleep 0.1; done; echo main >> /shared/order", grace(120), sidecar(one),
				first(e.container("init", "test -e /shared/one && echo init >> /shared/order")), sidecar(two), shared()), workload.Payload{})
			e.ended(p.end(), corev1.PodSucceeded, 0)
			if got := p.logs("one", corev1.PodLogOptions{}); got != "start one\ninit\nstart two\nmain\nstop two\nstop one\n" {
				e.Errorf("the order was %q", got)
			}
		}, needs: []workload.Feature{workload.FeatureProbes}},
		{name: "a sidecar that fails does not make the pod fail", run: func(e *env) {
			p := e.run(e.pod("while [ ! -e /shared/twice ]; do sleep 0.1; done; exit 0", grace(1),
				sidecar(e.container("side", "if [ -e /shared/once ]; then touch /shared/twice; fi; touch /shared/once; sleep 2; exit 9")), shared()), workload.Payload{})
			e.ended(p.end(), corev1.PodSucceeded, 0)
		}},
	}
}
