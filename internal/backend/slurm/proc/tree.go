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

package proc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Stat is what is known of one process.
type Stat struct {
	Pid, Parent int
	// Zombie is set for one that has ended and was not reaped.
	Zombie bool
	// Start tells two processes of the same number apart: clock ticks since the machine's start.
	Start uint64
}

// All lists the processes that can be seen.
func All() ([]Stat, error) {
	dir, err := os.Open("/proc")
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list the processes: %w", err)
	}
	var all []Stat
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if s, ok := Look(pid); ok {
			all = append(all, s)
		}
	}
	return all, nil
}

// Look reads one process; false where it is gone.
func Look(pid int) (Stat, bool) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat")) //nolint:gocritic // the root is a path of its own
	if err != nil {
		return Stat{}, false
	}
	return parseStat(pid, data)
}

// parseStat reads /proc/PID/stat. The name in brackets may hold anything, brackets too.
func parseStat(pid int, data []byte) (Stat, bool) {
	end := bytes.LastIndexByte(data, ')')
	if end < 0 {
		return Stat{}, false
	}
	fields := strings.Fields(string(data[end+1:]))
	const state, parent, start = 0, 1, 19
	if len(fields) <= start {
		return Stat{}, false
	}
	ppid, err := strconv.Atoi(fields[parent])
	ticks, err2 := strconv.ParseUint(fields[start], 10, 64)
	if err != nil || err2 != nil {
		return Stat{}, false
	}
	return Stat{Pid: pid, Parent: ppid, Zombie: fields[state] == "Z" || fields[state] == "X", Start: ticks}, true
}

// Below picks the descendants of a process out of a list, the process itself left out.
func Below(all []Stat, root int) []Stat {
	children := map[int][]Stat{}
	for _, s := range all {
		children[s.Parent] = append(children[s.Parent], s)
	}
	var found []Stat
	seen := map[int]bool{root: true}
	for next := []int{root}; len(next) > 0; next = next[1:] {
		for _, child := range children[next[0]] {
			if !seen[child.Pid] {
				seen[child.Pid] = true
				found = append(found, child)
				next = append(next, child.Pid)
			}
		}
	}
	return found
}

// Tree is a process and all below it, by what the kernel keeps with each process: it costs by the size of the tree alone. Where the kernel
// does not tell, all processes are looked at.
func Tree(root int) []int {
	tree := []int{root}
	for at := 0; at < len(tree); at++ {
		threads, err := os.ReadDir(filepath.Join("/proc", strconv.Itoa(tree[at]), "task")) //nolint:gocritic // the root is a path of its own
		if err != nil {
			continue
		}
		for _, thread := range threads {
			data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(tree[at]), "task", thread.Name(), "children")) //nolint:gocritic // the root is a path of its own
			if errors.Is(err, os.ErrNotExist) && at == 0 {
				return treeOfAll(root)
			}
			for _, field := range strings.Fields(string(data)) {
				if pid, err := strconv.Atoi(field); err == nil {
					tree = append(tree, pid)
				}
			}
		}
	}
	return tree
}

func treeOfAll(root int) []int {
	tree := []int{root}
	all, err := All()
	if err != nil {
		return tree
	}
	for _, s := range Below(all, root) {
		tree = append(tree, s.Pid)
	}
	return tree
}

// KillBelow kills every descendant of this process and waits until none is left. It gives up when ctx ends.
func (t *Table) KillBelow(ctx context.Context) error { return t.killBelow(ctx, All) }

// killBelow goes by the list for whom to kill, but not for whether any is left: while the list is made a process may start another and end,
// and neither is in it then. The kernel knows for certain, since what has lost its parent is a child of this one at once.
func (t *Table) killBelow(ctx context.Context, list func() ([]Stat, error)) error {
	const again = 20 * time.Millisecond
	for t.reap() {
		all, err := list()
		if err != nil {
			return err
		}
		left := Below(all, os.Getpid())
		for _, s := range left {
			if !s.Zombie {
				_ = Kill(s, syscall.SIGKILL)
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("processes are still there, of which %d are seen: %w", len(left), ctx.Err())
		case <-time.After(again):
		}
	}
	return nil
}

// Kill sends a signal to a process that was seen, unless its number has gone to another since.
func Kill(s Stat, sig syscall.Signal) error {
	now, ok := Look(s.Pid)
	if !ok || now.Start != s.Start {
		return os.ErrProcessDone
	}
	return syscall.Kill(s.Pid, sig)
}

// Environ reads the environment that a process was started with; false where it can't be read.
func Environ(pid int) ([]string, bool) {
	return readList(pid, "environ")
}

// CommandLine reads a process's arguments; false where they can't be read.
func CommandLine(pid int) ([]string, bool) {
	return readList(pid, "cmdline")
}

func readList(pid int, name string) ([]string, bool) {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), name)) //nolint:gocritic // the root is a path of its own
	if err != nil || len(data) == 0 {
		return nil, false
	}
	return strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00"), true
}

// Memory is what a process holds: its proportional share where the kernel tells, else what is resident.
func Memory(pid int) int64 {
	if data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "smaps_rollup")); err == nil { //nolint:gocritic // the root is a path of its own
		if n, ok := parsePSS(data); ok {
			return n
		}
	}
	return Resident(pid)
}

// Resident is how much memory of a process is resident, what it shares with others too. It is cheap to know.
func Resident(pid int) int64 {
	data, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "statm")) //nolint:gocritic // the root is a path of its own
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(data))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

func parsePSS(data []byte) (int64, bool) {
	for line := range strings.SplitSeq(string(data), "\n") {
		rest, ok := strings.CutPrefix(line, "Pss:")
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
		return n << 10, err == nil
	}
	return 0, false
}

// IsGone tells whether an error says that a process is not there any more.
func IsGone(err error) bool {
	return errors.Is(err, os.ErrProcessDone) || errors.Is(err, syscall.ESRCH)
}
