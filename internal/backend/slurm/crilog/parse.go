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

package crilog

import (
	"bytes"
	"time"
)

// entry is one record.
type entry struct {
	at time.Time
	// stamp is the time as it is written.
	stamp []byte
	// full is set where the container's line ends with it.
	full bool
	data []byte
}

// parse reads a record, without the end of its line; false for what is none.
func parse(line []byte) (entry, bool) {
	stamp, rest, ok := bytes.Cut(line, []byte{' '})
	if !ok {
		return entry{}, false
	}
	at, err := time.Parse(time.RFC3339Nano, string(stamp))
	if err != nil {
		return entry{}, false
	}
	stream, rest, ok := bytes.Cut(rest, []byte{' '})
	if !ok || string(stream) != "stdout" && string(stream) != "stderr" {
		return entry{}, false
	}
	tags, data, ok := bytes.Cut(rest, []byte{' '})
	if !ok {
		return entry{}, false
	}
	// Tags are divided by colons; the first says whether the line ends.
	tag, _, _ := bytes.Cut(tags, []byte{':'})
	return entry{at: at, stamp: stamp, full: string(tag) == "F", data: data}, true
}

// endsLine tells whether a raw record is one that ends a container's line.
func endsLine(line []byte) bool {
	e, ok := parse(line)
	return ok && e.full
}
