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

package controller

import (
	"context"
	"errors"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

func TestTheGuardDistrustsACacheThatLags(t *testing.T) {
	g := newGuard()
	key := types.NamespacedName{Namespace: "ns", Name: "job"}
	if !g.trusts(key, "5") {
		t.Fatal("nothing was written")
	}
	g.wrote(key, "10")
	if g.trusts(key, "9") {
		t.Error("the cache is older than the last write")
	}
	if !g.trusts(key, "10") || !g.trusts(key, "9") || len(g.pending) != 0 {
		t.Error("once the cache has caught up the write is forgotten")
	}

	first := g.conflicted(key)
	if g.trusts(key, "10") {
		t.Error("after a conflict the cache is known to lag")
	}
	if second := g.conflicted(key); second <= first {
		t.Errorf("conflicts in a row are waited out: %s after %s", second, first)
	}
	g.readLive(key, "12")
	if g.trusts(key, "11") || !g.trusts(key, "12") {
		t.Error("after a live look the cache is trusted from there on")
	}
	for range 100 {
		if wait := g.conflicted(key); wait > time.Second {
			t.Fatalf("waits %s", wait)
		}
	}
	g.forget(key)
	if !g.trusts(key, "1") {
		t.Error("what is gone is forgotten")
	}
}

func TestWorkloadsAreKeptUpToABound(t *testing.T) {
	of := func(backend types.UID, size int) *workload.Workload {
		return &workload.Workload{Backend: backend, Files: map[string]workload.FileVolume{"v": {Files: []workload.File{{Path: "f", Data: make([]byte, size)}}}}}
	}
	c := newWorkloads(3 * sizeOf(of("b", 1000)))
	for _, job := range []types.UID{"1", "2", "3"} {
		c.put(job, of("b", 1000))
	}
	if _, ok := c.get("1", "b"); !ok {
		t.Fatal("three fit")
	}
	c.put("4", of("b", 1000))
	if _, ok := c.get("2", "b"); ok {
		t.Error("the one that was used longest ago goes first")
	}
	if _, ok := c.get("1", "b"); !ok {
		t.Error("the one that was used last stays")
	}
	if _, ok := c.get("1", "another"); ok {
		t.Error("it was resolved for another backend")
	}
	c.put("5", of("b", 1<<20))
	if _, ok := c.get("5", "b"); ok || c.used > c.limit {
		t.Errorf("more is kept than the bound: %d of %d", c.used, c.limit)
	}
	for _, job := range []types.UID{"1", "2", "3", "4", "5", "6"} {
		c.put(job, of("b", 10))
		c.put(job, of("b", 20))
		c.drop(job)
		c.drop(job)
	}
	if c.used != 0 || c.order.Len() != 0 || len(c.byUID) != 0 {
		t.Errorf("%d bytes, %d in order, %d by UID are left of nothing", c.used, c.order.Len(), len(c.byUID))
	}
}

func TestTheFenceOpensForAsLongAsTheLeaseHolds(t *testing.T) {
	fence := &LeaseFence{}
	if _, _, err := fence.Guard(t.Context(), time.Minute); !errors.Is(err, ErrNotLeading) {
		t.Fatalf("a fence without a lease: %v", err)
	}
	fence.Renewed(time.Now().Add(-time.Hour), time.Minute)
	if _, _, err := fence.Guard(t.Context(), time.Minute); !errors.Is(err, ErrNotLeading) {
		t.Fatalf("a renewal that was sent long ago: %v", err)
	}

	const holds = 3 * time.Second
	fence.Renewed(time.Now(), fenceMargin+holds)
	ctx, cancel, err := fence.Guard(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	// A renewal in time carries calls that are under way over the end of the last one.
	fence.Renewed(time.Now(), fenceMargin+time.Minute)
	select {
	case <-ctx.Done():
		t.Fatal("the call was cut though the lease was renewed")
	case <-time.After(2 * holds):
	}
	fence.Lost()
	<-ctx.Done()
	if !errors.Is(context.Cause(ctx), ErrNotLeading) {
		t.Errorf("the call was cut by %v", context.Cause(ctx))
	}
	if _, _, err := fence.Guard(t.Context(), time.Minute); !errors.Is(err, ErrNotLeading) {
		t.Errorf("a lease that was lost: %v", err)
	}

	fence.Renewed(time.Now(), fenceMargin+holds)
	ctx, cancel, err = fence.Guard(t.Context(), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	<-ctx.Done() // nobody renews
	if !errors.Is(context.Cause(ctx), ErrNotLeading) {
		t.Errorf("the call was cut by %v", context.Cause(ctx))
	}

	fence.Renewed(time.Now(), time.Hour)
	ctx, cancel, err = fence.Guard(t.Context(), time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	defer cancel()
	<-ctx.Done()
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Errorf("a call takes no longer than its bound: %v", ctx.Err())
	}
}

// TestTheFenceClosesAfterASuspension: the monotonic clock stands still meanwhile.
func TestTheFenceClosesAfterASuspension(t *testing.T) {
	now := time.Now()
	until := now.Add(10 * time.Second)
	asleep := now.Round(0).Add(time.Minute) // the calendar has gone on, and there is no other clock to compare by
	setBack := now.Add(20 * time.Second)
	for name, c := range map[string]struct {
		now  time.Time
		want bool
	}{"in time": {now, false}, "by the calendar": {asleep, true}, "by the monotonic clock": {setBack, true}} {
		if got := past(until, c.now); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}
