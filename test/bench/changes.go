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
	"math/rand/v2"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// askEvery is how often /status is asked about all pods that change. What is measured may be that much too long, and to ask more often would
// take time from what is measured.
const askEvery = 20 * time.Millisecond

// watchChanges has podrunner write down something new of many jobs, and takes the time until /status shows it.
func (z *size) watchChanges(ctx context.Context) error {
	if err := z.setPoll(ctx, changePoll); err != nil {
		return err
	}
	polls := z.world.polls()
	if err := harness.Poll(patience, func() error {
		if z.world.polls() < polls+3 {
			return fmt.Errorf("%d polls", z.world.polls()-polls)
		}
		return ctx.Err()
	}); err != nil {
		return err
	}
	n := min(changes, z.n/2)
	pods := make([]*corev1.Pod, n)
	for i, at := range rand.Perm(z.n - 1)[:n] {
		pods[i] = z.world.pods[at+1]
	}
	before, err := restarts(ctx, z.manager, pods)
	if err != nil {
		return err
	}
	m := newMeter(map[string]int{"manager": z.manager.Pid()})
	writes, begin := z.world.ledger.api.Writes(), time.Now()
	// The changes come evenly over one poll interval.
	changed := map[string]time.Time{}
	took := make([]time.Duration, 0, n)
	wait := z.profile(z.manager, z.world.ledger, fmt.Sprintf("changes-%d", z.n), 5)
	next := 0
	for len(took) < n {
		for ; next < n && time.Since(begin) >= time.Duration(next)*changePoll/time.Duration(n); next++ {
			if err := z.world.change(pods[next]); err != nil {
				return err
			}
			changed[string(pods[next].UID)] = time.Now()
		}
		now, err := restarts(ctx, z.manager, pods)
		if err != nil {
			return err
		}
		for uid, at := range changed {
			if now[uid] > before[uid] {
				took = append(took, time.Since(at))
				delete(changed, uid)
			}
		}
		if time.Since(begin) > patience {
			return fmt.Errorf("%d of %d changes do not show", len(changed), n)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(askEvery):
		}
	}
	u := m.read()["manager"]
	if err := wait(); err != nil {
		return err
	}
	what := fmt.Sprintf("%d changes on SLURM in one poll interval of %s, to the answer: ", n, changePoll)
	z.duration(z.what(what+"p50"), quantile(took, 0.5))
	p95 := z.duration(z.what(what+"p95"), quantile(took, 0.95))
	if n == changes {
		p95.want("≤ "+(changePoll+changeSlack).String(), quantile(took, 0.95) <= changePoll+changeSlack)
	}
	z.duration(z.what(what+"slowest"), quantile(took, 1))
	z.add(z.what("CPU of the manager meanwhile, polls and answers to this in it"), float64(u.own)/float64(time.Millisecond)/float64(n), "ms a change")
	z.add(z.what("API-server writes a change"), float64(z.world.ledger.api.Writes()-writes)/float64(n), "")
	return nil
}
