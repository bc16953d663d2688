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
	"fmt"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
)

// pod makes a pod in the world's namespace.
func (w *world) pod(name string) *corev1.Pod {
	w.t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
		Spec:       corev1.PodSpec{NodeName: "virtual", Containers: []corev1.Container{{Name: "main", Image: "image"}}},
	}
	if err := w.client.Create(w.t.Context(), pod); err != nil {
		w.t.Fatal(err)
	}
	return pod
}

// kill removes a pod at once, as kubectl delete --force does.
func (w *world) kill(pod *corev1.Pod) {
	w.t.Helper()
	if err := w.client.Delete(w.t.Context(), pod, client.GracePeriodSeconds(0)); err != nil {
		w.t.Fatal(err)
	}
}

// runs makes a job one of a pod.
func runs(namespace, name string, uid types.UID) func(*v1alpha1.RemoteJob) {
	return func(j *v1alpha1.RemoteJob) {
		j.Spec.PodRef = &v1alpha1.PodReference{Namespace: namespace, Name: name, UID: uid}
		j.Finalizers = []string{v1alpha1.FinalizerCancel}
	}
}

func podFound(status metav1.ConditionStatus) func(*v1alpha1.RemoteJob) bool {
	return func(j *v1alpha1.RemoteJob) bool {
		return meta.IsStatusConditionPresentAndEqual(j.Status.Conditions, v1alpha1.ConditionPodFound, status)
	}
}

func TestAJobEndsWithItsPodWhereThatIsHere(t *testing.T) {
	w := newWorld(t)
	w.watchPods = true
	m := w.machine(host, "one")
	rb := w.backend(host)
	w.startManager()
	w.backendUntil(rb, metav1.ConditionTrue, reasonConnected, "")
	here, later, namesake := w.pod("here"), w.pod("later"), w.pod("namesake")
	job := w.job(rb.Name, runs(w.namespace, here.Name, here.UID))
	slow := w.job(rb.Name, runs(w.namespace, later.Name, later.UID))
	elsewhere := w.job(rb.Name, runs(w.namespace, namesake.Name, "uid-in-another-cluster"))
	unknown := w.job(rb.Name, runs("another-cluster", "pod", "uid-of-another"))
	for _, j := range []*v1alpha1.RemoteJob{job, slow} {
		w.jobUntil(j, "its pod is found", podFound(metav1.ConditionTrue))
	}
	for _, j := range []*v1alpha1.RemoteJob{job, slow, elsewhere, unknown} {
		w.jobUntil(j, "running", hasPhase(v1alpha1.PhaseRunning))
	}
	w.kill(here)
	w.kill(namesake)
	w.gone(job)
	if m.holds(w.token(job)) {
		t.Error("the machine still holds the job of a pod that is gone")
	}
	w.eventsUntil(job.UID, "Normal PodGone the pod is gone")

	// A pod that goes while no manager runs, and one of its name that comes.
	w.stopManager()
	w.kill(later)
	w.pod("later")
	w.startManager()
	w.gone(slow)

	w.stays("jobs of pods elsewhere", func() string {
		for _, j := range []*v1alpha1.RemoteJob{elsewhere, unknown} {
			if !w.get(j) || j.Spec.Cancel || j.Status.Phase != v1alpha1.PhaseRunning || meta.FindStatusCondition(j.Status.Conditions, v1alpha1.ConditionPodFound) != nil {
				return describeJob(j)
			}
		}
		return ""
	})
}

func TestAPodOfTheClusterIsNothingToAManagerThatDoesNotWatchPods(t *testing.T) {
	w := newWorld(t)
	w.machine(host, "one")
	rb := w.backend(host)
	w.startManager()
	pod := w.pod("here")
	job := w.job(rb.Name, runs(w.namespace, pod.Name, pod.UID))
	w.jobUntil(job, "running", hasPhase(v1alpha1.PhaseRunning))
	w.kill(pod)
	w.stays("it goes on", func() string {
		if !w.get(job) || job.Spec.Cancel {
			return describeJob(job)
		}
		return ""
	})
}

func TestJobsThatNobodyAsksAboutAreReported(t *testing.T) {
	w := newWorld(t)
	read := w.measured()
	w.machine(host, "one")
	w.timings.UnaskedAfter = 5 * time.Second // a RemoteJob's age is in whole seconds
	rb := w.backend(host)
	w.startManager()
	w.backendUntil(rb, metav1.ConditionTrue, reasonConnected, "")
	forgotten, asked, byHand := w.job(rb.Name, runs("far", "forgotten", "uid-f")), w.job(rb.Name, runs("far", "asked", "uid-a")), w.job(rb.Name)
	ask := func(job *v1alpha1.RemoteJob) {
		question := ledger.Question{Pod: *job.Spec.PodRef, Containers: []string{"main"}}
		if answer, err := w.ledger.Status(t.Context(), []ledger.Question{question}); err != nil || len(answer) < 10 {
			t.Fatalf("the answer is %s: %v", answer, err)
		}
	}
	unasked := func(job *v1alpha1.RemoteJob) bool {
		return meta.IsStatusConditionTrue(job.Status.Conditions, v1alpha1.ConditionUnasked)
	}
	w.jobUntil(asked, "running", func(j *v1alpha1.RemoteJob) bool {
		ask(asked)
		return j.Status.Phase == v1alpha1.PhaseRunning
	})
	w.until("the forgotten one is reported", func() string {
		ask(asked)
		if w.get(forgotten); unasked(forgotten) {
			return ""
		}
		return describeJob(forgotten)
	})
	w.get(asked)
	w.get(byHand)
	if unasked(asked) || unasked(byHand) {
		t.Errorf("reported are one that is asked about, or one that no one is to ask about:\n%s\n%s", describeJob(asked), describeJob(byHand))
	}
	w.until("it is counted", func() string {
		if n := read()["remotejob_jobs_unasked "+rb.Name]; n != 1 {
			return fmt.Sprintf("%v are", n)
		}
		return ""
	})
	w.until("only the one that is asked about is still to be reported", func() string {
		if list := w.ledger.Unasked(time.Now().Add(time.Hour)); !slices.Equal(list, []types.NamespacedName{{Namespace: asked.Namespace, Name: asked.Name}}) {
			return fmt.Sprint(list)
		}
		return ""
	})
	w.jobUntil(forgotten, "asked about again", func(j *v1alpha1.RemoteJob) bool {
		ask(j) // the ledger may not have seen yet that it is reported
		return !unasked(j)
	})
	w.stays("it is not reported again at once", func() string {
		if w.get(forgotten); unasked(forgotten) {
			return describeJob(forgotten)
		}
		return ""
	})
}
