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
	"os"
	"testing"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

func TestMain(m *testing.M) {
	if address := os.Getenv(bareEnv); address != "" {
		serveBare(address)
		return
	}
	ctrl.SetLogger(logr.Discard())
	os.Exit(m.Run())
}

func TestStatusAmongTenThousandJobsIsNearABareHandlerAndAsksNobody(t *testing.T) {
	ctx := harness.Context(t)
	e := &environment{options: options{jobs: asked}}
	t.Cleanup(func() {
		if err := e.close(); err != nil {
			t.Error(err)
		}
	})
	world, err := e.synthetic(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := world.grow(ctx, asked); err != nil {
		t.Fatal(err)
	}
	out := &report{}
	z := &size{environment: e, section: &section{name: "test", out: out}, world: world, n: asked}
	if z.bare, err = e.bare(); err != nil {
		t.Fatal(err)
	}
	if z.manager, err = e.newManager(world.ledger.api.Config, syntheticBackend, world.env); err != nil {
		t.Fatal(err)
	}
	if err := z.setPoll(ctx, standingPoll); err != nil {
		t.Fatal(err)
	}
	for _, step := range []func(context.Context) error{z.start, z.askOne} {
		if err := step(ctx); err != nil {
			t.Fatal(err)
		}
	}
	judged := 0
	for _, r := range out.Rows {
		t.Log(r.What, r.Value)
		if r.Met == nil {
			continue
		}
		judged++
		if !*r.Met {
			t.Errorf("%s: %s, want %s", r.What, r.Value, r.Budget)
		}
	}
	if judged < 5 {
		t.Errorf("only %d figures have a budget", judged)
	}
}
