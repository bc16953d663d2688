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

package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// RemoteJobPhase is where a RemoteJob is in its life.
// +kubebuilder:validation:Enum=Pending;Queued;Running;Succeeded;Failed
type RemoteJobPhase string

const (
	// PhasePending means that the backend does not hold the job yet.
	PhasePending RemoteJobPhase = "Pending"
	// PhaseQueued means that the backend holds the job and none of its containers has started yet.
	PhaseQueued RemoteJobPhase = "Queued"
	// PhaseRunning means that a container of the job has started and the job has not ended.
	PhaseRunning RemoteJobPhase = "Running"
	// PhaseSucceeded means that all containers ended with exit code 0.
	PhaseSucceeded RemoteJobPhase = "Succeeded"
	// PhaseFailed means that the job ended otherwise; status.reason says how.
	PhaseFailed RemoteJobPhase = "Failed"
)

// Types of the conditions of a RemoteJob.
const (
	// ConditionSubmitted is true when the backend holds the job, and false, with the backend's own words, while it does not.
	ConditionSubmitted = "Submitted"
	// ConditionReady on a RemoteJob is true while all its containers are ready; on a RemoteBackend, while it can take jobs.
	ConditionReady = "Ready"
	// ConditionStopping is true since the job was first seen to be stopped: its grace period counts from there.
	ConditionStopping = "Stopping"
	// ConditionPodFound is true since the job's pod was seen in the ledger's own cluster, by its UID; it is false once that pod is gone,
	// which ends the job. It is absent where the pod lives elsewhere.
	ConditionPodFound = "PodFound"
	// ConditionUnasked is true while nobody has asked about the job for long, as interLink does every few seconds.
	ConditionUnasked = "Unasked"
	// ConditionFinished is true when the job has ended; its reason says how.
	ConditionFinished = "Finished"
)

// PodReference names the pod that a RemoteJob runs, in whatever cluster it lives.
type PodReference struct {
	// Namespace of the pod.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Namespace string `json:"namespace"`
	// Name of the pod.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// UID of the pod. It need not be a UUID.
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	UID types.UID `json:"uid"`
}

// RemoteJobSpec says what is to run, and where.
// +kubebuilder:validation:XValidation:rule="self.backendName == oldSelf.backendName",message="backendName is immutable: delete the RemoteJob and make another"
// +kubebuilder:validation:XValidation:rule="has(self.podRef) == has(oldSelf.podRef) && (!has(self.podRef) || self.podRef == oldSelf.podRef)",message="podRef is immutable"
// +kubebuilder:validation:XValidation:rule="has(self.payloadSecretNames) == has(oldSelf.payloadSecretNames) && (!has(self.payloadSecretNames) || self.payloadSecretNames == oldSelf.payloadSecretNames)",message="payloadSecretNames is immutable"
// +kubebuilder:validation:XValidation:rule="!(has(oldSelf.cancel) && oldSelf.cancel) || (has(self.cancel) && self.cancel)",message="cancel may only go from false to true"
// +kubebuilder:validation:XValidation:rule="has(self.podRef) || !has(self.payloadSecretNames)",message="payloadSecretNames belong to jobs with a podRef: the ConfigMaps and Secrets of other jobs are read from their namespace"
type RemoteJobSpec struct {
	// BackendName is the RemoteBackend that runs the job.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	BackendName string `json:"backendName"`

	// PodRef is the pod that the job runs. It is set by the operator for pods that arrive over its HTTP endpoint, and absent from a
	// RemoteJob that a person writes.
	// +optional
	PodRef *PodReference `json:"podRef,omitempty"`

	// Template is the pod: its metadata (labels, annotations) and spec, as in a Pod. It can't be changed.
	// Values that may be secret are not in here: the operator keeps those of pods that arrive over HTTP in payload Secrets.
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	Template JobTemplate `json:"template"`

	// PayloadSecretNames are the Secrets that hold what came with the pod and may be secret: literal env values, ConfigMaps, Secrets,
	// projected files, scripts and annotations.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=253
	PayloadSecretNames []string `json:"payloadSecretNames,omitempty"`

	// Cancel stops the job, honouring its grace period, and removes it. It can't be taken back.
	// +optional
	Cancel bool `json:"cancel,omitempty"`

	// TTLSecondsAfterFinished removes the RemoteJob, with all that is left of it on the backend, so many seconds after it finished.
	// Without it a RemoteJob stays until it is deleted.
	// +optional
	// +kubebuilder:validation:Minimum=0
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`
}

// RemoteJobStatus is what is known of the job.
type RemoteJobStatus struct {
	// ObservedGeneration is the generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Phase is where the job is in its life: Pending, Queued, Running, Succeeded or Failed.
	// +optional
	Phase RemoteJobPhase `json:"phase,omitempty"`

	// Reason is one word for why the job is where it is, such as ImagePullBackOff, OOMKilled, DeadlineExceeded or Rejected.
	// +optional
	Reason string `json:"reason,omitempty"`

	// Message says the same in a sentence, in the backend's own words where it gave some.
	// +optional
	Message string `json:"message,omitempty"`

	// Conditions are Submitted, Ready and Finished; Stopping once the job is being stopped, PodFound where its pod is in this cluster,
	// and Unasked while nobody asks about it.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// JobID is the backend's name for the job: the id of a SLURM job, or the name of the pod's infra container.
	// +optional
	JobID string `json:"jobID,omitempty"`

	// NodeName is the machine that runs the job.
	// +optional
	NodeName string `json:"nodeName,omitempty"`

	// Ready is how many of the job's containers are ready, such as "1/2".
	// +optional
	Ready string `json:"ready,omitempty"`

	// Restarts is how often containers of the job were restarted.
	// +kubebuilder:default=0
	// +optional
	Restarts int32 `json:"restarts"`

	// ContainerStatuses are the states of the containers, as in a Pod.
	// +optional
	// +listType=atomic
	ContainerStatuses []corev1.ContainerStatus `json:"containerStatuses,omitempty"`

	// InitContainerStatuses are the states of the init containers, as in a Pod.
	// +optional
	// +listType=atomic
	InitContainerStatuses []corev1.ContainerStatus `json:"initContainerStatuses,omitempty"`

	// StartTime is when the backend first held the job; activeDeadlineSeconds counts from it.
	// +optional
	StartTime *metav1.Time `json:"startTime,omitempty"`

	// CompletionTime is when the job had ended.
	// +optional
	CompletionTime *metav1.Time `json:"completionTime,omitempty"`

	// Attempts is how often the job was handed to the backend. More than one means that an answer was lost, never that it ran twice.
	// +optional
	Attempts int32 `json:"attempts,omitempty"`

	// Requeues is how often the backend put the job back into its queue, from where the pod begins anew.
	// +optional
	Requeues int32 `json:"requeues,omitempty"`
}

// RemoteJob is one pod that runs on a machine which is no node of the cluster.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=rj,categories=all
// +kubebuilder:printcolumn:name="Backend",type=string,JSONPath=`.spec.backendName`
// +kubebuilder:printcolumn:name="Job",type=string,JSONPath=`.status.jobID`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.ready`
// +kubebuilder:printcolumn:name="Restarts",type=integer,JSONPath=`.status.restarts`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Node",type=string,JSONPath=`.status.nodeName`,priority=1
// +kubebuilder:printcolumn:name="Pod-UID",type=string,JSONPath=`.spec.podRef.uid`,priority=1
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.reason`,priority=1
type RemoteJob struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says what is to run, and where.
	Spec RemoteJobSpec `json:"spec"`
	// Status is what is known of the job.
	// +optional
	Status RemoteJobStatus `json:"status,omitempty"`
}

// Finished tells whether the job has ended, well or not.
func (j *RemoteJob) Finished() bool {
	return j.Status.Phase == PhaseSucceeded || j.Status.Phase == PhaseFailed
}

// RemoteJobList is a list of RemoteJobs.
// +kubebuilder:object:root=true
type RemoteJobList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RemoteJob `json:"items"`
}
