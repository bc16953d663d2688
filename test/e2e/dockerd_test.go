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
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// onOwnEngine has an engine of its own, which the shared manager has as a backend.
func onOwnEngine(t *testing.T, args ...string) (*side, *v1alpha1.RemoteBackend) {
	t.Helper()
	t.Parallel()
	s := shares(t)
	s.engine = newEngine(t, args...)
	return s, s.ledger.NewBackend(s.ctx, t, "own", s.engine.Host)
}

// withFiles gives a pod a ConfigMap and a Secret whose files each of its containers finds below /cfg and /sec.
func withFiles(pod *corev1.Pod) harness.CreateRequest {
	pod.Spec.Volumes = append(pod.Spec.Volumes,
		corev1.Volume{Name: "cfg", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "cm"}}}},
		corev1.Volume{Name: "sec", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "sec"}}})
	r := harness.Request(pod)
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			list[i].VolumeMounts = append(list[i].VolumeMounts, corev1.VolumeMount{Name: "cfg", MountPath: "/cfg"}, corev1.VolumeMount{Name: "sec", MountPath: "/sec"})
			r = r.With(list[i].Name, []corev1.ConfigMap{configMap("cm", map[string]string{"k": "config\n"})}, []corev1.Secret{secret("sec", map[string][]byte{"k": []byte("secret\n")})})
		}
	}
	return r
}

func (s *side) touch(pod *corev1.Pod, container, file string) {
	s.t.Helper()
	if err := harness.Exec(s.ctx, s.engine.Client, fmt.Sprintf("%s-%s-0", s.ledger.Token(pod), container), "touch", file); err != nil {
		s.t.Logf("the container ended while the command ran in it: %v", err)
	}
}

func TestAnEngineRestartedWithLiveRestoreLosesNothing(t *testing.T) {
	s, b := onOwnEngine(t, "--live-restore")
	wait := func(code int) string { return fmt.Sprintf("while [ ! -e /go ]; do sleep 0.05; done; exit %d", code) }

	// Containers that run go on, and what they do while the engine is away counts.
	through := harness.NewPod("through", b.Name, harness.Shell("c", "echo before; "+wait(3)))
	meanwhile := harness.NewPod("meanwhile", b.Name, harness.Shell("c", "trap 'exit 4' TERM; echo before; : this ends meanwhile; while :; do sleep 0.05; done"))
	// A pod in its init container: those that follow are made by the engine after its restart, and its tmpfs volumes are empty then.
	later := harness.NewPod("later", b.Name, harness.Shell("main", "cat /cfg/k /sec/k /scratch/left"))
	later.Spec.InitContainers = []corev1.Container{harness.Shell("first", "echo left > /scratch/left; while [ ! -e /go ]; do sleep 0.05; done"), harness.Shell("second", "cat /cfg/k /sec/k")}
	volumes, mounts := scratch("/scratch")
	later.Spec.Volumes = volumes
	later.Spec.Containers[0].VolumeMounts = mounts
	later.Spec.InitContainers[0].VolumeMounts = mounts
	s.run(through)
	s.run(meanwhile)
	s.create(withFiles(later))
	s.running(through, "c")
	s.running(meanwhile, "c")
	s.running(later, "first")

	// One ends while the engine is away, and not while it goes or comes: then its code can be lost.
	pid := processThatSays(t, "this ends meanwhile")
	if err := s.engine.Stop(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, longTime, "the backend is away", func() error { return s.ledger.BackendReady(s.ctx, b.Name, "False") })
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, longTime, "the container's end", func() error {
		if syscall.Kill(pid, 0) == nil {
			return errNotYet
		}
		return nil
	})
	if st, err := s.status(through); err != nil || st.Ended() {
		t.Errorf("a pod whose engine is away has not ended: %v, %s", err, states(st))
	}
	if err := s.engine.Start(s.ctx, "--live-restore"); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, longTime, "the backend is back", func() error { return s.ledger.BackendReady(s.ctx, b.Name, "True") })
	s.touch(through, "c", "/go")
	s.touch(later, "first", "/go")
	s.exits(s.ended(through, longTime), map[string]int32{"c": 3})
	s.exits(s.ended(meanwhile, longTime), map[string]int32{"c": 4})
	s.exits(s.ended(later, longTime), map[string]int32{"first": 0, "second": 0, "main": 0})
	if got := s.log(later, "second", harness.LogOpts{}); got != "config\nsecret\n" {
		t.Errorf("an init container that was made after the restart found %q", got)
	}
	if got := s.log(later, "main", harness.LogOpts{}); got != "config\nsecret\nleft\n" {
		t.Errorf("a container that was made after the restart found %q", got)
	}
	for _, pod := range []*corev1.Pod{through, meanwhile} {
		if got := s.log(pod, "c", harness.LogOpts{}); got != "before\n" {
			t.Errorf("the log of pod %s is %q", pod.Name, got)
		}
		s.started(pod, "c")
	}
	s.started(later, "first", "second", "main")

	// New pods run as before.
	fresh := harness.NewPod("fresh", b.Name, harness.Shell("c", "exit 6"))
	s.run(fresh)
	s.exits(s.ended(fresh, longTime), map[string]int32{"c": 6})
}

// processThatSays is the process with some words in its command line: engines here have process ids of their own.
func processThatSays(t *testing.T, words string) int {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if line, err := os.ReadFile(file); err != nil || !strings.Contains(string(line), words) {
			continue
		}
		pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			t.Fatal(err)
		}
		return pid
	}
	t.Fatalf("no process says %q", words)
	return 0
}

func TestAnEngineRestartedWithoutLiveRestoreIsALostNode(t *testing.T) {
	for name, end := range map[string]func(*harness.Dockerd) error{
		"by its service manager": (*harness.Dockerd).Stop,
		"by SIGKILL":             (*harness.Dockerd).Kill,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := shares(t)
			s.engine = newEngine(t)
			b := s.ledger.NewBackend(s.ctx, t, "own", s.engine.Host)
			// What the applications make of the signal that they get is their own affair, and not how their pods ended.
			pods := map[string]*corev1.Pod{
				"ends-well":   harness.NewPod("ends-well", b.Name, harness.Shell("c", "trap 'exit 0' TERM; while :; do sleep 0.05; done")),
				"ends-badly":  harness.NewPod("ends-badly", b.Name, harness.Shell("c", "trap 'exit 42' TERM; while :; do sleep 0.05; done")),
				"is-killed":   harness.NewPod("is-killed", b.Name, harness.Shell("c", "trap '' TERM; while :; do sleep 0.05; done")),
				"in-its-init": harness.NewPod("in-its-init", b.Name, harness.Shell("c", "true")),
				"always":      harness.NewPod("always", b.Name, harness.Shell("c", "trap 'exit 0' TERM; while :; do sleep 0.05; done")),
			}
			pods["in-its-init"].Spec.InitContainers = []corev1.Container{harness.Shell("i", "trap 'exit 0' TERM; while :; do sleep 0.05; done")}
			pods["always"].Spec.RestartPolicy = corev1.RestartPolicyAlways
			for name, pod := range pods {
				s.run(pod)
				if name == "in-its-init" {
					s.running(pod, "i")
				} else {
					s.running(pod, "c")
				}
			}
			// One had ended by itself before: its end is its own.
			done := harness.NewPod("done", b.Name, harness.Shell("c", "exit 5"))
			s.run(done)
			s.exits(s.ended(done, longTime), map[string]int32{"c": 5})

			if err := end(s.engine); err != nil {
				t.Fatal(err)
			}
			if err := s.engine.Start(s.ctx); err != nil {
				t.Fatal(err)
			}
			for name, pod := range pods {
				st := s.ended(pod, 2*time.Minute)
				for _, c := range append(st.InitContainers, st.Containers...) {
					if code := c.State.Terminated.ExitCode; code <= 0 || code == 42 {
						t.Errorf("pod %s on a lost node: container %s ended with code %d: %s", name, c.Name, code, states(st))
					}
				}
				harness.Eventually(t, 10*time.Second, "the RemoteJob is Failed", func() error { return s.phase(pod, v1alpha1.PhaseFailed) })
				job := s.ledger.MustJob(s.ctx, t, pod)
				if job.Status.Reason == "" || job.Status.Message == "" {
					t.Errorf("RemoteJob %s does not say why: %+v", job.Name, job.Status)
				}
				for container, n := range s.engine.Events().Starts(s.ledger.Token(pod)) {
					if n != 1 {
						t.Errorf("%s was started %d times", container, n)
					}
				}
			}
			s.exits(s.ended(done, longTime), map[string]int32{"c": 5})
			fresh := harness.NewPod("fresh", b.Name, harness.Shell("c", "exit 6"))
			s.run(fresh)
			s.exits(s.ended(fresh, longTime), map[string]int32{"c": 6})
			for _, pod := range pods {
				s.gone(pod, longTime)
			}
		})
	}
}
