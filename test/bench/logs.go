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
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moby/moby/client"
	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

const (
	logBytes = 100 << 20
	// followedBytes are written while followers follow.
	followers, followedBytes = 50, 1 << 20
	// line is one of the log.
	line = "the quick brown fox jumps over the lazy dog, and does so again and again until the log is long enough"
)

func writes(bytes int) string { return fmt.Sprintf("yes '%s' | head -c %d", line, bytes) }

// readLogs measures the logs of both backends.
func readLogs(ctx context.Context, e *environment, s *section) error {
	d, err := e.engine(ctx)
	if err != nil {
		return err
	}
	on := &logReader{section: s, where: "Docker", manager: d.manager, create: d.create}
	pod, err := on.measure(ctx)
	if err != nil {
		return err
	}
	containers, err := harness.Containers(ctx, d.Client, d.ledger.Token(pod)+"-main")
	if err != nil || len(containers) != 1 {
		return fmt.Errorf("the pod's container: %v, %w", containers, err)
	}
	begin := time.Now()
	stream, err := d.Client.ContainerLogs(ctx, containers[0].ID, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		return err
	}
	n, err := drain(stream)
	if err != nil {
		return err
	}
	s.add("Docker: the same log by the engine's API", megabytes(n)/time.Since(begin).Seconds(), "MiB/s")
	if err := e.endPart(); err != nil {
		return err
	}

	t := &submitter{}
	if t.ledger, err = e.ledger(ctx); err != nil {
		return err
	}
	if t.cluster, err = e.cluster(ctx); err != nil {
		return err
	}
	if err := t.cluster.register(ctx, t.ledger, "slurm", 2*time.Second); err != nil {
		return err
	}
	if t.manager, err = e.manager(t.ledger.plane.Config, "slurm", t.cluster.Env()); err != nil {
		return err
	}
	if err := t.ledger.ready(ctx, "slurm"); err != nil {
		return err
	}
	_, err = (&logReader{section: s, where: "SLURM", manager: t.manager, create: func(ctx context.Context, pod *corev1.Pod) error {
		delete(pod.Annotations, "remotejob.dev/backend")
		return t.create(ctx, pod)
	}}).measure(ctx)
	return err
}

// logReader reads logs of pods on one backend.
type logReader struct {
	*section
	where   string
	manager *manager
	create  func(context.Context, *corev1.Pod) error
}

func megabytes(n int64) float64 { return float64(n) / (1 << 20) }

// measure returns the pod whose log is long.
func (l *logReader) measure(ctx context.Context) (*corev1.Pod, error) {
	pod := harness.NewPod("long-log", dockerBackend, harness.Shell("main", writes(logBytes)))
	if err := l.create(ctx, pod); err != nil {
		return nil, err
	}
	if err := harness.Poll(patience, func() error { return allEnded(ctx, l.manager, []*corev1.Pod{pod}) }); err != nil {
		return nil, err
	}
	before, err := usageOf(l.manager.Pid())
	if err != nil {
		return nil, err
	}
	most, stop := watchMemory(l.manager.Pid())
	n, took, err := l.read(ctx, pod, harness.LogOpts{})
	stop()
	if err != nil {
		return nil, err
	}
	if n < logBytes/10 {
		return nil, fmt.Errorf("only %d bytes are left of a log of %d", n, logBytes)
	}
	l.add(l.where+": what is kept of a log of 100 MiB", megabytes(n), "MiB")
	l.add(l.where+": … read", megabytes(n)/took.Seconds(), "MiB/s")
	l.add(l.where+": … memory of the manager that it takes", megabytes(most.Load()-before.resident), "MiB")
	if _, took, err = l.read(ctx, pod, harness.LogOpts{Tail: 10}); err != nil {
		return nil, err
	}
	l.duration(l.where+": its last 10 lines", took)
	return pod, l.follow(ctx)
}

func (l *logReader) read(ctx context.Context, pod *corev1.Pod, opts harness.LogOpts) (int64, time.Duration, error) {
	begin := time.Now()
	resp, err := l.manager.OpenLogs(ctx, pod, "main", opts) //nolint:bodyclose // drain closes it
	if err != nil {
		return 0, 0, err
	}
	n, err := drain(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("/getLogs: %s", resp.Status)
	}
	return n, time.Since(begin), err
}

// follow has many follow a log while it is written.
func (l *logReader) follow(ctx context.Context) error {
	pod := harness.NewPod("followed", dockerBackend, harness.Shell("main", "echo begin; sleep 8; "+writes(followedBytes)))
	if err := l.create(ctx, pod); err != nil {
		return err
	}
	if err := harness.Poll(patience, func() error {
		answer, err := l.manager.Logs(ctx, pod, "main", harness.LogOpts{})
		if err != nil || answer.Code != http.StatusOK || len(answer.Body) == 0 {
			return fmt.Errorf("/getLogs: %w, %d", err, answer.Code)
		}
		return nil
	}); err != nil {
		return err
	}
	before, err := usageOf(l.manager.Pid())
	if err != nil {
		return err
	}
	most, stop := watchMemory(l.manager.Pid())
	defer stop()
	var all sync.WaitGroup
	var bytes, ended atomic.Int64
	failed := make(chan error, followers)
	begin := time.Now()
	for range followers {
		all.Go(func() {
			n, _, err := l.read(ctx, pod, harness.LogOpts{Follow: true})
			bytes.Add(n)
			if err != nil || n < followedBytes {
				failed <- fmt.Errorf("a follower got %d bytes of %d, %w", n, followedBytes, err)
				return
			}
			ended.Add(1)
		})
	}
	all.Wait()
	close(failed)
	for err := range failed {
		return err
	}
	l.add(l.where+": 50 followers of a log of 1 MiB, together, its pod's 8 s of silence in it", megabytes(bytes.Load())/time.Since(begin).Seconds(), "MiB/s")
	l.add(l.where+": … memory of the manager that they take", megabytes(most.Load()-before.resident), "MiB")
	return nil
}

// watchMemory keeps the most resident memory that a process has until stop is called.
func watchMemory(pid int) (most *atomic.Int64, stop func()) {
	most = &atomic.Int64{}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			if u, err := usageOf(pid); err == nil && u.resident > most.Load() {
				most.Store(u.resident)
			}
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return most, sync.OnceFunc(func() { close(done); <-ended })
}
