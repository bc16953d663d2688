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

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// Volumes that begin empty: https://kubernetes.io/docs/concepts/storage/volumes/#emptydir
func volumeCases() []testCase {
	return []testCase{
		{name: "an emptyDir is shared by the containers and can be written by any user", run: func(e *env) {
			p := e.run(e.pod("while [ ! -s /shared/x ]; do sleep 0.1; done; cat /shared/x; "+statMode+"/shared", and(e.container("other", "echo hello > /shared/x")), shared()), workload.Payload{})
			if got := p.output(); got != "hello\n777 /shared\n" {
				e.Errorf("got %q", got)
			}
		}},
		{name: "a mount that is readOnly can't be written", run: func(e *env) {
			p := e.run(e.pod("exec 2>/dev/null; echo x > /shared/x || echo read-only", shared(), with(func(c *corev1.Container) { c.VolumeMounts[0].ReadOnly = true })), workload.Payload{})
			if got := p.output(); !strings.HasSuffix(got, "read-only\n") {
				e.Errorf("got %q", got)
			}
		}},
		{name: "an emptyDir of medium Memory is in memory, and no larger than its sizeLimit", run: func(e *env) {
			limit := resource.MustParse("1Mi")
			p := e.run(e.pod("exec 2>/dev/null; stat -f -c %T /mem; head -c 900000 /dev/zero > /mem/a && echo fits; head -c 900000 /dev/zero > /mem/b || echo full",
				volume("mem", "/mem", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: &limit}})), workload.Payload{})
			if got := p.output(); got != "tmpfs\nfits\nfull\n" {
				e.Errorf("got %q", got)
			}
		}, needs: []workload.Feature{workload.FeatureMemoryEmptyDir, workload.FeatureEmptyDirSizeLimit}},
		{name: "an emptyDir in memory can take the place of /dev/shm, and outlives a container", run: func(e *env) {
			p := e.run(e.pod("echo run >> /dev/shm/runs; df -k /dev/shm | tail -1 | tr -s ' ' | cut -d' ' -f2; [ $(wc -l < /dev/shm/runs) -ge 2 ]", restarting(corev1.RestartPolicyOnFailure),
				volume("shm", "/dev/shm", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory, SizeLimit: new(resource.MustParse("100Mi"))}})), workload.Payload{})
			if got := p.output(); got != "102400\n" {
				e.Errorf("got %q", got)
			}
		}, needs: []workload.Feature{workload.FeatureMemoryEmptyDir, workload.FeatureEmptyDirSizeLimit}},
		{name: "an emptyDir has the mode that it asks for", run: func(e *env) {
			p := e.run(e.pod("stat -c %a /one /two", volume("one", "/one", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Mode: new(int32(0o1770))}}),
				volume("two", "/two", corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{Mode: new(int32(0o750)), Medium: corev1.StorageMediumMemory}})), workload.Payload{})
			if got := p.output(); got != "1770\n750\n" {
				e.Errorf("got %q", got)
			}
		}, needs: []workload.Feature{workload.FeatureEmptyDirMode, workload.FeatureMemoryEmptyDir}},
		{name: "subPath mounts parts of an emptyDir, which are made where they are not there", run: func(e *env) {
			sub := func(path, sub string) corev1.VolumeMount {
				return corev1.VolumeMount{Name: "shared", MountPath: path, SubPath: sub}
			}
			reader := e.container("reader", "while [ ! -s /in/x ]; do sleep 0.1; done; cat /in/x; ls /")
			reader.VolumeMounts = []corev1.VolumeMount{sub("/in", "one/deep")}
			p := e.run(e.pod("echo hello > /out/x; echo other > /two/x; cat /out/x", shared(), and(reader), with(func(c *corev1.Container) {
				c.VolumeMounts = []corev1.VolumeMount{sub("/out", "one/deep"), sub("/two", "two")}
			})), workload.Payload{})
			if got := p.output(); got != "hello\n" {
				e.Errorf("got %q", got)
			}
			if got := p.logs("reader", corev1.PodLogOptions{}); !strings.HasPrefix(got, "hello\n") {
				e.Errorf("reader got %q", got)
			}
		}, needs: []workload.Feature{workload.FeatureWritableSubPath}},
		{name: "a subPath never shows what is outside of its volume, where a container can put a link in its place", run: func(e *env) {
			main := e.container("main", "cat /x/hostname /x/passwd; ls -A /x")
			main.VolumeMounts = []corev1.VolumeMount{{Name: "shared", MountPath: "/x", SubPath: "link"}}
			pod := e.pod("", first(e.container("link", "ln -s /etc /shared/link")), shared())
			pod.Spec.Containers = []corev1.Container{main}
			p := e.prepare(pod, workload.Payload{})
			c := e.connected()
			id, err := c.backend.Submit(c.ctx, p.work)
			if rejected, ok := backend.IsRejected(err); ok {
				if !strings.Contains(err.Error(), "spec.containers[0].volumeMounts[0].subPath") {
					e.Errorf("it was rejected without the field's name: %v", rejected)
				}
				return
			}
			if err != nil {
				e.Fatalf("submit (%s): %v", id, err)
			}
			p.submit()
			p.drive()
			p.until("main to be refused or to end", func(d podlifecycle.Decision) bool {
				s, ok := find(d, "main")
				return ok && (s.State.Terminated != nil || s.State.Waiting != nil && strings.HasSuffix(s.State.Waiting.Reason, "Error"))
			})
			if s, _ := find(p.decision(), "main"); s.State.Terminated != nil {
				if got := p.logs("main", corev1.PodLogOptions{}); strings.Contains(got, "root:") {
					e.Errorf("the machine's /etc was shown: %q", got)
				}
			}
		}, needs: []workload.Feature{workload.FeatureWritableSubPath}},
	}
}
