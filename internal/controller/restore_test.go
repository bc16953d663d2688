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

package controller

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// TestAJobThatARestoredLedgerBringsBackIsNotRepeated has the record of a job come back after the job was deleted, as a backup that was made
// before shows it.
func TestAJobThatARestoredLedgerBringsBackIsNotRepeated(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status v1alpha1.RemoteJobStatus
		reason string
	}{
		{"from before its submission", v1alpha1.RemoteJobStatus{}, reasonCancelled},
		{"from when it ran", v1alpha1.RemoteJobStatus{
			Phase: v1alpha1.PhaseRunning, JobID: "id", Attempts: 1,
			ContainerStatuses: []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}}},
		}, reasonJobLost},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			m := w.machine(host, "one")
			rb := w.backend(host)
			ofPod := func(j *v1alpha1.RemoteJob) {
				j.Spec.PodRef = &v1alpha1.PodReference{Namespace: "ns", Name: "pod", UID: types.UID("uid-" + w.namespace)}
				j.Finalizers = []string{v1alpha1.FinalizerCancel}
			}
			w.startManager()
			job := w.job(rb.Name, ofPod)
			w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))
			token := w.token(job)
			w.cancel(job)
			w.gone(job)
			w.stopManager()

			restored := w.job(rb.Name, ofPod)
			if tt.status.JobID != "" {
				before := restored.DeepCopy()
				restored.Status = tt.status
				if err := w.client.Status().Patch(t.Context(), restored, client.MergeFrom(before)); err != nil {
					t.Fatal(err)
				}
			}
			w.startManager()
			w.jobUntil(restored, "ended", hasPhase(v1alpha1.PhaseFailed))
			if restored.Status.Reason != tt.reason {
				t.Error(describeJob(restored))
			}
			if m.count(m.made, token) != 1 || m.holds(token) {
				t.Errorf("it was made %d times, and the machine holds it: %t", m.count(m.made, token), m.holds(token))
			}
		})
	}
}

func TestAJobThatCannotBePutTogetherAnyMoreIsStoppedInWords(t *testing.T) {
	w := newWorld(t)
	m := w.machine(host, "one")
	rb := w.backend(host)
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "config"}, Data: map[string]string{"key": "value"}}
	if err := w.client.Create(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	w.startManager()
	job := w.job(rb.Name, func(j *v1alpha1.RemoteJob) {
		j.Spec.Template.Spec.Containers[0].EnvFrom = []corev1.EnvFromSource{
			{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: "config"}}},
		}
	})
	w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))

	// The manager that put it together has it in memory; the next one has to read it.
	w.stopManager()
	if err := w.client.Delete(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	w.startManager()
	w.jobUntil(job, "stopped", hasPhase(v1alpha1.PhaseFailed))
	if job.Status.Reason != reasonPayloadLost || job.Status.Message == "" {
		t.Error(describeJob(job))
	}
	if token := w.token(job); m.count(m.made, token) != 1 {
		t.Errorf("it was made %d times", m.count(m.made, token))
	}
}
