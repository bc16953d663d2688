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

package podlifecycle

// The reasons of containers and pods that these rules give, in the words of the kubelet where it has one.
const (
	ReasonContainerCreating       = "ContainerCreating"
	ReasonPodInitializing         = "PodInitializing"
	ReasonCrashLoopBackOff        = "CrashLoopBackOff"
	ReasonRunContainerError       = "RunContainerError"
	ReasonPostStartHookError      = "PostStartHookError"
	ReasonRestartingAllContainers = "RestartingAllContainers"
	ReasonCompleted               = "Completed"
	ReasonError                   = "Error"
	ReasonOOMKilled               = "OOMKilled"
	ReasonStartError              = "StartError"
	ReasonContainerStatusUnknown  = "ContainerStatusUnknown"
	ReasonDeadlineExceeded        = "DeadlineExceeded"
	// ReasonNodeLost is that of a pod, and of its containers, whose machine went away.
	ReasonNodeLost = "NodeLost"
	// ReasonSandboxChanged is that of a container that was cut off because the pod's sandbox had ended.
	ReasonSandboxChanged = "SandboxChanged"
	// ReasonInitContainerFailed is that of containers that never ran because an init container failed for good.
	ReasonInitContainerFailed = "InitContainerFailed"
)

// The reasons that a Stop action carries beside those above. A driver gives them back in Instance.StopReason.
const (
	StopStartupProbe  = "StartupProbe"
	StopLivenessProbe = "LivenessProbe"
	StopPostStartHook = "FailedPostStartHook"
	// StopPodCompleted ends the sidecars of a pod whose app containers are done.
	StopPodCompleted = "PodCompleted"
	// StopSuperseded ends an instance that must not run beside, or after the end of, the one that counts.
	StopSuperseded = "Superseded"
)

// exitUnknown is the exit code of containers whose own is not known, as the kubelet gives it.
const exitUnknown = 137

// exitStartError is the exit code of containers that could not be started, as the container runtimes give it.
const exitStartError = 128
