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

package podrun

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// endTimeout bounds the cleaning up.
const endTimeout = 2 * time.Minute

func itoa(n int) string { return strconv.Itoa(n) }

// end leaves nothing running, says how the pod ended, and removes what may be secret. What is said last is said when nothing runs.
func (r *runner) end(d podlifecycle.Decision) error {
	errs := []error{r.clear()}
	if !d.Finished() {
		return errors.Join(append(errs, errors.New("the pod is another job's"))...)
	}
	// Where it can't be said, the directory may be another's, who needs what is in it.
	if err := r.sayLast(d); err != nil {
		return errors.Join(append(errs, err)...)
	}
	return errors.Join(append(errs, r.removePayload(d))...)
}

// clear ends all processes of the pod.
func (r *runner) clear() error {
	r.cancelStarts()
	r.starts.Wait()
	r.workers.Close()
	r.hooks.Close()
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	var errs []error
	if r.runtime != nil {
		errs = append(errs, r.runtime.Close(ctx))
	}
	if err := r.table.KillBelow(ctx); err != nil {
		errs = append(errs, fmt.Errorf("end all processes of the pod: %w", err))
	}
	r.awaits.Wait()
	return errors.Join(errs...)
}

// sayEvery is how long to wait before the last state is written again where it can't be, and sayFor for how long.
const (
	sayEvery = 5 * time.Second
	sayFor   = 2 * time.Minute
)

// sayLast writes the last state, again for a while where it can't be written.
func (r *runner) sayLast(d podlifecycle.Decision) error {
	until := r.now().Add(sayFor)
	for {
		if r.overtaken() {
			return errors.New("the job's directory is another's by now, or gone: the pod's end is not written down")
		}
		err := r.record(d, true)
		if err == nil || r.now().After(until) {
			return err
		}
		r.log("%v", err)
		<-time.After(sayEvery)
	}
}

// removePayload removes what may be secret, and what else is of no use any more. A pod that may be started anew needs what says what to run.
func (r *runner) removePayload(d podlifecycle.Decision) error {
	paths := []string{r.Dir.Payload(), r.Dir.Volumes(), r.Dir.Reserve()}
	if !r.mayStartAnew(d) {
		paths = append(paths, r.Dir.Spec())
	}
	var errs []error
	for _, path := range paths {
		errs = append(errs, os.RemoveAll(path))
	}
	return errors.Join(errs...)
}

// mayStartAnew tells whether a later start of the job may run the pod: the batch system told the job to end, and it is no pod that has begun
// and is never to restart.
func (r *runner) mayStartAnew(d podlifecycle.Decision) bool {
	if d.Reason != jobdir.ReasonTerminated || !r.runsOnce() {
		return d.Reason == jobdir.ReasonTerminated
	}
	begun, err := r.Dir.HasBegun()
	return err != nil || !begun
}

// forget removes the job's directory on this node.
func (r *runner) forget() {
	if r.scratch == "" {
		return
	}
	if err := removeAll(r.scratch); err != nil {
		r.log("remove the job's directory on this node: %v", err)
	}
	if r.volumes != nil && r.volumes.memory != "" {
		if err := removeAll(r.volumes.memory); err != nil {
			r.log("remove the job's volumes in memory: %v", err)
		}
	}
}

// removeAll removes a directory whatever modes a container has given to those in it.
func removeAll(dir string) error {
	if err := os.RemoveAll(dir); err == nil {
		return nil
	}
	_ = filepath.WalkDir(dir, func(name string, entry os.DirEntry, _ error) error {
		if entry != nil && entry.IsDir() {
			_ = os.Chmod(name, jobdir.DirMode) //nolint:gosec // the walk is below a directory that only the job's user can write
		}
		return nil
	})
	return os.RemoveAll(dir)
}
