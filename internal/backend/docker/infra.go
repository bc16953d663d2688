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
	"slices"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// An infra container is exchanged for another one under the eyes of whoever looks, and its manager may be killed meanwhile. A job of which
// nothing is left counts as lost, so the old one is set aside under another name first, and goes when the new one has been made. It goes
// before the new one is started, since it may hold ports of the machine.

// isNamed tells whether an infra container has the name of its job's, so that it has not been set aside.
func isNamed(c *container.InspectResponse) bool {
	return c.Name == "/"+infraName(c.Config.Labels[labelToken])
}

// chooseInfra takes one of the infra containers seen for the pod's, and leaves the others aside: one in which the pod's containers run, or else
// the one that has the name. Where none has it, whoever set one aside was ended before there was another, and the last one counts.
func (v *view) chooseInfra() {
	rank := func(c *container.InspectResponse) int {
		switch {
		case v.inhabits(c):
			return 2
		case isNamed(c):
			return 1
		default:
			return 0
		}
	}
	chosen := -1
	for i, c := range v.aside {
		if chosen < 0 || rank(c) > rank(v.aside[chosen]) ||
			rank(c) == rank(v.aside[chosen]) && engineTime(c.Created).After(engineTime(v.aside[chosen].Created)) {
			chosen = i
		}
	}
	if chosen >= 0 {
		v.infra = v.aside[chosen]
		v.aside = slices.Delete(v.aside, chosen, chosen+1)
	}
}

// inhabits tells whether any of the pod's containers runs in an infra container.
func (v *view) inhabits(infra *container.InspectResponse) bool {
	for _, runs := range v.runs {
		for i := range runs {
			if running(&runs[i].InspectResponse) && runs[i].HostConfig != nil && string(runs[i].HostConfig.NetworkMode) == "container:"+infra.ID {
				return true
			}
		}
	}
	return false
}

// setAside takes the job's name from an infra container, so that another one can be made. It goes by its ID, so whoever comes late with that
// meets one that is set aside already, or none.
func (b *Backend) setAside(ctx context.Context, token, id string) error {
	_, err := b.engine.ContainerRename(ctx, id, client.ContainerRenameOptions{NewName: asideName(token, id)})
	if err == nil || errdefs.IsNotFound(err) {
		return nil
	}
	if now, look := b.inspect(ctx, id); errdefs.IsNotFound(look) || look == nil && !isNamed(&now) {
		return nil
	}
	return engineError("set an infra container aside", err)
}

// removeAside removes infra containers that have been set aside. One that runs does so for nobody.
func (b *Backend) removeAside(ctx context.Context, aside []*container.InspectResponse) error {
	var failed []error
	for _, c := range aside {
		if running(c) {
			failed = append(failed, b.removeContainer(ctx, c.ID))
			continue
		}
		// Somebody else may have started it after all: then the next look tells what it is worth.
		if err := b.removeIdle(ctx, c.ID); !errdefs.IsConflict(err) {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

// clearAside makes room for an infra container that is to be started: it removes those that were set aside for it. There is none where
// the pod's containers run in one of them.
func (b *Backend) clearAside(ctx context.Context, token, infraID string) (room bool, err error) {
	list, err := b.containers(ctx, token)
	if err != nil {
		return false, err
	}
	others := slices.ContainsFunc(list, func(c container.Summary) bool { return c.Labels[labelRole] == roleInfra && c.ID != infraID })
	if !others {
		return true, nil
	}
	v, err := b.look(ctx, b.jobs.job(token))
	if err != nil {
		return false, err
	}
	if v.infra == nil || v.infra.ID != infraID {
		return false, nil
	}
	return true, b.removeAside(ctx, v.aside)
}
