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
	"slices"
	"strings"
	"syscall"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/proc"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/runtime"
)

// killLeftovers kills what earlier jobs of this account left on this node: containers whose podrunner is gone. They can be told by the
// token in what their processes were started with.
func (r *runner) killLeftovers(context.Context) {
	killed, err := KillLeftovers(os.Getuid())
	if err != nil {
		r.log("look for what earlier jobs left here: %v", err)
	}
	removeScratch(os.Getuid())
	for _, token := range killed {
		r.log("killed what an earlier job left here of %s", token)
	}
}

// KillLeftovers kills the processes of a user that belong to jobs whose podrunner does not run on this node any more, and returns their
// tokens. Each round looks anew, since what is killed may leave children.
func KillLeftovers(uid int) ([]string, error) {
	var tokens []string
	for range 20 {
		all, err := proc.All()
		if err != nil {
			return tokens, err
		}
		left := leftovers(all, uid)
		// A podrunner may have begun, and its container after it, while the processes were being listed.
		begun, err := alive()
		if err != nil {
			return tokens, err
		}
		left = slices.DeleteFunc(left, func(l leftover) bool { return begun[l.token] })
		if len(left) == 0 {
			return tokens, nil
		}
		for _, l := range left {
			if !slices.Contains(tokens, l.token) {
				tokens = append(tokens, l.token)
			}
			_ = proc.Kill(l.Stat, syscall.SIGKILL)
		}
	}
	return tokens, nil
}

type leftover struct {
	proc.Stat
	token string
}

// leftovers are the processes of jobs that have no podrunner, and all below them.
func leftovers(all []proc.Stat, uid int) []leftover {
	alive := map[string]bool{}
	marked := map[int]string{}
	byPid := map[int]proc.Stat{}
	for _, s := range all {
		byPid[s.Pid] = s
		if s.Zombie || !owned(s.Pid, uid) {
			continue
		}
		args, ok := proc.CommandLine(s.Pid)
		if !ok {
			continue
		}
		if token := runs(args); token != "" {
			alive[token] = true
			continue
		}
		if token := tokenIn(args, s.Pid); token != "" {
			marked[s.Pid] = token
		}
	}
	var left []leftover
	seen := map[int]bool{}
	for pid, token := range marked {
		if alive[token] {
			continue
		}
		for _, s := range append(proc.Below(all, pid), byPid[pid]) {
			if !seen[s.Pid] && !s.Zombie {
				seen[s.Pid] = true
				left = append(left, leftover{s, token})
			}
		}
	}
	return left
}

func owned(pid, uid int) bool { return ownedBy(filepath.Join("/proc", itoa(pid)), uid) } //nolint:gocritic // the root is a path of its own

// runs is the token of the job that a podrunner runs, or a rank of it, by its arguments. The program's name tells nothing: a copy that has
// none any more is started by its file descriptor, and who is taken for a podrunner here is only spared.
func runs(args []string) string {
	if len(args) < 2 || args[1] != "run" && args[1] != "rank" {
		return ""
	}
	for i := 2; i < len(args); i++ {
		dir := strings.TrimPrefix(args[i], "--dir=")
		if args[i] == "--dir" && i+1 < len(args) {
			dir = args[i+1]
		}
		if _, token, err := jobdir.BaseOf(jobdir.Dir(dir)); err == nil {
			return token
		}
	}
	return ""
}

// tokenIn is the token of a job that a process belongs to, by its arguments: those of an agent, and of what watches over a container; and
// by its environment for what keeps podman's namespaces. Others of the account may name a token too (a person looks at a log), so no
// others count.
func tokenIn(args []string, pid int) string {
	switch name := filepath.Base(args[0]); {
	case name == "conmon":
		if at := slices.Index(args, "-n"); at >= 0 && at+1 < len(args) {
			return tokenPrefix(args[at+1])
		}
	case name == "podman" || name == "catatonit":
		env, _ := proc.Environ(pid)
		if token := lookup(env, runtime.TokenVariable); jobdir.ValidToken(token) {
			return token
		}
	case isPodrunner(args[0]) && len(args) > 1 && args[1] == "agent":
		for _, arg := range args[2:] {
			if token, ok := strings.CutPrefix(arg, "--token="); ok && jobdir.ValidToken(token) {
				return token
			}
		}
	}
	return ""
}

// isPodrunner tells whether a program is podrunner by what it was started as: its file, or that of a process that runs a copy which has no
// name any more.
func isPodrunner(program string) bool {
	return strings.HasPrefix(filepath.Base(program), "podrunner") || strings.HasPrefix(program, "/proc/") && filepath.Base(program) == "exe"
}

// tokenPrefix is the token that a container's name begins with.
func tokenPrefix(name string) string {
	const length = len("rj-") + 32
	if len(name) < length || len(name) > length && name[length] != '-' || !jobdir.ValidToken(name[:length]) {
		return ""
	}
	return name[:length]
}
