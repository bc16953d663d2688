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
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ticksPerSecond is the kernel's unit in /proc/PID/stat, the same on all machines that Go runs on.
const ticksPerSecond = 100

// usage is what a process has used so far.
type usage struct {
	// own is its CPU time, children that of the children that it has waited for.
	own, children time.Duration
	// resident memory in bytes.
	resident int64
}

func (u usage) minus(before usage) usage {
	return usage{own: u.own - before.own, children: u.children - before.children, resident: u.resident}
}

// usageOf reads what a process has used.
func usageOf(pid int) (usage, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, err
	}
	// The program's name may hold anything; what follows it does not.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 22 {
		return usage{}, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	number := func(i int) int64 { n, _ := strconv.ParseInt(fields[i], 10, 64); return n }
	ticks := func(n int64) time.Duration { return time.Duration(n) * time.Second / ticksPerSecond }
	return usage{
		own: ticks(number(11) + number(12)), children: ticks(number(13) + number(14)),
		resident: number(21) * int64(os.Getpagesize()),
	}, nil
}

// ownUsage is what this process and its children have used.
func ownUsage() usage {
	var own, children syscall.Rusage
	_, _ = syscall.Getrusage(syscall.RUSAGE_SELF, &own), syscall.Getrusage(syscall.RUSAGE_CHILDREN, &children)
	cpu := func(r syscall.Rusage) time.Duration { return time.Duration(r.Utime.Nano() + r.Stime.Nano()) }
	return usage{own: cpu(own), children: cpu(children)}
}

// daemons are the programs that processes looks for.
var daemons = []string{"etcd", "kube-apiserver", "slurmctld", "slurmd", "munged", "dockerd", "containerd"}

// processes finds the daemons whose command line or environment names a directory.
func processes(dir string) map[string]int {
	found := map[string]int{}
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		line := content(file)
		name, _, _ := strings.Cut(line, "\x00")
		name = filepath.Base(name)
		if !slices.Contains(daemons, name) || !strings.Contains(line+content(filepath.Join(filepath.Dir(file), "environ")), dir) {
			continue
		}
		found[name], _ = strconv.Atoi(filepath.Base(filepath.Dir(file)))
	}
	return found
}

// meter reads several processes at once.
type meter struct {
	pids   map[string]int
	before map[string]usage
}

func newMeter(pids map[string]int) *meter {
	m := &meter{pids: pids, before: map[string]usage{}}
	for name, pid := range pids {
		m.before[name], _ = usageOf(pid)
	}
	return m
}

// read is what each has used since the meter was made. One that has ended is left out.
func (m *meter) read() map[string]usage {
	out := map[string]usage{}
	for name, pid := range m.pids {
		if now, err := usageOf(pid); err == nil {
			out[name] = now.minus(m.before[name])
		}
	}
	return out
}
