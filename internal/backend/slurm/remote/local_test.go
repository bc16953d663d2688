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
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestLocal(t *testing.T) {
	testRunner(t, func(t *testing.T) Runner {
		l, err := NewLocal(LocalOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return l
	})
}

func TestALocalCommandSeesNothingOfTheManagersEnvironment(t *testing.T) {
	t.Setenv("SECRET_OF_THE_MANAGER", "x")
	t.Setenv("SBATCH_PARTITION", "x")
	t.Setenv("SLURM_CONF", "/some/slurm.conf")
	l, err := NewLocal(LocalOptions{Env: []string{"EXTRA=1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	got := run(t, l, Shell(`echo "$SECRET_OF_THE_MANAGER,$SBATCH_PARTITION,$SLURM_CONF,$EXTRA,$PWD,$LC_ALL"`))
	if want := ",,/some/slurm.conf,1,/,C\n"; string(got.Stdout) != want {
		t.Errorf("got %q, want %q", got.Stdout, want)
	}
}

// TestAnUploadThatIsCutOffWhileItCleansUpLeavesNothing has rm take its time: it begins before the command is cut off, and ends a while after
// that, before it is killed.
func TestAnUploadThatIsCutOffWhileItCleansUpLeavesNothing(t *testing.T) {
	bin, parent, mark := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "pid")
	const slow = `#!/bin/sh
echo $$ >"$MARK.new"; mv "$MARK.new" "$MARK"
until [ -e "$MARK.go" ]; do sleep 0.02; done
sleep 0.1
PATH=${PATH#*:} exec rm "$@"
`
	if err := os.WriteFile(filepath.Join(bin, "rm"), []byte(slow), 0o755); err != nil {
		t.Fatal(err)
	}
	l, err := NewLocal(LocalOptions{Env: []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "MARK=" + mark}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error)
	go func() {
		_, err := Unpack(ctx, l, parent, func(w *TarWriter) error { return w.File("spec.json", 0o600, nil) }, "exit 0")
		ended <- err
	}()
	pidIn(t, mark)
	cancel()
	if err := os.WriteFile(mark+".go", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	onlyIn(t, parent)
}

func TestALocalCommandRunsAsTheUserWhoseJobsTheseAre(t *testing.T) {
	l, err := NewLocal(LocalOptions{User: "nobody"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if got := run(t, l, Shell("id -un; id -Gn; echo $USER")); string(got.Stdout) != "nobody\nnogroup\nnobody\n" {
		t.Errorf("got %q", got.Stdout)
	}
	if _, err := NewLocal(LocalOptions{User: "no-such-user"}); err == nil {
		t.Error("a user that there is not was taken")
	}
}
