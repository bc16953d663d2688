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
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/remotejob-dev/remotejob-operator/test/faults/history"
	"github.com/remotejob-dev/remotejob-operator/test/faults/plan"
)

// settleTime is how long nothing may change of any pod after the last fault before the run gives up: a lost one is called lost after a
// minute and three looks, each of which may come late.
const settleTime = 6 * time.Minute

// stories is of how many pods is told what was seen where an invariant does not hold.
const stories = 8

// verdict is what came out of a run.
type verdict struct {
	options    options
	history    history.History
	violations []history.Violation
	took       time.Duration
	// err is what the suite itself could not do.
	err error
}

// holds tells whether the run came to its end and every invariant holds.
func (v *verdict) holds() bool {
	return v.err == nil && len(v.violations) == 0 && len(v.history.Pods) > 0
}

// play has the pods live and the faults strike, and judges.
func (v *verdict) play(ctx context.Context, s *stage, p *plan.Plan, say func(string, ...any)) error {
	before, err := measureAll(s)
	if err != nil {
		return err
	}
	survey := &surveyor{stage: s}
	d, err := newDriver(s, p, survey, v.options.alive)
	if err != nil {
		return err
	}
	if s.clock, err = newClock(); err != nil {
		return err
	}
	c := &chaos{driver: d, plan: p, say: say}
	background, stop := context.WithCancel(ctx)
	var beside sync.WaitGroup
	defer func() { stop(); beside.Wait() }()
	beside.Go(func() { survey.run(background) })
	beside.Go(func() { d.progress(background, say) })
	beside.Go(func() { c.administer(background) })
	raged := make(chan struct{})
	c.lockable()
	go func() {
		defer close(raged)
		var restoring sync.WaitGroup
		if v.options.restore {
			restoring.Go(func() { c.failed(c.restore(ctx)) })
		}
		c.rage(ctx)
		restoring.Wait()
	}()
	playing, end := context.WithCancel(ctx)
	defer end()
	beside.Go(func() { d.giveUp(playing, raged, end) })
	d.play(playing)
	<-raged
	if ctx.Err() != nil {
		return errors.New("the run was interrupted")
	}
	v.history.Faults = c.struck
	err = errors.Join(c.errs...)
	err = errors.Join(err, v.collect(ctx, d, before))
	v.violations = history.Check(&v.history)
	v.explain(s, say)
	v.took = s.clock.now()
	return err
}

// explain says what is wrong, and what was seen of those whom it is about.
func (v *verdict) explain(s *stage, say func(string, ...any)) {
	told := map[string]bool{"": true}
	for i, violation := range v.violations {
		if i == 50 {
			say("and %d more violations", len(v.violations)-i)
			break
		}
		say("violation: %s", violation)
		if told[violation.Pod] || len(told) > stories {
			continue
		}
		told[violation.Pod] = true
		for _, line := range v.history.Story(violation.Pod) {
			say("    %s", line)
		}
		for _, m := range s.managers {
			say("    grep %s %s", violation.Pod, m.Log)
		}
	}
	// What is to be explained has to be there.
	s.keep = s.keep || len(v.violations) > 0
}

// giveUp ends the play when nothing has changed of any pod for long and no fault strikes any more.
func (d *driver) giveUp(ctx context.Context, raged <-chan struct{}, end context.CancelFunc) {
	select {
	case <-raged:
	case <-ctx.Done():
	}
	before, since := -1, time.Now()
	for wait(ctx, time.Second) {
		steps := 0
		for _, t := range d.tracks {
			now := t.read()
			steps += now.Steps()
		}
		if steps != before {
			before, since = steps, time.Now()
		} else if time.Since(since) > settleTime {
			end()
		}
	}
}

// collect gathers what there is to be judged when all pods are gone.
func (v *verdict) collect(ctx context.Context, d *driver, before []measured) error {
	for _, t := range d.tracks {
		v.history.Pods = append(v.history.Pods, t.read())
	}
	text, err := os.ReadFile(d.stage.ran)
	if err != nil {
		return err
	}
	if v.history.Runs, err = parseRuns(string(text), d.stage.clock); err != nil {
		return err
	}
	if err := d.stage.allReady(ctx); err != nil {
		v.history.Left = append(v.history.Left, err.Error())
	}
	v.history.Left = append(v.history.Left, d.leftovers(ctx)...)
	v.history.Trouble = d.trouble(ctx, before)
	return nil
}

// progress says from time to time where the run is.
func (d *driver) progress(ctx context.Context, say func(string, ...any)) {
	for wait(ctx, 10*time.Second) {
		accepted, ended, settled := 0, 0, 0
		var slow []string
		for _, t := range d.tracks {
			p := t.read()
			if p.Accepted != 0 {
				accepted++
			}
			if p.Ended != 0 {
				ended++
			}
			if p.Settled != 0 {
				settled++
			} else if p.Accepted != 0 {
				slow = append(slow, p.UID)
			}
		}
		if len(slow) > 3 {
			slow = slow[:3]
		}
		say("%.0fs: %d accepted, %d ended, %d settled; waiting for %s", d.stage.clock.now().Seconds(), accepted, ended, settled, strings.Join(slow, ", "))
	}
}

// summary is one line.
func (v *verdict) summary() string {
	count := map[string]int{}
	for _, f := range v.history.Faults {
		count[f.Kind]++
	}
	var kinds []string
	for kind, n := range count {
		kinds = append(kinds, fmt.Sprintf("%s %d", kind, n))
	}
	slices.Sort(kinds)
	backends, raced, forgotten, back := map[string]int{}, 0, 0, 0
	for i := range v.history.Pods {
		p := &v.history.Pods[i]
		backends[p.Backend]++
		for n, is := range map[*int]bool{&raced: p.Raced, &forgotten: p.Forgotten, &back: p.Back} {
			if is {
				*n++
			}
		}
	}
	restored := ""
	if v.options.restore {
		restored = fmt.Sprintf(" forgotten=%d back=%d", forgotten, back)
	}
	result := "ok"
	if !v.holds() {
		result = "failed"
	}
	return fmt.Sprintf("%s: seed=%d pods=%d docker=%d podman=%d replicas=%d raced=%d%s runs=%d faults=%d kinds=%d (%s) violations=%d in %s",
		result, v.options.seed, len(v.history.Pods), backends[string(plan.Docker)], backends[string(plan.Podman)], v.options.replicas, raced, restored,
		len(v.history.Runs), len(v.history.Faults), len(kinds), strings.Join(kinds, ", "), len(v.violations), v.took.Round(time.Second))
}
