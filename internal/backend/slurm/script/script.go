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

// Package script turns a pod into a batch job: the options for sbatch and the short script that SLURM runs. It is pure.
//
// The options go to sbatch as arguments and not as #SBATCH lines: arguments are words of their own, which nothing parses anew, and they
// go before anything that a site or an account sets in the environment.
package script

import (
	"time"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/sbatch"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// ReasonInvalidOptions is the reason of the rejection of a pod whose options for SLURM are not to be had.
const ReasonInvalidOptions = "InvalidSlurmOptions"

// Input is what a job is made of.
type Input struct {
	Workload *workload.Workload
	// Spec is the RemoteBackend's.
	Spec *v1alpha1.SlurmBackend
	// Podrunner is the path of podrunner by the architecture of the node, as Go names it; AnyArch is that of all others.
	Podrunner map[string]string
}

// AnyArch is the key of a podrunner for nodes whose architecture has none of its own.
const AnyArch = ""

// Job is a batch job.
type Job struct {
	// Options for sbatch.
	Options []sbatch.Flag
	// Script is what SLURM runs. sbatch reads it from its standard input.
	Script string
	// PreExec is the shell script that podrunner runs before any container.
	PreExec string
	// Launch goes before the command line of the only app container, see jobdir.Spec.
	Launch []string
	// TimeLimit is the job's, 0 where the partition's holds or the pod gave one that only SLURM can read.
	TimeLimit time.Duration
}

// Args are the options as arguments, one word each.
func (j *Job) Args() []string {
	args := make([]string, len(j.Options))
	for i, f := range j.Options {
		args[i] = f.String()
	}
	return args
}

// Make makes the job. Its error is a backend.Rejected: the pod asks for what can't be had.
func Make(in Input) (*Job, error) {
	pod := in.Workload.Pod
	options, err := optionsOf(in)
	if err != nil {
		return nil, rejected(err)
	}
	launch, err := launchOf(in.Workload, options)
	if err != nil {
		return nil, rejected(err)
	}
	preExec, err := preExecOf(pod)
	if err != nil {
		return nil, rejected(err)
	}
	job := &Job{
		Options: options.flags(),
		Script:  batchScript(jobdir.Base(in.Spec.BaseDirectory).Job(in.Workload.Token), in.Podrunner),
		PreExec: preExec,
		Launch:  launch,
	}
	if limit, ok := options.get("time"); ok {
		job.TimeLimit, _ = ParseTime(limit)
	}
	return job, nil
}

func rejected(err error) error {
	return backend.Rejected(ReasonInvalidOptions, "%s", err)
}
