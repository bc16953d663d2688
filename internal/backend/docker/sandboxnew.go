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

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
)

// renewSandbox removes what is left of the pod's old sandbox, and makes a new one under the same name. The pod's disk volumes stay; its
// files are filled in again before the next container starts.
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
	if v.infra != nil {
		failed = append(failed, b.removeContainer(ctx, v.infra.ID))
	}
	if err := errors.Join(failed...); err != nil {
		return err
	}
	j.unprepare()
	_, err := b.ensureSandbox(ctx, req.Workload)
	return err
}
