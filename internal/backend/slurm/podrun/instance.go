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

package podrun

import (
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/agent"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/crilog"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/proc"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/runtime"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/probe"
)

// instance is one run of a container. The runner's lock guards what changes of it.
type instance struct {
	name string
	n    int32
	spec *corev1.Container
	// made is what the runtime was told.
	made  runtime.Container
	image runtime.Image
	log   *crilog.Log

	created  time.Time
	started  time.Time
	finished time.Time
	state    podlifecycle.InstanceState
	exitCode int32
	signal   int32
	oom      bool
	message  string
	// startError is the runtime's word, or the agent's, for a command that could not be started.
	startError string
	agent      *agent.Agent
	// agentStat tells the agent's process from a later one of the same number.
	agentStat proc.Stat
	running   *runtime.Running
	stopping  *stopping
	// overLimit is set once it was killed for its memory, and oomKills is how often the kernel had done so before it began.
	overLimit bool
	oomKills  int64
	// What its probes and its hook had said when it ended.
	probes           podlifecycle.Probes
	postStart        podlifecycle.HookState
	postStartMessage string
	// copied is closed when all that it wrote is in its log.
	copied chan struct{}
}

// hasEnded tells whether its command, or its agent, is known to have ended.
func (i *instance) hasEnded() bool {
	select {
	case <-i.agent.Done():
		return true
	default:
		return false
	}
}

func (i *instance) key(token string) probe.Key {
	return probe.Key{Token: token, Container: i.name, N: i.n}
}

// id is the container's as v1.ContainerStatus has it. A job that is started anew makes others.
func (r *runner) id(i *instance) string {
	return fmt.Sprintf("podrunner://%s.%s.%d", containerName(r.spec.Token, i.name, i.n), r.claim.JobID, r.claim.RestartCount)
}

// containerName is unique on a node.
func containerName(token, container string, n int32) string {
	return fmt.Sprintf("%s-%s-%d", token, container, n)
}

// seen is what the rules are told of an instance. The caller holds the lock.
func (r *runner) seen(i *instance) podlifecycle.Instance {
	in := podlifecycle.Instance{
		N: i.n, State: i.state, ID: r.id(i), CreatedAt: i.created, StartedAt: i.started, FinishedAt: i.finished,
		ExitCode: i.exitCode, Signal: i.signal, OOMKilled: i.oom, Message: i.message, StartError: i.startError,
		Probes: i.probes, PostStart: i.postStart, PostStartMessage: i.postStartMessage,
	}
	if i.state != podlifecycle.InstanceCreated {
		in.ImageID = i.image.ID // before that it is still being looked for
	}
	if i.stopping != nil && !i.stopping.inVain {
		in.Stopping, in.StopReason = true, i.stopping.reason
	}
	if i.state == podlifecycle.InstanceRunning {
		r.probe(i)
		in.Probes, in.PostStart, in.PostStartMessage = r.tended(i)
	}
	return in
}

// probe begins the probes of a run, which wait for its postStart hook. The caller holds the lock.
func (r *runner) probe(i *instance) {
	if !probe.Any(i.spec) {
		return
	}
	key := i.key(r.spec.Token)
	if probe.PostStart.Of(i.spec) != nil {
		if state, _ := r.hooks.State(key, probe.PostStart); state != podlifecycle.HookDone {
			return
		}
	}
	r.workers.Start(key, r.probed(i))
}

// tended is what the probes and the hook of a run have said so far.
func (r *runner) tended(i *instance) (podlifecycle.Probes, podlifecycle.HookState, string) {
	key := i.key(r.spec.Token)
	probes, _ := r.workers.Results(key)
	state, words := r.hooks.State(key, probe.PostStart)
	return probes, state, words
}

// find returns a run of a container, nil where there is none. The caller holds the lock.
func (r *runner) find(name string, n int32) *instance {
	for _, i := range r.instances[name] {
		if i.n == n {
			return i
		}
	}
	return nil
}

// drop forgets a run. The caller holds the lock.
func (r *runner) drop(gone *instance) {
	var left []*instance
	for _, i := range r.instances[gone.name] {
		if i != gone {
			left = append(left, i)
		}
	}
	r.instances[gone.name] = left
}

// containerOf is a container of the pod by name, nil where there is none.
func containerOf(pod *corev1.Pod, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

func closeFiles(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}
