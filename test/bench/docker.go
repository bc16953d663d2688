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
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

const (
	dockerBackend = "docker"
	// dockerPods a round by many clients, and rounds.
	dockerPods, dockerRounds = 24, 2
	// dockerChange is how soon a change on an engine is to be answered.
	dockerChange = 300 * time.Millisecond
)

// engine is a Docker engine with a manager.
type engine struct {
	*harness.Dockerd
	ledger  *ledger
	manager *manager
}

func (e *environment) engine(ctx context.Context) (*engine, error) {
	image, err := harness.BusyboxImage()
	if err != nil {
		return nil, err
	}
	d := &engine{}
	if d.Dockerd, err = harness.StartDockerd(ctx, image); err != nil {
		return nil, err
	}
	e.later(func() error { d.Close(); return nil })
	if d.ledger, err = e.ledger(ctx); err != nil {
		return nil, err
	}
	if err := d.ledger.Create(ctx, &v1alpha1.RemoteBackend{
		ObjectMeta: metav1.ObjectMeta{Name: dockerBackend},
		Spec:       v1alpha1.RemoteBackendSpec{Type: v1alpha1.BackendDocker, Docker: &v1alpha1.DockerBackend{Host: d.Host}},
	}); err != nil {
		return nil, err
	}
	if d.manager, err = e.manager(d.ledger.plane.Config, dockerBackend, nil); err != nil {
		return nil, err
	}
	return d, d.ledger.ready(ctx, dockerBackend)
}

// submitToDocker measures pods from /create to their end, against the same two containers through the engine's API.
func submitToDocker(ctx context.Context, e *environment, s *section) error {
	d, err := e.engine(ctx)
	if err != nil {
		return err
	}
	if _, err := each(ctx, manyClients, manyClients, d.runPod); err != nil { // to warm up
		return err
	}
	for _, clients := range []int{1, manyClients} {
		var ours, plain run
		for range dockerRounds {
			n := max(clients*dockerPods/manyClients, dockerPods/4)
			a, err := each(ctx, n, clients, d.runPod)
			if err != nil {
				return err
			}
			b, err := each(ctx, n, clients, d.runContainers)
			if err != nil {
				return err
			}
			ours, plain = ours.and(a), plain.and(b)
		}
		what := fmt.Sprintf("%d clients, ", clients)
		latencies(s, what+"from /create to the end of a pod that does nothing", ours)
		s.add(what+"pods", ours.rate(), "/s")
		s.add(what+"the same two containers by the engine's API", plain.rate(), "/s")
		s.add(what+"share", ours.rate()/plain.rate(), "")
	}
	return nil
}

// runPod has a pod run to its end.
func (d *engine) runPod(ctx context.Context, _ int) error {
	pod := harness.NewPod("pod", dockerBackend, harness.Shell("main", "exit 0"))
	if err := d.create(ctx, pod); err != nil {
		return err
	}
	return harness.Poll(patience, func() error { return allEnded(ctx, d.manager, []*corev1.Pod{pod}) })
}

func (d *engine) create(ctx context.Context, pod *corev1.Pod) error {
	body, err := createBody(pod)
	if err != nil {
		return err
	}
	_, answer, err := d.manager.Create(ctx, body)
	if err != nil || answer.Code != http.StatusOK {
		return fmt.Errorf("/create: %w, %d %s", err, answer.Code, answer.Body)
	}
	return nil
}

// runContainers does what a pod takes at least: a container that holds the network, and one in that network that runs to its end.
func (d *engine) runContainers(ctx context.Context, _ int) error {
	start := func(host *container.HostConfig, script string) (string, error) {
		made, err := d.Client.ContainerCreate(ctx, client.ContainerCreateOptions{
			Config: &container.Config{Image: "busybox:1.36", Cmd: []string{"sh", "-c", script}}, HostConfig: host,
		})
		if err == nil {
			_, err = d.Client.ContainerStart(ctx, made.ID, client.ContainerStartOptions{})
		}
		return made.ID, err
	}
	infra, err := start(&container.HostConfig{}, "exec sleep 100000")
	if err != nil {
		return err
	}
	id, err := start(&container.HostConfig{NetworkMode: container.NetworkMode("container:" + infra)}, "exit 0")
	if err != nil {
		return err
	}
	wait := d.Client.ContainerWait(ctx, id, client.ContainerWaitOptions{Condition: container.WaitConditionNotRunning})
	select {
	case err := <-wait.Error:
		return err
	case <-wait.Result:
	}
	// The pod's end is followed by that of its infra container as well.
	_, err = d.Client.ContainerKill(ctx, infra, client.ContainerKillOptions{Signal: "KILL"})
	return err
}

// changesOnDocker measures how soon /status shows that a container has ended, among 10 and 1,000 jobs.
func changesOnDocker(ctx context.Context, e *environment, s *section) error {
	d, err := e.engine(ctx)
	if err != nil {
		return err
	}
	const each = 10
	pods := make([]*corev1.Pod, 2*each)
	for i := range pods {
		pods[i] = harness.NewPod(podName(i), dockerBackend, harness.Shell("main", "exec sleep 100000"))
		if err := d.create(ctx, pods[i]); err != nil {
			return err
		}
	}
	if err := harness.Poll(patience, func() error {
		statuses, _, err := d.manager.Status(ctx, pods...)
		for i := range statuses {
			if len(statuses[i].Containers) != 1 || statuses[i].Containers[0].State.Running == nil {
				err = errors.New("not all run yet")
			}
		}
		return err
	}); err != nil {
		return err
	}
	if err := d.timeChanges(ctx, s, "10 jobs", pods[:each]); err != nil {
		return err
	}
	if err := d.addElsewhere(ctx, pods[each], 1000); err != nil {
		return err
	}
	return d.timeChanges(ctx, s, "1000 jobs", pods[each:])
}

func (d *engine) timeChanges(ctx context.Context, s *section, what string, pods []*corev1.Pod) error {
	var took []time.Duration
	for _, pod := range pods {
		containers, err := harness.Containers(ctx, d.Client, d.ledger.Token(pod)+"-main")
		if err != nil || len(containers) != 1 {
			return fmt.Errorf("the pod's container: %v, %w", containers, err)
		}
		if _, err := d.Client.ContainerKill(ctx, containers[0].ID, client.ContainerKillOptions{Signal: "KILL"}); err != nil {
			return err
		}
		begin := time.Now()
		for {
			err := allEnded(ctx, d.manager, []*corev1.Pod{pod})
			if err == nil {
				break
			}
			if time.Since(begin) > patience || ctx.Err() != nil {
				return err
			}
			<-time.After(2 * time.Millisecond)
		}
		took = append(took, time.Since(begin))
	}
	s.duration(what+": a container's end on Docker to the answer: p50", quantile(took, 0.5))
	s.duration(what+": … slowest of 10", quantile(took, 1)).want("< "+dockerChange.String(), quantile(took, 1) < dockerChange)
	return nil
}

// addElsewhere adds RemoteJobs like a pod's, of a RemoteBackend that there is not.
func (d *engine) addElsewhere(ctx context.Context, pod *corev1.Pod, n int) error {
	e, err := d.ledger.etcd()
	if err != nil {
		return err
	}
	job, err := d.ledger.Job(ctx, pod)
	if err != nil {
		return err
	}
	record, err := e.get(ctx, jobKey(job.Namespace, job.Name))
	if err != nil {
		return err
	}
	entries := make(chan entry, n)
	for i := range n {
		rename := strings.NewReplacer(pod.Name, podName(1000+i), string(pod.UID), string(harness.NewUID()), string(job.UID), string(harness.NewUID()),
			`"backendName":"`+dockerBackend+`"`, `"backendName":"elsewhere"`)
		entries <- entry{jobKey(job.Namespace, rename.Replace(job.Name)), []byte(rename.Replace(string(record)))}
	}
	close(entries)
	if err := e.put(ctx, entries); err != nil {
		return err
	}
	// All are known when the last is.
	return harness.Poll(patience, func() error {
		jobs := &v1alpha1.RemoteJobList{}
		if err := d.ledger.List(ctx, jobs); err != nil || len(jobs.Items) < n {
			return fmt.Errorf("%d RemoteJobs, %w", len(jobs.Items), err)
		}
		return nil
	})
}

// drain reads a stream to its end, and returns how long it is.
func drain(stream io.ReadCloser) (int64, error) {
	n, err := io.Copy(io.Discard, stream)
	return n, errors.Join(err, stream.Close())
}
