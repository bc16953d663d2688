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
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/remotejob-dev/remotejob-operator/internal/tracing"
	"github.com/remotejob-dev/remotejob-operator/internal/version"
)

func main() {
	var opts options
	opts.addFlags(flag.CommandLine)
	logging := zap.Options{}
	logging.BindFlags(flag.CommandLine)
	flag.Usage = usage
	flag.Parse()
	if opts.version {
		fmt.Println("remotejob-operator", version.Get())
		return
	}
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&logging)))
	if flag.NArg() > 0 {
		exit(fmt.Errorf("unexpected argument %q", flag.Arg(0)))
	}
	if err := run(ctrl.SetupSignalHandler(), &opts); err != nil {
		exit(err)
	}
}

func usage() {
	fmt.Fprintln(flag.CommandLine.Output(), "Usage: manager [flags]\n\nRuns pods as jobs on machines outside the cluster.")
	flag.PrintDefaults()
}

func exit(err error) {
	ctrl.Log.WithName("setup").Error(err, "the manager ends")
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
