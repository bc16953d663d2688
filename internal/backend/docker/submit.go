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
	"fmt"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/faultpoint"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// Submit makes the pod's infra container and starts it. The token is its name, so of many who submit the same job one makes it and the
// others find it. The job's name on the engine is the token.
func (b *Backend) Submit(ctx context.Context, w *workload.Workload) (string, error) {
	m, err := b.learnMachine(ctx)
	if err != nil {
		return "", err
	}
	if err := acceptable(w.Pod, m, b.opts.GPUs); err != nil {
		return "", err
	}
	cancelled, err := b.marked(ctx, w.Token)
	if err != nil {
		return "", err
	}
	if cancelled {
		return "", errCancelled()
	}
	found, err := b.ensureSandbox(ctx, w)
	if err != nil {
		return "", err
	}
	if found && b.opts.Adopted != nil {
		b.opts.Adopted()
	}
	return w.Token, nil
}

// ensureSandbox makes the infra container if there is none, and starts it if it has never run. One that has ended is left as it is. It
// returns true when somebody else had made it.
func (b *Backend) ensureSandbox(ctx context.Context, w *workload.Workload) (found bool, err error) {
	infra, err := b.inspect(ctx, infraName(w.Token))
	found = err == nil
	if errdefs.IsNotFound(err) {
		if found, err = b.makeSandbox(ctx, w); err != nil {
			return false, err
		}
		infra, err = b.inspectMade(ctx, infraName(w.Token))
	}
	if err != nil {
		return false, err
	}
	if err := b.mustBelong(infra, w.Token, roleInfra); err != nil {
		return false, err
	}
	if err := b.undoIfCancelled(ctx, w.Token, infra.ID); err != nil {
		return false, err
	}
	if infra.State.Status != container.StateCreated {
		return found, nil
	}
	if room, err := b.clearAside(ctx, w.Token, infra.ID); err != nil || !room {
		return found, err
	}
	if _, err := b.engine.ContainerStart(ctx, infra.ID, client.ContainerStartOptions{}); err != nil {
		return false, errors.Join(engineError("start the pod's infra container", err), b.replaceHalfStarted(ctx, w, infra.ID, err))
	}
	faultpoint.Hit(faultpoint.DockerAfterSandboxStart)
	return found, nil
}

// replaceHalfStarted makes another infra container in place of one that the engine has failed to start. One that was killed while it started
// it before has lost track of that, and never will: its containerd knows the container, or what is left of it, and engines say so in many
// words. It runs nothing of the pod. One that somebody else could start after all is left alone.
func (b *Backend) replaceHalfStarted(ctx context.Context, w *workload.Workload, id string, failure error) error {
	if !errdefs.IsInternal(failure) || isRuntimeAway(failure.Error()) {
		return nil
	}
	seen, err := b.inspect(ctx, id)
	if errdefs.IsNotFound(err) || err == nil && seen.State.Status != container.StateCreated {
		return nil
	}
	if err != nil {
		return err
	}
	if err := b.setAside(ctx, w.Token, id); err != nil {
		return err
	}
	if _, err = b.makeSandbox(ctx, w); err != nil {
		return err
	}
	made, err := b.inspectMade(ctx, infraName(w.Token))
	if err != nil {
		return err
	}
	return b.undoIfCancelled(ctx, w.Token, made.ID)
}

// makeSandbox makes the infra container. It returns true when somebody else made it at the same time.
func (b *Backend) makeSandbox(ctx context.Context, w *workload.Workload) (found bool, err error) {
	if err := b.ensureInfraImage(ctx); err != nil {
		return false, err
	}
	s, err := infraSpec(w, b.infraImage, b.opts.Network)
	if err != nil {
		return false, backend.Rejected("UnsupportedByEngine", "%v", err)
	}
	_, err = b.create(ctx, s)
	if found = errdefs.IsConflict(err); err != nil && !found {
		return false, engineError("make the pod's infra container", err)
	}
	faultpoint.Hit(faultpoint.DockerAfterSandbox)
	return found, nil
}

// create makes a container.
func (b *Backend) create(ctx context.Context, s created) (id string, err error) {
	result, err := b.engine.ContainerCreate(ctx, client.ContainerCreateOptions{Name: s.name, Config: &s.config, HostConfig: &s.host})
	return result.ID, err
}

// inspect looks at one container.
func (b *Backend) inspect(ctx context.Context, name string) (container.InspectResponse, error) {
	result, err := b.engine.ContainerInspect(ctx, name, client.ContainerInspectOptions{})
	if err == nil && (result.Container.State == nil || result.Container.Config == nil || result.Container.HostConfig == nil) {
		err = fmt.Errorf("the engine's answer lacks the container's state")
	}
	return result.Container, engineError("look at a container", err)
}

// inspectMade looks at a container that is made, or being made by somebody else at this moment: the engine gives a name away before there
// is a container to be seen.
func (b *Backend) inspectMade(ctx context.Context, name string) (container.InspectResponse, error) {
	const attempts, pause = 150, 100 * time.Millisecond
	for i := 1; ; i++ {
		seen, err := b.inspect(ctx, name)
		if !errdefs.IsNotFound(err) || i == attempts {
			return seen, err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return seen, err
		}
	}
}

// mustBelong refuses a container that has the name of one of ours and is not.
func (b *Backend) mustBelong(c container.InspectResponse, token, role string) error {
	l := c.Config.Labels
	if !b.ours(l) || l[labelToken] != token || l[labelRole] != role {
		return fmt.Errorf("the container %s has the name of one of this job and does not belong to it: remove it", c.Name)
	}
	return nil
}

// undoIfCancelled removes a container that was just made, or found, if its token has been cancelled: see mark.
func (b *Backend) undoIfCancelled(ctx context.Context, token, id string) error {
	cancelled, err := b.marked(ctx, token)
	if err != nil || !cancelled {
		return err
	}
	if err := b.removeContainer(ctx, id); err != nil {
		return err
	}
	if _, err := b.removeVolumes(ctx, token); err != nil {
		return err
	}
	return errCancelled()
}
