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

package slurm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// Podman runs rootless podman as the user who runs the jobs, to set up what jobs find.
func (c *Cluster) Podman(ctx context.Context, args ...string) error {
	u := c.JobUser
	argv := append([]string{
		"--reuid=" + u.Uid, "--regid=" + u.Gid, "--init-groups", "env", "-i", "PATH=" + os.Getenv("PATH"), "HOME=" + u.HomeDir, "USER=" + u.Username,
		"podman", "--cgroup-manager=cgroupfs",
	}, args...)
	cmd := exec.CommandContext(ctx, "setpriv", argv...)
	cmd.Dir = "/"
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("podman %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// LoadImage puts an image, as an archive that names it, into the store of the user who runs the jobs.
func (c *Cluster) LoadImage(ctx context.Context, archive []byte) error {
	file, err := os.CreateTemp(c.dir, "image-*.tar")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	_, err = file.Write(archive)
	if err := errors.Join(err, file.Chmod(0o644), file.Close()); err != nil { // another user reads it
		return err
	}
	return c.Podman(ctx, "load", "--quiet", "--input="+file.Name())
}

// PodmanOptions are what podman needs on this machine.
func PodmanOptions() []string {
	// crun refuses a machine with both versions of control groups.
	if _, err := os.Stat("/sys/fs/cgroup/unified"); err == nil {
		return []string{"--runtime=runc"}
	}
	return nil
}
