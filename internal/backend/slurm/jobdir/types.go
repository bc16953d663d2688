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

package jobdir

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// Spec says what to run. It holds secrets: its file is 0600 and goes when the pod has ended.
type Spec struct {
	// Token, Ledger and Backend say whose job this is; Job names its RemoteJob.
	Token   string               `json:"token"`
	Ledger  string               `json:"ledger"`
	Backend types.UID            `json:"backend"`
	Job     types.NamespacedName `json:"job"`
	// Pod, Files, PullSecrets and JobScript are those of the workload.
	Pod         *corev1.Pod                    `json:"pod"`
	Files       map[string]workload.FileVolume `json:"files,omitempty"`
	PullSecrets []workload.FileData            `json:"pullSecrets,omitempty"`
	JobScript   string                         `json:"jobScript,omitempty"`
	// Runtime is the nodes' container runtime.
	Runtime Runtime `json:"runtime"`
	// PreExec is a shell script to run in the allocation before any container. The pod fails where it does.
	PreExec string `json:"preExec,omitempty"`
	// Launch goes before the command line that runs the only app container, where that has more than one rank, such as "srun" or
	// "mpiexec -np $(SLURM_NTASKS)". References $(NAME) are to the job's environment, as a kubelet expands them.
	Launch []string `json:"launch,omitempty"`
	// Logs bounds the containers' logs.
	Logs LogLimits `json:"logs,omitzero"`
}

// SpecOf is the spec of a workload; what the workload does not say is left to be filled in.
func SpecOf(w *workload.Workload) *Spec {
	return &Spec{
		Token: w.Token, Ledger: w.Ledger, Backend: w.Backend, Job: w.Job,
		Pod: w.Pod, Files: w.Files, PullSecrets: w.PullSecrets, JobScript: w.JobScript,
	}
}

// Workload is the workload that the spec was made of.
func (s *Spec) Workload() *workload.Workload {
	return &workload.Workload{
		Token: s.Token, Ledger: s.Ledger, Backend: s.Backend, Job: s.Job,
		Pod: s.Pod, Files: s.Files, PullSecrets: s.PullSecrets, JobScript: s.JobScript,
	}
}

// Runtime is the nodes' container runtime, as the RemoteBackend has it.
type Runtime struct {
	// Type is one of those that v1alpha1.SlurmRuntime allows.
	Type string `json:"type"`
	// Path of its program; its usual name where empty.
	Path string `json:"path,omitempty"`
	// ImagePrefix goes before image names that have no scheme.
	ImagePrefix string `json:"imagePrefix,omitempty"`
	// Options are added to each call that starts a container.
	Options []string `json:"options,omitempty"`
}

// LogLimits bound the log of one run of a container. Zero values are the kubelet's: 10 MiB, 5 files.
type LogLimits struct {
	// MaxBytes of one file, from which on it is rotated.
	MaxBytes int64 `json:"maxBytes,omitempty"`
	// MaxFiles in all, the one that is written among them.
	MaxFiles int `json:"maxFiles,omitempty"`
}

// Claim says who has a job: a SLURM job, or whoever cancelled it before one had it.
type Claim struct {
	// JobID and RestartCount are SLURM_JOB_ID and SLURM_RESTART_COUNT of the job.
	JobID        string `json:"jobID,omitempty"`
	RestartCount int    `json:"restartCount,omitempty"`
	// Cancelled is set in the claim of a cancel, which then has no JobID: no job runs the pod any more.
	Cancelled bool `json:"cancelled,omitempty"`
	// Refused are the words of an sbatch that refused the job for good; the claim is Cancelled then.
	Refused string `json:"refused,omitempty"`
	// Host and Time are for people.
	Host string    `json:"host,omitempty"`
	Time time.Time `json:"time,omitzero"`
	// Nonce tells two attempts of the same job and count apart.
	Nonce string `json:"nonce,omitempty"`
}

// ReasonTerminated is the reason of the end of a pod whose job was told to end while nobody had asked for the pod's end: the batch system
// knows why, and may start the job anew.
const ReasonTerminated = "JobTerminated"

// State is what podrunner says of the pod.
type State struct {
	// JobID and RestartCount are those of the claim under which it was written.
	JobID        string `json:"jobID"`
	RestartCount int    `json:"restartCount,omitempty"`
	// Sequence grows with each state that is written for a token, over requeues too: a start of the job counts from its restart count times
	// 2^32 on.
	Sequence int64 `json:"sequence"`
	// Node is the node that runs the pod.
	Node string `json:"node,omitempty"`
	// StartTime is when podrunner began with the pod.
	StartTime time.Time `json:"startTime,omitzero"`
	// Decision is what podlifecycle says; its Actions are done by podrunner and left out.
	Decision podlifecycle.Decision `json:"decision"`
	// Finished is set when the pod has ended and nothing of it runs any more.
	Finished bool `json:"finished,omitempty"`
	// Updated is when it was written, by the node's clock: for people.
	Updated time.Time `json:"updated"`
}

// Stop says that the pod is to end. It is written before the job gets its TERM. The time counts from when podrunner sees it.
type Stop struct {
	// GracePeriod, nil for the pod's own.
	GracePeriod *metav1.Duration `json:"gracePeriod,omitempty"`
	// Reason and Message of the end.
	Reason  string `json:"reason,omitempty"`
	Message string `json:"message,omitempty"`
	// Since is when it was written, for people.
	Since time.Time `json:"since,omitzero"`
}

// Identity says which cluster a base directory belongs to.
type Identity struct {
	// ID is random and made once.
	ID string `json:"id"`
}

// Done is the content of a done marker, for people: what counts is that it is there.
type Done struct {
	// Since is when the token came to its end.
	Since time.Time `json:"since,omitzero"`
	// Reason in words.
	Reason string `json:"reason,omitempty"`
}
