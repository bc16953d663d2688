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

package main

import (
	"fmt"
	"io"
	"time"
)

// progress tells what is waited for: on a terminal in one line that is written over, with the time that it has taken; elsewhere in a line
// for each change.
type progress struct {
	out      io.Writer
	terminal bool
	begun    time.Time
	last     string
}

func newProgress(out io.Writer) *progress {
	return &progress{out: out, terminal: isTerminal(out), begun: time.Now()}
}

func (p *progress) say(words string) {
	if p.terminal {
		fmt.Fprintf(p.out, "\r\x1b[K%s (%s)", words, time.Since(p.begun).Round(time.Second))
	} else if words != p.last {
		fmt.Fprintln(p.out, words)
	}
	p.last = words
}

func (p *progress) end() {
	if p.terminal && p.last != "" {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
