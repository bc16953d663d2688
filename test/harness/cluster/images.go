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
	"context"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// Pid is that of the process whose namespaces the node's are, for Import.
func (c *Cluster) Pid() int { return c.namespaces.Pid() }

// Load puts an image into the node's store.
func (c *Cluster) Load(ctx context.Context, image *harness.Image, names ...string) error {
	archive, err := image.Archive(names...)
	if err != nil {
		return err
	}
	return c.Import(ctx, strings.NewReader(string(archive)))
}

// Import puts the images of an archive, as docker save writes it, into the node's store.
func (c *Cluster) Import(ctx context.Context, archive io.Reader) error {
	return Import(ctx, c.Pid(), archive)
}

// Import is the same from another process than the one that started the cluster.
func Import(ctx context.Context, pid int, archive io.Reader) error {
	cmd, err := ctr(ctx, pid, "images", "import", "-")
	if err != nil {
		return err
	}
	cmd.Stdin = archive
	return quietly(cmd)
}

// ctr is containerd's command.
func ctr(ctx context.Context, pid int, args ...string) (*exec.Cmd, error) {
	argv, err := harness.NamespacesOf(pid).Argv(filepath.Join(binaries(), "ctr"), append([]string{"--address=" + socket, "--namespace=k8s.io"}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("enter the node: %w", err)
	}
	return exec.CommandContext(ctx, argv[0], argv[1:]...), nil
}
