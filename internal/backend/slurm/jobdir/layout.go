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

// Package jobdir is what a SLURM backend and podrunner say to each other: the layout of the base directory on the shared file system, the
// types of its files, how they are written so that nobody ever reads half of one, and the claim by which one job of many takes a pod.
//
//	BASE/cluster.json              which cluster this is
//	BASE/bin/                      podrunner, once per build and architecture
//	BASE/jobs/TOKEN/               one job, 0700; made by Submit, never by podrunner
//	BASE/jobs/TOKEN/spec.json      what to run, 0600
//	BASE/jobs/TOKEN/owner.json     whose it is; batch: the job script
//	BASE/jobs/TOKEN/claim          which job runs it, or that it was cancelled
//	BASE/jobs/TOKEN/begun          that commands of a pod that is never to restart may have run
//	BASE/jobs/TOKEN/state.json     what podrunner says of the pod
//	BASE/jobs/TOKEN/stop.json      that the pod is to end, and how
//	BASE/jobs/TOKEN/logs/C/N.log   what the N-th run of container C wrote
//	BASE/done/TOKEN                that the token is over for ever
//	BASE/out/TOKEN.out             what the batch script itself wrote
//	BASE/volumes/NAMESPACE/CLAIM/  what a persistentVolumeClaim of that name stands for
//
// Everything is reached by its fixed path: directories of a shared file system are not to be listed, nor are their times to be trusted.
package jobdir

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// Base is the path of a base directory.
type Base string

// Identity is the file that says which cluster the directory belongs to.
func (b Base) Identity() string { return filepath.Join(string(b), "cluster.json") }

// Bin is the directory of podrunner's binaries.
func (b Base) Bin() string { return filepath.Join(string(b), "bin") }

// Podrunner is the binary of one build, named by a hash of it, for one architecture as Go names it.
func (b Base) Podrunner(hash, goarch string) string {
	return filepath.Join(b.Bin(), "podrunner-"+hash+"-"+goarch)
}

// Jobs is the directory of the jobs.
func (b Base) Jobs() string { return filepath.Join(string(b), "jobs") }

// Job is the directory of a job.
func (b Base) Job(token string) Dir { return Dir(filepath.Join(b.Jobs(), token)) }

// DoneDir is the directory of the done markers.
func (b Base) DoneDir() string { return filepath.Join(string(b), "done") }

// Done is the marker that says that a token is over for ever: neither Submit nor podrunner touches it again.
func (b Base) Done(token string) string { return filepath.Join(b.DoneDir(), token) }

// OutDir is the directory of what batch scripts write.
func (b Base) OutDir() string { return filepath.Join(string(b), "out") }

// Out is the file that takes what a batch script writes.
func (b Base) Out(token string) string { return filepath.Join(b.OutDir(), token+".out") }

// Volume is the directory that a claim of that name and namespace stands for: it stays from pod to pod.
func (b Base) Volume(namespace, claim string) string {
	return filepath.Join(string(b), "volumes", namespace, claim)
}

// Dir is the path of a job's directory.
type Dir string

// BaseOf is the base directory that a job's directory lies in, and the job's token.
func BaseOf(d Dir) (Base, string, error) {
	p := filepath.Clean(string(d))
	token, jobs := filepath.Base(p), filepath.Dir(p)
	if !filepath.IsAbs(p) || filepath.Base(jobs) != "jobs" || !ValidToken(token) {
		return "", "", fmt.Errorf("%s is not the directory of a job", d)
	}
	return Base(filepath.Dir(jobs)), token, nil
}

// Spec is the file with what to run.
func (d Dir) Spec() string { return d.file("spec.json") }

// Claim is the file that says who has the job.
func (d Dir) Claim() string { return d.file("claim") }

// Begun is the marker that says that a command of the pod, its pre-exec or a container's, may have run.
func (d Dir) Begun() string { return d.file("begun") }

// State is the file with what podrunner says.
func (d Dir) State() string { return d.file("state.json") }

// Reserve is a file whose blocks are allocated, for the last state of a pod on a file system that is full.
func (d Dir) Reserve() string { return d.file("state.reserve") }

// Stop is the file that says that the pod is to end.
func (d Dir) Stop() string { return d.file("stop.json") }

// Logs is the directory of the containers' logs.
func (d Dir) Logs() string { return d.file("logs") }

// Log is the log of the n-th run of a container. Rotated parts are beside it, with a number behind the name: .1 is the youngest.
func (d Dir) Log(container string, n int32) string {
	return filepath.Join(d.Logs(), container, strconv.Itoa(int(n))+".log")
}

// Payload is the directory of what may be secret: files, env, credentials. It is removed when the pod has ended.
func (d Dir) Payload() string { return d.file("payload") }

// Volumes is the directory of the pod's emptyDirs, where the job has no better place for them. It is removed when the pod has ended.
func (d Dir) Volumes() string { return d.file("volumes") }

func (d Dir) file(name string) string { return filepath.Join(string(d), name) }

// ValidToken tells whether a string is a token, and so is safe as the name of a file and in a command.
func ValidToken(token string) bool {
	rest, ok := strings.CutPrefix(token, "rj-")
	return ok && len(rest) >= 16 && len(rest) <= 64 && strings.Trim(rest, "0123456789abcdef") == ""
}
