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

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

func sized(c corev1.Container, cpu, memory string) corev1.Container {
	c.Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse(cpu), corev1.ResourceMemory: resource.MustParse(memory)}
	return c
}

func ceiling(cpu string) *v1alpha1.ResourceCeiling {
	return &v1alpha1.ResourceCeiling{CPU: ptr(resource.MustParse(cpu))}
}

// TestWhatThePolicyForbidsIsRefusedWhicheverWayAJobComes sends each pod by /create and writes it by hand.
func TestWhatThePolicyForbidsIsRefusedWhicheverWayAJobComes(t *testing.T) {
	s := onShared(t)
	backend := s.ledger.NewBackend(s.ctx, t, "closed", s.engine.Host, func(b *v1alpha1.RemoteBackend) {
		b.Spec.Policy = v1alpha1.BackendPolicy{
			MaxPerJob: ceiling("1"), AllowRoot: ptr(false), AllowedImages: []string{"busybox"}, AllowedNamespaces: []string{"default"},
		}
	})
	allowed := func() *corev1.Pod {
		c := sized(harness.Shell("c", "exit 0"), "100m", "64Mi")
		c.SecurityContext = &corev1.SecurityContext{RunAsUser: ptr(int64(1000))}
		return harness.NewPod("policy", backend.Name, c)
	}
	container := func(change func(*corev1.Container)) func(*corev1.Pod) {
		return func(p *corev1.Pod) { change(&p.Spec.Containers[0]) }
	}
	flags := func(line string) func(*corev1.Pod) {
		return func(p *corev1.Pod) { p.Annotations["docker-options.vk.io/flags"] = line }
	}
	for words, change := range map[string]func(*corev1.Pod){
		"spec.containers[*].resources.limits[cpu]/maxPerJob.cpu is 1":   container(func(c *corev1.Container) { *c = sized(*c, "1100m", "64Mi") }),
		"spec.containers[0].resources.limits[cpu]/maxPerJob.cpu is 1":   container(func(c *corev1.Container) { c.Resources.Limits = nil }),
		"spec.containers[0].securityContext.privileged/allowPrivileged": container(func(c *corev1.Container) { c.SecurityContext.Privileged = ptr(true) }),
		"spec.containers[0].securityContext.capabilities.add[0]/allowPrivileged": container(func(c *corev1.Container) {
			c.SecurityContext.Capabilities = &corev1.Capabilities{Add: []corev1.Capability{"SYS_ADMIN"}}
		}),
		"spec.containers[0].securityContext.runAsUser/allowRoot": container(func(c *corev1.Container) { c.SecurityContext.RunAsUser = ptr(int64(0)) }),
		"spec.containers[0].image/allowedImages":                 container(func(c *corev1.Container) { c.Image = "evil.example/busybox" }),
		"spec.volumes[0].hostPath.path/allowedHostPaths": func(p *corev1.Pod) {
			p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/etc"}}}}
		},
		"spec.hostNetwork/allowHostNetwork": func(p *corev1.Pod) { p.Spec.HostNetwork = true },
		"spec.hostPID/allowPrivileged":      func(p *corev1.Pod) { p.Spec.HostPID = true },
		"spec.hostIPC/allowPrivileged":      func(p *corev1.Pod) { p.Spec.HostIPC = true },
		"metadata.annotations[docker-options.vk.io/flags]/(--privileged)/allowPrivileged":   flags("--privileged"),
		"metadata.annotations[docker-options.vk.io/flags]/(--device)/allowPrivileged":       flags("--device /dev/mem"),
		"metadata.annotations[docker-options.vk.io/flags]/(--cap-add)/allowPrivileged":      flags("--cap-add ALL"),
		"metadata.annotations[docker-options.vk.io/flags]/(--security-opt)/allowPrivileged": flags("--security-opt seccomp=unconfined"),
		"metadata.annotations[docker-options.vk.io/flags]/(--runtime)/allowPrivileged":      flags("--runtime other"),
		"metadata.annotations[docker-options.vk.io/flags]/spec.volumes":                     flags("-v /:/host"),
		"metadata.annotations[docker-options.vk.io/flags]/remotejob.dev/":                   flags("--label remotejob.dev/token=x"),
		"metadata.annotations[docker-options.vk.io/flags]/spec.hostNetwork":                 flags("--network host"),
	} {
		pod := allowed()
		change(pod)
		says := func(what, message string) {
			for word := range strings.SplitSeq(words, "/") {
				if !strings.Contains(message, word) {
					t.Errorf("%s of what goes by %s is answered %q", what, words, message)
				}
			}
		}
		_, answer, err := s.manager.Create(s.ctx, harness.Request(pod).Body(t))
		if err != nil || answer.Code < 400 || answer.Code > 499 {
			t.Errorf("/create of what goes by %s: %v, %d %s", words, err, answer.Code, answer.Body)
		}
		says("/create", string(answer.Body))
		if left, err := harness.Containers(s.ctx, s.engine.Client, s.ledger.Token(pod)); err != nil || len(left) > 0 {
			t.Errorf("what goes by %s left %v on the engine (%v)", words, left, err)
		}
		job := s.writtenFor(backend.Name, pod)
		s.jobIn(job, v1alpha1.PhaseFailed)
		says("a RemoteJob", job.Status.Message)
		if job.Status.Reason != "Rejected" {
			t.Errorf("a RemoteJob of what goes by %s ends with %s", words, job.Status.Reason)
		}
	}
	elsewhere := allowed()
	elsewhere.Namespace = "kube-system"
	if _, answer, err := s.manager.Create(s.ctx, harness.Request(elsewhere).Body(t)); err != nil || answer.Code != http.StatusUnprocessableEntity || !strings.Contains(string(answer.Body), "allowedNamespaces") {
		t.Errorf("a pod of another namespace: %v, %d %s", err, answer.Code, answer.Body)
	}
	good := allowed()
	s.run(good)
	s.exits(s.ended(good, longTime), map[string]int32{"c": 0})
	s.jobIn(s.writtenFor(backend.Name, allowed()), v1alpha1.PhaseSucceeded)
}

// writtenFor writes a pod as a RemoteJob by hand.
func (s *side) writtenFor(backend string, pod *corev1.Pod) *v1alpha1.RemoteJob {
	s.t.Helper()
	spec := pod.Spec.DeepCopy()
	spec.NodeName = ""
	job := &v1alpha1.RemoteJob{Spec: v1alpha1.RemoteJobSpec{BackendName: backend}}
	job.GenerateName, job.Namespace = "by-hand-", "default"
	job.Spec.Template.Spec = *spec
	job.Spec.Template.Annotations = map[string]string{}
	for name, value := range pod.Annotations {
		if name != "remotejob.dev/backend" {
			job.Spec.Template.Annotations[name] = value
		}
	}
	if err := s.ledger.Create(s.ctx, job); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = client.IgnoreNotFound(s.ledger.Delete(s.t.Context(), job)) })
	return job
}

func TestJobsWaitForRoomWithinTheCeilingAndAPolicyThatBecameStricterHoldsForThem(t *testing.T) {
	s := onShared(t)
	backend := s.ledger.NewBackend(s.ctx, t, "ceiling", s.engine.Host, func(b *v1alpha1.RemoteBackend) {
		b.Spec.Policy = v1alpha1.BackendPolicy{MaxInTotal: ceiling("500m")}
	})
	pod := func(name, cpu string) *corev1.Pod {
		return harness.NewPod(name, backend.Name, sized(harness.Shell("c", "while [ ! -e /go ]; do sleep 0.05; done; exit 0"), cpu, "64Mi"))
	}
	if _, answer, err := s.manager.Create(s.ctx, harness.Request(pod("too-large", "600m")).Body(t)); err != nil || answer.Code != http.StatusUnprocessableEntity || !strings.Contains(string(answer.Body), "maxInTotal.cpu is 500m") {
		t.Errorf("a pod that is larger than all may be: %v, %d %s", err, answer.Code, answer.Body)
	}
	first, second, third := pod("first", "300m"), pod("second", "300m"), pod("third", "400m")
	s.run(first)
	s.running(first, "c")
	for _, waiting := range []*corev1.Pod{second, third} {
		// Ages are known to the second: the third is to be younger than the second.
		begin := time.Now().Unix()
		harness.Eventually(t, longTime, "another second", func() error {
			if time.Now().Unix() == begin {
				return errNotYet
			}
			return nil
		})
		s.deleteAfterwards(waiting)
		go func() { _, _, _ = s.manager.Create(s.ctx, harness.Request(waiting).Body(t)) }()
		harness.Eventually(t, longTime, waiting.Name+" waits for room", func() error {
			job, err := s.ledger.Job(s.ctx, waiting)
			if err != nil {
				return err
			}
			if job.Status.Reason != "WaitingForSlot" || !strings.Contains(job.Status.Message, "policy.maxInTotal.cpu of 500m") {
				return fmt.Errorf("it says %s: %s", job.Status.Reason, job.Status.Message)
			}
			return nil
		})
	}
	s.touch(first, "c", "/go")
	s.exits(s.ended(first, longTime), map[string]int32{"c": 0})
	s.running(second, "c")

	// The policy becomes stricter than the third, which waits.
	stricter := fmt.Appendf(nil, `{"spec":{"policy":{"maxPerJob":{"cpu":"350m"}}}}`)
	if err := s.ledger.Patch(s.ctx, backend, client.RawPatch("application/merge-patch+json", stricter)); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, longTime, "the stricter policy holds", func() error { return s.ledger.BackendReady(s.ctx, backend.Name, metav1.ConditionTrue) })
	s.touch(second, "c", "/go")
	harness.Eventually(t, longTime, "the third is refused", func() error {
		job, err := s.ledger.Job(s.ctx, third)
		if err != nil {
			return err
		}
		if job.Status.Reason != "Rejected" || !strings.Contains(job.Status.Message, "maxPerJob.cpu is 350m") {
			return fmt.Errorf("it says %s: %s", job.Status.Reason, job.Status.Message)
		}
		return nil
	})
	if err := s.nothingLeft(third); err != nil {
		t.Error(err)
	}
	s.exits(s.ended(second, longTime), map[string]int32{"c": 0})
}
