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

// Command faults plays interLink against the operator while parts of it, and of what it stands on, are killed, stopped, paused, slowed and
// lied about, and holds what it has seen against the promises of docs/reliability.md. Its last line is the summary, its exit code the
// verdict. The choice of pods, faults and moments follows from the seed; what meets what does not, since processes are not in step.
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

	"github.com/remotejob-dev/remotejob-operator/test/faults/plan"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

type options struct {
	seed                                          uint64
	pods, faults, docker, podman, replicas, alive int
	kinds                                         string
	pace                                          time.Duration
	keep, restore                                 bool
}

// dockerPods is how many pods run on Docker, podmanPods how many on SLURM with Podman.
func (o options) dockerPods() int { return min(o.docker, o.pods) }
func (o options) podmanPods() int { return min(o.podman, o.pods-o.dockerPods()) }

// chosen are the kinds of faults that the run is to have.
func (o options) chosen() ([]plan.Kind, error) {
	var kinds []plan.Kind
	for kind, a := range actions {
		if (a.part == "engine" && o.dockerPods() == 0) || ((kind == plan.KillLeader || kind == plan.PauseLeader) && o.replicas < 2) {
			continue
		}
		if o.restore && slices.Contains(aimed, kind) {
			continue
		}
		kinds = append(kinds, kind)
	}
	slices.Sort(kinds)
	if o.kinds == "" {
		return kinds, nil
	}
	var some []plan.Kind
	for _, name := range strings.Split(o.kinds, ",") {
		if !slices.Contains(kinds, plan.Kind(name)) {
			return nil, fmt.Errorf("there is no kind %q among %v", name, kinds)
		}
		some = append(some, plan.Kind(name))
	}
	return some, nil
}

func main() {
	if !judged() {
		os.Exit(1)
	}
}

// judged runs what the command line asks for, and returns whether all is well.
func judged() bool {
	ctrl.SetLogger(logr.Discard())
	var o options
	flag.Uint64Var(&o.seed, "seed", 0, "the seed of the choice of pods and faults; by the clock if 0")
	flag.IntVar(&o.pods, "pods", 40, "how many pods")
	flag.IntVar(&o.faults, "faults", 12, "how many faults")
	flag.IntVar(&o.docker, "docker", 0, "how many of the pods run on a Docker engine")
	flag.IntVar(&o.podman, "podman", 0, "how many of the pods run on SLURM with Podman; the others run on SLURM without containers")
	flag.IntVar(&o.replicas, "replicas", 1, "how many managers; more than one elect a leader")
	flag.IntVar(&o.alive, "alive", 60, "how many pods live at once at most")
	flag.StringVar(&o.kinds, "kinds", "", "the kinds of faults, joined by commas; all by default")
	flag.DurationVar(&o.pace, "pace", 1500*time.Millisecond, "the mean time from one fault to the next")
	flag.BoolVar(&o.restore, "restore", false, "make a backup of the ledger, and restore it later")
	flag.BoolVar(&o.keep, "keep", false, "keep the files of the run")
	flag.Parse()
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano()) % 1e9
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	verdict, err := run(ctx, o, func(format string, args ...any) { fmt.Printf(format+"\n", args...) })
	if err != nil {
		fmt.Println("error:", err)
	}
	fmt.Println(verdict.summary())
	return verdict.holds()
}

// run is a whole run.
func run(ctx context.Context, o options, say func(string, ...any)) (v verdict, err error) {
	v.options = o
	defer func() { v.err = err }()
	if o.alive < 1 {
		return v, errors.New("no pod is allowed to live")
	}
	kinds, err := o.chosen()
	if err == nil {
		err = harness.NeedRoot()
	}
	if err != nil {
		return v, err
	}
	p, err := plan.Make(plan.Options{Seed: o.seed, Pods: o.pods, Faults: o.faults, Kinds: kinds, DockerPods: o.dockerPods(), PodmanPods: o.podmanPods(), Pace: o.pace})
	if err != nil {
		return v, err
	}
	say("seed %d: %d pods (%d on Docker, %d with Podman), %d faults, in %s and until all has settled", o.seed, o.pods, o.dockerPods(), o.podmanPods(), o.faults, p.Length.Round(time.Second))
	s, err := newStage(ctx, o)
	defer func() { err = errors.Join(err, s.close()) }()
	if err != nil {
		return v, err
	}
	err = v.play(ctx, s, p, say)
	return v, err
}
