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
	"context"
	"encoding/json"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/remote"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// takeClaim takes the claim of a job's directory that no job has claimed, so that nothing of the pod ever runs, and ends the script then.
// $1 is the directory, $2 the claim.
const takeClaim = `set -u
umask 077
dir=$1
[ -d "$dir" ] || exit 78
if [ ! -e "$dir/claim" ]; then
  new=$(mktemp "$dir/claim.XXXXXXXXXX") && printf '%s\n' "$2" >"$new" || exit 1
  ln "$new" "$dir/claim" 2>/dev/null
  links=$(stat -c %h "$new")
  rm -f "$new"
  [ "$links" = 2 ] && exit 78
fi
`

// stopScript asks podrunner for the pod's end. A pod that no job has claimed is claimed here. Else the job that has it finds in its directory
// how it is to end, and is told to look by a TERM to its batch process, which is podrunner; its containers get no signal by that. A job that
// can't be signalled has ended, or waits to begin anew. One that goes by another name is another pod's: a slurmctld that was killed gives
// away anew the ids that it has forgotten. $3 is the stop.
const stopScript = takeClaim + `id=$(sed -n 's/.*"jobID":"\([0-9][0-9]*\)".*/\1/p' "$dir/claim") || exit 1
[ -n "$id" ] || exit 78
if [ ! -e "$dir/stop.json" ]; then
  new=$(mktemp "$dir/.stop-XXXXXXXXXX") && printf '%s\n' "$3" >"$new" && mv -f "$new" "$dir/stop.json" || exit 1
fi
job=$(squeue --noheader --all --jobs="$id" --states=all --format='%j %T' 2>&1) || case $job in
*"Invalid job id"*) exit 78 ;;
*) printf '%s\n' "$job" >&2; exit 1 ;;
esac
case $job in
"$(basename "$dir") "*) ;;
*) exit 78 ;;
esac
scancel --signal=TERM --batch "$id" 2>/dev/null && exit 0
case ${job#* } in
RUNNING | SUSPENDED | STOPPED | COMPLETING | CONFIGURING | STAGE_OUT | SIGNALING | RESIZING) exit 0 ;;
esac
exit 78
`

// stopAgain is how long a job that was asked to end is not asked again.
const stopAgain = 30 * time.Second

// Stop asks podrunner to end the pod.
func (b *Backend) Stop(ctx context.Context, ref backend.JobRef, stop podlifecycle.Stop) (bool, error) {
	if !jobdir.ValidToken(ref.Token) {
		return false, fmt.Errorf("stop: %q is not a token", ref.Token)
	}
	if b.jobs.stopping(ref.Token, time.Now().Add(-stopAgain)) {
		return true, nil
	}
	if err := b.learn(ctx); err != nil {
		return false, err
	}
	how := jobdir.Stop{Reason: stop.Reason, Message: stop.Message, Since: stop.Since.UTC()}
	if stop.GracePeriod != nil {
		how.GracePeriod = &metav1.Duration{Duration: *stop.GracePeriod}
	}
	content, err := json.Marshal(how)
	if err != nil {
		return false, err
	}
	claim, err := cancelClaim()
	if err != nil {
		return false, err
	}
	result, err := b.script(ctx, "stop the job", remote.Shell(stopScript, string(b.base.Job(ref.Token)), claim, string(content)), codeNothing)
	if err != nil || result.ExitCode == codeNothing {
		return false, err
	}
	b.jobs.stopped(ref.Token, time.Now())
	return true, nil
}
