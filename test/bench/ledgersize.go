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
	"fmt"
	"net/http"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

const (
	// bodyBytes is the size of a pod as the virtual kubelet sends it.
	bodyBytes = 10 << 10
	// maxRatio bounds the median of /status about one pod, as a multiple of the bare handler's.
	maxRatio = 3
	// rounds of calls, the two sides in turn.
	rounds, callsPerRound = 20, 100
	// standingPoll and changePoll are the poll intervals while nothing happens, and while changes are watched.
	standingPoll, changePoll = 10 * time.Second, 2 * time.Second
	// changes a poll are what the budget of 0.5 s holds for.
	changes, changeSlack = 100, 500 * time.Millisecond
	// asked is how many jobs the budgets of /status and of the standing cost are about.
	asked = 10_000
)

// growing measures answers and the standing cost with more and more running jobs.
func growing(ctx context.Context, e *environment, s *section) error {
	world, err := e.synthetic(ctx)
	if err != nil {
		return err
	}
	bare, err := e.bare()
	if err != nil {
		return err
	}
	empty, err := world.etcd.size(ctx)
	if err != nil {
		return err
	}
	m, err := e.newManager(world.ledger.api.Config, syntheticBackend, world.env)
	if err != nil {
		return err
	}
	for _, n := range []int{100, 1000, asked, e.options.jobs} {
		if n <= len(world.pods) || n > e.options.jobs {
			continue
		}
		begin := time.Now()
		if err := world.grow(ctx, n); err != nil {
			return fmt.Errorf("with %d jobs: %w", n, err)
		}
		z := &size{environment: e, section: s, world: world, manager: m, bare: bare, n: n}
		fmt.Fprintf(os.Stderr, "%d jobs (made in %s) … ", n, time.Since(begin).Round(time.Second))
		err := z.measure(ctx, empty)
		if err != nil && n > asked && ctx.Err() == nil { // how far it goes is what is asked here
			z.note(z.what("where it stops"), err.Error())
			return z.manager.Stop(patience)
		}
		if err != nil {
			return fmt.Errorf("with %d jobs: %w", n, err)
		}
	}
	return nil
}

// size is a manager with some number of running jobs.
type size struct {
	*environment
	*section
	world   *synthetic
	manager *manager
	bare    *harness.InterLink
	n       int
}

func (z *size) what(text string) string { return fmt.Sprintf("%d jobs: %s", z.n, text) }

func (z *size) measure(ctx context.Context, empty float64) error {
	used, err := z.world.etcd.size(ctx)
	if err != nil {
		return err
	}
	z.add(z.what("etcd, bytes a job"), (used-empty)/float64(z.n), "")
	if err := z.setPoll(ctx, standingPoll); err != nil {
		return err
	}
	steps := []func(context.Context) error{z.start, z.stand, z.askOne, z.askAll, z.watchChanges}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return z.manager.Stop(patience)
}

func (z *size) setPoll(ctx context.Context, every time.Duration) error {
	rb := &v1alpha1.RemoteBackend{}
	if err := z.world.ledger.Get(ctx, client.ObjectKey{Name: syntheticBackend}, rb); err != nil {
		return err
	}
	before := rb.DeepCopy()
	rb.Spec.Slurm.PollInterval = &metav1.Duration{Duration: every}
	return z.world.ledger.Patch(ctx, rb, client.MergeFrom(before))
}

// start starts the manager, and takes the time until it says right of any job that it runs.
func (z *size) start(ctx context.Context) error {
	begin := time.Now()
	if err := z.manager.Start(); err != nil {
		return err
	}
	pods := z.named()
	if err := harness.Poll(patience, func() error {
		statuses, answer, err := z.manager.Status(ctx, pods...)
		if err != nil || answer.Code != http.StatusOK {
			return fmt.Errorf("/status: %w, %d", err, answer.Code)
		}
		run := 0
		for i := range statuses {
			if len(statuses[i].Containers) == 1 && statuses[i].Containers[0].State.Running != nil {
				run++
			}
		}
		if run < len(pods) {
			return fmt.Errorf("/status says of %d of %d that they run", run, len(pods))
		}
		return nil
	}); err != nil {
		return err
	}
	z.duration(z.what("from start of the manager to right answers"), time.Since(begin))
	// All jobs have been looked at when no more is written and two polls have been made.
	polls, writes, quiet := z.world.polls(), z.world.ledger.api.Writes(), time.Now()
	return harness.Poll(patience, func() error {
		if now := z.world.ledger.api.Writes(); now != writes {
			writes, quiet = now, time.Now()
		}
		if z.world.polls() < polls+2 || time.Since(quiet) < 2*time.Second {
			return fmt.Errorf("%d polls; the last write is %s ago", z.world.polls()-polls, time.Since(quiet))
		}
		return nil
	})
}

// named are all jobs' pods as far as a body can name them.
func (z *size) named() []*corev1.Pod {
	pods := make([]*corev1.Pod, min(z.n, asked))
	for i := range pods {
		pods[i] = &corev1.Pod{ObjectMeta: z.world.pods[i].ObjectMeta}
	}
	return pods
}

// stand takes the standing cost over two polls.
func (z *size) stand(ctx context.Context) error {
	m := newMeter(map[string]int{"manager": z.manager.Pid()})
	writes, requests := z.world.ledger.api.Writes(), z.world.ledger.api.Requests()
	polls, begin := z.world.polls(), time.Now()
	wait := z.profile(z.manager, z.world.ledger, fmt.Sprintf("standing-%d", z.n), 20)
	if err := harness.Poll(patience, func() error {
		if z.world.polls() < polls+2 {
			return fmt.Errorf("%d polls", z.world.polls()-polls)
		}
		return ctx.Err()
	}); err != nil {
		return err
	}
	if err := wait(); err != nil {
		return err
	}
	took, u := time.Since(begin), m.read()["manager"]
	cpu := z.add(z.what("standing, CPU of the manager"), 100*float64(u.own)/float64(took), "% of a core")
	if z.n == asked {
		cpu.atMost(5)
	}
	z.add(z.what("standing, CPU of its poll commands"), 100*float64(u.children)/float64(took), "% of a core")
	memory := z.add(z.what("standing, resident memory"), float64(u.resident)/(1<<20), "MiB")
	if z.n == asked {
		memory.atMost(300)
	}
	if err := z.heap(z.manager, fmt.Sprintf("standing-%d", z.n)); err != nil {
		return err
	}
	z.add(z.what("standing, API-server writes a minute"), float64(z.world.ledger.api.Writes()-writes)/took.Minutes(), "")
	z.add(z.what("standing, API-server requests a minute"), float64(z.world.ledger.api.Requests()-requests)/took.Minutes(), "")
	return nil
}
