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

package agent

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// defaultPath is where programs are looked for in a container that says nothing of it.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment puts the variables together: defaults, what was inherited, and the container's own, the later going before the earlier.
func environment(defaults, inherited, own []string) []string {
	var names []string
	values := map[string]string{}
	for _, list := range [][]string{{"PATH=" + defaultPath}, defaults, inherited, own} {
		for _, entry := range list {
			name, _, ok := strings.Cut(entry, "=")
			if !ok || name == "" {
				continue
			}
			if _, known := values[name]; !known {
				names = append(names, name)
			}
			values[name] = entry
		}
	}
	env := make([]string, len(names))
	for i, name := range names {
		env[i] = values[name]
	}
	return env
}

// lookup finds a program as execvp does, in the PATH of the env that it is to get. A relative path is one from dir.
func lookup(name, dir string, env []string) (string, error) {
	if name == "" {
		return "", errors.New("the container has no command, and its image names none")
	}
	if strings.Contains(name, "/") {
		return name, executable(inDir(dir, name), name)
	}
	path := ""
	for _, entry := range env {
		if value, ok := strings.CutPrefix(entry, "PATH="); ok {
			path = value
		}
	}
	var denied error
	for _, at := range filepath.SplitList(path) {
		if at == "" {
			at = "."
		}
		candidate := filepath.Join(at, name)
		err := executable(inDir(dir, candidate), name)
		if err == nil {
			return inDir(dir, candidate), nil
		}
		if errors.Is(err, fs.ErrPermission) {
			denied = err
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", fmt.Errorf("exec: %q: executable file not found in $PATH", name)
}

func inDir(dir, name string) string {
	if filepath.IsAbs(name) || dir == "" {
		return name
	}
	return filepath.Join(dir, name)
}

func executable(file, name string) error {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return fmt.Errorf("exec: %q: stat %s: %w", name, file, unwrapPath(err))
	case info.IsDir():
		return fmt.Errorf("exec: %q: is a directory", name)
	}
	const mayExecute = 1
	if err := syscall.Access(file, mayExecute); err != nil {
		return fmt.Errorf("exec: %q: %w", name, err)
	}
	return nil
}

func unwrapPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
