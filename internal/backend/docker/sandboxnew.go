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

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// renewSandbox removes what is left of the pod's old sandbox, and makes a new one under the same name. The pod's disk volumes stay; its
// files are filled in again before the next container starts. The infra container is exchanged last, so that the job never looks as if
// nothing were left of it; one that has not been tried yet is taken.
func (b *Backend) renewSandbox(ctx context.Context, j *job, req backend.DriveRequest, v *view) error {
	var failed []error
	for _, runs := range v.runs {
		for _, r := range runs {
			failed = append(failed, b.removeContainer(ctx, r.ID))
		}
	}
	for _, h := range v.holders {
		failed = append(failed, b.removeContainer(ctx, h.ID))
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	if v.infra != nil && (v.infra.State.Status != container.StateCreated || v.infra.State.Error != "") {
		if err := b.setAside(ctx, j.token, v.infra.ID); err != nil {
			return err
		}
	}
	j.unprepare()
	_, err := b.ensureSandbox(ctx, req.Workload)
	return err
}

// replaceInfra makes another infra container in place of one in which no container can be started, and in which none runs. To the rules that is
// no new sandbox: what has run and ended stays so. The container that could not be started goes as if it had never been made.
func (b *Backend) replaceInfra(ctx context.Context, j *job, w *workload.Workload, infra *container.InspectResponse, id string) error {
	if err := b.removeIdle(ctx, id); errdefs.IsConflict(err) {
		return nil // somebody else could start it: the next look shows it
	} else if err != nil {
		return err
	}
	if err := b.setAside(ctx, j.token, infra.ID); err != nil {
		return err
	}
	j.unprepare()
	_, err := b.ensureSandbox(ctx, w)
	return err
}
