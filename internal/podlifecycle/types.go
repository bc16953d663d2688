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

// Package podlifecycle holds the rules of a pod's life as the kubelet keeps them: pure functions from a pod's spec, what is seen of its
// containers, and the time, to the pod's status and the next actions. The rules are level-triggered: they look at what is, never at
// what happened, so whoever asks after a crash gets the same answer. Two hands act on them: the Docker backend inside the manager, and
// podrunner inside a SLURM allocation.
package podlifecycle

import (
	"time"

	corev1 "k8s.io/api/core/v1"
)

// Input is all that the rules look at.
type Input struct {
	// Pod is the pod, with the API server's defaults filled in.
	Pod *corev1.Pod
	// Now is the time of the decision.
	Now time.Time
	// Recorded is what was last written down of the pod.
	Recorded Recorded
	// Sandbox is what holds the pod's network.
	Sandbox Sandbox
	// Instances are the runs of each container that can be seen, by container name, in ascending order of N. Older ones may be gone:
	// the rules need the last two and fall back on Recorded for what can't be seen any more.
	Instances map[string][]Instance
	// Waiting says why a container that should be started could not be made yet (ErrImagePull, ImagePullBackOff,
	// CreateContainerConfigError, CreateContainerError), by container name.
	Waiting map[string]Waiting
	// Stop is set when the pod is to end.
	Stop *Stop
}

// Recorded is what the ledger holds of a pod: what earlier decisions said and was written down.
type Recorded struct {
	// StartTime is when the backend first held the pod; zero before.
	StartTime time.Time
	// Finished is set once the pod has ended: the end that was recorded is final.
	Finished bool
	// Phase, Reason and Message of the end, where Finished.
	Phase           corev1.PodPhase
	Reason, Message string
	// The statuses that were last recorded; empty before the first.
	InitContainers, Containers []corev1.ContainerStatus
}

// SandboxState is the state of what holds the pod's network.
type SandboxState string

// The states of a sandbox.
const (
	// SandboxNone means that there is none yet.
	SandboxNone SandboxState = "None"
	// SandboxReady means that it runs and containers can be started in it.
	SandboxReady SandboxState = "Ready"
	// SandboxDead means that it ended: what ran in it has lost its network and must be stopped and, as restartPolicy allows, made again.
	SandboxDead SandboxState = "Dead"
)

// Sandbox is what holds the pod's network.
type Sandbox struct {
	State SandboxState
	// EndedAt is when a dead sandbox ended, by the clock that the instances' times come from; zero where that is not known. A container
	// that ended after it was cut off, whatever its exit code says.
	EndedAt time.Time
	// NodeLost is set when the machine went away under the pod (an engine restarted without live-restore, a node that failed): in the
	// kubelet's terms a lost node. The pod's containers did not end by themselves, and the pod ends as Failed.
	NodeLost bool
	// Message says in words what happened to it.
	Message string
}

// InstanceState is the state of one run of a container.
type InstanceState string

// The states of an instance.
const (
	InstanceCreated InstanceState = "Created"
	InstanceRunning InstanceState = "Running"
	InstanceExited  InstanceState = "Exited"
)

// Instance is one run of a container.
type Instance struct {
	// N counts the container's runs from 0; it is the restartCount of the status that shows it.
	N     int32
	State InstanceState
	// ID as in v1.ContainerStatus, with the runtime's scheme ("docker://…").
	ID string
	// ImageID as in v1.ContainerStatus.
	ImageID string
	// CreatedAt, StartedAt, FinishedAt are zero where they do not apply.
	CreatedAt, StartedAt, FinishedAt time.Time
	// ExitCode, Signal, OOMKilled and Message (the termination message, as terminationMessagePolicy asks for it) of one that exited.
	ExitCode, Signal int32
	OOMKilled        bool
	Message          string
	// StartError is the runtime's word when it could not be started: it then counts as exited with code 128, reason StartError.
	StartError string
	// Stopping is set once it has been asked to end; StopReason is the reason that the Stop action carried. Who forgets both in a crash
	// loses little: the Stop is asked for again where it is still needed, and the exit code decides where it is not.
	Stopping   bool
	StopReason string
	// PostStart is how far its postStart hook is; HookNone where it has none or was not begun.
	PostStart        HookState
	PostStartMessage string
	// Probes are the results of its probes so far.
	Probes Probes
}

// HookState is how far a hook is.
type HookState string

// The states of a hook.
const (
	HookNone    HookState = ""
	HookRunning HookState = "Running"
	HookDone    HookState = "Done"
	HookFailed  HookState = "Failed"
)

// Result is what a probe says, its thresholds applied.
type Result string

// The results of a probe.
const (
	Unknown Result = ""
	Success Result = "Success"
	Failure Result = "Failure"
)

// Probes are the results of a container's probes, thresholds applied. Unknown is what they say before the first one counts.
type Probes struct {
	Startup, Liveness, Readiness Result
	// Message of the last failure that counted.
	Message string
}

// Waiting is why a container is not running.
type Waiting struct {
	Reason, Message string
}

// Stop says that the pod is to end.
type Stop struct {
	// Since when; the grace period counts from it.
	Since time.Time
	// GracePeriod, nil for the pod's own terminationGracePeriodSeconds.
	GracePeriod *time.Duration
	// Reason and Message of the end, for containers that have not ended and for the pod.
	Reason, Message string
}

// ActionKind is what is to be done.
type ActionKind string

// The kinds of action. Each is idempotent: it is asked for again as long as it is not seen to be done.
const (
	// ActionNewSandbox makes the sandbox anew. It is asked for only when nothing runs in the old one and every end that can be seen is
	// recorded, since the old containers go with it.
	ActionNewSandbox ActionKind = "NewSandbox"
	// ActionStart makes instance N of a container, if it is not there, and starts it.
	ActionStart ActionKind = "Start"
	// ActionPostStart runs the postStart hook of a running instance.
	ActionPostStart ActionKind = "PostStart"
	// ActionPreStop runs the preStop hook of a running instance ahead of its Stop: a sidecar's hook runs as soon as the pod begins to end,
	// its stop signal waits for its turn. It is optional, since the Stop that follows runs the hook where it has not been run.
	ActionPreStop ActionKind = "PreStop"
	// ActionStop ends instance N of a container: its preStop hook where RunPreStop and not yet run, its stop signal, and at Deadline
	// SIGKILL, hook done or not. Of all Deadlines that were asked for an instance the earliest holds.
	ActionStop ActionKind = "Stop"
	// ActionRemove removes instance N of a container. It has ended, or was never started; its end is recorded, and it is not needed
	// for previous logs any more.
	ActionRemove ActionKind = "Remove"
)

// Action is one thing to be done.
type Action struct {
	Kind      ActionKind
	Container string
	N         int32
	// RunPreStop, Deadline and Reason go with ActionStop; Deadline also with ActionPreStop, which is given up then.
	RunPreStop bool
	Deadline   time.Time
	Reason     string
}

// Decision is what the rules say.
type Decision struct {
	// Phase of the pod. It is Succeeded or Failed only when all its containers have ended.
	Phase corev1.PodPhase
	// Reason and Message say why the pod ended as it did or, before its end, what holds it up (ImagePullBackOff, CrashLoopBackOff).
	Reason, Message string
	// Statuses of all containers, in the pod's order.
	InitContainers, Containers []corev1.ContainerStatus
	// Conditions of the pod: Initialized, ContainersReady, Ready. Their times are left to whoever records them.
	Conditions []corev1.PodCondition
	// Actions to do now, in order. Those for different containers may be done side by side. Whoever does a Start in the background must
	// have ended or undone it before it hands out a decision that has Finished.
	Actions []Action
	// WakeAt is when to decide again though nothing changes (a back-off, a deadline); zero for never. It is Input.Now where this decision
	// only has to be recorded for the next one to get further.
	WakeAt time.Time
}

// Finished tells whether the pod has ended.
func (d *Decision) Finished() bool {
	return d.Phase == corev1.PodSucceeded || d.Phase == corev1.PodFailed
}
