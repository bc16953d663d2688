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

package queue

import (
	"fmt"
	"strings"
	"time"
)

var sacctFields = []string{"JobIDRaw", "JobName", "State", "ExitCode", "Submit", "Start", "End", "NodeList"}

// sacctEnd is what ends a record: sacct writes a delimiter after each field with --parsable, and none of its fields holds it.
const sacctEnd = fieldMark + "\n"

// SacctArgs is the command that tells how jobs ended, given by id. One that was requeued has a record for each time. A record that came to be
// by a job's end, ahead of the word of its start, is named "allocation" until that word has come.
func SacctArgs(ids []string) []string {
	return []string{
		"env", clock, "sacct", "--noheader", "--allocations", "--duplicates", "--parsable", "--delimiter=" + fieldMark,
		"--format=" + strings.Join(sacctFields, ","), "--jobs=" + strings.Join(ids, ","),
	}
}

// SacctByNameArgs is the command that looks for jobs of a user by their names (tokens), submitted or alive since a time.
func SacctByNameArgs(uid string, names []string, since time.Time) []string {
	return []string{
		"env", clock, "sacct", "--noheader", "--allocations", "--duplicates", "--parsable", "--delimiter=" + fieldMark,
		"--format=" + strings.Join(sacctFields, ","), "--uid=" + uid, "--name=" + strings.Join(names, ","),
		"--starttime=" + since.UTC().Format("2006-01-02T15:04:05"),
	}
}

// ParseSacct reads the answer to SacctArgs and SacctByNameArgs. Of a job's records the last one is returned.
func ParseSacct(output []byte) ([]Job, error) {
	var jobs []Job
	at := map[string]int{}
	rest := string(output)
	for rest != "" {
		record, after, ok := strings.Cut(rest, sacctEnd)
		if !ok {
			return nil, fmt.Errorf("sacct: the answer breaks off at %q", cut(rest))
		}
		rest = after
		f := strings.Split(record, fieldMark)
		if len(f) != len(sacctFields) {
			return nil, fmt.Errorf("sacct: %q has %d fields and not %d", cut(record), len(f), len(sacctFields))
		}
		exit, err := parseExit(f[3])
		if err != nil {
			return nil, fmt.Errorf("sacct: job %s: %w", f[0], err)
		}
		state, by := parseState(f[2])
		if f[0] == "" || state == "" {
			return nil, fmt.Errorf("sacct: a job has no id or no state: %q", cut(record))
		}
		job := Job{
			ID: f[0], Name: f[1], State: state, By: by, Submit: parseTime(f[4]), Start: parseTime(f[5]), End: parseTime(f[6]), Nodes: unset(f[7]),
			Exit: &exit,
		}
		if i, seen := at[job.ID]; seen {
			if !job.Submit.Before(jobs[i].Submit) {
				jobs[i] = job
			}
			continue
		}
		at[job.ID] = len(jobs)
		jobs = append(jobs, job)
	}
	return jobs, nil
}
