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

	"github.com/moby/moby/api/types/container"
	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/docker/inside"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/probe"
)

// attend has a running container probed, and says what its probes and its postStart hook have said so far.
func (b *Backend) attend(ctx context.Context, j *job, req backend.DriveRequest, v *view, name string, r *seenRun, in *podlifecycle.Instance) error {
	c := containerOf(req.Workload.Pod, name)
	if c == nil || v.infra == nil || !watchable(c) {
		return nil
	}
	known, err := b.notesOf(ctx, j, v, name, r)
	if err != nil {
		return err
	}
	if in.StopReason == "" {
		in.StopReason = known.StopReason
	}
	key := probe.Key{Token: j.token, Container: name, N: r.n}
	before := recordedRun(&req.Recorded, name, in)
	if probe.PostStart.Of(c) != nil {
		in.PostStart, in.PostStartMessage = b.hooks.State(key, probe.PostStart)
		if in.PostStart == podlifecycle.HookNone && (known.PostStart || before != nil && before.Started != nil && *before.Started) {
			in.PostStart = podlifecycle.HookDone
		}
		if in.PostStart != podlifecycle.HookDone {
			return nil // a kubelet's probes wait for the hook too
		}
	}
	switch {
	case !probe.Any(c):
	case req.Stop != nil:
		// One that is not probed yet, and may lack its env, is not begun with any more.
		b.probes.End(j.token)
		in.Probes, _ = b.probes.Results(key)
	default:
		in.Probes = b.probes.Start(key, probe.Instance{
			Container: c, PodIP: podIP(v.infra), StartedAt: in.StartedAt, Resume: resumed(before), Prober: b.reach(j, v, r),
		})
	}
	return nil
}

// watchable tells whether there is anything to know of a container beside what the engine shows.
func watchable(c *corev1.Container) bool {
	return probe.Any(c) || c.Lifecycle != nil
}

// outcome is what was known of a run when it ended.
type outcome struct {
	probes           podlifecycle.Probes
	postStart        podlifecycle.HookState
	postStartMessage string
	stopReason       string
}

// conclude ends the probes and hooks of a container that has ended, and says what they had said.
func (b *Backend) conclude(ctx context.Context, j *job, req backend.DriveRequest, v *view, name string, r *seenRun, in *podlifecycle.Instance) error {
	c := containerOf(req.Workload.Pod, name)
	if c == nil || v.infra == nil || !watchable(c) {
		return nil
	}
	j.mu.Lock()
	done := j.run(name, r).outcome
	j.mu.Unlock()
	if done == nil {
		known, err := b.notesOf(ctx, j, v, name, r)
		if err != nil {
			return err
		}
		key := probe.Key{Token: j.token, Container: name, N: r.n}
		done = &outcome{stopReason: known.StopReason}
		done.probes, _ = b.probes.Results(key)
		done.postStart, done.postStartMessage = b.hooks.State(key, probe.PostStart)
		b.leave(key)
		j.mu.Lock()
		j.run(name, r).outcome = done
		j.mu.Unlock()
	}
	in.Probes, in.PostStart, in.PostStartMessage = done.probes, done.postStart, done.postStartMessage
	if in.StopReason == "" {
		in.StopReason = done.stopReason
	}
	return nil
}

// leave ends what is under way for one run, and forgets it.
func (b *Backend) leave(key probe.Key) {
	b.probes.Stop(key)
	b.hooks.Stop(key)
}

// reach is how a run's container is reached for probes and hooks.
func (b *Backend) reach(j *job, v *view, r *seenRun) *inside.Container {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.networkID != v.infra.ID {
		j.closeNetwork()
		j.network, j.networkID = inside.NewNetwork(b.engine, v.infra.ID, []string{infraPodrunner, "probe"}), v.infra.ID
	}
	m := j.run(r.Config.Labels[labelContainer], r)
	if m.reach == nil {
		m.reach = inside.NewContainer(b.engine, r.ID, j.network)
	}
	return m.reach
}

// closeNetwork ends the connection to the pod's network, if there is one. It does not wait. The caller holds the job's lock.
func (j *job) closeNetwork() {
	if j.network != nil {
		go j.network.Close()
		j.network, j.networkID = nil, ""
	}
}

// recordedRun is the recorded status of a run that was running then, nil where there is none.
func recordedRun(recorded *podlifecycle.Recorded, name string, in *podlifecycle.Instance) *corev1.ContainerStatus {
	for _, list := range [][]corev1.ContainerStatus{recorded.InitContainers, recorded.Containers} {
		for i := range list {
			if s := &list[i]; s.Name == name && s.ContainerID == in.ID && s.State.Running != nil {
				return s
			}
		}
	}
	return nil
}

// resumed is what a recorded status tells of a container's probes.
func resumed(before *corev1.ContainerStatus) podlifecycle.Probes {
	var p podlifecycle.Probes
	if before == nil {
		return p
	}
	if before.Started != nil && *before.Started {
		p.Startup = podlifecycle.Success
	}
	if before.Ready {
		p.Readiness = podlifecycle.Success
	}
	return p
}

// podIP is where the pod's ports are reached from inside its network, empty where it has no address of its own.
func podIP(infra *container.InspectResponse) string {
	if infra.NetworkSettings == nil {
		return ""
	}
	for _, n := range infra.NetworkSettings.Networks {
		if n != nil && n.IPAddress.IsValid() {
			return n.IPAddress.String()
		}
	}
	return ""
}
