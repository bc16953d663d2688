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

package script

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/sbatch"
)

// CodeNotExecutable is the exit code of a job whose node would not run podrunner.
const CodeNotExecutable = 117

// ReasonNotExecutable is the reason of its end, and the first word in the job's output.
const ReasonNotExecutable = "PodrunnerNotExecutable"

// SubmitScript is a POSIX shell's words before sbatch's arguments: the job's environment is that of sbatch, so sbatch gets only what finds
// programs, the user and SLURM's configuration. What would have it take other options, or belongs to the session that submits, stays out.
const SubmitScript = `env -i PATH="$PATH" HOME="$HOME" USER="${USER:-$(id -un)}" LOGNAME="${USER:-$(id -un)}" ` +
	`${LD_LIBRARY_PATH+LD_LIBRARY_PATH="$LD_LIBRARY_PATH"} ${SLURM_CONF+SLURM_CONF="$SLURM_CONF"} ${SLURM_JWT+SLURM_JWT="$SLURM_JWT"} ` +
	`${TZ+TZ="$TZ"} sbatch`

// machines are the names that uname -m has for Go's architectures.
var machines = map[string]string{
	"amd64": "x86_64", "arm64": "aarch64", "ppc64le": "ppc64le", "s390x": "s390x", "riscv64": "riscv64",
}

// batch is the script. It hands the job's process over to podrunner, so that signals for the batch script reach it. Where the shared file
// system is mounted without the permission to execute, podrunner is copied to one that the node has of its own; the copy has no name any
// more when it runs, so nobody needs to remove it.
const batch = `#!/bin/sh
# A pod of remotejob-operator. What it is to run is in the directory that is named below.
unset SLURM_EXPORT_ENV
PATH=${PATH:-/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin}
USER=${USER:-$(id -un)}
HOME=${HOME:-$(eval "echo ~$USER")}
export PATH USER HOME
umask 077
dir=@DIR@
case $(uname -m) in
@CASES@esac
if "$podrunner" version >/dev/null 2>&1; then
  exec "$podrunner" run --dir "$dir"
fi
for place in "$TMPDIR" /dev/shm /tmp; do
  [ -n "$place" ] && copy=$(mktemp "$place/podrunner-XXXXXXXXXX" 2>/dev/null) || continue
  if cp "$podrunner" "$copy" 2>/dev/null && chmod 700 "$copy" && "$copy" version >/dev/null 2>&1; then
    exec 9<"$copy"
    rm -f "$copy"
    exec /proc/self/fd/9 run --dir "$dir"
  fi
  rm -f "$copy"
done
echo "@REASON@: $(uname -n) runs neither $podrunner nor a copy of it in \$TMPDIR, /dev/shm or /tmp: $("$podrunner" version 2>&1)" >&2
exit @CODE@
`

func batchScript(dir jobdir.Dir, podrunner map[string]string) string {
	var cases strings.Builder
	for _, arch := range slices.Sorted(maps.Keys(podrunner)) {
		if arch != AnyArch {
			machine := machines[arch]
			if machine == "" {
				machine = arch
			}
			cases.WriteString(sbatch.Quote(machine) + ") podrunner=" + sbatch.Quote(podrunner[arch]) + " ;;\n")
		}
	}
	cases.WriteString("*) podrunner=" + sbatch.Quote(podrunner[AnyArch]) + " ;;\n")
	return strings.NewReplacer(
		"@DIR@", sbatch.Quote(string(dir)), "@CASES@", cases.String(), "@REASON@", ReasonNotExecutable, "@CODE@", strconv.Itoa(CodeNotExecutable),
	).Replace(batch)
}
