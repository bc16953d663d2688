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

package docs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// shell is what somebody pastes blocks into: each goes on with the directory and the variables that the one before has left.
type shell struct {
	// dir takes the shell's files, and root is the directory that each page begins in.
	dir, root string
	env       []string
	// within is the command that runs a command in the place that is meant.
	within     []string
	background []*exec.Cmd
	blocks     int
}

// state is where the variables are kept between blocks.
func (s *shell) state() string { return filepath.Join(s.dir, "state") }

// begin has the next block begin in the root directory.
func (s *shell) begin() error {
	f, err := os.OpenFile(s.state(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(f, "cd '%s'\n", s.root)
	return errors.Join(err, f.Close())
}

// command runs a block, every command of which has to succeed.
func (s *shell) command(b *Block) (*exec.Cmd, *os.File, error) {
	script := "set -a\n. '" + s.state() + "'\nset -e -o pipefail\n" + b.Content +
		"\n{ export -p; printf 'cd %q\\n' \"$PWD\"; } >'" + s.state() + "'\n"
	s.blocks++
	out, err := os.Create(filepath.Join(s.dir, fmt.Sprintf("block-%d.out", s.blocks)))
	if err != nil {
		return nil, nil, err
	}
	argv := append(append([]string{}, s.within...), "bash", "-c", script)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = s.root, s.env, out, out
	// What a block leaves running is in its group, and ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	err = cmd.Start()
	return cmd, out, err
}

// run runs a block to its end, or until it has said what it is to say.
func (s *shell) run(ctx context.Context, b *Block) (string, error) {
	cmd, out, err := s.command(b)
	if err != nil {
		return "", err
	}
	defer func() { _ = out.Close() }()
	s.background = append(s.background, cmd)
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if err == nil && b.Until != "" {
				err = fmt.Errorf("it ended, and did not say %q", b.Until)
			}
			return said(out), err
		case <-ctx.Done():
			return said(out), fmt.Errorf("it did not end in time: %w", context.Cause(ctx))
		case <-tick.C:
			if text := said(out); b.Until != "" && strings.Contains(text, b.Until) {
				return text, nil
			}
		}
	}
}

func said(out *os.File) string {
	text, err := os.ReadFile(out.Name())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// interrupt ends all that blocks have left running, as a Ctrl-C does, and kills what does not end by that.
func (s *shell) interrupt(within time.Duration) {
	for _, cmd := range s.background {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGINT)
	}
	deadline := time.Now().Add(within)
	for _, cmd := range s.background {
		for syscall.Kill(-cmd.Process.Pid, 0) == nil && time.Now().Before(deadline) {
			time.Sleep(50 * time.Millisecond)
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	s.background = nil
}
