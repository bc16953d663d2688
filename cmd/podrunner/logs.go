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
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/sweep"
)

// exitNotFound is the exit status of logs where there is no such log.
const exitNotFound = 4

func runLogs(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("podrunner logs", flag.ContinueOnError)
	flags.SetOutput(stderr)
	var r sweep.LogRequest
	dir := flags.String("dir", "", "the job's directory")
	flags.StringVar(&r.Container, "container", "", "the container's name")
	flags.BoolVar(&r.Previous, "previous", false, "the run before the last one")
	flags.BoolVar(&r.Follow, "follow", false, "go on until the container ends")
	flags.BoolVar(&r.Timestamps, "timestamps", false, "put each line's time before it")
	tail := flags.Int64("tail", -1, "lines from the end; all where negative")
	limit := flags.Int64("limit-bytes", -1, "bytes of output; no limit where negative")
	seconds := flags.Int64("since-seconds", -1, "nothing older; all where negative")
	since := flags.String("since", "", "nothing before this time (RFC 3339)")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	r.Dir = jobdir.Dir(*dir)
	if *dir == "" || r.Container == "" || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "usage: podrunner logs --dir DIR --container NAME [OPTIONS]")
		flags.PrintDefaults()
		return exitUsage
	}
	if *tail >= 0 {
		r.Tail = tail
	}
	if *limit >= 0 {
		r.LimitBytes = limit
	}
	if *seconds >= 0 {
		r.Since = time.Now().Add(-time.Duration(*seconds) * time.Second)
	}
	if *since != "" {
		at, err := time.Parse(time.RFC3339Nano, *since)
		if err != nil {
			fmt.Fprintf(stderr, "podrunner: --since: %v\n", err)
			return exitUsage
		}
		r.Since = at
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	switch err := sweep.Logs(ctx, r, stdout); {
	case err == nil || ctx.Err() != nil:
		return 0
	case errors.Is(err, fs.ErrNotExist):
		fmt.Fprintf(stderr, "podrunner: %v\n", err)
		return exitNotFound
	default:
		fmt.Fprintf(stderr, "podrunner: %v\n", err)
		return 1
	}
}

func runSweep(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("podrunner sweep", flag.ContinueOnError)
	flags.SetOutput(stderr)
	base := flags.String("base", "", "the base directory")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	if *base == "" || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "usage: podrunner sweep --base DIR")
		return exitUsage
	}
	if err := sweep.Sweep(jobdir.Base(*base), os.Stdin, stdout); err != nil {
		fmt.Fprintf(stderr, "podrunner: %v\n", err)
		return 1
	}
	return 0
}
