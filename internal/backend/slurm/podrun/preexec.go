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
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/proc"
)

// preExec runs the pod's commands in the allocation, before any container. What they export is the job's environment from then on, and
// what they leave running goes on until the pod ends.
func (r *runner) preExec(ctx context.Context, terms <-chan told) error {
	if strings.TrimSpace(r.spec.PreExec) == "" || r.stopped() {
		return nil
	}
	if err := r.untilItMayRun(terms); err != nil {
		return err
	}
	script := filepath.Join(r.scratch, "pre-exec")
	if err := os.WriteFile(script, []byte(r.spec.PreExec+"\n"), jobdir.FileMode); err != nil {
		return fmt.Errorf("write the pod's pre-exec: %w", err)
	}
	defer func() { _ = os.Remove(script) }()
	read, write, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("run the pod's pre-exec: %w", err)
	}
	defer read.Close()
	outRead, outWrite, err := os.Pipe()
	if err != nil {
		closeFiles(write)
		return fmt.Errorf("run the pod's pre-exec: %w", err)
	}
	shell := "/bin/sh"
	if _, err := os.Stat("/bin/bash"); err == nil {
		shell = "/bin/bash" // what such scripts have been written for
	}
	// An array of the shell's own would not come out of env; what is exported does, byte for byte.
	const wrapper = `. "$1" 3>&- 4>&- && exec env -0 >&4`
	p, err := r.table.Start(proc.Command{
		Path: shell, Args: []string{shell, "-c", wrapper, "pre-exec", script}, Env: r.Env, Dir: r.scratch,
		Files: []*os.File{nil, outWrite, outWrite, nil, write}, Sys: &syscall.SysProcAttr{Setsid: true},
	})
	closeFiles(write, outWrite)
	if err != nil {
		closeFiles(outRead)
		return fmt.Errorf("run the pod's pre-exec: %w", err)
	}
	tail := &tailBuffer{max: maxMessageLogBytes}
	said := make(chan struct{})
	go func() {
		defer close(said)
		defer outRead.Close()
		_, _ = io.Copy(io.MultiWriter(r.Log, tail), outRead)
	}()
	exported := make(chan []byte, 1)
	go func() {
		data, _ := io.ReadAll(io.LimitReader(read, 16<<20))
		exported <- data
	}()
	look := time.NewTicker(claimEvery)
	defer look.Stop()
	for {
		select {
		case <-p.Done():
			if code := p.Status().ExitStatus(); code != 0 {
				// Its last words may still be on their way; what it left running holds the pipe open for longer.
				ends(said, killCommandWait)
				return fmt.Errorf("the pod's pre-exec ended with %d: %s", code, tail.words())
			}
			r.Env = splitEnv(<-exported, r.Env)
			return nil
		case t := <-terms:
			r.heed(t)
			endPreExec(p)
			return errPreExecEnded
		case <-look.C:
			// Nobody may be there to tell a job that SLURM has forgotten.
			if r.overtaken() {
				endPreExec(p)
				return errOvertaken
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

var errPreExecEnded = errors.New("the pod's pre-exec was ended with the job")

func endPreExec(p *proc.Process) {
	_ = syscall.Kill(-p.Pid, syscall.SIGTERM)
	if !ends(p.Done(), killCommandWait) {
		_ = syscall.Kill(-p.Pid, syscall.SIGKILL)
	}
}

// untilItMayRun waits until commands of the pod may be run. A signal ends the wait, and the pod.
func (r *runner) untilItMayRun(terms <-chan told) error {
	for {
		err := r.mayRun()
		if err == nil || errors.Is(err, errOvertaken) {
			return err
		}
		r.log("the pod's pre-exec waits: %v", err)
		select {
		case t := <-terms:
			r.heed(t)
			return errPreExecEnded
		case <-time.After(sayAgain):
		}
	}
}

func splitEnv(data []byte, otherwise []string) []string {
	text := strings.TrimSuffix(string(data), "\x00")
	if text == "" {
		return otherwise
	}
	return strings.Split(text, "\x00")
}
