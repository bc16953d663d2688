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

package docker

import (
	"context"
	"errors"
	"io"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// An engine that is killed after containerd has started a container for it, and before it has written that down, shows the container as one
// that has been made, and would start it again. What the container has written shows that it has run: one that never ran has an empty log.

// forgottenStart is the end of a container whose start its engine has forgotten.
const forgottenStart = "The Docker engine was ended after it had started the container, and does not know of it any more: what the container came to is not known"

// remember turns a run that has been made and not started into one that failed, where it has run all the same and is never to run twice.
func (b *Backend) remember(ctx context.Context, j *job, pod *corev1.Pod, name string, r *seenRun, in *podlifecycle.Instance) error {
	if in.State != podlifecycle.InstanceCreated || pod.Spec.RestartPolicy != corev1.RestartPolicyNever {
		return nil
	}
	j.mu.Lock()
	ran := j.run(name, r).forgotten
	j.mu.Unlock()
	if !ran {
		var err error
		if ran, err = b.hasWritten(ctx, r.ID); err != nil || !ran {
			return err // it is asked for again before each start
		}
		j.mu.Lock()
		j.run(name, r).forgotten = true
		j.mu.Unlock()
	}
	in.State, in.StartError = podlifecycle.InstanceExited, forgottenStart
	return nil
}

// hasWritten tells whether there is anything in a container's log.
func (b *Backend) hasWritten(ctx context.Context, id string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	log, err := b.engine.ContainerLogs(ctx, id, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Tail: "1"})
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	if err != nil {
		return false, engineError("look whether a container has written anything", err)
	}
	defer func() { _ = log.Close() }()
	n, err := io.ReadFull(log, make([]byte, 1))
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	return n > 0, engineError("look whether a container has written anything", err)
}
