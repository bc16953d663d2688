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
	"context"
	"fmt"
	"os"
	"os/exec"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// site is what runs the pods.
type site interface {
	// spec is that of its RemoteBackend.
	spec() v1alpha1.RemoteBackendSpec
	// load makes the demo's image there, of this machine's busybox, and returns the name that pods give it.
	load(ctx context.Context) (image string, err error)
	// manager changes the command that starts the manager, and its files, where the manager is to be somebody else there.
	manager(cmd *exec.Cmd, files ...string) error
	// note remembers what is there, and removeTraces removes what a ledger of the given ID left there beside that.
	note(ctx context.Context) error
	removeTraces(ctx context.Context, ledger string) error
}

// The values of BACKEND, which are the names of the RemoteBackends, too.
const (
	backendDocker = "docker"
	backendSlurm  = "slurm"
)

// backendName is what BACKEND says.
func backendName() (string, error) {
	switch name := os.Getenv("BACKEND"); name {
	case "", backendDocker:
		return backendDocker, nil
	case backendSlurm:
		return name, nil
	default:
		return "", fmt.Errorf("BACKEND=%s: there are only %s and %s", name, backendDocker, backendSlurm)
	}
}

// findSite brings up what is to run the pods. What was started for that is ended by c.
func findSite(ctx context.Context, name, root, files string, c *cleanup) (site, error) {
	if name == backendSlurm {
		return startCluster(ctx, root, c)
	}
	return findEngine(ctx, files, c)
}
