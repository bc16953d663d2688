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
	"slices"
	"strconv"
	"strings"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/remote"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/sbatch"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/script"
)

// sbatchAtOnce is how many calls of sbatch of one command are under way side by side: each spends most of its time in waiting for an answer.
const sbatchAtOnce = 4

// makeJobsScript puts the directories that were unpacked into $new in place, those that are not there yet, with one mv for all of them. Calls
// of submit and finish follow: submit begins to submit a job, and finish waits for those that were begun. A section for each job says what came
// of it: a code, the last line of sbatch's answer (or its exit code), and its complaint. What stands beside sbatchScript about the marker holds
// here, too. $1 is the jobs' directory, $2 that of the markers.
var makeJobsScript = `jobs=$1 markers=$2 begun=
mv -n "$new"/*/ "$jobs/" 2>"$new/mv"
: "${USER:=$(id -un)}"
say() { printf '\035%s %s\n%s\n\036' "$token" "$1" "$2"; }
submit() {
  token=$1
  shift
  if [ -e "$new/$token" ]; then
    if [ -e "$jobs/$token" ]; then say 73 ''; else say 1 ''; cat "$new/mv"; fi
    return
  fi
  if [ -e "$markers/$token" ]; then rm -rf "$jobs/$token"; say 75 ''; return; fi
  ` + script.SubmitScript + ` "$@" <"$jobs/$token/` + batchFile + `" >"$new/answer.$token" 2>"$new/complaint.$token" &
  begun="$begun $token:$!"
}
finish() {
  for each in $begun; do
    token=${each%:*} answer=
    wait "${each#*:}" || { say 76 "$?"; cat "$new/complaint.$token"; continue; }
    if [ -e "$markers/$token" ]; then
      scancel --name="$token" --user="$(id -un)"
      rm -rf "${jobs:?}/$token"
      say 75 ''
      continue
    fi
    while read -r line || [ -n "$line" ]; do answer=$line; done <"$new/answer.$token"
    say 0 "$answer"
  done
  begun=
}
`

// makeJobs makes some jobs in one command.
func (b *Backend) makeJobs(ctx context.Context, some []*submission) {
	write := func(t *remote.TarWriter) error {
		for _, s := range some {
			if err := t.Dir(s.token, int64(jobdir.DirMode)); err != nil {
				return err
			}
			for name, content := range s.files {
				if err := t.File(s.token+"/"+name, int64(jobdir.FileMode), content); err != nil {
					return err
				}
			}
		}
		return nil
	}
	var calls strings.Builder
	for together := range slices.Chunk(some, sbatchAtOnce) {
		for _, s := range together {
			calls.WriteString("submit " + sbatch.QuoteAll(s.args) + "\n")
		}
		calls.WriteString("finish\n")
	}
	calls.WriteString("exit 0\n")
	result, err := remote.Unpack(ctx, b.run, b.base.Jobs(), write, makeJobsScript+calls.String(), b.base.Jobs(), b.base.DoneDir())
	if err == nil && result.ExitCode != 0 {
		err = backend.Unavailable("%w", result.Err())
	}
	if err != nil {
		for _, s := range some {
			s.err = err
		}
		return
	}
	tellEach(result.Stdout, some)
}

// tellEach gives each job what the answer of makeJobsScript says of it. Of one that it says nothing of nothing is known.
func tellEach(answer []byte, some []*submission) {
	results := map[string]remote.Result{}
	for section := range bytes.SplitSeq(answer, []byte(mark)) {
		head, rest, _ := bytes.Cut(section, []byte("\n"))
		token, word, _ := strings.Cut(string(head), " ")
		code, err := strconv.Atoi(word)
		said, complaint, whole := bytes.Cut(rest, []byte("\x1e"))
		if err == nil && whole {
			results[token] = remote.Result{ExitCode: code, Stdout: said, Stderr: complaint}
		}
	}
	for _, s := range some {
		result, ok := results[s.token]
		switch {
		case !ok:
			s.err = backend.Unavailable("it is not known what came of the job")
		case result.ExitCode == 1:
			s.err = backend.Unavailable("put the job's directory in place: %w", result.Err())
		default:
			s.result = result
		}
	}
}
