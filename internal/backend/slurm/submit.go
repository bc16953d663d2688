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

package slurm

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/queue"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/remote"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/runtime"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/script"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// owner is who a job's directory belongs to. It tells what the queue has forgotten of a job that ended long ago.
type owner struct {
	Token   string               `json:"token"`
	Ledger  string               `json:"ledger"`
	Backend types.UID            `json:"backend"`
	Job     types.NamespacedName `json:"job"`
	Pod     types.NamespacedName `json:"pod"`
}

// ownerFile is its name in the job's directory. It holds no secret and stays as long as the directory.
const ownerFile = "owner.json"

// Submit makes the job's directory, and a job for it. Who finds the directory made looks for the job first; one that is not to be seen
// anywhere may still come, so there may be two: podrunner's claim decides which of them runs the pod.
func (b *Backend) Submit(ctx context.Context, w *workload.Workload) (string, error) {
	if !jobdir.ValidToken(w.Token) {
		return "", fmt.Errorf("submit: %q is not a token", w.Token)
	}
	if err := acceptable(w, b.opts.Spec.Runtime.Type); err != nil {
		return "", err
	}
	job, err := script.Make(script.Input{Workload: w, Spec: &b.opts.Spec, Podrunner: b.binary.byArch})
	if err != nil {
		return "", err
	}
	if err := b.learn(ctx); err != nil {
		return "", err
	}
	// Of many who submit a job here at the same time one does, and the others find it.
	unlock := b.jobs.lock(w.Token)
	defer unlock()
	if id := b.jobs.id(w.Token); id != "" {
		b.adopted()
		return id, nil
	}
	made, result, err := b.makeJob(ctx, w, job)
	if err != nil {
		return "", err
	}
	var id string
	if made {
		id, err = b.submittedID(result)
	} else if id, err = b.find(ctx, w.Token); id != "" && err == nil {
		b.adopted()
	} else if id == "" && err == nil {
		id, err = b.sbatch(ctx, w.Token, job)
	}
	if rejected, final := backend.IsRejected(err); final && rejected.Reason == ReasonRefused {
		id, err = b.refuse(ctx, w.Token, rejected)
	}
	if id != "" {
		b.jobs.submitted(w, id)
	}
	return id, err
}

func (b *Backend) adopted() {
	if b.opts.Adopted != nil {
		b.opts.Adopted()
	}
}

// ReasonNoCommand is the reason of the rejection of a pod of which nobody knows what it is to run.
const ReasonNoCommand = "NoCommand"

// acceptable finds what the nodes' container runtime will never be able to do for the pod.
func acceptable(w *workload.Workload, kind string) error {
	if runtime.KnowsCommands(kind) || w.JobScript != "" {
		return nil
	}
	for _, c := range slices.Concat(w.Pod.Spec.InitContainers, w.Pod.Spec.Containers) {
		if len(c.Command) == 0 {
			return backend.Rejected(ReasonNoCommand, "container %q names no command, and with the runtime %s nothing is known of what its image runs", c.Name, kind)
		}
	}
	return nil
}

// makeJob puts the job's directory in place, whole or not at all, and submits the job, in one command, which it may share with others. It
// returns false, and submits nothing, when the directory is there.
func (b *Backend) makeJob(ctx context.Context, w *workload.Workload, job *script.Job) (made bool, result remote.Result, err error) {
	spec := jobdir.SpecOf(w)
	r := b.opts.Spec.Runtime
	spec.Runtime = jobdir.Runtime{Type: r.Type, Path: r.Path, ImagePrefix: r.ImagePrefix, Options: r.Options}
	spec.PreExec, spec.Launch = job.PreExec, job.Launch
	content, err := json.Marshal(spec)
	if err != nil {
		return false, result, fmt.Errorf("write the job's spec: %w", err)
	}
	whose, err := json.Marshal(owner{
		Token: w.Token, Ledger: w.Ledger, Backend: w.Backend, Job: w.Job, Pod: types.NamespacedName{Namespace: w.Pod.Namespace, Name: w.Pod.Name},
	})
	if err != nil {
		return false, result, fmt.Errorf("write the job's owner: %w", err)
	}
	ctx, end := span(ctx, "make and submit the job", "slurm.options", strings.Join(job.Args(), " "))
	defer func() { end(result, err) }()
	result, err = b.submissions.make(ctx, &submission{
		token: w.Token, args: append([]string{w.Token}, job.Args()...),
		files: map[string][]byte{ownerFile: append(whose, '\n'), "spec.json": append(content, '\n'), batchFile: []byte(job.Script)},
	})
	if err != nil {
		return false, result, fmt.Errorf("make the job: %w", err)
	}
	return result.ExitCode != codeThere, result, nil
}

// batchFile is the job script's name in the job's directory.
const batchFile = "batch"

// Exit codes of the scripts below.
const (
	codeThere     = 73
	codeCancelled = 75
	codeRefused   = 76
)

// findScript looks for the job of a token: $1 is its directory, $2 its done marker, $3 the token, which is
// the name of its jobs.
const findScript = `set -u
[ -e "$2" ] && exit 75
if [ -s "$1/claim" ]; then
  grep '"refused":' "$1/claim" && exit 76
  grep -q '"cancelled":true' "$1/claim" && exit 75
  sed -n 's/.*"jobID":"\([0-9][0-9]*\)".*/\1/p' "$1/claim"
  exit 0
fi
squeue --noheader --all --states=all --name="$3" --user="$(id -un)" --format=%A || exit 1
`

// find returns the id of a token's job where one is to be seen, empty where none is.
func (b *Backend) find(ctx context.Context, token string) (string, error) {
	dir := b.base.Job(token)
	result, err := b.script(ctx, "look for the job", remote.Shell(findScript, string(dir), b.base.Done(token), token), codeCancelled, codeRefused)
	if err != nil {
		return "", err
	}
	switch result.ExitCode {
	case codeCancelled:
		return "", errCancelled()
	case codeRefused:
		// A manager that ended before it wrote that down had the answer.
		var claim jobdir.Claim
		if err := json.Unmarshal(result.Stdout, &claim); err != nil {
			return "", fmt.Errorf("read the claim of a job that was refused: %w", err)
		}
		return "", backend.Rejected(ReasonRefused, "%s", claim.Refused)
	}
	ids := strings.Fields(string(result.Stdout))
	if len(ids) == 0 {
		return "", nil
	}
	return ids[0], nil
}

// sbatchScript submits the job script on the standard input, unless the token is cancelled, and takes the job back where it was cancelled
// meanwhile: who writes the marker looks for jobs after that, and who makes a job looks for the marker after that, so one sees the other.
// $1 is the job's directory, $2 the done marker; the rest are sbatch's arguments.
var sbatchScript = `set -u
dir=$1 marker=$2
shift 2
[ -e "$marker" ] && { rm -rf "$dir"; exit 75; }
answer=$(` + script.SubmitScript + ` "$@") || { code=$?; echo "$code"; exit 76; }
if [ -e "$marker" ]; then
  scancel --name="$(basename "$dir")" --user="$(id -un)"
  rm -rf "$dir"
  exit 75
fi
printf '%s\n' "$answer"
`

// sbatch submits the job and returns its id.
func (b *Backend) sbatch(ctx context.Context, token string, job *script.Job) (string, error) {
	args := append([]string{string(b.base.Job(token)), b.base.Done(token)}, job.Args()...)
	command := remote.Shell(sbatchScript, args...).With(strings.NewReader(job.Script))
	result, err := b.script(ctx, "submit the job", command, codeCancelled, codeRefused)
	if err != nil {
		return "", err
	}
	return b.submittedID(result)
}

// submittedID is the job's id, of what sbatchScript answered.
func (b *Backend) submittedID(result remote.Result) (string, error) {
	switch result.ExitCode {
	case codeCancelled:
		return "", errCancelled()
	case codeRefused:
		return "", b.refused(result)
	}
	id, err := queue.ParseSubmitted(result.Stdout)
	if err != nil {
		return "", backend.Unavailable("submit the job: %w", err)
	}
	return id, nil
}

// ReasonRefused is the reason of the rejection of a job that sbatch refuses.
const ReasonRefused = "RefusedBySlurm"

// refused is what to make of sbatch's complaint. Its words are the site's own, and go to the user as they are.
func (b *Backend) refused(result remote.Result) error {
	code, err := strconv.Atoi(strings.TrimSpace(string(result.Stdout)))
	if err != nil {
		code = -1
	}
	words, final := queue.Refusal(code, result.Stderr)
	if final {
		return backend.Rejected(ReasonRefused, "%s", words)
	}
	return backend.Unavailable("%s", words)
}

// refuseScript takes the claim of a job that is refused, and its files with it. Where a job has the claim, it answers that one's id.
const refuseScript = `trap '[ $? != 78 ] || rm -f "$1/spec.json" "$1/batch"' EXIT
` + takeClaim + `sed -n 's/.*"jobID":"\([0-9][0-9]*\)".*/\1/p' "$dir/claim"
`

// refuse makes sure that nothing of a job runs that sbatch refuses for good. An earlier sbatch whose answer was lost may have gone in, and
// may yet: its job finds the claim taken, unless it has it already, and then it is the one that was meant.
func (b *Backend) refuse(ctx context.Context, token string, refusal *backend.RejectedError) (string, error) {
	claim, err := json.Marshal(jobdir.Claim{Cancelled: true, Refused: refusal.Message, Time: time.Now().UTC()})
	if err != nil {
		return "", err
	}
	result, err := b.script(ctx, "take back the job", remote.Shell(refuseScript, string(b.base.Job(token)), string(claim)), codeNothing)
	if err != nil {
		return "", err
	}
	if id := string(bytes.TrimSpace(result.Stdout)); result.ExitCode != codeNothing && id != "" {
		b.adopted()
		return id, nil
	}
	return "", refusal
}

func errCancelled() error {
	return backend.Rejected(backend.ReasonCancelled, "the job was cancelled before it was submitted")
}
