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

package cluster

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// cgroups are those below which all of the node's pods are: of each hierarchy of version 1, or the one of version 2.
type cgroups struct {
	// name as the kubelet takes it.
	name string
	dirs []string
}

func makeCgroups(name string) (cgroups, error) {
	c := cgroups{name: "/" + name}
	roots, unified, err := cgroupRoots()
	if err != nil {
		return c, err
	}
	for _, root := range roots {
		dir := filepath.Join(root, name)
		if err := os.Mkdir(dir, 0o755); err != nil {
			return c, err
		}
		c.dirs = append(c.dirs, dir)
	}
	if !unified {
		// A new cpuset has neither processors nor memory.
		return c, inheritCpuset("/sys/fs/cgroup/cpuset/" + name)
	}
	controllers, err := os.ReadFile(filepath.Join(roots[0], "cgroup.controllers"))
	if err != nil {
		return c, err
	}
	enable := "+" + strings.Join(strings.Fields(string(controllers)), " +")
	for _, dir := range []string{roots[0], c.dirs[0]} {
		if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte(enable), 0o644); err != nil {
			return c, fmt.Errorf("let controllers into %s: %w", dir, err)
		}
	}
	return c, nil
}

func inheritCpuset(dir string) error {
	for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(filepath.Dir(dir), file))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, file), value, 0o644)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// cgroupRoots returns the hierarchies, and whether they are the one of version 2.
func cgroupRoots() (roots []string, unified bool, err error) {
	mounts, err := os.Open("/proc/self/mounts")
	if err != nil {
		return nil, false, err
	}
	defer func() { _ = mounts.Close() }()
	for lines := bufio.NewScanner(mounts); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 || !strings.HasPrefix(fields[1], "/sys/fs/cgroup") {
			continue
		}
		switch {
		case fields[2] == "cgroup":
			roots = append(roots, fields[1])
		case fields[2] == "cgroup2" && fields[1] == "/sys/fs/cgroup":
			return []string{fields[1]}, true, nil
		case fields[2] == "cgroup2": // beside those of version 1; it has no controllers, and runc makes its cgroups there all the same
			roots = append(roots, fields[1])
		}
	}
	if len(roots) == 0 {
		return nil, false, errors.New("no cgroups are mounted below /sys/fs/cgroup")
	}
	return roots, false, nil
}

// remove takes them away again. Their processes have been killed, which the kernel may still be at.
func (c cgroups) remove() error {
	return harness.Poll(30*time.Second, func() error {
		var errs []error
		for _, dir := range c.dirs {
			errs = append(errs, removeCgroup(dir))
		}
		return errors.Join(errs...)
	})
}

// removeCgroup removes a cgroup and those below it; their files are no files that could be removed.
func removeCgroup(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	for _, entry := range entries {
		if entry.IsDir() {
			if err := removeCgroup(filepath.Join(dir, entry.Name())); err != nil {
				return err
			}
		}
	}
	return os.Remove(dir)
}
