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
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/monitoring"
)

// TestAlertsFireOnTheTroubleOfARealRun makes one trouble after the other, and has the alerts read what the manager shows of each.
func TestAlertsFireOnTheTroubleOfARealRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := &side{t: t, ctx: harness.Context(t), ledger: w.ledger, plane: w.plane, engine: newEngine(t)}
	address, err := harness.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + address + "/metrics"
	proxy, err := harness.NewAPIProxy(w.plane.Config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(proxy.Close)
	s.manager = harness.StartManager(t, harness.ManagerOptions{
		Binaries: shared.binaries, Config: proxy.Config,
		Args: []string{"--metrics-bind-address=" + address, "--metrics-secure=false", "--unasked-after=3s", "--create-wait=1s"},
	})
	rb := s.ledger.NewBackend(s.ctx, t, "troubled", s.engine.Host)
	shows := func(series string) {
		t.Helper()
		pattern := regexp.MustCompile(`(?m)^` + series + ` [1-9]`)
		harness.Eventually(t, 2*time.Minute, "the manager shows "+series, func() error {
			if !pattern.MatchString(s.scraped(url).Text) {
				return errNotYet
			}
			return nil
		})
	}
	backend := `backend="` + rb.Name + `"`

	lost := harness.NewPod("lost", rb.Name, harness.Shell("main", "sleep 1000"))
	s.run(lost)
	s.running(lost, "main")
	before := s.scraped(url)

	// Jobs that nobody asks about, that name no RemoteBackend, that lose their RemoteJob.
	shows(`remotejob_jobs_unasked\{` + backend + `\}`)
	stray := &v1alpha1.RemoteJob{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "stray"}, Spec: v1alpha1.RemoteJobSpec{
		BackendName: "nowhere", Template: v1alpha1.JobTemplate{PodTemplateSpec: corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{harness.Shell("main", "true")}}}},
	}}
	if err := s.ledger.Create(s.ctx, stray); err != nil {
		t.Fatal(err)
	}
	shows(`remotejob_jobs\{backend="-",phase="Pending"\}`)
	left := harness.NewPod("left", rb.Name, harness.Shell("main", "sleep 1000"))
	s.run(left)
	s.running(left, "main")
	s.forget(left)
	shows(`remotejob_backend_leftovers\{` + backend + `\}`)
	orphaned := s.scraped(url)

	// An engine that goes away, with what runs on it.
	if err := s.engine.Kill(); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, longTime, "the backend is away", func() error { return s.ledger.BackendReady(s.ctx, rb.Name, metav1.ConditionFalse) })
	shows(`remotejob_backend_call_errors_total\{` + backend + `,call="check",kind="unavailable"\}`)
	away := s.scraped(url)
	if err := s.engine.Start(s.ctx); err != nil {
		t.Fatal(err)
	}
	shows(`remotejob_jobs_lost_total\{` + backend + `,reason="NodeLost"\}`)
	s.askOften(lost)
	back := s.scraped(url)

	// An API server that takes its time to tell of a pod that the manager does not know, and one that refuses the manager's writes.
	proxy.Disturb(slowReads)
	strange := harness.NewPod("strange", rb.Name, harness.Shell("c", "true"))
	strange.Annotations["JobID"] = "x" // it was taken at some time, and the cache may lag
	var slow []monitoring.Scrape       // a rate takes two samples
	for range 2 {
		if _, answer, err := s.manager.Status(s.ctx, strange); err != nil {
			t.Fatalf("/status: %v, %d %s", err, answer.Code, answer.Body)
		}
		slow = append(slow, s.scraped(url))
	}
	proxy.Disturb(nil)
	s.refuseStatuses(stray)
	willing := s.scraped(url)
	for i := range 20 {
		stray := stray.DeepCopy()
		stray.ObjectMeta = metav1.ObjectMeta{Namespace: "default", Name: fmt.Sprintf("refused-%d", i)}
		if err := s.ledger.Create(s.ctx, stray); err != nil {
			t.Fatal(err)
		}
	}
	harness.Eventually(t, longTime, "many reconciles to fail", func() error {
		if failed := reconcileErrors(s.scraped(url)) - reconcileErrors(willing); failed < 100 {
			return fmt.Errorf("%d failed", failed)
		}
		return nil
	})
	refusing := s.scraped(url)

	// An API server that goes away.
	if err := w.plane.StopAPIServer(s.ctx); err != nil {
		t.Fatal(err)
	}
	refused := func(times int) monitoring.Scrape {
		t.Helper()
		for range times {
			if _, answer, err := s.manager.Status(s.ctx, strange); err != nil || answer.Code != http.StatusServiceUnavailable {
				t.Fatalf("/status: %v, %d %s", err, answer.Code, answer.Body)
			}
		}
		return s.scraped(url)
	}
	dim := refused(1) // a rate takes two samples
	refused(20)
	harness.Eventually(t, longTime, "the ledger is away", func() error {
		if !strings.Contains(s.scraped(url).Text, "\nremotejob_ledger_up 0\n") {
			return errNotYet
		}
		return nil
	})
	blind := s.scraped(url)
	if err := w.plane.StartAPIServer(s.ctx); err != nil {
		t.Fatal(err)
	}
	later := monitoring.Scrape{At: blind.At.Add(10 * time.Minute), Text: blind.Text} // as if nothing were observed from then on

	expressions, err := monitoring.Expressions()
	if err != nil {
		t.Fatal(err)
	}
	expressions = slices.DeleteFunc(expressions, func(e monitoring.Expression) bool { return !e.Alert })
	fired := map[string][]string{}
	for name, scrapes := range map[string][]monitoring.Scrape{
		"no manager": {{At: time.Now(), Text: "# EOF\n"}}, "orphans": {before, orphaned}, "no engine": {before, away}, "a lost node": {before, back},
		"a slow API server": slow, "refused writes": {willing, refusing}, "no API server": {dim, blind}, "later": {later},
	} {
		answers, err := monitoring.Ask(s.ctx, expressions, everyMinute(scrapes)...)
		if err != nil {
			t.Fatal(err)
		}
		for i, answer := range answers {
			if answer.Samples > 0 {
				alert := strings.TrimPrefix(expressions[i].From, "alert ")
				fired[alert] = append(fired[alert], name)
			}
		}
	}
	t.Logf("fired: %v", fired)
	for alert, on := range map[string]string{
		"RemoteJobManagerAbsent": "no manager", "RemoteJobJobsUnasked": "orphans", "RemoteJobJobsWithoutBackend": "orphans", "RemoteJobLeftovers": "orphans",
		"RemoteJobBackendNotReady": "no engine", "RemoteJobBackendCallsFail": "a lost node", "RemoteJobJobsLost": "a lost node",
		"RemoteJobLedgerDown": "no API server", "RemoteJobEndpointErrors": "no API server", "RemoteJobBackendNotObserved": "later",
		"RemoteJobStatusSlow": "a slow API server", "RemoteJobReconcileErrors": "refused writes",
	} {
		if !slices.Contains(fired[alert], on) {
			t.Errorf("%s does not fire on %s, but on %v", alert, on, fired[alert])
		}
	}
	for _, e := range expressions {
		if alert := strings.TrimPrefix(e.From, "alert "); fired[alert] == nil {
			t.Errorf("nothing here has %s fire", alert)
		}
	}
	for alert, on := range map[string]string{
		"RemoteJobManagerAbsent": "orphans", "RemoteJobBackendNotReady": "orphans", "RemoteJobLedgerDown": "no engine", "RemoteJobJobsLost": "orphans",
		"RemoteJobEndpointErrors": "a lost node", "RemoteJobBackendNotObserved": "no engine",
		"RemoteJobStatusSlow": "a lost node", "RemoteJobReconcileErrors": "a lost node",
	} {
		if slices.Contains(fired[alert], on) {
			t.Errorf("%s fires on %s", alert, on)
		}
	}
}

// askOften asks so often about a pod that one call which a busy machine holds up is not one in a hundred.
func (s *side) askOften(pod *corev1.Pod) {
	s.t.Helper()
	for range 300 {
		if _, answer, err := s.manager.Status(s.ctx, pod); err != nil || answer.Code != http.StatusOK {
			s.t.Fatalf("/status: %v, %d %s", err, answer.Code, answer.Body)
		}
	}
}

// slowReads has the API server take its time for each RemoteJob that is asked for by name.
func slowReads(r *http.Request) harness.Disturbance {
	if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/remotejobs/") {
		select {
		case <-time.After(time.Second):
		case <-r.Context().Done():
		}
	}
	return harness.Undisturbed
}

// refuseStatuses has the API server refuse each write of a RemoteJob's status, as it does this job's.
func (s *side) refuseStatuses(job *v1alpha1.RemoteJob) {
	s.t.Helper()
	const name = "no-statuses"
	policy := &admissionv1.ValidatingAdmissionPolicy{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionv1.ValidatingAdmissionPolicySpec{
		MatchConstraints: &admissionv1.MatchResources{ResourceRules: []admissionv1.NamedRuleWithOperations{{RuleWithOperations: admissionv1.RuleWithOperations{
			Operations: []admissionv1.OperationType{admissionv1.Update},
			Rule:       admissionv1.Rule{APIGroups: []string{v1alpha1.GroupVersion.Group}, APIVersions: []string{"*"}, Resources: []string{"remotejobs/status"}},
		}}}},
		Validations: []admissionv1.Validation{{Expression: "false", Message: "no status is written"}},
	}}
	binding := &admissionv1.ValidatingAdmissionPolicyBinding{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: admissionv1.ValidatingAdmissionPolicyBindingSpec{
		PolicyName: name, ValidationActions: []admissionv1.ValidationAction{admissionv1.Deny},
	}}
	for _, object := range []client.Object{policy, binding} {
		if err := s.ledger.Create(s.ctx, object); err != nil {
			s.t.Fatal(err)
		}
	}
	harness.Eventually(s.t, longTime, "the refusal", func() error {
		if err := s.ledger.Get(s.ctx, client.ObjectKeyFromObject(job), job); err != nil {
			return err
		}
		job.Status.Restarts++
		switch err := s.ledger.Status().Update(s.ctx, job, client.DryRunAll); {
		case err == nil:
			return errNotYet
		case !strings.Contains(err.Error(), name):
			return err
		}
		return nil
	})
}

// reconcileErrors counts the reconciles of RemoteJobs that have failed.
func reconcileErrors(scrape monitoring.Scrape) (n int) {
	if found := reconcileErrorsPattern.FindStringSubmatch(scrape.Text); found != nil {
		n, _ = strconv.Atoi(found[1])
	}
	return n
}

var reconcileErrorsPattern = regexp.MustCompile(`(?m)^controller_runtime_reconcile_errors_total\{controller="remotejob"\} (\d+)$`)

// everyMinute has scrapes be as far apart as Prometheus' are, however long it took to come from one to the next.
func everyMinute(scrapes []monitoring.Scrape) []monitoring.Scrape {
	out := slices.Clone(scrapes)
	for i := range out {
		out[i].At = scrapes[len(scrapes)-1].At.Add(-time.Duration(len(scrapes)-1-i) * time.Minute)
	}
	return out
}

// forget takes a RemoteJob away by force, so that what runs of it is nobody's.
func (s *side) forget(pod *corev1.Pod) {
	s.t.Helper()
	harness.Eventually(s.t, longTime, "the RemoteJob of pod "+pod.Name+" is gone", func() error {
		job := s.ledger.MustJob(s.ctx, s.t, pod)
		job.Finalizers = nil
		if err := s.ledger.Update(s.ctx, job); err != nil {
			return fmt.Errorf("take its finalizer off: %w", err)
		}
		// The manager may put it on again, and the job would go as any other.
		return s.ledger.Delete(s.ctx, job, client.Preconditions{ResourceVersion: &job.ResourceVersion})
	})
}
