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

// Package pluginapi is interLink's plugin interface over HTTP: it decodes requests, calls the ledger, and encodes answers. It decides
// nothing about jobs.
package pluginapi

import (
	"context"
	"io"
	"net/http"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
)

// DefaultMaxBodyBytes bounds the body of a request.
const DefaultMaxBodyBytes = 16 << 20

// Ledger is what the endpoint asks of the ledger. *ledger.Ledger is one. Its errors are *ledger.Error.
type Ledger interface {
	Create(ctx context.Context, requests []ledger.CreateRequest) ([]ledger.Created, error)
	Status(ctx context.Context, questions []ledger.Question) ([]byte, error)
	Delete(ctx context.Context, request ledger.DeleteRequest) error
	FindAny(pod v1alpha1.PodReference) (*v1alpha1.RemoteJob, error)
	Token(job *v1alpha1.RemoteJob) string
	Ready() error
}

// Nodes tells what virtual nodes have.
type Nodes interface {
	// Node returns what the virtual node of a backend has; an empty name means the default backend. It answers at once, from memory.
	Node(ctx context.Context, backend string) Node
}

// Node is what a ping reports of a virtual node.
type Node struct {
	// Capacity is nil while the backend is away or unknown. GPUs are in it by their resource names.
	Capacity corev1.ResourceList
	// Taints of the node; nil leaves those that it has.
	Taints []corev1.Taint
}

// LogSource streams what containers wrote.
type LogSource interface {
	// Logs returns what a container of a job wrote. It is not called for jobs that no backend holds. An error should be a *ledger.Error,
	// of kind NotFound where there is no such log; any other means that the backend can't be asked now, and its text is shown. The log
	// may be closed more than once, and while it is being read: that ends the reading.
	Logs(ctx context.Context, job LogJob, opts corev1.PodLogOptions) (io.ReadCloser, error)
}

// LogJob names a job to a LogSource. The container is in the options.
type LogJob struct {
	// Backend is the name of the RemoteBackend, Token and JobID the job's names on it.
	Backend, Token, JobID string
}

// Gate says who may call.
type Gate interface {
	// Admit returns nil when a call may go on, if need be after it has waited for its turn, and a *Denied that says why it may not.
	Admit(r *http.Request) error
}
