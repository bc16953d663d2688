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
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// nasty are values that careless quoting breaks.
var nasty = []string{
	"", " ", "  two  spaces  ", `"double"`, `'single'`, `back\slash`, "$HOME", "${HOME}", "`id`", "$(id)", "a\nb\n", "\ttab", "ünïcödé ✓ 日本", "*", "~", "a=b", "-n", "--", "#x", "!x", "x;y&z|w>v<u",
}

// expanded doubles $ so that the kubelet's rule, by which $$ stands for $, gives the value back.
func expanded(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// Environment and arguments: https://kubernetes.io/docs/tasks/inject-data-application/
func envCases() []testCase {
	return []testCase{
		{name: "arguments come out byte for byte", run: func(e *env) {
			args := append([]string{}, nasty...)
			r := rand.New(rand.NewPCG(3, 4))
			alphabet := []rune("ab \"'$\\\n\t`(){}é✓*?~#;&|<>=!%")
			for range 40 {
				var b strings.Builder
				for range r.IntN(30) {
					b.WriteRune(alphabet[r.IntN(len(alphabet))])
				}
				args = append(args, b.String())
			}
			args = append(args, strings.Repeat("x", 128<<10-1))
			var want bytes.Buffer
			written := []string{`for a in "$@"; do printf '%s' "$a" | wc -c; printf '%s' "$a" | md5sum; done`, "sh"}
			for _, a := range args {
				written = append(written, expanded(a))
				fmt.Fprintf(&want, "%d\n%s\n", len(a), md5sum(a))
			}
			p := e.run(e.pod("", with(func(c *corev1.Container) { c.Command = []string{"sh", "-c"}; c.Args = written })), workload.Payload{})
			if got := p.output(); got != want.String() {
				e.Errorf("got %.400q, want %.400q", got, want.String())
			}
		}},
		{name: "env values come out byte for byte", run: func(e *env) {
			var script, want strings.Builder
			p := e.pod("")
			for i, v := range append(append([]string{}, nasty...), strings.Repeat("y", 100<<10)) {
				name := fmt.Sprintf("V%d", i)
				p.Spec.Containers[0].Env = append(p.Spec.Containers[0].Env, corev1.EnvVar{Name: name, Value: expanded(v)})
				fmt.Fprintf(&script, "printf '%%s' \"$%s\" | md5sum\n", name)
				fmt.Fprintf(&want, "%s\n", md5sum(v))
			}
			p.Spec.Containers[0].Command = []string{"sh", "-c", expanded(script.String())}
			if got := e.run(p, workload.Payload{}).output(); got != want.String() {
				e.Errorf("got %q, want %q", got, want.String())
			}
		}},
		{name: "$(VAR) is expanded in env, command and args, and what is not known stays", run: func(e *env) {
			p := e.run(e.pod("", with(func(c *corev1.Container) {
				c.Env = []corev1.EnvVar{{Name: "A", Value: "1"}, {Name: "B", Value: "$(A)2"}, {Name: "C", Value: "$(NOT)"}}
				c.Command = []string{"echo", "$(B)"}
				c.Args = []string{"$(C)", "$(UNKNOWN)", "$$(A)"}
			})), workload.Payload{})
			if got := p.output(); got != "12 $(NOT) $(UNKNOWN) $(A)\n" {
				e.Errorf("got %q", got)
			}
		}},
		{name: "workingDir is where the command runs", run: func(e *env) {
			p := e.run(e.pod("pwd", with(func(c *corev1.Container) { c.WorkingDir = "/proc" })), workload.Payload{})
			if got := p.output(); got != "/proc\n" {
				e.Errorf("got %q", got)
			}
		}},
		{name: "a cpu and a memory limit hold", run: func(e *env) {
			if e.suite.PodLimits {
				e.Log("limits hold for the pod as a whole")
				return
			}
			p := e.run(e.pod("cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max 2>/dev/null", with(func(c *corev1.Container) {
				c.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("64Mi"), corev1.ResourceCPU: resource.MustParse("500m")}
			})), workload.Payload{})
			if got := p.output(); got != fmt.Sprintf("%d\n", 64<<20) {
				e.Errorf("got %q", got)
			}
		}},
	}
}
