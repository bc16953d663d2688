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
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Binaries are the project's programs as tests run them.
type Binaries struct {
	Manager, Podrunner string
}

// Build builds the programs below bin/, in a directory of the given name, so that test binaries that run side by side do not write the
// same files. The manager gets the given build tags; it is built with the race detector where the test is.
func Build(name string, tags ...string) (Binaries, error) {
	dir := filepath.Join(Root(), "bin", "test", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Binaries{}, err
	}
	b := Binaries{Manager: filepath.Join(dir, "manager"), Podrunner: filepath.Join(dir, "podrunner")}
	if err := build([]string{"CGO_ENABLED=0"}, "-o", b.Podrunner, "./cmd/podrunner"); err != nil {
		return Binaries{}, err
	}
	args := []string{"-o", b.Manager, "-tags", strings.Join(tags, ",")}
	if RaceEnabled {
		args = append([]string{"-race"}, args...)
	}
	return b, build(nil, append(args, "./cmd/manager")...)
}

func build(env []string, args ...string) error {
	cmd := exec.Command("go", append([]string{"build"}, args...)...)
	cmd.Dir = Root()
	cmd.Env = append(os.Environ(), env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build %s: %w\n%s", strings.Join(args, " "), err, out.String())
	}
	return nil
}
