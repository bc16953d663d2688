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

// Command bench measures what the operator costs: ratios that are taken in one run, the two sides in turn, so that what the machine does
// meanwhile falls on both. It prints one table, and writes its figures for programs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// bareEnv makes this program serve the bare handler instead.
const bareEnv = "REMOTEJOB_BENCH_BARE"

type options struct {
	only, out, docs, profiles string
	// jobs is the largest ledger.
	jobs int
}

// part is one part of the run.
type part struct {
	name string
	run  func(ctx context.Context, e *environment, s *section) error
}

// parts in their order.
var parts = []part{
	{"submission to SLURM", submitToSlurm},
	{"submission to Docker", submitToDocker},
	{"changes on Docker", changesOnDocker},
	{"ledger of many jobs", growing},
	{"logs", readLogs},
}

func main() {
	if address := os.Getenv(bareEnv); address != "" {
		serveBare(address)
		return
	}
	ctrl.SetLogger(logr.Discard())
	var o options
	flag.StringVar(&o.only, "only", "", "the parts to run, each by a word of its name, joined by commas; all by default")
	flag.StringVar(&o.out, "json", "bin/bench.json", "the file of the figures; the table goes beside it, as .md")
	flag.StringVar(&o.docs, "docs", "", "a document that the table is put into, docs/performance.md say; none by default")
	flag.StringVar(&o.profiles, "profiles", "", "a directory for the manager's CPU profiles under load, and its heap when it stands; none by default")
	flag.IntVar(&o.jobs, "jobs", 100_000, "how many RemoteJobs the largest ledger holds")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	err := bench(ctx, o)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// chosen are the parts that are asked for.
func (o options) chosen() ([]part, error) {
	if o.only == "" {
		return parts, nil
	}
	var some []part
	for _, word := range strings.Split(o.only, ",") {
		i := slices.IndexFunc(parts, func(p part) bool { return strings.Contains(strings.ToLower(p.name), strings.ToLower(word)) })
		if i < 0 {
			return nil, fmt.Errorf("no part's name holds %q", word)
		}
		some = append(some, parts[i])
	}
	return some, nil
}

// bench runs the parts, and writes down what there is though one of them fails.
func bench(ctx context.Context, o options) (err error) {
	chosen, err := o.chosen()
	if err == nil {
		err = harness.NeedRoot()
	}
	if err != nil {
		return err
	}
	r := &report{Machine: thisMachine(), Began: time.Now().UTC().Truncate(time.Second)}
	e := &environment{options: o}
	defer func() { err = errors.Join(err, e.close()) }()
	begin := time.Now()
	for _, p := range chosen {
		began := time.Now()
		fmt.Fprintf(os.Stderr, "%s … ", p.name)
		if failed := p.run(ctx, e, &section{name: p.name, out: r}); failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: %w", p.name, failed))
		}
		err = errors.Join(err, e.endPart())
		fmt.Fprintln(os.Stderr, time.Since(began).Round(time.Second))
		if ctx.Err() != nil {
			break
		}
	}
	r.Took = time.Since(begin).Round(time.Second).String()
	err = errors.Join(err, r.print(os.Stdout), r.write(o.out))
	if o.docs != "" && err == nil {
		err = r.writeInto(o.docs)
	}
	return err
}
