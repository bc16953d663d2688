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

package ledger_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
)

// ask asks how pods are.
func ask(t *testing.T, l *ledger.Ledger, questions ...ledger.Question) ([]ledger.PodStatus, error) {
	t.Helper()
	body, err := l.Status(context.Background(), questions)
	if err != nil {
		return nil, err
	}
	var out []ledger.PodStatus
	if err := json.Unmarshal(body, &out); err != nil || out == nil {
		t.Fatalf("the answer is %s: %v", body, err)
	}
	return out, nil
}

// question is what interLink asks about a pod; with the job's id once a create was answered.
func question(pod *corev1.Pod, jobID string) ledger.Question {
	q := ledger.Question{Pod: reference(pod), JobID: jobID}
	for _, c := range pod.Spec.InitContainers {
		q.InitContainers = append(q.InitContainers, c.Name)
	}
	for _, c := range pod.Spec.Containers {
		q.Containers = append(q.Containers, c.Name)
	}
	return q
}

func (b *bench) cached(pod *corev1.Pod) {
	b.Helper()
	b.eventually("the cache has the job", func() bool { _, err := b.ledger.Find(reference(pod)); return err == nil })
}

func TestTheAnswerIsAboutThePodThatWasAskedFor(t *testing.T) {
	t.Parallel()
	c, w := wired(t)
	b := newBench(t, func(o *ledger.Options) { o.Reader = c })
	one, other := b.pod(), b.pod(func(p *corev1.Pod) { p.Spec.Containers[0].Name = "another" })
	for _, pod := range []*corev1.Pod{one, other} {
		b.mustCreate(pod)
		b.cached(pod)
	}
	for _, pod := range []*corev1.Pod{one, other, one, other} {
		got, err := ask(t, b.ledger, question(pod, "x"))
		if err != nil || len(got) != 1 || got[0].Name != pod.Name || got[0].UID != string(pod.UID) || got[0].Containers[0].Name != pod.Spec.Containers[0].Name {
			t.Errorf("asked about %s, told %+v, %v", pod.Name, got, err)
		}
	}
	got, err := ask(t, b.ledger, question(other, "x"), question(one, "x"), question(other, ""))
	if err != nil || len(got) != 3 || got[0].Name != other.Name || got[1].Name != one.Name || got[2].Name != other.Name {
		t.Errorf("a list is answered with %+v, %v", got, err)
	}
	if calls := w.calls.Load(); calls != 0 {
		t.Errorf("questions about pods in the cache cost %d calls", calls)
	}
}

func TestAPodIsMatchedByUIDNameAndNamespace(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	pod := b.pod()
	b.mustCreate(pod)
	b.cached(pod)
	for _, change := range []func(*corev1.Pod){
		func(p *corev1.Pod) { p.Name = "other" }, func(p *corev1.Pod) { p.Namespace = "other" }, func(p *corev1.Pod) { p.UID = "other" },
	} {
		stranger := pod.DeepCopy()
		change(stranger)
		if got, err := ask(t, b.ledger, question(stranger, "")); err != nil || len(got) != 0 {
			t.Errorf("asked about %v, told %+v, %v", reference(stranger), got, err)
		}
	}
	got, err := ask(t, b.ledger, ledger.Question{Pod: v1alpha1.PodReference{UID: pod.UID}})
	if err != nil || len(got) != 1 || got[0].Name != pod.Name {
		t.Errorf("asked by the UID alone, told %+v, %v", got, err)
	}
}

func TestPodsOfDifferentNamespacesWithOneUIDAreToldApart(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	here := b.pod()
	there := here.DeepCopy()
	there.Namespace = newNamespace(t, b.client)
	for _, pod := range []*corev1.Pod{here, there} {
		b.mustCreate(pod)
		b.cached(pod)
	}
	for _, pod := range []*corev1.Pod{here, there} {
		if got, err := ask(t, b.ledger, question(pod, "x")); err != nil || len(got) != 1 || got[0].Namespace != pod.Namespace {
			t.Errorf("asked about %s, told %+v, %v", pod.Namespace, got, err)
		}
	}
	_, err := ask(t, b.ledger, ledger.Question{Pod: v1alpha1.PodReference{UID: here.UID}})
	wantError(t, err, ledger.Invalid, "several pods")
	if err := b.ledger.Delete(t.Context(), ledger.DeleteRequest{Pod: reference(there)}); err != nil {
		t.Fatal(err)
	}
	if b.job(here).Spec.Cancel || !b.jobIn(there.Namespace, there).Spec.Cancel {
		t.Error("the delete of one pod hit the other")
	}
}

func TestAPodThatIsNotKnownYetIsLeftOut(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	if got, err := ask(t, b.ledger, question(b.pod(), "")); err != nil || len(got) != 0 {
		t.Errorf("told %+v, %v", got, err)
	}
}

func TestAPodWhoseJobIsGoneHasFailed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	pod := b.pod(func(p *corev1.Pod) {
		p.Spec.InitContainers = containers("prepare")
		p.Spec.Containers = append(p.Spec.Containers, containers("side")...)
	})
	got, err := ask(t, b.ledger, question(pod, "4711"))
	if err != nil || len(got) != 1 {
		t.Fatalf("told %+v, %v", got, err)
	}
	if brief(got[0].InitContainers) != "prepare:failed" || brief(got[0].Containers) != "main:failed side:failed" || got[0].Name != pod.Name {
		t.Errorf("told %+v", got[0])
	}
	if words := got[0].Containers[0].State.Terminated.Message; !strings.Contains(words, "4711") {
		t.Errorf("the words are %q", words)
	}
	// An empty list of containers would read as a success.
	if got, err := ask(t, b.ledger, ledger.Question{Pod: reference(pod), JobID: "4711"}); err != nil || len(got) != 0 {
		t.Errorf("asked without containers, told %+v, %v", got, err)
	}
}

func TestAPodThatWasDeletedBeforeItCameIsNotASuccess(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	pod := b.pod()
	if err := b.ledger.Delete(t.Context(), ledger.DeleteRequest{Pod: reference(pod)}); err != nil {
		t.Fatal(err)
	}
	b.cached(pod)
	if got, err := ask(t, b.ledger, question(pod, "")); err != nil || len(got) != 0 {
		t.Errorf("told %+v, %v", got, err)
	}
	if got, err := ask(t, b.ledger, question(pod, "4711")); err != nil || len(got) != 1 || brief(got[0].Containers) != "main:failed" {
		t.Errorf("told %+v, %v", got, err)
	}
}

func TestAReplicaWhoseWatchLagsNeverCallsALiveJobLost(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	pod := b.pod()
	id := b.mustCreate(pod)
	// This one followed an empty cluster and has heard of nothing since.
	lagging := b.newLedger()
	if err := lagging.Follow(t.Context(), frozenInformers(t)); err != nil {
		t.Fatal(err)
	}
	b.eventually("the lagging ledger is ready", func() bool { return lagging.Ready() == nil })
	got, err := ask(t, lagging, question(pod, id))
	if err != nil || len(got) != 1 || brief(got[0].Containers) != "main:waiting" {
		t.Errorf("told %+v, %v", got, err)
	}
}

func TestNothingIsSaidWhileTheLedgerCannotBeRead(t *testing.T) {
	t.Parallel()
	c, w := wired(t)
	b := idleBench(t, func(o *ledger.Options) { o.Reader = c })
	pod := b.pod()
	_, err := ask(t, b.ledger, question(pod, ""))
	wantError(t, err, ledger.Unavailable)
	_, err = ask(t, b.ledger, question(pod, "4711"))
	wantError(t, err, ledger.Unavailable)
	b.follow(b.ledger)
	for name, f := range map[string]fault{
		"it is away":                       refusedConnection,
		"it does not serve the kind":       answer(http.StatusNotFound, "text/plain", "404 page not found"),
		"it has not read its roles":        answer(http.StatusForbidden, "application/json", forbidden),
		"a proxy before it does not know":  answer(http.StatusNotFound, "text/html", "<h1>404</h1>"),
		"its storage is away":              answer(http.StatusInternalServerError, "text/plain", "etcdserver: no leader"),
		"it is too busy for our questions": answer(http.StatusTooManyRequests, "text/plain", "slow down"),
	} {
		w.set(f)
		_, err := ask(t, b.ledger, question(pod, "4711"))
		if e, ok := ledger.AsError(err); !ok || e.Kind != ledger.Unavailable {
			t.Errorf("%s: told %v", name, err)
		}
		if got, err := ask(t, b.ledger, question(pod, "")); err != nil || len(got) != 0 {
			t.Errorf("%s: a pod that is on its way is answered with %v, %v", name, got, err)
		}
	}
}

func TestAnAnswerFollowsTheJob(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	pod := b.pod()
	b.mustCreate(pod)
	told := func() string {
		got, err := ask(t, b.ledger, question(pod, "x"))
		if err != nil || len(got) != 1 {
			return ""
		}
		return got[0].JobID + " " + brief(got[0].Containers)
	}
	b.eventually("it waits", func() bool { return told() == b.job(pod).Name+" main:waiting" })
	b.report(pod, func(s *v1alpha1.RemoteJobStatus) {
		submitted("4711")(s)
		s.Phase, s.ContainerStatuses = v1alpha1.PhaseRunning, []corev1.ContainerStatus{running("main")}
	})
	b.eventually("it runs", func() bool { return told() == "4711 main:running" })
	b.report(pod, func(s *v1alpha1.RemoteJobStatus) {
		s.Phase, s.ContainerStatuses = v1alpha1.PhaseFailed, []corev1.ContainerStatus{ended("main", 3, "Error", "")}
	})
	b.eventually("it has failed", func() bool { return told() == "4711 main:failed" })
	job := b.job(pod)
	if err := b.client.Patch(t.Context(), job, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))); err != nil {
		t.Fatal(err)
	}
	if err := b.client.Delete(t.Context(), job); err != nil {
		t.Fatal(err)
	}
	b.eventually("the cache lets it go", func() bool { _, err := b.ledger.Find(reference(pod)); return err != nil })
}
