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
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// followed is a log that is being followed.
type followed struct {
	s      *side
	done   chan struct{}
	cancel context.CancelFunc

	mu  sync.Mutex
	buf bytes.Buffer
	err error
}

// follow opens a log with Follow. What comes can be looked at while it comes.
func (s *side) follow(pod *corev1.Pod, container string) *followed {
	s.t.Helper()
	ctx, cancel := context.WithCancel(s.ctx)
	s.t.Cleanup(cancel)
	resp, err := s.manager.OpenLogs(ctx, pod, container, harness.LogOpts{Follow: true})
	if err != nil {
		s.t.Fatalf("follow the log of %s: %v", container, err)
	}
	s.t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		s.t.Fatalf("follow the log of %s: %v", container, resp)
	}
	f := &followed{s: s, done: make(chan struct{}), cancel: cancel}
	go func() {
		defer close(f.done)
		chunk := make([]byte, 64<<10)
		for {
			n, err := resp.Body.Read(chunk)
			f.mu.Lock()
			f.buf.Write(chunk[:n])
			if err != nil {
				f.err = err
			}
			f.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return f
}

// has waits until the words have come.
func (f *followed) has(words string) {
	f.s.t.Helper()
	harness.Eventually(f.s.t, 30*time.Second, fmt.Sprintf("the followed log says %q", words), func() error {
		f.mu.Lock()
		defer f.mu.Unlock()
		if !strings.Contains(f.buf.String(), words) {
			return fmt.Errorf("it says %q", f.buf.String())
		}
		return nil
	})
}

// all waits until the stream ends, as it should when the container does, and returns what came.
func (f *followed) all() string {
	f.s.t.Helper()
	select {
	case <-f.done:
	case <-time.After(time.Minute):
		f.s.t.Fatalf("the followed log does not end")
	}
	if f.err.Error() != "EOF" {
		f.s.t.Errorf("the followed log broke off: %v", f.err)
	}
	return f.buf.String()
}

// nothingRuns returns an error while the engine runs a container of the job.
func (s *side) nothingRuns(name, token string) error {
	list, err := harness.Containers(s.ctx, s.engine.Client, token)
	if err != nil {
		return err
	}
	for _, c := range list {
		if c.State == "running" {
			return fmt.Errorf("pod %s: container %v runs", name, c.Names)
		}
	}
	return nil
}

// noPayload returns an error while a Secret of the pod's job is there.
func (s *side) noPayload(pod *corev1.Pod) error {
	job, err := s.ledger.Job(s.ctx, pod)
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range job.Spec.PayloadSecretNames {
		var secret corev1.Secret
		err := s.ledger.Get(s.ctx, client.ObjectKey{Namespace: pod.Namespace, Name: name}, &secret)
		if !apierrors.IsNotFound(err) {
			return fmt.Errorf("payload Secret %s is not gone: %s", name, fmt.Sprint(err))
		}
	}
	return nil
}

func envVar(name, value string) corev1.EnvVar { return corev1.EnvVar{Name: name, Value: value} }
