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
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/remotejob-dev/remotejob-operator/test/faults/history"
	"github.com/remotejob-dev/remotejob-operator/test/faults/plan"
	"github.com/remotejob-dev/remotejob-operator/test/harness/skip"
	"github.com/remotejob-dev/remotejob-operator/test/harness/slurm"
)

// TestAShortRunHoldsEveryInvariant is the suite in small, always of the same plan. make test-faults SEED=... repeats any other.
func TestAShortRunHoldsEveryInvariant(t *testing.T) {
	if missing := slurm.Missing(); len(missing) > 0 {
		skip.Lacking(t, "this machine lacks the packages %s", strings.Join(missing, ", "))
	}
	ctrl.SetLogger(logr.Discard())
	if _, err := exec.LookPath("podman"); err != nil {
		skip.Lacking(t, "this machine has no podman")
	}
	o := options{seed: 5, pods: 60, docker: 8, podman: 4, faults: 20, replicas: 1, alive: 60, pace: time.Second}
	v, err := run(t.Context(), o, t.Logf)
	if err != nil {
		t.Error(err)
	}
	for _, violation := range v.violations {
		t.Error(violation)
	}
	t.Log(v.summary())
	if len(v.history.Faults) < o.faults/2 || len(v.history.Runs) < o.pods/2 {
		t.Error("too little happened")
	}
}

func TestEveryKindHasItsAction(t *testing.T) {
	kinds, err := options{pods: 1, docker: 1, replicas: 2}.chosen()
	if err != nil || len(kinds) != len(actions) {
		t.Errorf("%d kinds of %d: %v", len(kinds), len(actions), err)
	}
	if kinds, err := (options{pods: 1}).chosen(); err != nil || len(kinds) == 0 || len(kinds) >= len(actions) {
		t.Errorf("without a Docker engine and a second manager %v strike: %v", kinds, err)
	}
	if kinds, err := (options{pods: 1, docker: 1, replicas: 1}).chosen(); err != nil || slices.Contains(kinds, plan.KillLeader) {
		t.Errorf("where none is elected %v strike: %v", kinds, err)
	}
	if kinds, err := (options{kinds: "cut-ssh,requeue"}).chosen(); err != nil || len(kinds) != 2 || kinds[0] != plan.CutLine {
		t.Errorf("got %v, %v", kinds, err)
	}
	if _, err := (options{kinds: "rain"}).chosen(); err == nil {
		t.Error("a kind that there is not was chosen")
	}
}

func TestRunsAreReadAsPodsWriteThem(t *testing.T) {
	c := clock{uptime: 100 * time.Second}
	runs, err := parseRuns("u main 1 begin 101.50\nu side 2 begin 102.00\nu main 1 end 103.25\n", c)
	want := []history.Run{
		{UID: "u", Container: "main", ID: "1", Began: 1500 * time.Millisecond, Ended: 3250 * time.Millisecond},
		{UID: "u", Container: "side", ID: "2", Began: 2 * time.Second},
	}
	if err != nil || len(runs) != 2 || runs[0] != want[0] || runs[1] != want[1] {
		t.Errorf("got %v, %v", runs, err)
	}
	for _, text := range []string{"u main 1 begin\n", "u main 1 begin soon\n", "u main 1 end 3\n"} {
		if _, err := parseRuns(text, c); err == nil {
			t.Errorf("%q was read", strings.TrimSpace(text))
		}
	}
}
