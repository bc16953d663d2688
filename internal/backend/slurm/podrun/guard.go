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
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
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
	_, err = r.table.Start(proc.Command{
		Path: r.Self, Args: []string{r.Self, "guard"}, Env: []string{"GOMAXPROCS=1"}, Dir: "/", Files: []*os.File{nil, nil, nil, read},
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

// removeScratch removes the directories on this node of jobs whose podrunner is gone. The directories are looked for first: whose podrunner
// is not seen after that has ended, and did not just begin.
func removeScratch(uid int) {
	var found []string
	for _, place := range []string{os.Getenv("SLURM_TMPDIR"), os.Getenv("TMPDIR"), "/tmp", "/var/tmp", "/dev/shm"} {
		if !filepath.IsAbs(place) {
			continue
		}
		dirs, _ := filepath.Glob(filepath.Join(place, "rj-????????????-*"))
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
		name := filepath.Base(dir)
		if !names[name[:strings.LastIndexByte(name[:len("rj-")+13], '-')]] && ownedBy(dir, uid) {
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
	info, err := os.Lstat(path) //nolint:gosec // the path is made of the job's own directory
	if err != nil || !info.IsDir() {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == uid
}

// scratchName is how the name of a job's directory on a node begins.
func scratchName(token string) string { return "rj-" + token[max(0, len(token)-12):] }
