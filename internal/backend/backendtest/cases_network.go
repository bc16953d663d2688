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
	"math/rand/v2"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

func networkCases() []testCase {
	return []testCase{
		{name: "the containers of a pod share localhost", run: func(e *env) {
			p := e.run(e.pod("until wget -q -O - http://127.0.0.1:7000/ 2>/dev/null; do sleep 0.2; done; touch /shared/done",
				and(e.container("server", "mkdir /www; echo hello > /www/index.html; httpd -p 7000 -h /www; while [ ! -e /shared/done ]; do sleep 0.1; done")),
				shared()), workload.Payload{})
			if got := p.output(); got != "hello\n" {
				e.Errorf("got %q", got)
			}
		}},
		{name: "the hostname is the pod's name", run: func(e *env) {
			spec := e.pod("hostname")
			p := e.run(spec, workload.Payload{})
			if got := p.output(); got != spec.Name+"\n" {
				e.Errorf("got %q", got)
			}
		}},
		{name: "spec.hostname is the hostname", run: func(e *env) {
			p := e.run(e.pod("hostname", func(p *corev1.Pod) { p.Spec.Hostname = "other" }), workload.Payload{})
			if got := p.output(); got != "other\n" {
				e.Errorf("got %q", got)
			}
		}, needs: []workload.Feature{workload.FeatureHostname}},
		{name: "a subdomain gives the pod a full name in /etc/hosts, and setHostnameAsFQDN makes that its hostname", run: func(e *env) {
			const full = "box.sub.backendtest.svc.cluster.local"
			for fqdn, want := range map[bool]string{false: "box", true: full} {
				p := e.run(e.pod("hostname; grep box /etc/hosts | tr '\\t' ' '", func(p *corev1.Pod) {
					p.Spec.Hostname, p.Spec.Subdomain, p.Spec.SetHostnameAsFQDN = "box", "sub", &fqdn
				}), workload.Payload{})
				if got := p.output(); !strings.HasPrefix(got, want+"\n") || !strings.HasSuffix(got, " "+full+" box\n") {
					e.Errorf("with setHostnameAsFQDN %t: got %q", fqdn, got)
				}
			}
		}, needs: []workload.Feature{workload.FeatureHostname}},
		{name: "hostnameOverride is the hostname, whatever else is said", run: func(e *env) {
			p := e.run(e.pod("hostname", func(p *corev1.Pod) { p.Spec.Hostname, p.Spec.HostnameOverride = "box", new("over.ride") }), workload.Payload{})
			if got := p.output(); got != "over.ride\n" {
				e.Errorf("got %q", got)
			}
		}, needs: []workload.Feature{workload.FeatureHostname}},
		{name: "a hostPort is open on the machine, whose network a pod with hostNetwork has", run: func(e *env) {
			port := 20000 + rand.Int32N(10000)
			server := e.run(e.pod("mkdir /www; echo hello > /www/index.html; httpd -p 80 -h /www; "+onTerm, grace(1), with(func(c *corev1.Container) {
				c.Ports = []corev1.ContainerPort{{ContainerPort: 80, HostPort: port}}
			})), workload.Payload{})
			server.untilLogged("main", "up")
			p := e.run(e.pod(fmt.Sprintf("until wget -q -O - http://127.0.0.1:%d/ 2>/dev/null; do sleep 0.2; done; hostname", port),
				func(p *corev1.Pod) { p.Spec.HostNetwork = true }), workload.Payload{})
			if got := p.output(); !strings.HasPrefix(got, "hello\n") || strings.Contains(got, p.work.Pod.Name) {
				e.Errorf("got %q", got)
			}
		}, needs: []workload.Feature{workload.FeatureHostPorts, workload.FeatureHostNetwork}},
		{name: "hostPID shows the machine's processes, hostIPC its IPC namespace", run: func(e *env) {
			script := "exec 2>/dev/null; ls -d /proc/[0-9]* | wc -l; readlink /proc/self/ns/ipc"
			hosts := func(p *corev1.Pod) { p.Spec.HostPID, p.Spec.HostIPC = true, true }
			var seen [3]string
			for i, options := range [][]option{{hosts}, {hosts}, nil} {
				seen[i] = e.run(e.pod(script, options...), workload.Payload{}).output()
			}
			count := func(out string) int {
				n := 0
				if _, err := fmt.Sscan(out, &n); err != nil {
					e.Errorf("got %q: %v", out, err)
				}
				return n
			}
			if machine, pod := count(seen[0]), count(seen[2]); machine <= pod || machine < 10 {
				e.Errorf("it saw %d processes, a pod without hostPID %d", machine, pod)
			}
			ipc := func(out string) string { return out[strings.IndexByte(out, '\n')+1:] }
			if ipc(seen[0]) != ipc(seen[1]) || ipc(seen[0]) == ipc(seen[2]) && !e.suite.NoImages || !strings.HasPrefix(ipc(seen[0]), "ipc:[") {
				e.Errorf("the IPC namespaces are %q", seen)
			}
		}, needs: []workload.Feature{workload.FeatureHostNamespaces}},
		{name: "sysctls are set in the pod's own network and IPC namespaces", run: func(e *env) {
			p := e.run(e.pod("cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/shm_rmid_forced", func(p *corev1.Pod) {
				p.Spec.SecurityContext = &corev1.PodSecurityContext{Sysctls: []corev1.Sysctl{
					{Name: "net.ipv4.ip_unprivileged_port_start", Value: "81"}, {Name: "kernel/shm_rmid_forced", Value: "1"},
				}}
			}), workload.Payload{})
			if got := p.output(); got != "81\n1\n" {
				e.Errorf("got %q", got)
			}
		}, needs: []workload.Feature{workload.FeatureSysctls}},
		{name: "hostAliases stand in /etc/hosts", run: func(e *env) {
			p := e.run(e.pod("grep 10.1.2.3 /etc/hosts | tr '\\t' ' '", func(p *corev1.Pod) {
				p.Spec.HostAliases = []corev1.HostAlias{{IP: "10.1.2.3", Hostnames: []string{"one.example", "two.example"}}}
			}), workload.Payload{})
			got := p.output()
			for _, name := range []string{"10.1.2.3", "one.example", "two.example"} {
				if !strings.Contains(got, name) {
					e.Errorf("got %q, without %s", got, name)
				}
			}
		}, needs: []workload.Feature{workload.FeatureHostAliases}},
		{name: "shareProcessNamespace shows the containers each other's processes", run: func(e *env) {
			yes := true
			p := e.run(e.pod("until cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | grep -q 'slee[p] 987'; do sleep 0.1; done; touch /shared/seen",
				and(e.container("other", "sleep 987 & while [ ! -e /shared/seen ]; do sleep 0.1; done; kill $!")), shared(), func(p *corev1.Pod) { p.Spec.ShareProcessNamespace = &yes }), workload.Payload{})
			e.ended(p.end(), corev1.PodSucceeded, 0)
		}, needs: []workload.Feature{workload.FeatureShareProcess}},
	}
}
