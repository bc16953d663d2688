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

package harness

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/remotejob-dev/remotejob-operator/test/harness/process"
)

// Process is a child process whose output goes to a file.
type Process struct {
	*process.Process

	// Name says in errors what it is, Log is the file with its output.
	Name, Log string
}

// Start starts a child process. Its output is added to the log.
func Start(name, log string, env []string, argv ...string) (*Process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Env = append(os.Environ(), env...)
	cmd.Stdout, cmd.Stderr = out, out
	child, err := process.Start(cmd)
	if err != nil {
		return nil, err
	}
	return &Process{Process: child, Name: name, Log: log}, nil
}

// Alive tells whether the process has not ended.
func (p *Process) Alive() bool {
	select {
	case <-p.Done():
		return false
	default:
		return true
	}
}

// Killed tells whether the process was ended by SIGKILL.
func (p *Process) Killed() bool {
	if p.Alive() {
		return false
	}
	var exit *exec.ExitError
	if !errors.As(p.Err(), &exit) {
		return false
	}
	status, ok := exit.Sys().(syscall.WaitStatus)
	return ok && status.Signaled() && status.Signal() == syscall.SIGKILL
}

// Await waits for its end.
func (p *Process) Await(within time.Duration) error {
	select {
	case <-p.Done():
		return nil
	case <-time.After(within):
		return fmt.Errorf("%s has not ended after %s", p.Name, within)
	}
}

// Tail returns the last lines of its log, for messages of failed tests.
func (p *Process) Tail(lines int) string {
	data, err := os.ReadFile(p.Log)
	if err != nil {
		return err.Error()
	}
	all := bytes.Split(bytes.TrimRight(data, "\n"), []byte("\n"))
	if len(all) > lines {
		all = all[len(all)-lines:]
	}
	return string(bytes.Join(all, []byte("\n")))
}
