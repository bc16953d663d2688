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
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// An engine that shuts down without live-restore ends all containers, and what they answer its signal with is not how their pods ended. It
// first closes the address that it listens at, and then signals; but as long as it lives it answers by the connections that it has, and
// tells of the ends. So an end counts once the engine has answered by a connection that was made after the end had been seen: an engine that
// shuts down takes none. What listens in its place for the next one (systemd's socket, a proxy) lets the call wait for that one, which
// shows the pod's infra container to have ended as well.

// outliveTimeout is how long an engine has to answer by a new connection. One that does not is taken to be away.
const outliveTimeout = 5 * time.Second

// outliveAttempts bounds how often a job is looked at again that changed in between.
const outliveAttempts = 3

// lookAtEnds is look, with no end in it that may be the engine's doing.
func (b *Backend) lookAtEnds(ctx context.Context, j *job) (*view, error) {
	for range outliveAttempts {
		v, err := b.look(ctx, j)
		if err != nil {
			return nil, err
		}
		news := j.newEnds(v)
		if len(news) == 0 {
			return v, nil
		}
		same, err := b.outlives(ctx, v)
		if err != nil {
			return nil, err
		}
		if same {
			j.outlive(news)
			return v, nil
		}
	}
	return nil, backend.Unavailable("the pod's infra container changes faster than it can be looked at")
}

// outlives tells whether the engine takes a new connection, and shows the infra container by it as it was seen.
func (b *Backend) outlives(ctx context.Context, v *view) (same bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, outliveTimeout)
	defer cancel()
	const doing = "ask the engine whether it is shutting down"
	if v.infra == nil {
		_, err := b.fresh.Ping(ctx, client.PingOptions{})
		return err == nil, engineError(doing, err)
	}
	now, err := b.fresh.ContainerInspect(ctx, v.infra.ID, client.ContainerInspectOptions{})
	switch {
	case errdefs.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, engineError(doing, err)
	case now.Container.State == nil:
		return false, backend.Unavailable("%s: its answer lacks the container's state", doing)
	}
	is, was := now.Container.State, v.infra.State
	return is.Status == was.Status && is.StartedAt == was.StartedAt && is.FinishedAt == was.FinishedAt, nil
}

// newEnds are the ends in a view that the engine has not been seen to outlive, by container.
func (j *job) newEnds(v *view) map[string]string {
	j.mu.Lock()
	defer j.mu.Unlock()
	news := map[string]string{}
	for id, at := range ends(v) {
		if before, ok := j.outlived[id]; !ok || before != at {
			news[id] = at
		}
	}
	return news
}

func (j *job) outlive(ends map[string]string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for id, at := range ends {
		j.outlived[id] = at
	}
}

// ends are the times at which the containers of a view have ended, by container. A start that failed is one.
func ends(v *view) map[string]string {
	all := map[string]string{}
	if v.infra != nil && !running(v.infra) && v.infra.State.Status != container.StateCreated {
		all[v.infra.ID] = v.infra.State.FinishedAt
	}
	for _, runs := range v.runs {
		for i := range runs {
			if instance(&runs[i], v.inhabited()).State == podlifecycle.InstanceExited {
				all[runs[i].ID] = runs[i].State.FinishedAt
			}
		}
	}
	return all
}
