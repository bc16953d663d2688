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

// Command manager is the operator: it answers interLink, keeps the ledger, and drives jobs on their backends.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/remotejob-dev/remotejob-operator/internal/tracing"
	"github.com/remotejob-dev/remotejob-operator/internal/version"
)

// gcPercent is Go's GOGC, where the environment does not say: a poll of many jobs makes tens of MiB of garbage at once, and what it shows
// waits for the collections amid it.
const gcPercent = 150

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	if len(os.Args) > 1 && os.Args[1] == "proxy" {
		var opts proxyOptions
		begin(flag.NewFlagSet("manager proxy", flag.ExitOnError), os.Args[2:], opts.addFlags,
			"Usage: manager proxy [flags]\n\nStands beside interLink: plain HTTP in, TLS with a token or a client certificate out.")
		finish(runProxy(ctrl.SetupSignalHandler(), &opts), "the proxy ends")
		return
	}
	var opts options
	begin(flag.CommandLine, os.Args[1:], opts.addFlags,
		"Usage: manager [flags]\n       manager proxy [flags]\n\nRuns pods as jobs on machines outside the cluster.")
	if opts.version {
		fmt.Println("remotejob-operator", version.Get())
		return
	}
	finish(run(ctrl.SetupSignalHandler(), &opts), "the manager ends")
}

// begin reads the flags and sets logging up.
func begin(fs *flag.FlagSet, args []string, addFlags func(*flag.FlagSet), usage string) {
	addFlags(fs)
	logging := zap.Options{}
	logging.BindFlags(fs)
	fs.Usage = func() {
		fmt.Fprintln(fs.Output(), usage)
		fs.PrintDefaults()
	}
	_ = fs.Parse(args) // it ends the process when it fails
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&logging)))
	if fs.NArg() > 0 {
		finish(fmt.Errorf("unexpected argument %q", fs.Arg(0)), "it can't be understood")
	}
}

func finish(err error, what string) {
	if err == nil {
		return
	}
	ctrl.Log.WithName("setup").Error(err, what)
	os.Exit(1)
}

func run(ctx context.Context, opts *options) error {
	config, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("find the API server: %w", err)
	}
	if opts.otlpEndpoint != "" {
		stop, err := tracing.Start(ctx, opts.otlpEndpoint, version.Get(), "/create", "/delete")
		if err != nil {
			return err
		}
		defer func() {
			last, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			_ = stop(last) // a collector that is away takes nothing, and holds nobody up
		}()
	}
	m, err := build(ctx, config, opts)
	if err != nil {
		return err
	}
	return m.run(ctx)
}
