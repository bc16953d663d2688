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

package script

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
)

// runner stands in for podrunner: it says how it was called.
const runner = "#!/bin/sh\n[ \"$1\" = version ] && exit 0\nprintf '%s\\n' \"$0\" \"$@\" \"$HOME\"\n"

// runBatch runs a batch script as SLURM does, with nothing in its environment.
func runBatch(t *testing.T, script string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-s")
	cmd.Stdin, cmd.Env = strings.NewReader(script), []string{"SLURM_JOB_ID=7", "TMPDIR=" + t.TempDir()}
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func TestTheScriptHandsOverToPodrunner(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a 'b' $c", "jobs", token)
	path := filepath.Join(t.TempDir(), "pod 'runner' $x")
	if err := os.WriteFile(path, []byte(runner), 0o755); err != nil {
		t.Fatal(err)
	}
	out, errs, code := runBatch(t, batchScript(jobdir.Dir(dir), map[string]string{AnyArch: path, "sparc": "/none"}))
	if want := strings.Join([]string{path, "run", "--dir", dir, "/root"}, "\n") + "\n"; out != strings.Replace(want, "/root", home(t), 1) || errs != "" || code != 0 {
		t.Errorf("got %q, %q, %d, want %q", out, errs, code, want)
	}
}

func home(t *testing.T) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "sh", "-c", `eval "echo ~$(id -un)"`).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func TestANodeThatDoesNotExecuteFromTheSharedFileSystemRunsACopy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "podrunner")
	// A real program, since a copy runs by its open file: a shell script's interpreter has to open it again.
	program, err := os.ReadFile("/bin/echo")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, program, 0o600); err != nil {
		t.Fatal(err)
	}
	temp := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "/bin/sh", "-s")
	cmd.Stdin, cmd.Env = strings.NewReader(batchScript("/jobs/x", map[string]string{AnyArch: path})), []string{"SLURM_JOB_ID=7", "TMPDIR=" + temp}
	out, err := cmd.CombinedOutput()
	if err != nil || string(out) != "run --dir /jobs/x\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if left, _ := os.ReadDir(temp); len(left) > 0 {
		t.Errorf("it left %v", left)
	}
}

func TestANodeThatRunsNoPodrunnerSaysSo(t *testing.T) {
	for name, podrunner := range map[string]map[string]string{
		"it is not there":            {AnyArch: "/no/such/podrunner"},
		"none for this architecture": {"sparc": "/no/such/podrunner"},
	} {
		out, errs, code := runBatch(t, batchScript("/jobs/x", podrunner))
		if out != "" || !strings.HasPrefix(errs, ReasonNotExecutable+": ") || code != CodeNotExecutable {
			t.Errorf("%s: got %q, %q, %d", name, out, errs, code)
		}
	}
}

func FuzzTheScriptKeepsPathsWordForWord(f *testing.F) {
	for _, s := range []string{"/a b", "/'", "/$x", "/`id`", "/\n", "/\\", "/ünï"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, dir, podrunner string) {
		if strings.ContainsRune(dir+podrunner, 0) {
			t.Skip("no path holds a zero byte")
		}
		text := batchScript(jobdir.Dir(dir), map[string]string{AnyArch: podrunner})
		setup, _, _ := strings.Cut(text, "if \"$podrunner\"")
		cmd := exec.Command("/bin/sh", "-s")
		cmd.Stdin = strings.NewReader(setup + `printf '%s\0%s' "$dir" "$podrunner"` + "\n")
		out, err := cmd.Output()
		if err != nil || string(out) != dir+"\x00"+podrunner {
			t.Fatalf("a shell makes %q of %q and %q: %v", out, dir, podrunner, err)
		}
	})
}
