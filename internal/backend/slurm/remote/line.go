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

package remote

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/sbatch"
)

// clean takes out of a login's environment what would have SLURM's commands take other options than those that they are given, and what
// comes of a session inside a job.
const clean = `unset $(awk 'BEGIN{for(k in ENVIRON)if(k~/^(SBATCH|SQUEUE|SINFO|SACCT|SCANCEL|SLURM)_[A-Za-z0-9_]*$/&&k!="SLURM_CONF"&&k!="SLURM_JWT")print k}')
LC_ALL=C
export LC_ALL
cd /
`

// bound has the far side end a command by itself, should the connection be lost and nobody be there to end it.
const boundWords = `command -v timeout >/dev/null && set -- timeout -s KILL @SECONDS@ "$@"
exec "$@"
`

// tied ends a command, and what it started, when its standard input ends: that is when nobody reads its output any more.
const tied = `exec 3<&0
"$@" 3<&- </dev/null &
command=$!
{ cat <&3; kill -KILL 0; } >/dev/null 2>&1 &
watch=$!
wait "$command"
code=$?
kill -KILL "$watch"
exit "$code"
`

// farGrace is how much longer the far side lets a command run than this one waits for it.
const farGrace = 5 * time.Second

// maxLine bounds a command line; Linux takes no longer argument than 128 KiB.
const maxLine = 120 << 10

// runLine is what sshd gives to the login shell so that it runs a command for at most some time.
func runLine(argv []string, timeout time.Duration) (string, error) {
	seconds := strconv.FormatInt(int64((timeout+farGrace+time.Second-1)/time.Second), 10)
	return line(argv, clean+strings.ReplaceAll(boundWords, "@SECONDS@", seconds))
}

// streamLine is the same for a command that runs as long as its standard input is open.
func streamLine(argv []string) (string, error) { return line(argv, clean+tied) }

// muxLine is the same for a program that itself ends with its standard input.
func muxLine(argv []string) (string, error) { return line(argv, clean+"exec \"$@\"\n") }

// line wraps a script so that any login shell, csh and fish among them, hands it to sh as it is: there is no quote, no line break and no
// other character in it that they read in ways of their own.
func line(argv []string, script string) (string, error) {
	for _, arg := range argv {
		if strings.ContainsRune(arg, 0) {
			return "", fmt.Errorf("an argument of %s holds a zero byte", argv[0])
		}
	}
	words := "set -- " + sbatch.QuoteAll(argv) + "\n" + script
	text := "exec /bin/sh -c 'eval \"$(echo " + base64.StdEncoding.EncodeToString([]byte(words)) + " | base64 -d)\"'"
	if len(text) > maxLine {
		return "", fmt.Errorf("the arguments of %s are too long", argv[0])
	}
	return text, nil
}
