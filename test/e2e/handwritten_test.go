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
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// handWritten makes a RemoteJob as a person does, and deletes it when the test has ended.
func (s *side) handWritten(name string, template corev1.PodTemplateSpec) *v1alpha1.RemoteJob {
	s.t.Helper()
	job := &v1alpha1.RemoteJob{
		ObjectMeta: metav1.ObjectMeta{GenerateName: name + "-", Namespace: "default"},
		Spec:       v1alpha1.RemoteJobSpec{BackendName: mainBackend, Template: v1alpha1.JobTemplate{PodTemplateSpec: template}},
	}
	if err := s.ledger.Create(s.ctx, job); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() {
		if s.t.Failed() {
			_ = s.ledger.Get(s.ctx, client.ObjectKeyFromObject(job), job)
			s.t.Logf("RemoteJob %s: %+v\n%s", job.Name, job.Status, s.manager.Lines(job.Name))
		}
		_ = client.IgnoreNotFound(s.ledger.Delete(s.ctx, job))
	})
	return job
}

// jobIn waits until the RemoteJob is in the phase.
func (s *side) jobIn(job *v1alpha1.RemoteJob, phase v1alpha1.RemoteJobPhase) {
	s.t.Helper()
	harness.Eventually(s.t, longTime, fmt.Sprintf("RemoteJob %s is %s", job.Name, phase), func() error {
		if err := s.ledger.Get(s.ctx, client.ObjectKeyFromObject(job), job); err != nil {
			return err
		}
		if job.Status.Phase != phase {
			return fmt.Errorf("it is %q (%s: %s)", job.Status.Phase, job.Status.Reason, job.Status.Message)
		}
		return nil
	})
}

// jobGone waits until nothing is left of a RemoteJob that somebody removes.
func (s *side) jobGone(job *v1alpha1.RemoteJob) {
	s.t.Helper()
	token := workload.JobToken(s.ledger.ID, job.UID)
	harness.Eventually(s.t, longTime, "nothing left of RemoteJob "+job.Name, func() error {
		if err := s.ledger.Get(s.ctx, client.ObjectKeyFromObject(job), job); err == nil {
			return fmt.Errorf("it is there: %s, finalizers %v", job.Status.Phase, job.Finalizers)
		} else if !apierrors.IsNotFound(err) {
			return err
		}
		left, err := harness.Left(s.ctx, s.engine.Client, token)
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("the engine holds %v", left)
		}
		return err
	})
}

func TestARemoteJobWrittenByHandRunsWithWhatItsNamespaceHolds(t *testing.T) {
	s := onShared(t)
	cm := configMap("hand-config", map[string]string{"mode": "fast", "file.txt": "from a ConfigMap\n"})
	sec := secret("hand-secret", map[string][]byte{"password": []byte("hand-s3cr3t"), "key": []byte("from a Secret\n")})
	for _, object := range []client.Object{&cm, &sec} {
		if err := s.ledger.Create(s.ctx, object); err != nil {
			t.Fatal(err)
		}
	}
	c := harness.Shell("c", `echo "$MODE $PASSWORD $NAME $P_mode $EXPANDED"; cat /cfg/file.txt /sec/renamed; stat -L -c %a /sec/renamed; exit 6`)
	c.EnvFrom = []corev1.EnvFromSource{{Prefix: "P_", ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "hand-config"}}}}
	c.Env = []corev1.EnvVar{
		{Name: "MODE", ValueFrom: &corev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "hand-config"}, Key: "mode"}}},
		{Name: "PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "hand-secret"}, Key: "password"}}},
		{Name: "NAME", ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels['who']"}}},
		{Name: "EXPANDED", Value: "<$(MODE)>$$(MODE)$(UNSET)"},
	}
	c.VolumeMounts = []corev1.VolumeMount{{Name: "cfg", MountPath: "/cfg"}, {Name: "sec", MountPath: "/sec"}}
	job := s.handWritten("hand", corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"who": "me"}},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers:    []corev1.Container{c},
			Volumes: []corev1.Volume{
				{Name: "cfg", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "hand-config"}}}},
				{Name: "sec", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "hand-secret", Items: []corev1.KeyToPath{{Key: "key", Path: "renamed", Mode: ptr(int32(0o440))}}}}},
			},
		},
	})
	s.jobIn(job, v1alpha1.PhaseFailed)
	if end := job.Status.ContainerStatuses[0].State.Terminated; end == nil || end.ExitCode != 6 {
		t.Errorf("its containers: %+v", job.Status.ContainerStatuses)
	}
	token := workload.JobToken(s.ledger.ID, job.UID)
	got, err := harness.Output(s.ctx, s.engine.Client, token+"-c-0")
	want := "fast hand-s3cr3t me fast <fast>$(MODE)$(UNSET)\nfrom a ConfigMap\nfrom a Secret\n440\n"
	if err != nil || got != want {
		t.Errorf("it wrote %q (%v), want %q", got, err, want)
	}
	if err := s.engine.Events().StartedOnce(token, "c"); err != nil {
		t.Error(err)
	}
	if err := s.ledger.Delete(s.ctx, job); err != nil {
		t.Fatal(err)
	}
	s.jobGone(job)
	for _, object := range []client.Object{&cm, &sec} {
		if err := s.ledger.Get(s.ctx, client.ObjectKeyFromObject(object), object); err != nil {
			t.Errorf("what the person made is not the operator's to remove: %v", err)
		}
	}
}

func TestARemoteJobWrittenByHandWaitsForASecretThatIsNotThereYet(t *testing.T) {
	s := onShared(t)
	c := harness.Shell("c", `[ "$PASSWORD" = late ]`)
	c.Env = []corev1.EnvVar{{Name: "PASSWORD", ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "late-secret"}, Key: "password"}}}}
	job := s.handWritten("late", corev1.PodTemplateSpec{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{c}}})
	harness.Eventually(t, longTime, "it says what is missing", func() error {
		if err := s.ledger.Get(s.ctx, client.ObjectKeyFromObject(job), job); err != nil {
			return err
		}
		if text := fmt.Sprint(job.Status); !strings.Contains(text, "late-secret") || job.Finished() {
			return fmt.Errorf("it does not: %s", text)
		}
		return nil
	})
	sec := secret("late-secret", map[string][]byte{"password": []byte("late")})
	if err := s.ledger.Create(s.ctx, &sec); err != nil {
		t.Fatal(err)
	}
	s.jobIn(job, v1alpha1.PhaseSucceeded)
}

func TestARemoteJobWrittenByHandThatMayNotRunSaysWhy(t *testing.T) {
	s := onShared(t)
	c := harness.Shell("c", "true")
	c.SecurityContext = &corev1.SecurityContext{Privileged: ptr(true)}
	job := s.handWritten("refused", corev1.PodTemplateSpec{Spec: corev1.PodSpec{RestartPolicy: corev1.RestartPolicyNever, Containers: []corev1.Container{c}}})
	s.jobIn(job, v1alpha1.PhaseFailed)
	if !strings.Contains(job.Status.Message, "privileged") {
		t.Errorf("its words are %q (%s)", job.Status.Message, job.Status.Reason)
	}
}

func TestCancellingARemoteJobStopsIt(t *testing.T) {
	s := onShared(t)
	for name, cancel := range map[string]func(*v1alpha1.RemoteJob) error{
		"by spec.cancel": func(job *v1alpha1.RemoteJob) error {
			return s.ledger.Patch(s.ctx, job, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"cancel":true}}`)))
		},
		"by kubectl delete": func(job *v1alpha1.RemoteJob) error { return s.ledger.Delete(s.ctx, job) },
	} {
		job := s.handWritten("cancelled", corev1.PodTemplateSpec{Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever, TerminationGracePeriodSeconds: ptr(int64(1)), Containers: []corev1.Container{harness.Shell("c", "sleep 1000")},
		}})
		s.jobIn(job, v1alpha1.PhaseRunning)
		if err := cancel(job); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		token := workload.JobToken(s.ledger.ID, job.UID)
		harness.Eventually(t, longTime, name+": nothing runs", func() error { return s.nothingRuns(job.Name, token) })
		harness.Eventually(t, longTime, name+": it has ended or is gone", func() error {
			err := s.ledger.Get(s.ctx, client.ObjectKeyFromObject(job), job)
			if apierrors.IsNotFound(err) || (err == nil && job.Finished()) {
				return nil
			}
			return fmt.Errorf("it is %q: %s", job.Status.Phase, fmt.Sprint(err))
		})
	}
}

func TestTheColumnsAndTheTemplateOfARemoteJobAreThereForPeople(t *testing.T) {
	s := onShared(t)
	pod := harness.NewPod("columns", mainBackend, harness.Shell("c", "exit 0"))
	created := s.run(pod)
	s.ended(pod, longTime)
	harness.Eventually(t, 10*time.Second, "Succeeded", func() error { return s.phase(pod, v1alpha1.PhaseSucceeded) })
	job := s.ledger.MustJob(s.ctx, t, pod)
	out, err := shared.plane.Kubectl(s.ctx, "get", "rj", job.Name, "-o", "wide").CombinedOutput()
	if err != nil {
		t.Fatalf("kubectl: %v\n%s", err, out)
	}
	for _, word := range []string{"NAME", "BACKEND", "JOB", "PHASE", "READY", "RESTARTS", "AGE", "NODE", "POD-UID", "REASON", mainBackend, created.PodJID, "Succeeded", "0/1", string(pod.UID)} {
		if !strings.Contains(string(out), word) {
			t.Errorf("kubectl get shows no %q:\n%s", word, out)
		}
	}
	if got := job.Labels["remotejob.dev/pod-uid"]; got != string(pod.UID) {
		t.Errorf("its label is %q", got)
	}
	if len(job.Spec.Template.Spec.Containers) != 1 || job.Spec.Template.Spec.Containers[0].Image != "busybox:1.36" {
		t.Errorf("its template is %+v", job.Spec.Template)
	}
}
