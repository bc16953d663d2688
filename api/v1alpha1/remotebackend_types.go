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
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// BackendType says which kind of machine a RemoteBackend is.
// +kubebuilder:validation:Enum=Docker;Slurm
type BackendType string

// The types of a RemoteBackend.
const (
	BackendDocker BackendType = "Docker"
	BackendSlurm  BackendType = "Slurm"
)

// RemoteBackendSpec says how to reach a backend, and what it may be asked to do.
// +kubebuilder:validation:XValidation:rule="self.type == 'Docker' ? has(self.docker) && !has(self.slurm) : has(self.slurm) && !has(self.docker)",message="type Docker goes with docker and type Slurm with slurm: set the one, and not the other"
// +kubebuilder:validation:XValidation:rule="self.type == oldSelf.type",message="type is immutable: make another RemoteBackend"
// +kubebuilder:validation:XValidation:rule="!has(self.policy) || !(has(self.policy.maxPerJob) || has(self.policy.maxInTotal)) || !has(self.slurm) || !has(self.slurm.allowedFlags) || !self.slurm.allowedFlags.exists(f, f.matches('^-*(nodes|ntasks(-per-[a-z]+)?|cpus-per-(task|gpu)|mincpus|mem(-per-(cpu|gpu))?|gres|gpus(-per-[a-z]+)?|exclusive|tres-per-task|cores-per-socket|sockets-per-node|threads-per-core|extra-node-info|core-spec|thread-spec)$'))",message="policy.maxPerJob and policy.maxInTotal count what pods have as limits: slurm.allowedFlags must not let them have more by options such as --mem or --nodes"
type RemoteBackendSpec struct {
	// Type is Docker or Slurm, and says which of the two below is set.
	Type BackendType `json:"type"`

	// Docker is a Docker engine.
	// +optional
	Docker *DockerBackend `json:"docker,omitempty"`

	// Slurm is a SLURM cluster.
	// +optional
	Slurm *SlurmBackend `json:"slurm,omitempty"`

	// MaxActiveJobs bounds how many jobs the backend holds at once; further ones wait in the ledger. 0 means no bound.
	// +optional
	// +kubebuilder:validation:Minimum=0
	MaxActiveJobs int32 `json:"maxActiveJobs,omitempty"`

	// Policy says what pods may ask for. It is closed by default.
	// +optional
	Policy BackendPolicy `json:"policy,omitempty"`

	// VirtualNode is what the virtual node reports beside the backend's own capacity.
	// +optional
	VirtualNode VirtualNode `json:"virtualNode,omitempty"`
}

// DockerBackend says how to reach a Docker engine.
type DockerBackend struct {
	// Host is the engine's address: unix:///path, tcp://host:port or ssh://user@host.
	// +kubebuilder:default="unix:///var/run/docker.sock"
	// +kubebuilder:validation:Pattern=`^(unix:///.+|tcp://.+|ssh://.+)$`
	// +optional
	Host string `json:"host,omitempty"`

	// TLSSecretRef is a Secret of type kubernetes.io/tls with a client certificate and ca.crt, for tcp:// hosts, in the manager's namespace.
	// +optional
	TLSSecretRef *corev1.LocalObjectReference `json:"tlsSecretRef,omitempty"`

	// SSH are the settings of an ssh:// host.
	// +optional
	SSH *SSHConnection `json:"ssh,omitempty"`

	// GPUs says which device requests a pod's GPU limits become.
	// +kubebuilder:validation:Enum=None;Nvidia
	// +kubebuilder:default=None
	// +optional
	GPUs string `json:"gpus,omitempty"`

	// Network is the engine's network that pods join, such as bridge (the default) or none.
	// +kubebuilder:default=bridge
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self != 'host' && !self.startsWith('container:')",message="pods share neither the host's network nor another container's by this setting"
	// +optional
	Network string `json:"network,omitempty"`
}

// SSHConnection says how to reach a machine by SSH.
type SSHConnection struct {
	// Address is host or host:port.
	// +kubebuilder:validation:MinLength=1
	Address string `json:"address"`
	// User to log in as.
	// +kubebuilder:validation:MinLength=1
	User string `json:"user"`
	// IdentitySecretRef is a Secret with ssh-privatekey, in the manager's namespace. Without it the agent is asked.
	// +optional
	IdentitySecretRef *corev1.LocalObjectReference `json:"identitySecretRef,omitempty"`
	// KnownHostsSecretRef is a Secret with known_hosts, in the manager's namespace. Host keys are always checked.
	// +optional
	KnownHostsSecretRef *corev1.LocalObjectReference `json:"knownHostsSecretRef,omitempty"`
	// ProxyJump is a host to go through, as user@host:port.
	// +optional
	ProxyJump string `json:"proxyJump,omitempty"`
}

// SlurmBackend says how to reach a SLURM cluster and how to run containers there.
type SlurmBackend struct {
	// Connection is how to reach a machine that has sbatch.
	Connection SlurmConnection `json:"connection"`

	// BaseDirectory holds the jobs' directories, on the file system that the nodes share.
	// +kubebuilder:validation:Pattern=`^/`
	BaseDirectory string `json:"baseDirectory"`

	// PollInterval is how often the queue is looked at.
	// +kubebuilder:default="10s"
	// +optional
	PollInterval *metav1.Duration `json:"pollInterval,omitempty"`

	// PodrunnerPath is where podrunner is on the nodes; by default the operator puts it under baseDirectory.
	// +optional
	PodrunnerPath string `json:"podrunnerPath,omitempty"`

	// Runtime is the container runtime of the nodes.
	Runtime SlurmRuntime `json:"runtime"`

	// Defaults hold for jobs that do not say otherwise.
	// +optional
	Defaults SlurmDefaults `json:"defaults,omitempty"`

	// Flavors are presets of resources and sbatch options that a pod names by the annotation slurm-job.vk.io/flavor.
	// +optional
	// +listType=map
	// +listMapKey=name
	Flavors []SlurmFlavor `json:"flavors,omitempty"`

	// AllowedFlags are the sbatch options that pods may set, by their canonical names.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=128
	// +kubebuilder:validation:items:MaxLength=64
	AllowedFlags []string `json:"allowedFlags,omitempty"`
}

// SlurmConnection is either local or ssh.
// +kubebuilder:validation:XValidation:rule="has(self.local) != has(self.ssh)",message="set either local or ssh"
type SlurmConnection struct {
	// Local means that the manager's own machine has sbatch.
	// +optional
	Local *LocalConnection `json:"local,omitempty"`
	// SSH is how to reach a login node.
	// +optional
	SSH *SSHConnection `json:"ssh,omitempty"`
}

// LocalConnection has no settings.
type LocalConnection struct{}

// SlurmRuntime is the container runtime of the nodes.
type SlurmRuntime struct {
	// Type of the runtime.
	// +kubebuilder:validation:Enum=Apptainer;Singularity;Podman;Charliecloud;Enroot;None
	Type string `json:"type"`
	// Path of its program; by default its usual name.
	// +optional
	Path string `json:"path,omitempty"`
	// ImagePrefix goes before image names that have no scheme.
	// +optional
	ImagePrefix string `json:"imagePrefix,omitempty"`
	// Options are added to each of its calls that start a container.
	// +optional
	// +listType=atomic
	Options []string `json:"options,omitempty"`
}

// SlurmDefaults hold for jobs that do not say otherwise.
type SlurmDefaults struct {
	// Partition of the job.
	// +optional
	Partition string `json:"partition,omitempty"`
	// Account that is charged.
	// +optional
	Account string `json:"account,omitempty"`
	// TimeLimit of the job.
	// +optional
	TimeLimit *metav1.Duration `json:"timeLimit,omitempty"`
	// CPUs of the job.
	// +optional
	CPUs *int32 `json:"cpus,omitempty"`
	// Memory of the job.
	// +optional
	Memory *resource.Quantity `json:"memory,omitempty"`
}

// SlurmFlavor is a preset of resources and sbatch options.
type SlurmFlavor struct {
	// Name of the flavor.
	// +kubebuilder:validation:MinLength=1
	Name string `json:"name"`
	// CPUs of the job.
	// +optional
	CPUs *int32 `json:"cpus,omitempty"`
	// Memory of the job.
	// +optional
	Memory *resource.Quantity `json:"memory,omitempty"`
	// Flags for sbatch.
	// +optional
	// +listType=atomic
	Flags []string `json:"flags,omitempty"`
}

// BackendPolicy says what pods may ask for.
type BackendPolicy struct {
	// AllowPrivileged lets containers run privileged.
	// +optional
	AllowPrivileged bool `json:"allowPrivileged,omitempty"`
	// AllowHostNetwork lets pods use the machine's network.
	// +optional
	AllowHostNetwork bool `json:"allowHostNetwork,omitempty"`
	// AllowedHostPaths are the directories below which hostPath volumes may lie. An empty list allows none.
	// +optional
	// +listType=set
	AllowedHostPaths []string `json:"allowedHostPaths,omitempty"`
	// AllowRoot lets containers run as user 0.
	// +kubebuilder:default=true
	// +optional
	AllowRoot *bool `json:"allowRoot,omitempty"`
	// AllowedImages are the beginnings that image names may have. An empty list allows all.
	// +optional
	// +listType=set
	AllowedImages []string `json:"allowedImages,omitempty"`
	// AllowedNamespaces are the namespaces whose pods may run here. An empty list allows all.
	// +optional
	// +listType=set
	AllowedNamespaces []string `json:"allowedNamespaces,omitempty"`
	// AllowAnnotationSelection lets a pod choose this backend by the annotation remotejob.dev/backend.
	// +kubebuilder:default=true
	// +optional
	AllowAnnotationSelection *bool `json:"allowAnnotationSelection,omitempty"`
	// AllowScripts lets pods bring scripts of their own, pre-exec and jobScript, and words for command lines on the machine: options, mounts and
	// prefixes by annotation.
	// +kubebuilder:default=true
	// +optional
	AllowScripts *bool `json:"allowScripts,omitempty"`
	// MaxPerJob bounds what one job may have. What it bounds, every container of a pod has to have a limit of.
	// +optional
	MaxPerJob *ResourceCeiling `json:"maxPerJob,omitempty"`
	// MaxInTotal bounds what the jobs that the backend holds at once may have together; further ones wait in the ledger. What it bounds,
	// every container of a pod has to have a limit of.
	// +optional
	MaxInTotal *ResourceCeiling `json:"maxInTotal,omitempty"`
}

// ResourceCeiling bounds resources. What is left out has no bound.
// +kubebuilder:validation:XValidation:rule="!has(self.cpu) || (type(self.cpu) == int ? self.cpu > 0 : quantity(self.cpu).isGreaterThan(quantity('0')))",message="cpu must be more than 0"
// +kubebuilder:validation:XValidation:rule="!has(self.memory) || (type(self.memory) == int ? self.memory > 0 : quantity(self.memory).isGreaterThan(quantity('0')))",message="memory must be more than 0"
type ResourceCeiling struct {
	// CPU in all, by the limits of the containers that run side by side.
	// +optional
	CPU *resource.Quantity `json:"cpu,omitempty"`
	// Memory in all, likewise.
	// +optional
	Memory *resource.Quantity `json:"memory,omitempty"`
	// GPUs in all, of any vendor; a slice of one counts as one. 0 lets pods have none.
	// +kubebuilder:validation:Minimum=0
	// +optional
	GPUs *int64 `json:"gpus,omitempty"`
}

// VirtualNode is what the virtual node reports beside the backend's own capacity.
type VirtualNode struct {
	// Taints of the node. Without the field the node keeps those that it has.
	// +optional
	// +listType=atomic
	Taints []corev1.Taint `json:"taints,omitempty"`
	// Pods that the node takes.
	// +kubebuilder:default="1000"
	// +optional
	Pods *resource.Quantity `json:"pods,omitempty"`
}

// RemoteBackendStatus is what is known of the backend.
type RemoteBackendStatus struct {
	// ObservedGeneration is the generation of the spec that this status speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// Conditions: Ready, with the backend's own words when it is not.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// Version of the backend, such as "docker 28.0.1".
	// +optional
	Version string `json:"version,omitempty"`

	// Identity of the machine behind the backend (the engine's ID), so that another one in its place is noticed.
	// +optional
	Identity string `json:"identity,omitempty"`

	// Capacity of the backend.
	// +optional
	Capacity corev1.ResourceList `json:"capacity,omitempty"`

	// Jobs counts the jobs of the backend.
	// +kubebuilder:default={}
	// +optional
	Jobs BackendJobs `json:"jobs,omitempty"`

	// Leftovers are jobs that the backend holds and no RemoteJob owns. They are removed when they have been listed for 24 hours.
	// +optional
	// +listType=map
	// +listMapKey=token
	// +kubebuilder:validation:MaxItems=200
	Leftovers []Leftover `json:"leftovers,omitempty"`
}

// BackendJobs counts the jobs of a backend.
type BackendJobs struct {
	// Active jobs are those that run: a container of theirs has started, and they have not ended.
	// +kubebuilder:default=0
	// +optional
	Active int32 `json:"active"`
	// Queued jobs are those that have not begun to run, in the ledger or on the backend.
	// +kubebuilder:default=0
	// +optional
	Queued int32 `json:"queued"`
}

// Leftover is a job that the backend holds and no RemoteJob owns.
type Leftover struct {
	// Token of the job on the backend.
	Token string `json:"token"`
	// Pod that it ran, as namespace/name, where the backend knows it.
	// +optional
	Pod string `json:"pod,omitempty"`
	// Since when it has been seen without an owner.
	Since metav1.Time `json:"since"`
}

// RemoteBackend is a machine or batch system, outside the cluster, that runs pods.
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=rb
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.type`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.status.version`
// +kubebuilder:printcolumn:name="Active",type=integer,JSONPath=`.status.jobs.active`
// +kubebuilder:printcolumn:name="Queued",type=integer,JSONPath=`.status.jobs.queued`
// +kubebuilder:printcolumn:name="CPU",type=string,JSONPath=`.status.capacity.cpu`
// +kubebuilder:printcolumn:name="Memory",type=string,JSONPath=`.status.capacity.memory`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type RemoteBackend struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Spec says how to reach the backend, and what it may be asked to do.
	Spec RemoteBackendSpec `json:"spec"`
	// Status is what is known of the backend.
	// +optional
	Status RemoteBackendStatus `json:"status,omitempty"`
}

// RemoteBackendList is a list of RemoteBackends.
// +kubebuilder:object:root=true
type RemoteBackendList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []RemoteBackend `json:"items"`
}
