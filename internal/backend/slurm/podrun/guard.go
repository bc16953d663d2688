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
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/proc"
)

// GuardFD is the file descriptor whose end tells the guard that podrunner has ended.
const GuardFD = 3

// startGuard starts a process that outlives podrunner and cleans up where podrunner can't any more, because it was killed. It is killed
// itself with all other processes when podrunner cleans up.
func (r *runner) startGuard() error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	// The other end stays open as long as this program runs, and in no other.
	r.guard = write
	env := []string{"GOMAXPROCS=1"}
	for _, name := range scratchVariables {
		if value := lookup(r.Env, name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	_, err = r.table.Start(proc.Command{
		Path: r.Self, Args: []string{r.Self, "guard"}, Env: env, Dir: "/", Files: []*os.File{nil, nil, nil, read},
		Sys: &syscall.SysProcAttr{Setsid: true}, Outlive: true,
	})
	return err
}

// Guard waits until podrunner has ended, and then cleans up after every job of this account whose podrunner is gone.
func Guard() int {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	_, _ = io.Copy(io.Discard, os.NewFile(GuardFD, "podrunner"))
	if _, err := KillLeftovers(os.Getuid()); err != nil {
		return ExitBroken
	}
	removeScratch(os.Getuid())
	return ExitDone
}

// scratchVariables are those of a job's environment that say where its directory on a node is, and how that is named.
var scratchVariables = []string{"SLURM_TMPDIR", "TMPDIR", "SLURMD_NODENAME"}

// scratchPlaces are where a job's directory on a node may be.
func scratchPlaces(env []string) []string {
	return []string{lookup(env, "SLURM_TMPDIR"), lookup(env, "TMPDIR"), "/tmp", "/var/tmp", "/dev/shm"}
}

// removeScratch removes the directories on this node of jobs whose podrunner is gone. The directories are looked for first: whose podrunner
// is not seen after that has ended, and did not just begin. Where they lie on a file system that nodes share, those of other nodes are left
// alone: whether their podrunners run is not to be seen here.
func removeScratch(uid int) {
	env := os.Environ()
	var found []string
	for _, place := range scratchPlaces(env) {
		if !filepath.IsAbs(place) {
			continue
		}
		dirs, _ := filepath.Glob(filepath.Join(place, "rj-????????????-"+nodeHash(nodeName(env))+"-*"))
		found = append(found, dirs...)
	}
	tokens, err := alive()
	if err != nil {
		return
	}
	names := map[string]bool{}
	for token := range tokens {
		names[scratchName(token)] = true
	}
	for _, dir := range found {
		if !names[filepath.Base(dir)[:len("rj-")+12]] && ownedBy(dir, uid) {
			_ = removeAll(dir)
		}
	}
}

// alive are the tokens of the jobs whose podrunner runs on this node.
func alive() (map[string]bool, error) {
	all, err := proc.All()
	if err != nil {
		return nil, err
	}
	tokens := map[string]bool{}
	for _, s := range all {
		if args, ok := proc.CommandLine(s.Pid); ok {
			if token := runs(args); token != "" {
				tokens[token] = true
			}
		}
	}
	return tokens, nil
}

func ownedBy(path string, uid int) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.IsDir() {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == uid
}

// scratchName is how the name of a job's directory on a node begins. The node's name follows, as nodeHash has it.
func scratchName(token string) string { return "rj-" + token[max(0, len(token)-12):] }

// nodeHash stands for a node's name in those of directories, which have to be short.
func nodeHash(node string) string {
	sum := sha256.Sum256([]byte(node))
	return hex.EncodeToString(sum[:3])
}
