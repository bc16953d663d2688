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

package remote

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestALoginsEnvironmentDoesNotReachSLURMsCommands(t *testing.T) {
	line, err := runLine([]string{"sh", "-c", `env | grep -E "^(SBATCH|SQUEUE|SLURM|LC_ALL|MINE)" | sort; pwd`}, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", line)
	cmd.Env = append(os.Environ(), "SBATCH_PARTITION=x", "SQUEUE_FORMAT=%i", "SLURM_JOB_ID=5", "SLURM_CONF=/etc/s.conf", "SLURM_TIME_FORMAT=relative", "MINE=1", "LC_ALL=de_DE.UTF-8")
	if out, err := cmd.CombinedOutput(); err != nil || string(out) != "LC_ALL=C\nMINE=1\nSLURM_CONF=/etc/s.conf\n/\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestAnyLoginShellHandsTheCommandOver(t *testing.T) {
	args := []string{"", "a b", `"`, `'`, `\`, "$HOME", "`id`", "a\nb\n", "!x", "ünï✓", "*", "{a,b}", "~", "%s", "(", ";"}
	line, err := runLine(append([]string{"sh", "-c", `for a; do printf '%s\0' "$a"; done; cat`, "sh"}, args...), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var tried []string
	for _, shell := range []string{"sh", "bash", "dash", "zsh", "ksh", "mksh", "tcsh", "csh", "fish"} {
		path, err := exec.LookPath(shell)
		if err != nil {
			continue
		}
		tried = append(tried, shell)
		cmd := exec.CommandContext(t.Context(), path, "-c", line)
		cmd.Stdin = strings.NewReader("input")
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != strings.Join(args, "\x00")+"\x00input" {
			t.Errorf("%s: got %q, %v", shell, out, err)
		}
	}
	t.Logf("tried %q", tried)
	if _, err := runLine([]string{"echo", "a\x00b"}, time.Minute); err == nil {
		t.Error("a zero byte was taken")
	}
	if _, err := runLine([]string{"echo", strings.Repeat("x", 200<<10)}, time.Minute); err == nil {
		t.Error("a line that is too long was taken")
	}
}
