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
	"strconv"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/remote"
)

const (
	codeBusy    = 77
	codeNothing = 78
)

// cancelScript ends all that carries a token. First comes the marker that both Submit and podrunner refuse, then the claim, so that no job
// that begins from here on runs anything; then the jobs, and when they are gone the directory. The file that becomes the marker has one name
// for each token, so what a script that was killed has left of it is gone with the next one. $1 is the base directory, $2 the token,
// which is the name of its jobs, $3 the marker, $4 the claim.
const cancelScript = `set -u
umask 077
base=$1 token=$2 dir=$1/jobs/$2
new=$base/done/.$token
if [ ! -e "$base/done/$token" ]; then
  printf '%s\n' "$3" >"$new" && mv -f "$new" "$base/done/$token" || [ -e "$base/done/$token" ] || { rm -f "$new"; exit 1; }
fi
if [ -d "$dir" ] && [ ! -e "$dir/claim" ]; then
  claim=$(mktemp "$dir/claim.XXXXXXXXXX") && printf '%s\n' "$4" >"$claim" && ln "$claim" "$dir/claim" 2>/dev/null
  rm -f "$claim"
fi
ids=$(squeue --noheader --all --name="$token" --user="$(id -un)" --format=%A) || exit 1
if [ -n "$ids" ]; then
  scancel $ids || exit 1
  ids=$(squeue --noheader --all --name="$token" --user="$(id -un)" --format=%A) || exit 1
  [ -z "$ids" ] || exit 77
fi
rm -rf "$dir" || exit 1
rm -f "$base/out/$token.out" "$new"
`

// Cancel ends all jobs of a token and removes its directory, once the marker stands that keeps more from coming.
func (b *Backend) Cancel(ctx context.Context, ref backend.JobRef) (bool, error) {
	if !jobdir.ValidToken(ref.Token) {
		return false, fmt.Errorf("cancel: %q is not a token", ref.Token)
	}
	if err := b.learn(ctx); err != nil {
		return false, err
	}
	marker, err := json.Marshal(jobdir.Done{Since: time.Now().UTC(), Reason: "cancelled"})
	if err != nil {
		return false, err
	}
	claim, err := cancelClaim()
	if err != nil {
		return false, err
	}
	command := remote.Shell(cancelScript, string(b.base), ref.Token, string(marker), claim)
	result, err := b.script(ctx, "cancel the job", command, codeBusy)
	if err != nil {
		return false, err
	}
	if result.ExitCode == codeBusy {
		return false, nil
	}
	b.jobs.gone(ref.Token)
	return true, nil
}

// cancelClaim is the claim of a cancel: no job runs the pod any more.
func cancelClaim() (string, error) {
	claim, err := json.Marshal(jobdir.Claim{Cancelled: true, Time: time.Now().UTC()})
	return string(claim), err
}

// pruneScript removes the markers before $2, in seconds since 1970, from the directory $1, and from the other directories the uploads whose
// scripts were killed: no upload takes an hour. A file's own time is what counts here: it is compared to days and hours, so nothing that a
// file system does to it matters.
const pruneScript = `set -u
cd "$1" || exit 1
find . -maxdepth 1 -type f ! -newermt "@$2" -exec rm -f {} +
shift 2
for dir; do
  [ ! -d "$dir" ] || find "$dir" -maxdepth 1 -name '.upload-*' ! -newermt '1 hour ago' -exec rm -rf {} + || exit 1
done
`

// PruneMarkers removes the markers that Cancel left before the given time, and what uploads may have left.
func (b *Backend) PruneMarkers(ctx context.Context, before time.Time) error {
	_, err := b.script(ctx, "remove old markers", remote.Shell(pruneScript, b.base.DoneDir(), strconv.FormatInt(before.Unix(), 10), b.base.Jobs(), b.base.Bin()))
	return err
}
