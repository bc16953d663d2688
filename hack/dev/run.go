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
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/remotejob-dev/remotejob-operator/test/harness/controlplane"
)

// run leaves the operator running in the foreground until it is interrupted. The ledger is kept for the next time, if its backend is.
func run(ctx context.Context, root, files string) (err error) {
	name, err := backendName()
	if err != nil {
		return err
	}
	address := os.Getenv("PLUGIN_ADDR")
	if address == "" {
		address = "127.0.0.1:4000"
	}

	opts := controlplane.Options{Dir: filepath.Join(files, "controlplane"), Kubeconfig: filepath.Join(files, "kubeconfig"), KeepData: true, Fsync: true}
	kept := "; the ledger stays in " + opts.Dir
	if name == backendSlurm {
		// The SLURM goes in the end, and a ledger without the machine that holds its jobs is of no use.
		opts.Dir, opts.KeepData, opts.Fsync, kept = "", false, false, ""
	}

	var c cleanup
	defer func() {
		if len(c.steps) > 0 {
			say("stopping what this started%s", kept)
		}
		err = errors.Join(err, c.run(90*time.Second))
	}()
	s, err := bringUp(ctx, root, files, opts, &c)
	if err != nil {
		return err
	}
	say("starting bin/manager; its log follows")
	if err := s.startManager(ctx, address, os.Stderr, &c); err != nil {
		return err
	}
	fmt.Printf(`
The endpoint for interLink is   %s
The ledger is reached with      export KUBECONFIG=%s
See what runs with              %s get remotejobs
Stop all of it with             Ctrl-C

`, address, s.Kubeconfig, filepath.Join(root, "bin", "k8s", "kubectl"))

	select {
	case <-ctx.Done():
		return nil
	case <-s.manager.Done():
		return fmt.Errorf("the manager ended by itself: %w", s.manager.Err())
	case <-s.Done():
		return errors.New("etcd or kube-apiserver ended by itself: see the logs in " + s.Dir)
	}
}
