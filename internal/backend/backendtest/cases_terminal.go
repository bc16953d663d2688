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

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// Standard input, terminals and stop signals: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1/#debugging
func terminalCases() []testCase {
	return append(needing([]testCase{
		{name: "a tty is a terminal, whose output is one stream", run: func(e *env) {
			p := e.run(e.pod("test -t 0 && test -t 1 && test -t 2 && echo terminal; echo err >&2; head -c 40000 /dev/zero | tr '\\0' x; echo; echo end", with(func(c *corev1.Container) {
				c.Stdin, c.TTY = true, true
			})), workload.Payload{})
			if got, want := p.output(), "terminal\r\nerr\r\n"+strings.Repeat("x", 40000)+"\r\nend\r\n"; got != want {
				e.Errorf("got %.80q, %d bytes, want %d", got, len(got), len(want))
			}
		}},
		{name: "stdin stays open for who attaches to it", run: func(e *env) {
			p := e.run(e.pod("(cat; echo closed) & echo up; wait", with(func(c *corev1.Container) {
				c.Command = []string{"sh", "-c", "echo up; cat; echo closed"}
				c.Stdin = true
			})), workload.Payload{})
			p.untilLogged("main", "up")
			p.ask(time.Second)
			p.end()
			if got := p.logs("main", corev1.PodLogOptions{}); got != "up\n" {
				e.Errorf("got %q", got)
			}
		}},
	}, workload.FeatureTTY), needing([]testCase{
		{name: "a stopSignal is what a container is asked to end with", run: func(e *env) {
			p := e.run(e.pod("trap 'echo got USR1; exit 0' USR1; echo up; while :; do sleep 0.1; done", func(p *corev1.Pod) {
				p.Spec.OS = &corev1.PodOS{Name: corev1.Linux}
				p.Spec.Containers[0].Lifecycle = &corev1.Lifecycle{StopSignal: new(corev1.SIGUSR1)}
			}), workload.Payload{})
			p.untilLogged("main", "up")
			p.ask(30 * time.Second)
			p.end()
			if got := p.logs("main", corev1.PodLogOptions{}); got != "up\ngot USR1\n" {
				e.Errorf("got %q", got)
			}
		}},
	}, workload.FeatureStopSignal)...)
}

// Options of docker run, which users of another plugin write in an annotation.
func dockerFlagCases() []testCase {
	return needing([]testCase{
		{name: "options of docker run hold for the pod's containers", run: func(e *env) {
			script := "echo $A; ulimit -n; df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2; stat -f -c %T /t; grep CapEff /proc/self/status | tr -d '\\t'; touch /x 2>/dev/null || echo read-only"
			p := e.run(e.pod(script, func(p *corev1.Pod) {
				p.Annotations = map[string]string{workload.AnnotationDockerFlags: "--rm -e 'A=b  c' --ulimit nofile=123:456 --shm-size 100m --tmpfs /t --cap-drop ALL --cap-add CHOWN --read-only"}
			}), workload.Payload{})
			if got := p.output(); got != "b c\n123\n102400\ntmpfs\nCapEff:0000000000000001\nread-only\n" {
				e.Errorf("got %q", got)
			}
		}},
	}, workload.FeatureDockerFlags)
}

// stdin of a container that does not ask for it is at its end from the start.
func stdinCases() []testCase {
	return []testCase{
		{name: "without stdin a container reads the end of it at once", run: func(e *env) {
			p := e.run(e.pod("cat; echo closed"), workload.Payload{})
			if got := p.output(); got != "closed\n" {
				e.Errorf("got %q", got)
			}
		}},
	}
}
