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

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/queue"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/remote"
)

// pollScript is a whole look at the cluster: the queue, and in the same pass the states of the jobs that run. It needs nothing on the login
// node but what every one has. The standard input says what is known: lines of a token, the number of the state that was read of it last
// (-1 for none) and what to do with it: "final" for one that is not to be read again, "read" for one that is to be read though the queue
// may not show it, "-" for neither. $1 is the base directory, $2 is "list" where the names of all jobs' directories are wanted, $3 are the
// ids of jobs that the accounting is to be asked for; the rest is squeue's command line.
//
// What comes back are sections, each behind a mark that none holds and its name: the queue's records as squeue wrote them, states as lines
// of a token and its state (or the word cancelled where there is none and the done marker stands), squeue's exit code, the directories' names, what sacct wrote, and last an empty one that says that all is
// there. A state is read by its fixed path, and sent only if its number is not the one that is known. That of a job which waits in the queue
// is read only where one was read before: it has run, and may have ended before a controller that was killed forgot that.
const pollScript = `set -u
base=$1 list=$2 asked=$3
shift 3
{ printf '\036known\n'; cat; "$@" </dev/null; printf '\036exit %s\n' "$?"; } | awk -v base="$base" '
function state(token,   file, marker, line, got) {
  file = base "/jobs/" token "/state.json"
  got = (getline line < file)
  close(file)
  if (got > 0) {
    if (!index(line, "\"sequence\":" known[token] ",")) print token " " line
    return
  }
  marker = base "/done/" token
  if ((getline line < marker) >= 0) print token " cancelled"
  close(marker)
}
BEGIN {
  printf "\035queue\n"
  RS = "\036"; FS = "\037"; ORS = ""; exit_code = "none"
}
/^known\n/ {
  n = split($0, lines, "\n")
  for (i = 2; i <= n; i++) if (split(lines[i], k, " ") == 3) { known[k[1]] = k[2]; how[k[1]] = k[3] }
  next
}
/^exit / { split($0, words, /[ \n]/); exit_code = words[2]; next }
$0 == "" { next }
{
  print "\036" $0
  if ($2 !~ /^rj-[0-9a-f]+$/ || how[$2] == "final") next
  if ($3 ~ /^(PENDING|REQUEUE)/) {
    waits[$2] = 1
    if (how[$2] == "-") begun[$2] = how[$2] = "read"
    next
  }
  how[$2] = "read"
  begun[$2] = 1
}
END {
  RS = ORS = "\n"
  print "\035states"
  for (token in how) if (how[token] == "read" && (!(token in waits) || token in begun)) state(token)
  print "\035exit\n" exit_code
}
' || exit 1
if [ "$list" = list ]; then
  printf '\035directories\n'
  ls -1 "$base/jobs" || exit 1
fi
if [ -n "$asked" ]; then
  printf '\035accounting\n'
  set -f
  IFS='
'
  $asked 2>/dev/null
fi
printf '\035end\n'
`

// looked is what came back from one look.
type looked struct {
	queue, accounting []byte
	// states are what podrunner says of the jobs that changed, by token.
	states map[string]*jobdir.State
	// cancelled are the tokens of which nothing is left but the done marker.
	cancelled map[string]bool
	// directories are the names in the jobs' directory, where they were asked for.
	directories []string
}

// question is what to ask in one look.
type question struct {
	// known are the lines about what is known.
	known []byte
	list  bool
	// accounting are the ids of jobs that the queue has forgotten.
	accounting []string
}

// poll has one look at the cluster, by one command.
func (b *Backend) poll(ctx context.Context, q question) (*looked, error) {
	list, accounting := "", ""
	if q.list {
		list = "list"
	}
	if len(q.accounting) > 0 {
		accounting = strings.Join(queue.SacctArgs(q.accounting), "\n")
	}
	args := append([]string{string(b.base), list, accounting}, queue.SqueueArgs(b.known().uid)...)
	result, err := b.script(ctx, "look at the queue", remote.Shell(pollScript, args...).With(bytes.NewReader(q.known)))
	if err != nil {
		return nil, err
	}
	return parseLook(result.Stdout, string(result.Stderr))
}

// mark goes before each section.
const mark = "\x1d"

// parseLook takes apart what came back. A look that is not whole, or that squeue did not bring to a good end, says nothing about any job.
func parseLook(out []byte, complaint string) (*looked, error) {
	sections := map[string][]byte{}
	for section := range bytes.SplitSeq(out, []byte(mark)) {
		name, content, _ := bytes.Cut(section, []byte("\n"))
		sections[string(name)] = content
	}
	if _, whole := sections["end"]; !whole {
		return nil, backend.Unavailable("look at the queue: the answer is not whole: %s", spoken(complaint))
	}
	if code := string(bytes.TrimSpace(sections["exit"])); code != "0" {
		return nil, backend.Unavailable("look at the queue: squeue ended with %q: %s", code, spoken(complaint))
	}
	l := &looked{
		queue: sections["queue"], accounting: sections["accounting"], directories: strings.Fields(string(sections["directories"])),
		states: map[string]*jobdir.State{}, cancelled: map[string]bool{},
	}
	for line := range bytes.Lines(sections["states"]) {
		token, text, _ := bytes.Cut(bytes.TrimRight(line, "\x00\n"), []byte(" "))
		if string(text) == "cancelled" {
			l.cancelled[string(token)] = true
			continue
		}
		var state jobdir.State
		// A state that can't be read yet is read again the next time.
		if json.Unmarshal(text, &state) == nil && state.JobID != "" {
			l.states[string(token)] = &state
		}
	}
	return l, nil
}

// ownersScript reads the owners of the directories whose names are on the standard input, below $1.
const ownersScript = `cd "$1" || exit 1
sed 's,$,/` + ownerFile + `,' | xargs cat -- 2>/dev/null
exit 0
`

// owners reads who the directories of the given tokens belong to.
func (b *Backend) owners(ctx context.Context, tokens []string) (map[string]owner, error) {
	stdin := strings.NewReader(strings.Join(tokens, "\n") + "\n")
	result, err := b.script(ctx, "look whose directories these are", remote.Shell(ownersScript, b.base.Jobs()).With(stdin))
	if err != nil {
		return nil, err
	}
	out := map[string]owner{}
	for line := range bytes.Lines(result.Stdout) {
		var o owner
		if json.Unmarshal(line, &o) == nil && jobdir.ValidToken(o.Token) {
			out[o.Token] = o
		}
	}
	return out, nil
}

// ask is what the next look is to ask for. The caller holds the tracker's lock.
func (t *tracker) question(list, accounting bool) question {
	q := question{list: list}
	var known []string
	for token, j := range t.jobs {
		sequence := int64(-1)
		if j.state != nil {
			sequence = j.state.Sequence
		}
		switch {
		case j.final() && j.rows > 0:
			known = append(known, fmt.Sprintf("%s %d final", token, sequence))
		case j.final():
		case j.rows == 0:
			known = append(known, fmt.Sprintf("%s %d read", token, sequence))
			if _, err := strconv.ParseUint(j.id, 10, 64); accounting && err == nil {
				q.accounting = append(q.accounting, j.id)
			}
		case sequence >= 0:
			known = append(known, fmt.Sprintf("%s %d -", token, sequence))
		}
	}
	slices.Sort(known)
	if len(known) > 0 {
		q.known = []byte(strings.Join(known, "\n") + "\n")
	}
	return q
}
