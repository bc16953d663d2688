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

// Package slurm runs pods as jobs of a SLURM cluster. A pod is one job; podrunner, inside of it, does with the pod what podlifecycle says,
// and writes down what becomes of it in the job's directory, on a file system that the nodes share. This package makes jobs, looks at them
// and ends them; it drives none.
//
// Whatever the cluster holds of a job carries the job's token in its name. Nothing else is remembered that matters: what is kept in memory
// is read again from the queue and the jobs' directories.
package slurm

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/remote"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/runtime"
	"github.com/remotejob-dev/remotejob-operator/internal/program"
	"github.com/remotejob-dev/remotejob-operator/internal/tracing"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// Options say which cluster is meant and whose jobs run on it.
type Options struct {
	// Spec is the RemoteBackend's.
	Spec v1alpha1.SlurmBackend
	// Secrets are those that Spec names, by name.
	Secrets map[string]map[string][]byte
	// Runner runs commands where sbatch is, and is closed with the backend; nil for what Spec says.
	Runner remote.Runner
	// Ledger is the ID of the ledger, and Backend the UID of the RemoteBackend, that the jobs belong to.
	Ledger  string
	Backend types.UID
	// Adopted, where set, is called for each Submit that found its job in the queue.
	Adopted func()
	// Podrunner are the static podrunner binaries by architecture, as Go names it.
	Podrunner map[string]*program.Program
	// Settle is how long the queue's word that a job has ended waits for podrunner's own, which the shared file system may show late; 0 for
	// a minute.
	Settle time.Duration
}

// defaultSettle is as long as NFS clients keep what they know of a directory.
const defaultSettle = time.Minute

// Backend is a SLURM cluster.
type Backend struct {
	opts   Options
	base   jobdir.Base
	run    remote.Runner
	binary binaries
	jobs   tracker
	// submissions are the jobs that are being made.
	submissions submissions

	mu      sync.Mutex
	machine machine
	// here is the podrunner that runs where sbatch is; empty before the first Check.
	here string
}

var (
	_ backend.Backend = (*Backend)(nil)
	_ backend.Stopper = (*Backend)(nil)
	_ backend.Retirer = (*Backend)(nil)
	_ backend.Pruner  = (*Backend)(nil)
)

// New returns the backend of a cluster. It does not connect yet.
func New(opts Options) (*Backend, error) {
	if opts.Ledger == "" || opts.Backend == "" {
		return nil, errors.New("the ledger's ID and the RemoteBackend's UID are needed to tell whose jobs are whose")
	}
	if len(opts.Podrunner) == 0 && opts.Spec.PodrunnerPath == "" {
		return nil, errors.New("the podrunner binary is missing, and pods on SLURM can't do without it")
	}
	if opts.Settle == 0 {
		opts.Settle = defaultSettle
	}
	if opts.Runner == nil {
		var err error
		if opts.Runner, err = connect(opts.Spec.Connection, opts.Secrets); err != nil {
			return nil, err
		}
	}
	b := &Backend{opts: opts, base: jobdir.Base(opts.Spec.BaseDirectory), run: opts.Runner}
	b.binary = binariesOf(b.base, &opts)
	b.jobs.init()
	b.submissions.carry = b.makeJobs
	return b, nil
}

// Abilities are those of a SLURM backend whose nodes have the given container runtime.
func Abilities(kind string) workload.Abilities {
	return workload.Abilities{Backend: "SLURM with the runtime " + kind, Features: runtime.Features(kind)}
}

// Abilities says which fields of a pod the nodes' container runtime can honour.
func (b *Backend) Abilities() workload.Abilities {
	return Abilities(b.opts.Spec.Runtime.Type)
}

// Close ends the connection. Jobs go on.
func (b *Backend) Close() error { return b.run.Close() }

// script runs a shell script on the cluster and returns what it wrote. Exit codes that the caller knows are left to it.
func (b *Backend) script(ctx context.Context, doing string, command remote.Command, known ...int) (remote.Result, error) {
	ctx, end := span(ctx, doing)
	result, err := b.run.Run(ctx, command)
	end(result, err)
	if err != nil {
		return result, fmt.Errorf("%s: %w", doing, err)
	}
	for _, code := range known {
		if result.ExitCode == code {
			return result, nil
		}
	}
	if err := result.Err(); err != nil {
		return result, backend.Unavailable("%s: %w", doing, err)
	}
	return result, nil
}

// span begins the span of a command on the cluster, within the trace that there is, if any. Its end has the command's exit code, and what
// it complained about, which is SLURM's own words where one of SLURM's commands refuses. Codes without words are the scripts' own answers.
func span(ctx context.Context, doing string, pairs ...string) (_ context.Context, end func(remote.Result, error)) {
	ctx, finish := tracing.Span(ctx, "slurm: "+doing, trace.SpanKindClient, pairs...)
	return ctx, func(result remote.Result, err error) {
		if err == nil {
			words := spoken(string(result.Stderr))
			tracing.Tell(ctx, "process.exit.code", strconv.Itoa(result.ExitCode), "slurm.words", words)
			if result.ExitCode != 0 && words != "" {
				err = errors.New(words)
			}
		}
		finish(err)
	}
}
