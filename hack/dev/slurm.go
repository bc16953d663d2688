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
	"strings"
	"time"
)

// runCluster brings a SLURM of one node up, and says how to reach it, until it is interrupted.
func runCluster(ctx context.Context, root string) (err error) {
	var c cleanup
	defer func() {
		if cleanErr := c.run(time.Minute); err == nil {
			err = cleanErr
		}
	}()
	s, err := startCluster(ctx, root, &c)
	if err != nil {
		return err
	}
	say("SLURM runs. In another terminal:")
	say("  export %s", strings.Join(s.Env(), " "))
	say("  sinfo")
	say("Jobs are those of the user %s, whose base directory for a RemoteBackend is %s:", s.JobUser.Username, s.base())
	say("  setpriv --reuid=%d --regid=%d --init-groups sbatch --chdir=/ --output=/dev/null --wrap='sleep 60'", s.uid, s.gid)
	say("Ctrl-C ends it, and removes all its files")
	<-ctx.Done()
	return nil
}
