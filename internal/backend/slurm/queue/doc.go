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

// Package queue knows what SLURM's commands are asked and what they answer: squeue, sacct, sinfo, scontrol and sbatch, releases 20.11 to
// 25.11; and says what an answer means for a pod. It is pure: running the commands is left to others.
//
// Lines of squeue, sacct and sinfo are read in the forms in which a format can be given, since these did not change over all those
// releases, unlike JSON. Records and their fields are marked by control characters, which no name, reason or comment holds.
package queue

import (
	"fmt"
	"strings"
)

// recordMark goes before each record and fieldMark between two fields.
const (
	recordMark = "\x1e"
	fieldMark  = "\x1f"
)

// format writes a format whose records have the given fields.
func format(fields ...string) string { return recordMark + strings.Join(fields, fieldMark) }

// records splits a command's output into records of n fields. What stands before the first record is no record's; the last field may
// hold anything, line breaks too.
func records(command string, output []byte, n int) ([][]string, error) {
	text := string(output)
	head, rest, found := strings.Cut(text, recordMark)
	if strings.TrimSpace(head) != "" {
		return nil, fmt.Errorf("%s: %q stands before the first record", command, cut(head))
	}
	if !found {
		return nil, nil
	}
	var list [][]string
	for record := range strings.SplitSeq(rest, recordMark) {
		if !strings.HasSuffix(record, "\n") {
			return nil, fmt.Errorf("%s: the answer breaks off at %q", command, cut(record))
		}
		fields := strings.SplitN(strings.TrimSuffix(record, "\n"), fieldMark, n)
		if len(fields) < n {
			return nil, fmt.Errorf("%s: %q has %d fields and not %d", command, cut(record), len(fields), n)
		}
		list = append(list, fields)
	}
	return list, nil
}

// cut shortens what is quoted in an error.
func cut(s string) string {
	const most = 120
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
