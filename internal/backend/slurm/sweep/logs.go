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

package sweep

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/crilog"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
)

// LogRequest says which log is wanted, and what of it.
type LogRequest struct {
	Dir       jobdir.Dir
	Container string
	// Previous asks for the run before the one that counts.
	Previous bool
	Follow   bool
	crilog.Options
}

// Logs writes a container's log. One that is not there, of a container that the pod has not or that did not run yet, is an error that is
// fs.ErrNotExist.
func Logs(ctx context.Context, r LogRequest, w io.Writer) error {
	n, err := run(&r)
	if err != nil {
		return err
	}
	if r.Follow {
		r.Ended = func() (bool, error) { return ended(&r, n) }
		r.Poll = time.Second / 4
	}
	return crilog.Read(ctx, r.Dir.Log(r.Container, n), r.Options, w)
}

// run is the number of the run whose log is wanted.
func run(r *LogRequest) (int32, error) {
	status, _, err := look(r.Dir, r.Container)
	if err != nil {
		return 0, err
	}
	n := status.RestartCount
	if !r.Previous {
		// It may have begun again since that was written.
		if _, err := os.Stat(r.Dir.Log(r.Container, n+1)); err == nil {
			n++
		}
		return n, nil
	}
	if n == 0 {
		return 0, fmt.Errorf("container %s has no previous run: %w", r.Container, fs.ErrNotExist)
	}
	return n - 1, nil
}

// look is what podrunner says of a container.
func look(dir jobdir.Dir, container string) (*corev1.ContainerStatus, *jobdir.State, error) {
	state, err := dir.ReadState()
	if err != nil {
		return nil, nil, err
	}
	for _, list := range [][]corev1.ContainerStatus{state.Decision.InitContainers, state.Decision.Containers} {
		for i := range list {
			if list[i].Name == container {
				return &list[i], state, nil
			}
		}
	}
	return nil, nil, fmt.Errorf("the pod has no container %s: %w", container, fs.ErrNotExist)
}

// ended tells whether nothing more comes of a run.
func ended(r *LogRequest, n int32) (bool, error) {
	status, state, err := look(r.Dir, r.Container)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil // it was removed
	}
	if err != nil {
		return false, err
	}
	return state.Finished || status.RestartCount > n || status.RestartCount == n && status.State.Running == nil && begun(status), nil
}

// begun tells whether a container has run at all: one that waits for its first run has yet to end.
func begun(s *corev1.ContainerStatus) bool {
	return s.State.Terminated != nil || s.LastTerminationState.Terminated != nil
}
