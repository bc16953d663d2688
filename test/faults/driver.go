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
	"cmp"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/test/faults/history"
	"github.com/remotejob-dev/remotejob-operator/test/faults/plan"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// driver plays interLink and the virtual kubelet.
type driver struct {
	stage  *stage
	survey *surveyor
	tracks []*track
	// slots bound how many pods live at once; begun is how many have begun to, in the order of their time.
	slots chan struct{}
	begun atomic.Int64
}

// track is one pod on its way.
type track struct {
	*actor
	manager *harness.Manager
	// held is locked while the pod must not be deleted; cancelled is set under it where somebody else deleted its RemoteJob.
	held      sync.Mutex
	cancelled bool

	mu  sync.Mutex
	pod history.Pod
}

func newDriver(s *stage, p *plan.Plan, survey *surveyor, alive int) (*driver, error) {
	d := &driver{stage: s, survey: survey, slots: make(chan struct{}, alive)}
	for i := range p.Pods {
		a, err := cast(p, i, s.ran, s.image)
		if err != nil {
			return nil, err
		}
		d.tracks = append(d.tracks, &track{actor: a, manager: s.managers[i%len(s.managers)], pod: history.Pod{
			UID: string(a.pod.UID), Backend: string(a.plan.Backend), Containers: a.expects,
			Endless: a.plan.Class == plan.Endless, Raced: a.plan.Class == plan.Raced,
			Restartable: a.pod.Spec.RestartPolicy != corev1.RestartPolicyNever,
		}})
	}
	return d, nil
}

// play takes all pods through their lives, and returns when the last one has left nothing, or the context ends.
func (d *driver) play(ctx context.Context) {
	var wg sync.WaitGroup
	inOrder := slices.SortedFunc(slices.Values(d.tracks), func(a, b *track) int { return cmp.Compare(a.plan.At, b.plan.At) })
	for _, t := range inOrder {
		if !wait(ctx, t.plan.At-d.stage.clock.now()) {
			break
		}
		select {
		case d.slots <- struct{}{}:
		case <-ctx.Done():
			continue
		}
		d.begun.Add(1)
		wg.Go(func() {
			d.live(ctx, t)
			<-d.slots
		})
	}
	wg.Wait()
	for _, t := range d.tracks {
		if t.read().Back {
			wg.Go(func() { d.again(ctx, t) })
		}
	}
	wg.Wait()
}

func (d *driver) live(ctx context.Context, t *track) {
	if t.plan.Class == plan.Raced {
		var wg sync.WaitGroup
		wg.Go(func() { d.create(ctx, t) })
		if wait(ctx, t.plan.Life/20) {
			d.delete(ctx, t)
		}
		wg.Wait()
		if now := t.read(); now.Accepted > now.Deleted {
			// A create that was asked for again, since its answer was lost, may come after all of the pod is gone. It runs nothing, and
			// its record goes with the next delete.
			d.delete(ctx, t)
		}
	} else {
		d.create(ctx, t)
		d.watch(ctx, t)
		if t.read().Forgotten {
			d.undisturbed(ctx, t)
		}
		d.delete(ctx, t)
	}
	d.settle(ctx, t)
}

// create asks for the pod until the answer is one that will not change by itself.
func (d *driver) create(ctx context.Context, t *track) {
	for ctx.Err() == nil {
		created, answer, err := t.manager.Create(ctx, t.body)
		now := d.stage.clock.now()
		t.mu.Lock()
		switch {
		case err != nil:
			t.pod.Refusal = err.Error()
		case answer.Code == http.StatusOK:
			if t.pod.Accepted == 0 {
				t.pod.Accepted = now
			}
			if created.PodUID != t.pod.UID || created.PodJID == "" {
				t.pod.Wrong = append(t.pod.Wrong, fmt.Sprintf("got the answer %s to its create", answer.Body))
			}
			t.actor.pod.Annotations["JobID"] = created.PodJID
		default:
			t.pod.Refusal = fmt.Sprintf("%d %s", answer.Code, answer.Body)
			if strings.Contains(t.pod.Refusal, t.secret) {
				t.pod.Wrong = append(t.pod.Wrong, "had its secret in the answer "+t.pod.Refusal)
			}
			if answer.Code < 500 && answer.Code != http.StatusTooManyRequests {
				t.pod.Refused = now
			}
		}
		done := t.pod.Accepted != 0 || t.pod.Refused != 0
		t.mu.Unlock()
		if done || !wait(ctx, pause()) {
			return
		}
	}
}

// watch asks for the pod's status until it has ended or its time to be deleted has come.
func (d *driver) watch(ctx context.Context, t *track) {
	ran := history.Moment(0)
	for t.read().Accepted != 0 && wait(ctx, pause()) {
		if list, answer, err := t.manager.Status(ctx, t.snapshot()); err == nil && answer.Code == http.StatusOK {
			t.see(d.stage.clock.now(), list)
		} else if err == nil && answer.Code < 500 {
			t.wrong(fmt.Sprintf("got the status %d %s", answer.Code, answer.Body))
		}
		now := t.read()
		if ran == 0 && len(now.Seen) > 0 && now.Seen[len(now.Seen)-1].State == history.Running {
			ran = d.stage.clock.now()
		}
		switch {
		case now.Ended != 0:
			d.readLogs(ctx, t)
			wait(ctx, t.plan.Linger)
			return
		case t.plan.Class == plan.Endless && ran != 0 && d.stage.clock.now() > ran+t.plan.Life:
			return
		}
	}
}

// delete asks for the pod's end until the answer is a good one.
func (d *driver) delete(ctx context.Context, t *track) {
	t.held.Lock()
	t.mu.Lock()
	t.pod.Deleting = d.stage.clock.now()
	t.mu.Unlock()
	t.held.Unlock()
	for ctx.Err() == nil {
		answer, err := t.manager.Delete(ctx, t.snapshot())
		if err == nil && answer.Code == http.StatusOK {
			t.mu.Lock()
			t.pod.Deleted = d.stage.clock.now()
			t.mu.Unlock()
			return
		}
		if err == nil && answer.Code < 500 && answer.Code != http.StatusTooManyRequests {
			t.wrong(fmt.Sprintf("got the answer %d %s to its delete", answer.Code, answer.Body))
			return
		}
		wait(ctx, pause())
	}
}

// settle waits until nothing of the pod is to be seen anywhere.
func (d *driver) settle(ctx context.Context, t *track) {
	for now := t.read(); now.Deleted != 0 && wait(ctx, time.Second); now = t.read() {
		if now.Restored > now.Deleted {
			d.delete(ctx, t) // the ledger has forgotten that it was deleted
			continue
		}
		if d.nothingOf(t) && t.settled(d.stage.clock.now()) {
			return
		}
	}
}

// nothingOf tells whether a look that began after the pod's delete found nothing of it.
func (d *driver) nothingOf(t *track) bool {
	seen := d.survey.last()
	return seen != nil && seen.began > t.read().Deleted && len(seen.of(t.token(d.stage), t.pod.UID)) == 0
}

// cutMark begins a line that stands for what a log lacks.
const cutMark = "[podrunner: the file system was full"

// readLogs reads the logs of a pod that has ended, and holds them against what its runs write.
func (d *driver) readLogs(ctx context.Context, t *track) {
	for _, c := range t.expects {
		// A manager that began anew a moment ago has no line to the backend yet.
		for deadline := d.stage.clock.now() + 20*time.Second; d.stage.clock.now() < deadline && ctx.Err() == nil; wait(ctx, pause()) {
			answer, err := t.manager.Logs(ctx, t.snapshot(), c.Name, harness.LogOpts{})
			if err != nil || answer.Code >= 500 {
				continue
			}
			if answer.Code != http.StatusOK {
				break // it never ran, or nothing of it is left
			}
			for line := range strings.Lines(string(answer.Body)) {
				if strings.HasPrefix(line, cutMark) {
					t.mu.Lock()
					t.pod.Cut = append(t.pod.Cut, "has a log that says "+line)
					t.mu.Unlock()
				} else if !strings.HasPrefix(line, t.pod.UID+" "+c.Name+" ") {
					t.wrong(fmt.Sprintf("has %q in the log of %s", line, c.Name))
				}
			}
			break
		}
	}
}

// wait waits, and returns false when the context has ended.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return ctx.Err() == nil
}

// pause is the time from one call to the next.
func pause() time.Duration { return 600*time.Millisecond + rand.N(400*time.Millisecond) }
