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
	"time"

	"github.com/moby/moby/api/types/container"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// shutdownWindow is how far apart the ends of a pod's containers may be when the engine stops them together: an engine that shuts down
// gives containers 15 s (dockerd's --shutdown-timeout), and one after another may use them.
const shutdownWindow = 15 * time.Second

// sandboxState is what the rules are told of the infra container.
//
// An engine that is restarted without live-restore ends all containers, each with whatever code it answers to a stop signal with: the
// ends are the machine's doing. It is told from an infra container that was ended by itself, whose pod's other containers go on until
// they are stopped from here, by the time at which the engine began; engineStart is zero where that is not known.
func sandboxState(v *view, engineStart time.Time) podlifecycle.Sandbox {
	if v.infra == nil {
		return podlifecycle.Sandbox{State: podlifecycle.SandboxDead, Message: "The pod's infra container is gone"}
	}
	switch v.infra.State.Status {
	case container.StateRunning, container.StatePaused:
		return podlifecycle.Sandbox{State: podlifecycle.SandboxReady}
	case container.StateCreated:
		return podlifecycle.Sandbox{State: podlifecycle.SandboxNone}
	}
	ended := engineTime(v.infra.State.FinishedAt)
	s := podlifecycle.Sandbox{State: podlifecycle.SandboxDead, EndedAt: ended, Message: "The pod's infra container has ended"}
	if engineStart.Before(ended) && !engineStart.IsZero() {
		return s
	}
	cut := false
	for _, runs := range v.runs {
		for _, r := range runs {
			switch r.State.Status {
			case container.StateRunning, container.StatePaused, container.StateRestarting:
				return s // it has outlived the infra container, so the engine was not restarted under the pod
			case container.StateCreated:
			default:
				cut = cut || !engineTime(r.State.FinishedAt).Before(ended.Add(-shutdownWindow))
			}
		}
	}
	if cut {
		s.NodeLost = true
		s.Message = "The Docker engine was restarted, which ended the pod's containers"
	}
	return s
}
