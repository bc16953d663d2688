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

// Package backendtest is the conformance suite of backends: what a pod does wherever it runs. Each case is one behaviour, named as a
// sentence, and runs real containers; a backend runs the suite by a test of its own that calls Run.
package backendtest

import (
	"context"
	"flag"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// killSeed makes every case lose its manager at random moments.
var killSeed = flag.Uint64("backendtest.kill-seed", 0,
	"end the backend's connection, and with it all that the manager holds in memory, at random moments of every case, by this seed; 0 for never")

// Suite is what the cases need to know of a backend.
type Suite struct {
	// Connect makes a new connection to the machine, with nothing in memory of any earlier one. The suite calls it again to play a manager
	// that was killed and started again. What it returns is closed by the suite.
	Connect func(t *testing.T) backend.Backend
	// Ledger and Backend are the identity that Connect's backends put on jobs.
	Ledger  string
	Backend types.UID
	// Image holds a shell and the usual tools (sh, cat, sleep, id, stat, nc, httpd …) of busybox, and has no entrypoint.
	Image string
	// EntrypointImage prints its arguments, one a line, by its entrypoint, whose default argument is "default".
	EntrypointImage string
	// ServerImage is Image with the program /bin/testserver of this package's directory in it.
	ServerImage string
	// Registry is one that the machine pulls images from; without one the cases about pulling are left out.
	Registry Registry
	// KillSandbox ends what holds the network of the job with the token, as an accident would; nil where there is no such thing.
	KillSandbox func(t *testing.T, token string)
	// HostDir is a directory of the machine that Policy allows pods to mount, and Claim a claim that is a volume there.
	HostDir, Claim string
	// NoImages says that containers are programs of the machine, whatever their images: what is about images does not apply. NoEntrypoints
	// says that nothing is known of what an image runs by itself: a container that names no command must be rejected in words. NodeNetwork
	// says that pods share the machine's ports.
	NoImages, NoEntrypoints, NodeNetwork bool
	// EndsUnfit says that a pod whose machine lacks what it mounts ends with words, where another one waits for it: its place on the machine
	// is not held meanwhile.
	EndsUnfit bool
	// PodLimits says that cpu and memory are limited for the pod as a whole.
	PodLimits bool
	// Policy that pods are checked against.
	Policy v1alpha1.BackendPolicy
	// Only chooses cases by their names; nil for all.
	Only func(name string) bool
	// Parallel is how many cases run at the same time; 0 for 4.
	Parallel int
}

// Registry is an image registry. Every image in it is Image.
type Registry struct {
	// Public is an image that anybody can pull, and Digest its name by digest; Never is none.
	Public, Digest, Never string
	// Late is an image that the registry does not have when it is asked for the first time.
	Late string
	// Private is an image that takes credentials.
	Private, Username, Password string
	// Stalled is an image about which the registry does not answer before Release is called.
	Stalled string
	Release func()
	// Asked tells how often the registry was asked for an image.
	Asked func(image string) int
}

// Run runs all cases.
func Run(t *testing.T, s Suite) {
	t.Helper()
	seed := *killSeed
	if env := os.Getenv("BACKENDTEST_KILL_SEED"); env != "" && seed == 0 {
		n, err := strconv.ParseUint(env, 10, 64)
		if err != nil {
			t.Fatalf("BACKENDTEST_KILL_SEED: %v", err)
		}
		seed = n
	}
	if seed != 0 {
		t.Logf("every case loses its manager at random moments, seed %d", seed)
	}
	parallel := s.Parallel
	if parallel == 0 {
		parallel = 4
	}
	t.Cleanup(func() { prune(t, s) })
	slots := make(chan struct{}, parallel)
	var ports sync.Mutex
	for i, c := range allCases(&s) {
		if s.Only != nil && !s.Only(c.name) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			slots <- struct{}{}
			defer func() { <-slots }()
			e := &env{T: t, suite: s, ports: &ports}
			if seed != 0 {
				e.kills = rand.New(rand.NewPCG(seed, uint64(i)))
			}
			e.connect()
			t.Cleanup(e.close)
			abilities := e.backend().Abilities()
			for _, f := range c.needs {
				if !abilities.Has(f) {
					e.lacks = append(e.lacks, f)
				}
			}
			if e.refused(c.run) {
				t.Logf("refused in words, since the backend has no %v", e.lacks)
			} else if len(e.lacks) > 0 {
				t.Errorf("the backend does not say that it has %v, and took a pod that needs it", e.lacks)
			}
		})
	}
}

// prune removes the markers that the cases' jobs have left on the machine.
func prune(t *testing.T, s Suite) {
	b := s.Connect(t)
	defer func() { _ = b.Close() }()
	pruner, ok := b.(backend.Pruner)
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), *patience)
	defer cancel()
	if err := pruner.PruneMarkers(ctx, time.Now().Add(time.Hour)); err != nil {
		t.Errorf("remove the markers of the jobs: %v", err)
	}
}

// testCase is one behaviour. Where the backend lacks a feature that it needs, its pod must be refused in words; the case holds then.
type testCase struct {
	name  string
	run   func(*env)
	needs []workload.Feature
}

// needing gives all of the cases the same needs.
func needing(cases []testCase, features ...workload.Feature) []testCase {
	for i := range cases {
		cases[i].needs = append(cases[i].needs, features...)
	}
	return cases
}

func allCases(s *Suite) []testCase {
	var all []testCase
	for _, some := range [][]testCase{
		endCases(), initCases(), restartCases(), needing(sidecarCases(), workload.FeatureSidecars), needing(probeCases(), workload.FeatureProbes),
		needing(hookCases(), workload.FeatureHooks), fileCases(), volumeCases(), envCases(), logCases(), imageCases(s),
		needing(securityCases(), workload.FeatureSecurityContext), policyCases(), networkCases(), dnsCases(), machineCases(), storageCases(), terminalCases(), stdinCases(), dockerFlagCases(), deleteCases(), phaseCases(), sandboxCases(), rotationCases(), identityCases(),
	} {
		all = append(all, some...)
	}
	return all
}

// patience bounds every wait. It is long since it is only ever used up by a failure.
var patience = flag.Duration("backendtest.patience", 4*time.Minute, "how long a case waits for what must come")
