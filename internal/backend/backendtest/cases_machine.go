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
	"path"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

func hostPath(p string, kind corev1.HostPathType) corev1.VolumeSource {
	return corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: p, Type: &kind}}
}

// Paths and volumes of the machine: https://kubernetes.io/docs/concepts/storage/volumes/#hostpath, #persistentvolumeclaim
func machineCases() []testCase {
	return append(needing([]testCase{
		{name: "a hostPath that is to be made is there for the next pod, as what it is", run: func(e *env) {
			dir := path.Join(e.suite.HostDir, "made")
			e.ended(e.run(e.pod("test -d /dir && test -f /file && echo hello > /file && mkfifo /dir/fifo",
				volume("file", "/file", hostPath(dir+"/file", corev1.HostPathFileOrCreate)),
				func(p *corev1.Pod) {
					// Volumes are prepared in order, and the file's directory is made by the other.
					volume("dir", "/dir", hostPath(dir, corev1.HostPathDirectoryOrCreate))(p)
					p.Spec.Volumes[0], p.Spec.Volumes[1] = p.Spec.Volumes[1], p.Spec.Volumes[0]
				}), workload.Payload{}).end(), corev1.PodSucceeded, 0)
			p := e.run(e.pod("exec 2>/dev/null; cat /file; echo x >> /file || echo read-only; ls /dir", volume("file", "/file", hostPath(dir+"/file", corev1.HostPathFile)),
				volume("dir", "/dir", hostPath(dir, corev1.HostPathDirectory)),
				with(func(c *corev1.Container) { c.VolumeMounts[0].ReadOnly = true })), workload.Payload{})
			if got := p.output(); !strings.HasPrefix(got, "hello\n") || !strings.HasSuffix(got, "read-only\nfifo\nfile\n") {
				e.Errorf("got %q", got)
			}
		}},
		{name: "a hostPath of no type is made as a directory where it is not there", run: func(e *env) {
			p := e.run(e.pod("test -d /dir && echo made", volume("dir", "/dir", hostPath(path.Join(e.suite.HostDir, "unset"), corev1.HostPathUnset))), workload.Payload{})
			if got := p.output(); got != "made\n" {
				e.Errorf("got %q", got)
			}
		}},
		{name: "a hostPath of another type than it says holds its pod up, with words", run: func(e *env) {
			dir := path.Join(e.suite.HostDir, "typed")
			e.ended(e.run(e.pod("exit 0", volume("dir", "/dir", hostPath(dir, corev1.HostPathDirectoryOrCreate))), workload.Payload{}).end(), corev1.PodSucceeded, 0)
			for kind, words := range map[corev1.HostPathType]string{
				corev1.HostPathFile: "is not a file", corev1.HostPathSocket: "is not a socket file",
				corev1.HostPathCharDev: "is not a character device", corev1.HostPathBlockDev: "is not a block device",
			} {
				p := e.run(e.pod("exit 0", volume("dir", "/dir", hostPath(dir, kind))), workload.Payload{})
				p.waitingWith("ContainerCreating", words)
			}
			p := e.run(e.pod("exit 0", volume("dir", "/dir", hostPath(dir+"/not/there", corev1.HostPathDirectory))), workload.Payload{})
			p.waitingWith("ContainerCreating", "does not exist")
		}},
	}, workload.FeatureHostPath), needing([]testCase{
		{name: "a persistentVolumeClaim is a volume of the backend's that outlives its pod", run: func(e *env) {
			claim := corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: e.suite.Claim}}
			e.ended(e.run(e.pod("echo hello > /data/x", volume("data", "/data", claim)), workload.Payload{}).end(), corev1.PodSucceeded, 0)
			claim.PersistentVolumeClaim.ReadOnly = true
			p := e.run(e.pod("exec 2>/dev/null; cat /data/x; echo y > /data/x || echo read-only", volume("data", "/data", claim)), workload.Payload{})
			if got := p.output(); !strings.HasPrefix(got, "hello\n") || !strings.HasSuffix(got, "read-only\n") {
				e.Errorf("got %q", got)
			}
		}},
		{name: "a persistentVolumeClaim whose volume is not there holds its pod up, with words", run: func(e *env) {
			p := e.run(e.pod("exit 0", volume("data", "/data", corev1.VolumeSource{
				PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: "no-such-claim"},
			})), workload.Payload{})
			p.waitingWith("ContainerCreating", "no-such-claim")
		}},
	}, workload.FeaturePersistentVolume)...)
}

// waitingWith waits until container main waits for a reason with a message.
func (p *pod) waitingWith(reason, words string) {
	p.env.Helper()
	if p.env.suite.EndsUnfit {
		if d := p.end(); d.Phase != corev1.PodFailed || !strings.Contains(d.Message, words) {
			p.env.Errorf("the pod ended %s, %s: %s; want %q", d.Phase, d.Reason, d.Message, words)
		}
		return
	}
	p.until("main to wait with "+words, func(d podlifecycle.Decision) bool {
		s, ok := find(d, "main")
		return ok && s.State.Waiting != nil && s.State.Waiting.Reason == reason && strings.Contains(s.State.Waiting.Message, words)
	})
}

// Local storage: https://kubernetes.io/docs/concepts/configuration/manage-resources-containers/#local-ephemeral-storage
func storageCases() []testCase {
	evicted := func(e *env, d podlifecycle.Decision, words string) {
		e.Helper()
		if d.Phase != corev1.PodFailed || d.Reason != "Evicted" || !strings.Contains(d.Message, words) {
			e.Errorf("the pod ended %s, %s: %s", d.Phase, d.Reason, d.Message)
		}
		e.ended(d, corev1.PodFailed, 137)
	}
	return append(needing([]testCase{
		{name: "a pod that fills an emptyDir above its sizeLimit is evicted", run: func(e *env) {
			p := e.run(e.pod("umask 077; mkdir /shared/mine; dd if=/dev/zero of=/shared/mine/x bs=1M count=3; "+deaf, with(func(c *corev1.Container) { c.SecurityContext = asUser1000() }),
				volume("shared", "/shared", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: new(resource.MustParse("2Mi"))}})), workload.Payload{})
			evicted(e, p.end(), `EmptyDir volume "shared" exceeds the limit "2Mi"`)
		}},
		{name: "a pod that stays below its sizeLimit is left alone", run: func(e *env) {
			p := e.run(e.pod("dd if=/dev/zero of=/shared/x bs=1M count=3 2>/dev/null; sleep 15; echo done",
				volume("shared", "/shared", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: new(resource.MustParse("4Mi"))}})), workload.Payload{})
			if got := p.output(); got != "done\n" {
				e.Errorf("got %q", got)
			}
		}},
	}, workload.FeatureEmptyDirSizeLimit), needing([]testCase{
		{name: "a container that writes above its limit of ephemeral storage has its pod evicted", run: func(e *env) {
			p := e.run(e.pod("dd if=/dev/zero of=/x bs=1M count=5; "+deaf, with(func(c *corev1.Container) {
				c.Resources.Limits = corev1.ResourceList{corev1.ResourceEphemeralStorage: resource.MustParse("3Mi")}
			})), workload.Payload{})
			evicted(e, p.end(), `Container main exceeded its local ephemeral storage limit "3Mi"`)
		}},
	}, workload.FeatureEphemeralStorage)...)
}

// DNS: https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/#pod-s-dns-policy
func dnsCases() []testCase {
	return needing([]testCase{
		{name: "dnsPolicy None takes the pod's word alone", run: func(e *env) {
			p := e.run(e.pod("cat /etc/resolv.conf", func(p *corev1.Pod) {
				p.Spec.DNSPolicy = corev1.DNSNone
				p.Spec.DNSConfig = &corev1.PodDNSConfig{
					Nameservers: []string{"192.0.2.1"}, Searches: []string{"one.example", "two.example"},
					Options: []corev1.PodDNSConfigOption{{Name: "ndots", Value: new("2")}, {Name: "edns0"}},
				}
			}), workload.Payload{})
			if got := p.output(); got != "nameserver 192.0.2.1\nsearch one.example two.example\noptions ndots:2 edns0\n" {
				e.Errorf("got %q", got)
			}
		}},
		{name: "dnsConfig is added to the machine's own settings, which are the same for every container of the pod", run: func(e *env) {
			plain := e.run(e.pod("grep ^nameserver /etc/resolv.conf"), workload.Payload{})
			p := e.run(e.pod("cat /etc/resolv.conf", and(e.container("other", "cat /etc/resolv.conf")), func(p *corev1.Pod) {
				p.Spec.DNSPolicy = corev1.DNSDefault
				p.Spec.DNSConfig = &corev1.PodDNSConfig{Searches: []string{"one.example"}}
			}), workload.Payload{})
			got := p.output()
			if !strings.Contains(got, plain.output()) || !strings.Contains(got, " one.example\n") {
				e.Errorf("got %q", got)
			}
			if other := p.logs("other", corev1.PodLogOptions{}); other != got {
				e.Errorf("other got %q, main %q", other, got)
			}
		}},
	}, workload.FeatureDNSConfig)
}
