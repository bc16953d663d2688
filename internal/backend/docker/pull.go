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
	"fmt"
	"time"

	"github.com/moby/moby/client"
	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// The reasons for which a container waits for its image, in the kubelet's words.
const (
	reasonErrImagePull      = "ErrImagePull"
	reasonImagePullBackOff  = "ImagePullBackOff"
	reasonErrImageNeverPull = "ErrImageNeverPull"
)

const (
	pullBackOffFirst = 10 * time.Second
	pullBackOffMost  = 5 * time.Minute
	// pullErrorShown is for how long a fresh error is shown as such before it is the reason of a back-off.
	pullErrorShown = time.Second
)

// pull is an image on its way for one container.
type pull struct {
	cancel context.CancelFunc
	pullState
}

// pullState is how far a pull is.
type pullState struct {
	running bool
	// done is set once the image has been pulled for the container's next run.
	done bool
	// failures in a row, the time and the words of the last.
	failures int
	failedAt time.Time
	words    string
}

// pullBackOff is how long to wait after so many failures in a row.
func pullBackOff(failures int) time.Duration {
	d := pullBackOffFirst
	for range failures - 1 {
		if d *= 2; d >= pullBackOffMost {
			return pullBackOffMost
		}
	}
	return d
}

// pullStep is what to do about a container's image.
type pullStep int

const (
	// pullUse is to use the image that is there, pullBegin to begin a pull, pullWait to wait.
	pullUse pullStep = iota
	pullBegin
	pullWait
)

// nextPull decides about an image by the container's policy, whether the engine has it, and how far its pull is. While it waits, waiting
// says why, nil for no reason but that it takes its time; at wake there is reason to decide again.
func nextPull(image string, policy corev1.PullPolicy, present bool, s pullState, now time.Time) (step pullStep, waiting *podlifecycle.Waiting, wake time.Time) {
	switch {
	case policy == corev1.PullNever && present, policy == corev1.PullIfNotPresent && present, present && s.done:
		return pullUse, nil, time.Time{}
	case policy == corev1.PullNever:
		return pullWait, &podlifecycle.Waiting{
			Reason: reasonErrImageNeverPull, Message: fmt.Sprintf("Container image %q is not present with pull policy of Never", image),
		}, now.Add(pullBackOffFirst)
	case s.failures == 0 && s.running:
		return pullWait, nil, time.Time{}
	case s.failures == 0:
		return pullBegin, nil, time.Time{}
	}
	retry := s.failedAt.Add(pullBackOff(s.failures))
	if now.Before(s.failedAt.Add(pullErrorShown)) {
		return pullWait, &podlifecycle.Waiting{Reason: reasonErrImagePull, Message: s.words}, s.failedAt.Add(pullErrorShown)
	}
	waiting = &podlifecycle.Waiting{
		Reason: reasonImagePullBackOff, Message: fmt.Sprintf("Back-off pulling image %q: %s: %s", image, reasonErrImagePull, s.words),
	}
	if s.running {
		return pullWait, waiting, time.Time{}
	}
	if now.Before(retry) {
		return pullWait, waiting, retry
	}
	return pullBegin, waiting, time.Time{}
}

// ensureImage brings the image of a container's next run on. It is ready when ok.
func (b *Backend) ensureImage(ctx context.Context, j *job, w *workload.Workload, c *corev1.Container) (facts imageFacts, ok bool, err error) {
	ref, err := imageReference(c.Image)
	if err != nil {
		return imageFacts{}, false, err
	}
	facts, present, err := b.localImage(ctx, ref)
	if err != nil {
		return imageFacts{}, false, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	p := j.pulls[c.Name]
	if p == nil {
		p = &pull{cancel: func() {}}
		j.pulls[c.Name] = p
	}
	step, waiting, wake := nextPull(ref, c.ImagePullPolicy, present, p.pullState, time.Now())
	switch step {
	case pullUse:
		return facts, true, nil
	case pullBegin:
		b.beginPull(j, p, ref, w.PullSecrets)
	}
	delete(j.troubles, c.Name)
	if waiting != nil {
		j.troubles[c.Name] = trouble{Waiting: *waiting}
	}
	j.wakeAt(wake)
	return imageFacts{}, false, nil
}

// beginPull pulls an image in the background. The caller holds the job's lock.
func (b *Backend) beginPull(j *job, p *pull, ref string, secrets []workload.FileData) {
	ctx, cancel := context.WithCancel(context.Background())
	p.cancel, p.running = cancel, true
	go func() {
		defer cancel()
		err := b.pullImage(ctx, ref, secrets)
		j.mu.Lock()
		p.running = false
		if err == nil {
			p.done, p.failures = true, 0
		} else {
			p.failures++
			p.failedAt, p.words = time.Now(), fmt.Sprintf("failed to pull image %q: %v", ref, err)
		}
		j.mu.Unlock()
		if ctx.Err() == nil {
			b.jobs.changed(j.token)
		}
	}()
}

// pullImage pulls an image, with each of the credentials for its registry in turn, and without any if there are none.
func (b *Backend) pullImage(ctx context.Context, ref string, secrets []workload.FileData) error {
	var last error
	for _, auth := range registryAuths(ref, secrets) {
		if last = b.pullOnce(ctx, ref, auth); last == nil || ctx.Err() != nil {
			return last
		}
	}
	return last
}

func (b *Backend) pullOnce(ctx context.Context, ref, auth string) error {
	stream, err := b.engine.ImagePull(ctx, ref, client.ImagePullOptions{RegistryAuth: auth})
	if err != nil {
		return err
	}
	return stream.Wait(ctx)
}
