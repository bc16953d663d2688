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

// Package backend is the boundary to the machines that run jobs: the promises that every backend keeps, the errors by which callers
// decide, and the registry of those that are connected.
package backend

import (
	"context"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// Backend is one machine or batch system. Its methods may be called at the same time from many goroutines. None waits for a job to
// come to an end; each ends when its context does. Errors are Rejected, Unavailable, or plain ones, which callers treat as Unavailable.
type Backend interface {
	// Check connects, if need be, and tells what answers.
	Check(ctx context.Context) (Info, error)

	// Abilities says which fields of a pod this backend can honour.
	Abilities() workload.Abilities

	// Submit hands the job over and returns the backend's name for it. It is idempotent in the workload's token: whoever calls again,
	// at the same time or later, gets the same job. A token that Cancel has been called for is Rejected with ReasonCancelled.
	Submit(ctx context.Context, w *workload.Workload) (string, error)

	// Observe lists all jobs that carry the ledger's ID and the RemoteBackend's UID, in a number of calls that does not grow with them.
	// An error says nothing about any job.
	Observe(ctx context.Context) (Snapshot, error)

	// Cancel ends and removes the job and leaves a marker that Submit refuses. It returns true when nothing of the job is left, false
	// when it must be called again. It is idempotent, and right for a job that the backend never had.
	Cancel(ctx context.Context, ref JobRef) (gone bool, err error)

	// Logs streams what a container wrote.
	Logs(ctx context.Context, ref JobRef, container string, opts corev1.PodLogOptions) (io.ReadCloser, error)

	// Capacity is what the backend has in all.
	Capacity(ctx context.Context) (corev1.ResourceList, error)

	// Close ends the connection. Calls that are under way end with errors.
	Close() error
}

// Driver is a backend whose pods are driven from here, since nothing on the far side knows what a pod is (Docker). A backend is either a
// Driver or a Stopper.
type Driver interface {
	Retirer

	// Drive looks at the job's containers, decides by podlifecycle, begins what is to be done, and returns the decision. It does not wait
	// for what takes long (pulls, hooks, grace periods): the backend's Watch callback is called when there is reason to drive again.
	// It is called for jobs that Submit has returned an id for, by one goroutine per job.
	Drive(ctx context.Context, req DriveRequest) (podlifecycle.Decision, error)
}

// Stopper is a backend whose pods are driven where they run (SLURM): Observe reports what becomes of them.
type Stopper interface {
	// Stop asks for the end of the job's pod, in order: with its hooks, its stop signals and its grace period. It does not wait for that
	// end, which Observe reports. It returns false when there is nothing to wait for, since nothing of the pod runs, and sees to it that
	// nothing of it begins to. It is idempotent: asked again, it extends no grace period.
	Stop(ctx context.Context, ref JobRef, stop podlifecycle.Stop) (ending bool, err error)
}

// Retirer is a backend that keeps something of its jobs in memory.
type Retirer interface {
	// Retire drops what is kept in memory for a job whose end is recorded (probes, pulls, hooks under way, what was last read of it).
	// Unknown tokens are fine.
	Retire(token string)
}

// DriveRequest is what a driver needs to bring one job on.
type DriveRequest struct {
	// Workload is the job. When Stop is set its env and files may be missing: they are not needed any more.
	Workload *workload.Workload
	// Recorded is what the ledger holds of the job.
	Recorded podlifecycle.Recorded
	// Stop is set when the job is to end.
	Stop *podlifecycle.Stop
}

// Watcher is a backend that can tell of changes as they happen.
type Watcher interface {
	// Watch calls changed with the token of each job that may have changed, until ctx ends or the stream breaks, which is an error.
	// changed must not block. A caller observes again after Watch has begun, and after it broke.
	Watch(ctx context.Context, changed func(token string)) error
}

// Pruner is a backend whose done markers can be removed.
type Pruner interface {
	// PruneMarkers removes the markers that Cancel left before the given time, and what made a Snapshot untidy.
	PruneMarkers(ctx context.Context, before time.Time) error
}

// Info tells what answers at a backend's address.
type Info struct {
	// Version for people, such as "docker 28.0.1".
	Version string
	// Identity of the machine (the engine's ID): a different one is a different world, where absence proves nothing.
	Identity string
	// NodeName is the machine's own name; empty where the backend is many machines, of which each job's observation names its own.
	NodeName string
}

// JobRef names a job to a backend.
type JobRef struct {
	Token string
	JobID string
}

// Snapshot is all of our jobs on a backend at one time.
type Snapshot struct {
	// Jobs by token.
	Jobs map[string]ObservedJob
	// Untidy is set where something is left of cancelled jobs that could not be removed with them: a Pruner tries again.
	Untidy bool
}

// Word is what a backend says of a job as a whole.
type Word struct {
	// Reason is one CamelCase word, Message a sentence for the user.
	Reason, Message string
	// Ended is set when the job has ended, and not well; else it waits in the backend's queue, for the first time or again.
	Ended bool
	// ExitCode is that of the containers which had not ended; never 0 where Ended.
	ExitCode int32
}

// ObservedJob is what an observation tells of one job.
type ObservedJob struct {
	JobID string
	// Pod is the pod's namespace and name as they stand on the job, for people.
	Pod types.NamespacedName
	// Job is the RemoteJob that the job was submitted for, as it stands on the job; empty where the backend does not know it. It tells
	// where to look for the job's owner, and proves nothing: only the token does.
	Job types.NamespacedName
	// Fingerprint changes when anything changed that may matter to the job.
	Fingerprint string
	// Cancelled is set when nothing but the marker of Cancel is left.
	Cancelled bool
	// Risen is set when the marker of Cancel is there and the job is, too: its submission took effect late, or the backend has forgotten its
	// end. Nobody wants it any more.
	Risen bool
	// Remains is set when no job is to be seen that could bring the pod to an end, only what one left behind. To its owner the job is as
	// absent as one of which nothing is left; without an owner it is a leftover.
	Remains bool

	// What follows is set by backends whose pods are driven where they run.

	// NodeName is the machine that runs the job, empty while none does.
	NodeName string
	// Report is what the far side's driver says of the pod; nil while it has said nothing. Its actions and its time to wake up mean
	// nothing here.
	Report *podlifecycle.Decision
	// Word is what the backend itself says of the job, where that goes before the Report or there is none: that it waits, or how it ended.
	Word *Word
	// Requeues is how often the backend has put the job back into its queue: the pod began anew each time.
	Requeues int32
}

// Ends tells whether the pod is said to have ended.
func (j *ObservedJob) Ends() bool {
	if j.Word != nil {
		return j.Word.Ended
	}
	return j.Report != nil && j.Report.Finished()
}
