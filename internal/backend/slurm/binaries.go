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
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/remote"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/script"
	"github.com/remotejob-dev/remotejob-operator/internal/program"
)

// binaries are the podrunner programs on the shared file system.
type binaries struct {
	// programs by path, to be put there; empty where the site has put podrunner somewhere itself.
	programs map[string]*program.Program
	// byArch is the path for nodes of each architecture.
	byArch map[string]string
}

// binariesOf names each program by a hash of it: a new release goes beside the old one, which jobs may still run.
func binariesOf(base jobdir.Base, opts *Options) binaries {
	if path := opts.Spec.PodrunnerPath; path != "" {
		return binaries{byArch: map[string]string{script.AnyArch: path}}
	}
	b := binaries{programs: map[string]*program.Program{}, byArch: map[string]string{}}
	for arch, podrunner := range opts.Podrunner {
		sum := podrunner.Sum()
		path := base.Podrunner(hex.EncodeToString(sum[:8]), arch)
		b.programs[path], b.byArch[arch] = podrunner, path
	}
	// Nodes of an unknown architecture are told so by the program that is most likely not theirs.
	b.byArch[script.AnyArch] = b.byArch[slices.Sorted(maps.Keys(b.byArch))[0]]
	return b
}

// here is the program for the machine that sbatch is on, by the name that uname gives its architecture.
func (b *binaries) here(machine string) string {
	if path, ok := b.byArch[goArch(machine)]; ok {
		return path
	}
	return b.byArch[script.AnyArch]
}

func goArch(machine string) string {
	switch machine {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	}
	return machine
}

// install puts the programs where they are to be, those that are not there with the right size.
func (b *Backend) install(ctx context.Context) error {
	paths := slices.Sorted(maps.Keys(b.binary.programs))
	if len(paths) == 0 {
		return nil
	}
	result, err := b.script(ctx, "look for podrunner", remote.Shell(`for f; do wc -c <"$f" 2>/dev/null || echo -; done`, paths...))
	if err != nil {
		return err
	}
	sizes := strings.Fields(string(result.Stdout))
	for i, path := range paths {
		podrunner := b.binary.programs[path]
		if i < len(sizes) && sizes[i] == fmt.Sprint(podrunner.Size()) {
			continue
		}
		if err := remote.UploadFile(ctx, b.run, path, 0o755, podrunner.Size(), podrunner.Reader()); err != nil {
			return fmt.Errorf("put podrunner under %s: %w", b.base, err)
		}
	}
	return nil
}

// tryPodrunner sees whether the program runs where sbatch is.
func (b *Backend) tryPodrunner(ctx context.Context, path string) error {
	result, err := b.run.Run(ctx, remote.Command{Argv: []string{path, "version"}})
	if err != nil {
		if backend.IsUnavailable(err) {
			return err
		}
		return fmt.Errorf("try %s: %w", path, err)
	}
	if err := result.Err(); err != nil {
		return fmt.Errorf("try %s: %w", path, err)
	}
	return nil
}
