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
	"os/signal"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/agent"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/proc"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/runtime"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// runtimeOf is what starts a container: the pod's runtime, or the node itself for what starts the ranks of an app container.
func (r *runner) runtimeOf(i *instance) runtime.Runtime {
	if r.launched(i.spec) {
		return r.host
	}
	return r.runtime
}

// launched tells whether a container's command is run as ranks.
func (r *runner) launched(c *corev1.Container) bool {
	return len(r.spec.Launch) > 0 && !r.isRank && len(r.pod.Spec.Containers) > 0 && c.Name == r.pod.Spec.Containers[0].Name
}

// launchCommand starts the ranks of a container: each is a podrunner of its own, which makes the container on its node.
func (r *runner) launchCommand(i *instance) agent.Start {
	variables := map[string]string{}
	for _, entry := range r.Env {
		name, value, _ := strings.Cut(entry, "=")
		variables[name] = value
	}
	var args []string
	for _, word := range r.spec.Launch {
		args = append(args, workload.Expand(word, variables))
	}
	return agent.Start{Args: append(args, r.Self, "rank", "--dir", string(r.Dir), "--container", i.name), Dir: orRoot(lookup(r.Env, "SLURM_SUBMIT_DIR"))}
}

// Rank runs one rank of a container on this node and returns its exit code. Its output is this program's.
func Rank(o Options, container string) int {
	logf := func(format string, args ...any) {
		fmt.Fprintf(o.Log, time.Now().UTC().Format(time.RFC3339)+" podrunner: "+format+"\n", args...)
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGUSR2)
	table, err := proc.NewTable()
	if err != nil {
		logf("%v", err)
		return ExitBroken
	}
	r := newRunner(o, table, jobdir.Claim{JobID: jobID(o.Env), RestartCount: restartCount(o.Env)}, nil, logf)
	defer r.forget()
	code, err := r.rank(container, signals)
	if err != nil {
		logf("%v", err)
	}
	if err := r.clear(); err != nil {
		logf("%v", err)
	}
	return code
}

func (r *runner) rank(container string, signals <-chan os.Signal) (int, error) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r.isRank = true
	spec, err := r.Dir.ReadSpec()
	if err != nil {
		return ExitBroken, err
	}
	r.spec, r.pod = spec, spec.Pod
	c := containerOf(r.pod, container)
	if c == nil {
		return ExitBroken, fmt.Errorf("the pod has no container %s", container)
	}
	if err := r.makeScratch(); err != nil {
		return ExitBroken, err
	}
	if err := r.equip(ctx); err != nil {
		return ExitBroken, err
	}
	if err := r.runtime.Prepare(ctx, r.sharedPod()); err != nil {
		return ExitBroken, err
	}
	i := &instance{name: container, spec: c, created: r.now(), copied: make(chan struct{})}
	if err := r.bring(ctx, i); err != nil {
		var start *agent.StartError
		if errors.As(err, &start) {
			return 128, err
		}
		return ExitBroken, err
	}
	for {
		select {
		case s := <-signals:
			_ = i.agent.Signal(s.(syscall.Signal))
		case <-i.agent.Done():
			exit := i.agent.Exit()
			r.tearDown(i)
			if exit == nil {
				return int(exitKilled), errors.New("the rank was killed")
			}
			return int(exit.Code), nil
		}
	}
}
