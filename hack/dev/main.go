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

// Command dev is what make demo, make run, make slurm, make cluster-up and make test start: it brings up what they need around the manager, and takes down what it
// brought up.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/remotejob-dev/remotejob-operator/test/harness/controlplane"
)

const usage = "usage: dev demo | dev run | dev slurm | dev cluster | dev cluster-up | dev cluster-down | dev cluster-load IMAGE | dev with-engine COMMAND [ARGUMENT...]"

func main() {
	// What is to be seen is printed; controller-runtime complains where nobody says so.
	ctrl.SetLogger(logr.Discard())
	if err := command(os.Args[1:]); err != nil {
		var ended *exec.ExitError
		if len(os.Args) > 1 && os.Args[1] == "with-engine" && errors.As(err, &ended) {
			os.Exit(ended.ExitCode()) // the command has said why
		}
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func command(args []string) error {
	if len(args) == 0 {
		return errors.New(usage)
	}
	root, err := controlplane.ModuleRoot()
	if err != nil {
		return err
	}
	files := filepath.Join(root, "bin", "run")
	if err := os.MkdirAll(files, 0o700); err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	// From the second Ctrl-C on, this process ends at once, and what it started with it.
	context.AfterFunc(ctx, stop)

	switch {
	case args[0] == "demo" && len(args) == 1:
		err = demo(ctx, root, files)
	case args[0] == "run" && len(args) == 1:
		err = run(ctx, root, files)
	case args[0] == "slurm" && len(args) == 1:
		err = runCluster(ctx, root)
	case args[0] == "cluster" && len(args) == 1:
		err = runNode(ctx, files)
	case args[0] == "cluster-up" && len(args) == 1:
		err = nodeUp(ctx, files)
	case args[0] == "cluster-down" && len(args) == 1:
		err = nodeDown(ctx, files)
	case args[0] == "cluster-load" && len(args) == 2:
		err = nodeLoad(ctx, files, args[1])
	case args[0] == "with-engine" && len(args) > 1:
		return withEngine(ctx, files, args[1:])
	default:
		return errors.New(usage)
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// cleanup runs the functions that it was given, the last one first, when the rest is done or was interrupted. What takes long in there
// is bounded.
type cleanup struct {
	steps []func(ctx context.Context) error
}

func (c *cleanup) add(step func(ctx context.Context) error) { c.steps = append(c.steps, step) }

func (c *cleanup) run(within time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	var errs []error
	for i := len(c.steps) - 1; i >= 0; i-- {
		errs = append(errs, c.steps[i](ctx))
	}
	return errors.Join(errs...)
}

// say prints what is going on.
func say(format string, args ...any) { fmt.Printf("==> "+format+"\n", args...) }
