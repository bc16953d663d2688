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

package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

const (
	// submissions a round, and rounds; the sides take turns.
	submissions, submissionRounds = 100, 4
	// manyClients is how many call at once.
	manyClients = 8
	// submitPoll is the poll interval meanwhile.
	submitPoll = 2 * time.Second
	// submitShare is the share of 1 / (1/S + W/A) that is wanted.
	submitShare = 0.8
)

// submitter is what pods are submitted through, and what that is compared to.
type submitter struct {
	cluster *cluster
	ledger  *ledger
	manager *manager
	// same is a RemoteJob whose job is in the queue.
	same *v1alpha1.RemoteJob
}

// submitToSlurm measures how soon pods are in SLURM's queue, against what the parts could do by themselves: a plain parallel sbatch loop, and
// the API server's bare rate for as many writes as a job needs. Jobs are held: what is measured is how they get there.
func submitToSlurm(ctx context.Context, e *environment, s *section) (err error) {
	t := &submitter{}
	if t.ledger, err = e.ledger(ctx); err != nil {
		return err
	}
	if t.cluster, err = e.cluster(ctx); err != nil {
		return err
	}
	const name = "bench"
	if err := t.cluster.register(ctx, t.ledger, name, submitPoll); err != nil {
		return err
	}
	counted, err := e.manager(t.ledger.api.Config, name, t.cluster.Env())
	if err != nil {
		return err
	}
	t.manager = counted
	if err := t.ledger.ready(ctx, name); err != nil {
		return err
	}
	if err := t.countWrites(ctx, s); err != nil {
		return err
	}
	// What counts requests costs CPU of its own, so what is timed goes without.
	if err := counted.Stop(patience); err != nil {
		return err
	}
	if t.manager, err = e.manager(t.ledger.plane.Config, name, t.cluster.Env(), "--watch-namespaces=default"); err != nil {
		return err
	}
	if err := t.ledger.ready(ctx, name); err != nil {
		return err
	}
	if _, err := each(ctx, 4*manyClients, manyClients, t.submit); err != nil { // to warm up
		return err
	}
	return t.compare(ctx, e, s)
}

// countWrites follows some jobs from /create to their end, and to their removal.
func (t *submitter) countWrites(ctx context.Context, s *section) error {
	const n = 2 * manyClients
	if _, err := each(ctx, n, manyClients, t.submit); err != nil { // to warm up
		return err
	}
	if err := t.ledger.quiet(ctx, 2*submitPoll); err != nil {
		return err
	}
	before := t.ledger.api.Writes()
	if _, err := each(ctx, n, manyClients, t.submit); err != nil {
		return err
	}
	untilQueued := float64(t.ledger.api.Writes()-before) / n

	if err := t.ledger.quiet(ctx, 2*submitPoll); err != nil {
		return err
	}
	pods := make([]*corev1.Pod, n)
	before = t.ledger.api.Writes()
	if _, err := each(ctx, n, manyClients, func(ctx context.Context, i int) error {
		pods[i] = harness.NewPod("life", "", harness.Shell("c", "exit 0"))
		return t.create(ctx, pods[i])
	}); err != nil {
		return err
	}
	if err := harness.Poll(patience, func() error { return allEnded(ctx, t.manager, pods) }); err != nil {
		return err
	}
	finished := float64(t.ledger.api.Writes()-before) / n
	before = t.ledger.api.Writes()
	for _, pod := range pods {
		if answer, err := t.manager.Delete(ctx, pod); err != nil || answer.Code != http.StatusOK {
			return fmt.Errorf("/delete: %w, %d %s", err, answer.Code, answer.Body)
		}
	}
	for _, pod := range pods {
		if err := harness.Poll(patience, func() error { return t.ledger.Gone(ctx, pod, nil) }); err != nil {
			return err
		}
	}
	removed := float64(t.ledger.api.Writes()-before) / n
	s.add("API-server writes from /create to the queue", untilQueued, "a job")
	s.add("… to finished", finished, "a job").atMost(6)
	s.add("… to remove", removed, "a job").atMost(4)
	return nil
}

func allEnded(ctx context.Context, m *manager, pods []*corev1.Pod) error {
	statuses, answer, err := m.Status(ctx, pods...)
	if err != nil || answer.Code != http.StatusOK {
		return fmt.Errorf("/status: %w, %d", err, answer.Code)
	}
	ended := 0
	for i := range statuses {
		if statuses[i].Ended() {
			ended++
		}
	}
	if ended < len(pods) {
		return fmt.Errorf("%d of %d have ended", ended, len(pods))
	}
	return nil
}

// compare has the sides take turns.
func (t *submitter) compare(ctx context.Context, e *environment, s *section) error {
	var ours, plain, bare, same, alone run
	if err := t.recordSame(ctx); err != nil {
		return err
	}
	pids := processes(t.cluster.dir)
	for name, pid := range t.ledger.pids() {
		pids[name] = pid
	}
	pids["manager"] = t.manager.Pid()
	used := map[string]usage{}
	steps := map[string]float64{}
	var plainCPU time.Duration
	for range submissionRounds {
		for _, side := range []struct {
			into    *run
			n       int
			clients int
			do      func(context.Context, int) error
		}{{&plain, submissions, manyClients, t.sbatch}, {&bare, 2 * submissions, manyClients, t.write}, {&same, submissions, manyClients, t.writeSame}, {&alone, submissions / 8, 1, t.submit}} {
			children := ownUsage().children
			if err := t.quiet(ctx); err != nil {
				return err
			}
			r, err := each(ctx, side.n, side.clients, side.do)
			if err != nil {
				return err
			}
			if side.into == &plain {
				plainCPU += ownUsage().children - children
				if err := t.cluster.Command(ctx, "scancel", "--name=plain").Run(); err != nil {
					return err
				}
			}
			*side.into = side.into.and(r)
		}
		if err := t.quiet(ctx); err != nil {
			return err
		}
		before, err := t.manager.sums(stepMetrics...)
		if err != nil {
			return err
		}
		m, self := newMeter(pids), ownUsage()
		r, err := each(ctx, submissions, manyClients, t.submit)
		if err != nil {
			return err
		}
		for name, u := range m.read() {
			sum := used[name]
			used[name] = usage{own: sum.own + u.own, children: sum.children + u.children}
		}
		sum := used["bench"]
		used["bench"] = usage{own: sum.own + ownUsage().minus(self).own}
		after, err := t.manager.sums(stepMetrics...)
		if err != nil {
			return err
		}
		for name := range after {
			steps[name] += after[name] - before[name]
		}
		ours = ours.and(r)
	}
	if err := t.profile(ctx, e); err != nil {
		return err
	}
	// What the queue says of a job is one write more, which comes with the next poll, and so in the time that is measured.
	writes := (steps[patches] + steps[posts]) / float64(len(ours.took))
	limit := 1 / (1/plain.rate() + writes/bare.rate())
	same2 := 1 / (1/plain.rate() + writes/2/same.rate())
	s.add("plain sbatch loop, 8 clients (S)", plain.rate(), "/s")
	s.add("bare writes to the API server, 8 clients (A)", bare.rate(), "/s")
	s.add("/create to the queue, 8 clients", ours.rate(), "pods/s")
	s.add("API-server writes meanwhile (W)", writes, "a job")
	s.add("share of 1 / (1/S + W/A)", ours.rate()/limit, "").atLeast(submitShare)
	s.add("bare create and status patch of such a RemoteJob, 8 clients (J)", same.rate(), "/s")
	s.add("share of 1 / (1/S + W/2J)", ours.rate()/same2, "").atLeast(submitShare)
	latencies(s, "/create to the queue, 8 clients", ours)
	s.add("/create to the queue, 1 client", alone.rate(), "pods/s")
	latencies(s, "/create to the queue, 1 client", alone)
	tellSteps(s, steps, ours)
	s.add("CPU of a plain sbatch", float64(plainCPU)/float64(time.Millisecond)/float64(len(plain.took)), "ms a job")
	tellUsage(s, used, len(ours.took))
	return nil
}

// profile submits once more, where profiles are wanted: the turns above are not to pay for them.
func (t *submitter) profile(ctx context.Context, e *environment) error {
	if e.options.profiles == "" {
		return nil
	}
	wait := e.profile(t.manager, t.ledger, "submit-slurm", 5)
	_, err := each(ctx, 4*submissions, manyClients, t.submit)
	return errors.Join(err, wait())
}

// quiet waits until the manager has written what the queue says of the jobs that it has submitted, so that it does not do so on the time of
// another side.
func (t *submitter) quiet(ctx context.Context) error {
	return quiet(ctx, submitPoll+submitPoll/2, func() (float64, error) {
		sums, err := t.manager.sums(patches, posts)
		return sums[patches] + sums[posts], err
	})
}

func latencies(s *section, what string, r run) {
	s.duration(what+": p50", r.quantile(0.5))
	s.duration(what+": p95", r.quantile(0.95))
	s.duration(what+": p99", r.quantile(0.99))
}

// stepMetrics are where the manager says how long the steps of a submission take.
var stepMetrics = []string{
	`remotejob_backend_call_duration_seconds_sum|call="submit"`, `remotejob_backend_call_duration_seconds_count|call="submit"`,
	`workqueue_queue_duration_seconds_sum|name="remotejob"`, `workqueue_queue_duration_seconds_count|name="remotejob"`,
	`controller_runtime_reconcile_time_seconds_sum|controller="remotejob"`, `controller_runtime_reconcile_time_seconds_count|controller="remotejob"`,
	`rest_client_requests_total|`, patches, posts,
}

const patches, posts = `rest_client_requests_total|method="PATCH"`, `rest_client_requests_total|method="POST"`

// tellSteps says where the time of a submission goes.
func tellSteps(s *section, steps map[string]float64, r run) {
	n := float64(len(r.took))
	seconds := func(sum float64) time.Duration { return time.Duration(sum / n * float64(time.Second)) }
	s.duration("a submission's time in the backend's call", seconds(steps[stepMetrics[0]]))
	s.duration("… in visits of the reconciler, the backend's call among them", seconds(steps[stepMetrics[4]]))
	s.duration("… waiting for those visits", seconds(steps[stepMetrics[2]]))
	s.add("visits", steps[stepMetrics[5]]/n, "a job")
	s.add("API-server requests", steps[stepMetrics[6]]/n, "a job")
}

// tellUsage says which processes have used the CPU.
func tellUsage(s *section, used map[string]usage, jobs int) {
	names := make([]string, 0, len(used))
	for name := range used {
		names = append(names, name)
	}
	slices.Sort(names)
	per := func(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) / float64(jobs) }
	for _, name := range names {
		s.add("CPU of "+name, per(used[name].own), "ms a job")
		if name == "manager" {
			s.add("CPU of the commands that it runs", per(used[name].children), "ms a job")
		}
	}
}

// submit sends a pod, and has the job's id when it is in the queue.
func (t *submitter) submit(ctx context.Context, _ int) error {
	pod := harness.NewPod("submitted", "", harness.Shell("c", "exit 0"))
	pod.Annotations = map[string]string{"slurm-job.vk.io/flags": "--hold"}
	return t.create(ctx, pod)
}

func (t *submitter) create(ctx context.Context, pod *corev1.Pod) error {
	body, err := createBody(pod)
	if err != nil {
		return err
	}
	created, answer, err := t.manager.Create(ctx, body)
	if err != nil || answer.Code != http.StatusOK {
		return fmt.Errorf("/create: %w, %d %s", err, answer.Code, answer.Body)
	}
	if _, err := strconv.Atoi(created.PodJID); err != nil {
		return fmt.Errorf("the job is not in the queue yet when /create answers: %s", answer.Body)
	}
	return nil
}

// sbatch submits a job that does nothing.
func (t *submitter) sbatch(ctx context.Context, _ int) error {
	cmd := t.cluster.Command(ctx, "sbatch", "--hold", "--parsable", "--job-name=plain", "--chdir=/", "--output=/dev/null", "--mem=64M", "--wrap=exit 0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("sbatch: %w: %s", err, out)
	}
	return nil
}

// write is one small write, such as a job's are.
func (t *submitter) write(ctx context.Context, _ int) error {
	return t.ledger.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "bare-", Namespace: "default"}, Data: map[string][]byte{"payload": make([]byte, 1<<10)},
	})
}

// bareNamespace is one that the manager does not look at.
const bareNamespace = "bare"

// recordSame has a pod submitted, whose RemoteJob is then written again and again.
func (t *submitter) recordSame(ctx context.Context) error {
	pod := harness.NewPod("same", "", harness.Shell("c", "exit 0"))
	pod.Annotations = map[string]string{"slurm-job.vk.io/flags": "--hold"}
	if err := t.create(ctx, pod); err != nil {
		return err
	}
	var err error
	if t.same, err = t.ledger.Job(ctx, pod); err != nil {
		return err
	}
	return t.ledger.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: bareNamespace}})
}

// writeSame makes the two writes that it takes to have a pod in the queue, and nothing else.
func (t *submitter) writeSame(ctx context.Context, _ int) error {
	job := &v1alpha1.RemoteJob{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "same-", Namespace: bareNamespace, Labels: t.same.Labels, Finalizers: t.same.Finalizers},
		Spec:       *t.same.Spec.DeepCopy(),
	}
	if err := t.ledger.Create(ctx, job); err != nil {
		return err
	}
	before := job.DeepCopy()
	job.Status = *t.same.Status.DeepCopy()
	return t.ledger.Status().Patch(ctx, job, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
}
