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
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"
)

// report is what a run has measured.
type report struct {
	Machine machine
	Began   time.Time
	Took    string
	Rows    []row
}

// machine is what it was measured on.
type machine struct {
	CPU, Kernel, Go string
	Cores           int
	MemoryMiB       int64
	// Load is the load average when the run began: what else the machine did.
	Load string
}

// row is one line of the table.
type row struct {
	Section, What string
	// Value is for people, Number for programs, in Unit.
	Value  string
	Number float64
	Unit   string
	// Budget is what the design wants, empty where it says nothing; Met tells whether it has it.
	Budget string `json:",omitempty"`
	Met    *bool  `json:",omitempty"`
}

// section takes the rows of one part of the run.
type section struct {
	name string
	out  *report
}

func (s *section) add(what string, number float64, unit string) *row {
	s.out.Rows = append(s.out.Rows, row{Section: s.name, What: what, Number: number, Unit: unit, Value: written(number, unit)})
	return &s.out.Rows[len(s.out.Rows)-1]
}

func (s *section) duration(what string, d time.Duration) *row {
	r := s.add(what, float64(d)/float64(time.Millisecond), "ms")
	r.Value = rounded(d)
	return r
}

func (s *section) note(what, value string) {
	s.out.Rows = append(s.out.Rows, row{Section: s.name, What: what, Value: value})
}

// want says what the design wants of a row.
func (r *row) want(budget string, met bool) { r.Budget, r.Met = budget, &met }

func (r *row) atMost(n float64) { r.want("≤ "+written(n, r.Unit), r.Number <= n) }

func (r *row) atLeast(n float64) { r.want("≥ "+written(n, r.Unit), r.Number >= n) }

func written(n float64, unit string) string {
	text := fmt.Sprintf("%.3g", n)
	if n >= 100 || n <= -100 {
		text = fmt.Sprintf("%.0f", n)
	}
	return strings.TrimSpace(text + " " + unit)
}

func rounded(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return d.Round(10 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}

// thisMachine describes the machine that this runs on.
func thisMachine() machine {
	m := machine{Cores: runtime.NumCPU(), Go: runtime.Version()}
	m.Kernel = strings.TrimSpace(content("/proc/sys/kernel/osrelease"))
	m.CPU = field(content("/proc/cpuinfo"), "model name")
	if load := strings.Fields(content("/proc/loadavg")); len(load) > 0 {
		m.Load = load[0]
	}
	_, _ = fmt.Sscanf(field(content("/proc/meminfo"), "MemTotal"), "%d kB", &m.MemoryMiB)
	m.MemoryMiB /= 1024
	return m
}

func content(file string) string {
	text, _ := os.ReadFile(file)
	return string(text)
}

// field is the value of the first line "name: value".
func field(text, name string) string {
	for line := range strings.Lines(text) {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// print writes the table as text.
func (r *report) print(w io.Writer) error {
	m := r.Machine
	fmt.Fprintf(w, "%s, %d cores, %d MiB, Linux %s, %s; load at the beginning %s; took %s\n", m.CPU, m.Cores, m.MemoryMiB, m.Kernel, m.Go, m.Load, r.Took)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	last := ""
	for i := range r.Rows {
		row := &r.Rows[i]
		if row.Section != last {
			fmt.Fprintf(t, "\n%s\t\t\t\n", strings.ToUpper(row.Section))
			last = row.Section
		}
		verdict := ""
		if row.Met != nil {
			verdict = map[bool]string{true: "met", false: "MISSED"}[*row.Met]
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\n", row.What, row.Value, row.Budget, verdict)
	}
	return t.Flush()
}

// markdown writes the table as docs/performance.md has it.
func (r *report) markdown() []byte {
	var w bytes.Buffer
	m := r.Machine
	fmt.Fprintf(&w, "%s, %d cores, %d MiB, Linux %s, %s; load at the beginning %s; the run took %s.\n", m.CPU, m.Cores, m.MemoryMiB, m.Kernel, m.Go, m.Load, r.Took)
	last := ""
	for i := range r.Rows {
		row := &r.Rows[i]
		if row.Section != last {
			fmt.Fprintf(&w, "\n| %s | measured | budget |\n|---|---|---|\n", row.Section)
			last = row.Section
		}
		budget := row.Budget
		if row.Met != nil {
			budget += map[bool]string{true: ", met", false: ", **missed**"}[*row.Met]
		}
		fmt.Fprintf(&w, "| %s | %s | %s |\n", row.What, row.Value, budget)
	}
	return w.Bytes()
}

// write puts the figures where programs find them, and the table beside them.
func (r *report) write(file string) error {
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(file, append(text, '\n'), 0o644); err != nil {
		return err
	}
	return os.WriteFile(strings.TrimSuffix(file, filepath.Ext(file))+".md", r.markdown(), 0o644)
}

// tableBegin and tableEnd enclose the table in a document.
const tableBegin, tableEnd = "<!-- bench: begin -->\n", "<!-- bench: end -->\n"

// writeInto puts the table into a document, in place of the one that is there.
func (r *report) writeInto(file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, begins := strings.Cut(string(text), tableBegin)
	_, after, ends := strings.Cut(rest, tableEnd)
	if !begins || !ends {
		return fmt.Errorf("%s has no place for the table", file)
	}
	return os.WriteFile(file, []byte(before+tableBegin+string(r.markdown())+tableEnd+after), 0o644)
}
