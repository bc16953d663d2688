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
	"cmp"
	"errors"
	"io/fs"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
)

// overtaken tells whether the pod is known not to be this job's any more.
func (r *runner) overtaken() bool {
	err := r.holds()
	if err != nil && !errors.Is(err, errOvertaken) {
		r.log("%v", err)
	}
	return errors.Is(err, errOvertaken)
}

// holds is nil where the pod is still this job's, errOvertaken where it is not, and another error where nobody can say. The pod was
// cancelled, which SLURM may have had nothing to tell this job about: a slurmctld that was killed may have forgotten it. Or the claim is
// another's: the job was started anew elsewhere while this node was thought to be lost. A claim that is older was put there by a start that
// should not run any more, and is taken again.
func (r *runner) holds() error {
	var unsure error
	if base, token, err := jobdir.BaseOf(r.Dir); err == nil {
		done, err := base.IsDone(token)
		if done {
			return errOvertaken
		}
		unsure = err
	}
	holder, err := r.Dir.ReadClaim()
	switch {
	case errors.Is(err, fs.ErrNotExist):
		// Without its directory the pod is nobody's: it was removed under the job.
		if missing, err := r.Dir.Missing(); missing || err != nil {
			return cmp.Or(err, errOvertaken)
		}
		return cmp.Or(unsure, err)
	case err != nil:
		return err
	case holder.Same(r.claim):
		return unsure
	case r.claim.Supersedes(holder):
		return cmp.Or(r.Dir.Retake(r.claim), unsure)
	}
	return errOvertaken
}

// mayRun is nil where commands of the pod may be run now. Of a pod that is never to restart it is said first that they may have run. A start
// of the job that comes after this one takes the claim, and looks for that mark then: in this order one of the two sees the other. Such a
// pod waits where nobody can say whose it is.
func (r *runner) mayRun() error {
	if !r.runsOnce() {
		if r.overtaken() {
			return errOvertaken
		}
		return nil
	}
	if err := r.Dir.MarkBegun(); err != nil {
		return err
	}
	return r.holds()
}
