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
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	crclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/faults/history"
	"github.com/remotejob-dev/remotejob-operator/test/faults/plan"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// aimed are the faults that people make at single pods. They are left out where the ledger is restored, which may undo them.
var aimed = []plan.Kind{plan.DeleteRemoteJob, plan.DeletePayload, plan.SameCreate}

// restore makes a backup of the ledger when a third of the pods have begun, and puts it in the ledger's place at two thirds, as an
// administrator does: with no manager running. What the ledger knows then, and what it does not, is noted at the pods.
func (c *chaos) restore(ctx context.Context) error {
	backup := filepath.Join(c.stage.dir, "backup")
	total := int64(len(c.tracks))
	for _, step := range []struct {
		at int64
		do func() error
	}{
		{total / 3, func() error { return c.stage.plane.BackUp(context.WithoutCancel(ctx), backup) }},
		{2 * total / 3, func() error { return c.putBack(context.WithoutCancel(ctx), backup) }},
	} {
		for c.begun.Load() < step.at {
			if !wait(ctx, 50*time.Millisecond) {
				return nil
			}
		}
		if err := c.alone(step.do, "manager", "plane"); err != nil {
			return fmt.Errorf("restore the ledger: %w", err)
		}
	}
	return nil
}

// alone does something while no fault strikes some parts.
func (c *chaos) alone(do func() error, parts ...string) error {
	for _, part := range parts {
		c.parts[part].Lock()
	}
	defer func() {
		for _, part := range parts {
			c.parts[part].Unlock()
		}
	}()
	return do()
}

func (c *chaos) putBack(ctx context.Context, backup string) error {
	from := c.stage.clock.now()
	for _, m := range c.stage.managers {
		m.Kill()
	}
	if err := c.stage.plane.Restore(ctx, backup); err != nil {
		return err
	}
	known := map[string]bool{}
	err := harness.Poll(patience, func() error {
		var jobs v1alpha1.RemoteJobList
		err := c.stage.ledger.List(ctx, &jobs, crclient.InNamespace(namespace))
		for _, job := range jobs.Items {
			known[string(job.Spec.PodRef.UID)] = true
		}
		return err
	})
	now := c.stage.clock.now()
	forgotten, back := 0, 0
	for _, t := range c.tracks {
		t.mu.Lock()
		p := &t.pod
		p.Restored = now
		switch {
		case p.Settled != 0 && known[p.UID]:
			p.Back = true
			back++
		case p.Settled == 0 && p.Accepted != 0 && !known[p.UID]:
			p.Forgotten = true
			forgotten++
		}
		t.mu.Unlock()
	}
	for _, m := range c.stage.managers {
		err = errors.Join(err, m.Start())
	}
	c.say("the ledger is restored from %.1fs to %.1fs: it has forgotten %d pods, and %d are back that had been deleted", from.Seconds(), now.Seconds(), forgotten, back)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.struck = append(c.struck, history.Fault{Kind: restored, From: from, To: now})
	return err
}

// restored is the kind by which a restored ledger is counted.
const restored = "restored-ledger"

// undisturbed waits until a pod that the ledger has forgotten has come to its own end, or, if it has none, runs. Whatever becomes of it
// now is nobody's but its own doing.
func (d *driver) undisturbed(ctx context.Context, t *track) {
	for wait(ctx, time.Second) {
		text, err := os.ReadFile(d.stage.ran)
		if err != nil {
			continue
		}
		// A line may be half written.
		whole := string(text[:bytes.LastIndexByte(text, '\n')+1])
		all, err := parseRuns(whole, d.stage.clock)
		if err != nil {
			continue
		}
		if t.ranAlone(slices.DeleteFunc(all, func(r history.Run) bool { return r.UID != t.pod.UID })) {
			return
		}
	}
}

// ranAlone tells whether a pod without a RemoteJob is as far as it comes. On SLURM it goes on by itself to its end; on Docker only the
// containers that have begun do.
func (t *track) ranAlone(runs []history.Run) bool {
	ended := func(name string) (n int) {
		for _, r := range runs {
			if r.Container == name && r.Ended != 0 {
				n++
			}
		}
		return n
	}
	begun := func(r history.Run) bool { return r.Ended == 0 }
	switch {
	case t.plan.Class == plan.Endless && t.plan.Backend != plan.Docker:
		return slices.ContainsFunc(runs, begun)
	case t.plan.Class == plan.Endless:
		return true
	case t.plan.Backend == plan.Docker:
		return !slices.ContainsFunc(runs, begun)
	}
	for _, c := range t.expects {
		if ended(c.Name) < c.Runs {
			return false
		}
	}
	return true
}

// again deletes the pods once more that had been deleted, and that came back with the ledger. Each is to have ended until then.
func (d *driver) again(ctx context.Context, t *track) {
	for t.plan.Class != plan.Raced && wait(ctx, pause()) {
		list, answer, err := t.manager.Status(ctx, t.snapshot())
		if err == nil && answer.Code == http.StatusOK && len(list) == 1 {
			t.see(d.stage.clock.now(), list)
			if list[0].Ended() {
				break
			}
		}
	}
	d.delete(ctx, t)
	for wait(ctx, time.Second) {
		if d.nothingOf(t) {
			t.mu.Lock()
			t.pod.SettledAgain = d.stage.clock.now()
			t.mu.Unlock()
			return
		}
	}
}
