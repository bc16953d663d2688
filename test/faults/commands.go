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
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// commands are wrappers around SLURM's commands on the login node, which do what a file beside them says.
type commands struct{ dir string }

// wrapped are the commands that the operator calls there.
var wrapped = []string{"sbatch", "squeue", "scancel"}

// wrapper is the script in a command's place. A late sbatch takes the script, says that it timed out, and submits it some time later.
const wrapper = `#!/bin/sh
mode= ; while read -r word; do mode=$word; done 2>/dev/null <%[1]s/%[2]s.mode
case $mode in
slow) sleep 3; exec %[3]s "$@" ;;
fail) echo '%[2]s: error: Unable to contact slurm controller (connect failure)' >&2; exit 1 ;;
lost) %[3]s "$@" >/dev/null 2>&1; echo '%[2]s: error: Socket timed out on send/recv operation' >&2; exit 1 ;;
late)
  script=$(mktemp %[1]s/late/XXXXXXXX); cat >"$script"
  setsid sh -c 'script=$0; sleep 6; %[3]s "$@" <"$script"; rm -f "$script"' "$script" "$@" </dev/null >/dev/null 2>&1 &
  echo '%[2]s: error: Socket timed out on send/recv operation' >&2; exit 1 ;;
esac
exec %[3]s "$@"
`

func newCommands(dir string) (commands, error) {
	c := commands{dir}
	if err := os.MkdirAll(filepath.Join(dir, "late"), 0o755); err != nil {
		return c, err
	}
	if err := os.Chmod(filepath.Join(dir, "late"), 0o777); err != nil {
		return c, err
	}
	for _, name := range wrapped {
		program, err := exec.LookPath(name)
		if err != nil {
			return c, err
		}
		script := fmt.Sprintf(wrapper, dir, name, program)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o755); err != nil {
			return c, err
		}
		if err := c.set(name, ""); err != nil {
			return c, err
		}
	}
	return c, nil
}

func (c commands) path() string { return c.dir + ":/usr/local/bin:/usr/bin:/bin" }

// set says what a command does from now on: slow, fail, lost, late, or its work.
func (c commands) set(name, mode string) error {
	file := filepath.Join(c.dir, name+".mode")
	if err := os.WriteFile(file+".new", []byte(mode+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// late are the submissions that are still held back.
func (c commands) late() int {
	entries, _ := os.ReadDir(filepath.Join(c.dir, "late"))
	return len(entries)
}
