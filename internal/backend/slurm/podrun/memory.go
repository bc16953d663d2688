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

package podrun

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/proc"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// How often the containers' memory is looked at: often while one is young or near its limit, for memory is taken fast.
const (
	memoryClose = 20 * time.Millisecond
	memoryFar   = 250 * time.Millisecond
	youth       = 5 * time.Second
)

// limited tells whether a container has a limit of memory that podrunner has to see to.
func (r *runner) limited() bool {
	if r.runtime.Limits() {
		return false
	}
	for _, name := range append(initNames(r.pod), appNames(r.pod)...) {
		if memoryLimit(containerOf(r.pod, name)) > 0 {
			return true
		}
	}
	return false
}

// watchMemory kills containers that hold more memory than their limit.
func (r *runner) watchMemory(ctx context.Context) {
	wait := memoryClose
	for {
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return
		case <-timer.C:
		}
		wait = memoryFar
		for _, i := range r.bounded() {
			near := r.holdToLimit(i)
			if near || r.now().Sub(i.started) < youth {
				wait = memoryClose
			}
		}
	}
}

// bounded are the runs that go on and have a limit.
func (r *runner) bounded() []*instance {
	r.mu.Lock()
	defer r.mu.Unlock()
	var out []*instance
	for _, runs := range r.instances {
		for _, i := range runs {
			if i.state == podlifecycle.InstanceRunning && i.made.MemoryBytes > 0 && !i.overLimit {
				out = append(out, i)
			}
		}
	}
	return out
}

// holdToLimit kills a container that is over its limit, and tells whether one is near it. What is resident counts pages that processes
// share more than once; it is cheap to know, and where it is over, their proportional shares decide.
func (r *runner) holdToLimit(i *instance) (near bool) {
	limit := i.made.MemoryBytes
	processes := proc.Tree(i.agent.Pid)
	var resident int64
	for _, pid := range processes {
		resident += proc.Resident(pid)
	}
	if resident <= limit {
		return resident > limit/4
	}
	var share int64
	for _, pid := range processes {
		share += proc.Memory(pid)
	}
	if share <= limit {
		return true
	}
	r.mu.Lock()
	i.overLimit = i.state == podlifecycle.InstanceRunning
	over := i.overLimit
	r.mu.Unlock()
	if over {
		r.log("container %s holds %d bytes of memory, more than its limit of %d, and is killed", i.name, share, limit)
		for _, pid := range processes {
			if s, ok := proc.Look(pid); ok {
				_ = proc.Kill(s, syscall.SIGKILL)
			}
		}
	}
	return true
}

// oomKills is how often the kernel has killed in this job's own memory group, 0 where it does not say.
func oomKills() int64 {
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return 0
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		fields := strings.SplitN(line, ":", 3)
		if len(fields) != 3 {
			continue
		}
		var file string
		switch controllers := strings.Split(fields[1], ","); {
		case fields[1] == "" && fields[0] == "0":
			file = filepath.Join("/sys/fs/cgroup", fields[2], "memory.events") //nolint:gocritic // the root is a path of its own
		case contains(controllers, "memory"):
			file = filepath.Join("/sys/fs/cgroup/memory", fields[2], "memory.oom_control") //nolint:gocritic // the root is a path of its own
		default:
			continue
		}
		if n, ok := oomKillsIn(file); ok {
			return n
		}
	}
	return 0
}

func oomKillsIn(file string) (int64, bool) {
	data, err := os.ReadFile(file)
	if err != nil {
		return 0, false
	}
	for line := range strings.SplitSeq(string(data), "\n") {
		if value, ok := strings.CutPrefix(line, "oom_kill "); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			return n, err == nil
		}
	}
	return 0, false
}

func contains(list []string, want string) bool {
	for _, s := range list {
		if s == want {
			return true
		}
	}
	return false
}
