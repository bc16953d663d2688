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
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/remotejob-dev/remotejob-operator/test/faults/history"
	"github.com/remotejob-dev/remotejob-operator/test/faults/plan"
)

// chaos has the faults of a plan strike.
type chaos struct {
	*driver
	plan *plan.Plan
	say  func(format string, args ...any)

	// parts are locked while a fault strikes them, so that each fault mends what it broke.
	parts map[string]*sync.Mutex

	mu     sync.Mutex
	struck []history.Fault
	errs   []error
}

// action is what a kind of fault does.
type action struct {
	// part is what must not be struck by two faults at once; empty where it may.
	part string
	// strike breaks something and mends it. It returns whom it was aimed at and what that one may feel; errNobody where there was nobody.
	strike func(c *chaos, ctx context.Context, f plan.Fault) (history.Fault, error)
}

// errNobody: there was nobody whom the fault could strike.
var errNobody = errors.New("there is nobody to strike")

// actions of all kinds that strike by themselves.
var actions = map[plan.Kind]action{
	plan.KillManager:     {"manager", (*chaos).killManager},
	plan.KillManagerLong: {"manager", (*chaos).killManager},
	plan.PauseManager:    {"manager", (*chaos).pauseManager},
	plan.KillLeader:      {"manager", (*chaos).killLeader},
	plan.PauseLeader:     {"manager", (*chaos).pauseLeader},
	plan.StopAPIServer:   {"plane", (*chaos).stopAPIServer},
	plan.StopEtcd:        {"plane", (*chaos).stopEtcd},
	plan.KillController:  {"slurmctld", (*chaos).killController},
	plan.StopController:  {"slurmctld", (*chaos).stopController},
	plan.CutLine:         {"line", (*chaos).cutLine},
	plan.RefuseLine:      {"line", (*chaos).refuseLine},
	plan.StallLine:       {"line", (*chaos).stallLine},
	plan.SlowCommands:    {"commands", (*chaos).spoilCommands},
	plan.FailCommands:    {"commands", (*chaos).spoilCommands},
	plan.LoseAnswers:     {"commands", (*chaos).spoilCommands},
	plan.LateSubmission:  {"commands", (*chaos).spoilCommands},
	plan.Requeue:         {"", (*chaos).requeue},
	plan.Conflicts:       {"api", (*chaos).disturb},
	plan.TooManyRequests: {"api", (*chaos).disturb},
	plan.LostWrites:      {"api", (*chaos).disturb},
	plan.SlowWatch:       {"watch", (*chaos).slowWatch},
	plan.DeleteRemoteJob: {"", (*chaos).deleteRemoteJob},
	plan.DeletePayload:   {"", (*chaos).deletePayload},
	plan.SameCreate:      {"", (*chaos).sameCreate},
	plan.FullBase:        {"base", (*chaos).fullBase},
	plan.RestartEngine:   {"engine", (*chaos).restartEngine},
	plan.KillEngine:      {"engine", (*chaos).restartEngine},
	plan.LoseNode:        {"engine", (*chaos).loseNode},
}

// lockable makes the locks of all parts.
func (c *chaos) lockable() {
	c.parts = map[string]*sync.Mutex{}
	for _, a := range actions {
		c.parts[a.part] = &sync.Mutex{}
	}
}

// rage has all faults of the plan strike, each at its time, and returns when all is mended.
func (c *chaos) rage(ctx context.Context) {
	var wg sync.WaitGroup
	for _, f := range c.plan.Faults {
		if !wait(ctx, f.At-c.stage.clock.now()) || !c.caughtUp(ctx, f.At) {
			break
		}
		wg.Go(func() { c.strike(ctx, f) })
	}
	wg.Wait()
}

// caughtUp waits until all pods have begun whose time has come, so that faults meet pods on a slow machine, too.
func (c *chaos) caughtUp(ctx context.Context, at history.Moment) bool {
	due := int64(0)
	for _, pod := range c.plan.Pods {
		if pod.At <= at {
			due++
		}
	}
	for c.begun.Load() < due {
		if !wait(ctx, 50*time.Millisecond) {
			return false
		}
	}
	return true
}

func (c *chaos) strike(ctx context.Context, f plan.Fault) {
	a := actions[f.Kind]
	if a.part != "" {
		c.parts[a.part].Lock()
		defer c.parts[a.part].Unlock()
	}
	from := c.stage.clock.now()
	done, err := a.strike(c, ctx, f)
	done.Kind, done.From, done.To = string(f.Kind), from, c.stage.clock.now()
	if errors.Is(err, errNobody) {
		c.say("fault %d %s: %v", f.Index, f.Kind, err)
		return
	}
	c.say("fault %d %s from %.1fs to %.1fs %s", f.Index, f.Kind, done.From.Seconds(), done.To.Seconds(), done.Pod)
	c.mu.Lock()
	c.struck = append(c.struck, done)
	c.mu.Unlock()
	if err != nil {
		c.failed(fmt.Errorf("%s: %w", f.Kind, err))
	}
}

// failed takes note of what the suite itself could not do.
func (c *chaos) failed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.errs = append(c.errs, err)
}

// pick chooses a pod that was accepted and is not being deleted.
func (c *chaos) pick(f plan.Fault, fits func(*track) bool) (*track, error) {
	var fitting []*track
	for _, t := range c.tracks {
		if now := t.read(); now.Accepted != 0 && now.Deleting == 0 && !now.Raced && fits(t) {
			fitting = append(fitting, t)
		}
	}
	if len(fitting) == 0 {
		return nil, errNobody
	}
	return fitting[f.Pick%uint64(len(fitting))], nil
}

func (c *chaos) sameCreate(ctx context.Context, f plan.Fault) (history.Fault, error) {
	t, err := c.pick(f, func(*track) bool { return true })
	if err != nil {
		return history.Fault{}, err
	}
	// The pod must not be deleted meanwhile, nor before: a create of what was deleted is refused, or another story where it is forgotten.
	t.held.Lock()
	defer t.held.Unlock()
	if t.read().Deleting != 0 || t.cancelled {
		return history.Fault{}, errNobody
	}
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			created, answer, err := t.manager.Create(ctx, t.body)
			switch {
			case err != nil || answer.Code >= 500:
			case answer.Code != http.StatusOK:
				t.wrong(fmt.Sprintf("was accepted before, and created again is answered %d %s", answer.Code, answer.Body))
			case created.PodUID != t.pod.UID:
				t.wrong(fmt.Sprintf("got the answer %s to the same create", answer.Body))
			}
		})
	}
	wg.Wait()
	return history.Fault{Pod: t.pod.UID}, nil
}

// disturb has the API server refuse or forget a part of what it is asked.
func (c *chaos) disturb(ctx context.Context, f plan.Fault) (history.Fault, error) {
	for _, p := range c.stage.proxies {
		p.Disturb(disturber(f.Kind))
	}
	wait(ctx, f.For)
	for _, p := range c.stage.proxies {
		p.Disturb(nil)
	}
	return history.Fault{}, nil
}

func disturber(kind plan.Kind) func(*http.Request) disturbance {
	return func(r *http.Request) disturbance {
		write := r.Method != http.MethodGet
		change := r.Method == http.MethodPut || r.Method == http.MethodPatch
		switch {
		case strings.Contains(r.URL.Path, "/leases/"), rand.IntN(2) == 0:
			return undisturbed
		case kind == plan.Conflicts && change:
			return conflict
		case kind == plan.TooManyRequests && r.URL.Query().Get("watch") == "":
			return tooMany
		case kind == plan.LostWrites && write:
			return lostAnswer
		}
		return undisturbed
	}
}

func (c *chaos) slowWatch(ctx context.Context, f plan.Fault) (history.Fault, error) {
	var releases []func()
	for _, p := range c.stage.proxies {
		releases = append(releases, p.HoldWatches())
	}
	wait(ctx, f.For)
	for _, release := range releases {
		release()
	}
	return history.Fault{}, nil
}
