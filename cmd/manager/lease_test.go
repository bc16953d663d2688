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
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/remotejob-dev/remotejob-operator/internal/controller"
)

// lessor keeps the lease in the API server's place.
type lessor struct {
	mu      sync.Mutex
	record  *resourcelock.LeaderElectionRecord
	version int
	// err is what is answered instead, lost whether the write takes effect all the same.
	err  error
	lost bool
}

// errHangs stands for no answer in the time of a call.
var errHangs = errors.New("no answer")

// wait has a call take its time.
func (l *lessor) wait(ctx context.Context) error {
	l.mu.Lock()
	hangs := errors.Is(l.err, errHangs)
	l.mu.Unlock()
	if hangs {
		<-ctx.Done()
	}
	return ctx.Err()
}

func (l *lessor) answers(err error, lost bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.err, l.lost = err, lost
}

func (l *lessor) set(record *resourcelock.LeaderElectionRecord) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.record = record
	l.version++
}

// replicaLock is one replica's sight of the lease. As LeaseLock does, it writes only over the version that it has seen last.
type replicaLock struct {
	lessor *lessor
	name   string
	seen   int
}

var leases = schema.GroupResource{Group: "coordination.k8s.io", Resource: "leases"}

func (r *replicaLock) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	if err := r.lessor.wait(ctx); err != nil {
		return nil, nil, err
	}
	r.lessor.mu.Lock()
	defer r.lessor.mu.Unlock()
	if r.lessor.err != nil {
		return nil, nil, r.lessor.err
	}
	if r.lessor.record == nil {
		return nil, nil, apierrors.NewNotFound(leases, r.name)
	}
	r.seen = r.lessor.version
	record := *r.lessor.record
	raw, err := json.Marshal(record)
	return &record, raw, err
}

func (r *replicaLock) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	r.lessor.mu.Lock()
	if there := r.lessor.record != nil; there {
		r.lessor.mu.Unlock()
		return apierrors.NewAlreadyExists(leases, r.name)
	}
	r.seen = r.lessor.version
	r.lessor.mu.Unlock()
	return r.Update(ctx, record)
}

func (r *replicaLock) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	if err := r.lessor.wait(ctx); err != nil {
		return err
	}
	r.lessor.mu.Lock()
	defer r.lessor.mu.Unlock()
	if r.lessor.err != nil {
		if r.lessor.lost && r.seen == r.lessor.version {
			r.lessor.record = &record
			r.lessor.version++
		}
		return r.lessor.err
	}
	if r.seen != r.lessor.version {
		return apierrors.NewConflict(leases, r.name, errors.New("it is newer"))
	}
	r.lessor.record = &record
	r.lessor.version++
	r.seen = r.lessor.version
	return nil
}

func (r *replicaLock) RecordEvent(string) {}
func (r *replicaLock) Identity() string   { return r.name }
func (r *replicaLock) Describe() string   { return r.name }

// leader is a replica with a lease that holds for 3 s, which the fence takes for one.
type leader struct {
	*testing.T
	lessor *lessor
	fence  *controller.LeaseFence
	// ended is closed when it has given up to lead.
	ended chan struct{}
}

func newLeader(t *testing.T) *leader {
	t.Helper()
	l := &leader{T: t, lessor: &lessor{}, fence: &controller.LeaseFence{}, ended: make(chan struct{})}
	began := make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:          &watchedLease{Interface: &replicaLock{lessor: l.lessor, name: "one"}, fence: l.fence, timeout: 100 * time.Millisecond, log: logr.Discard()},
		LeaseDuration: 3 * time.Second, RenewDeadline: 2 * time.Second, RetryPeriod: 50 * time.Millisecond, ReleaseOnCancel: true,
		Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) { close(began) }, OnStoppedLeading: func() {}},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		defer close(l.ended)
		elector.Run(ctx)
	}()
	t.Cleanup(func() {
		stop()
		<-l.ended
	})
	select {
	case <-began:
	case <-time.After(20 * time.Second):
		t.Fatal("it does not lead")
	}
	l.fenceIs(true)
	return l
}

// fenceIs waits until calls that change a backend are let through, or are not.
func (l *leader) fenceIs(open bool) {
	l.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; <-time.After(10 * time.Millisecond) {
		_, release, err := l.fence.Guard(l.Context(), time.Minute)
		if err == nil {
			release()
		}
		if open == (err == nil) {
			return
		}
		if time.Now().After(deadline) {
			l.Fatalf("the fence: %v, want it open: %v", err, open)
		}
	}
}

func (l *leader) leads() {
	l.Helper()
	select {
	case <-l.ended:
		l.Fatal("it does not lead any more")
	default:
	}
}

func (l *leader) gaveUp() {
	l.Helper()
	select {
	case <-l.ended:
	case <-time.After(20 * time.Second):
		l.Fatal("it leads on")
	}
	if _, _, err := l.fence.Guard(l.Context(), time.Minute); err == nil {
		l.Error("the fence is open")
	}
}

func TestALeaderOutlastsAnAPIServerThatIsAwayAndChangesNothingMeanwhile(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		err  error
		lost bool
	}{
		"nobody there":                    {err: errors.New("connection refused")},
		"no answer":                       {err: errHangs},
		"the answers are lost":            {err: errors.New("EOF"), lost: true},
		"an API server that can't work":   {err: apierrors.NewInternalError(errors.New("etcdserver: no leader"))},
		"one that is being started":       {err: apierrors.NewGenericServerResponse(http.StatusServiceUnavailable, "put", leases, "", "", 0, false)},
		"one that has too much to answer": {err: apierrors.NewTooManyRequests("later", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLeader(t)
			l.lessor.answers(c.err, c.lost)
			l.fenceIs(false)
			// As long again as the elector waits for a renewal, and more.
			select {
			case <-l.ended:
				t.Fatal("it gave up")
			case <-time.After(3 * time.Second):
			}
			l.lessor.answers(nil, false)
			l.fenceIs(true)
			l.leads()
		})
	}
}

func TestALeaderThatIsRefusedGivesUp(t *testing.T) {
	t.Parallel()
	for name, err := range map[string]error{
		"forbidden": apierrors.NewForbidden(leases, "one", errors.New("no")), "unauthorized": apierrors.NewUnauthorized("who?"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLeader(t)
			l.lessor.answers(err, false)
			<-l.ended
		})
	}
}

// TestALeaderThatWasOvertakenGivesUp is about one that was cut off while another led.
func TestALeaderThatWasOvertakenGivesUp(t *testing.T) {
	t.Parallel()
	for name, holder := range map[string]string{"and the other leads": "two", "and the other has ended": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLeader(t)
			l.lessor.answers(errors.New("no route to host"), false)
			l.fenceIs(false)
			l.leads()
			// The other's lease is over, as an elector sees it that has not watched it: nothing but what was seen keeps this one from it.
			l.lessor.set(&resourcelock.LeaderElectionRecord{HolderIdentity: holder, LeaseDurationSeconds: 1})
			l.lessor.answers(nil, false)
			l.gaveUp()
			if got := l.lessor.record.HolderIdentity; got != holder {
				t.Errorf("it took the lease: %q holds it", got)
			}
		})
	}
}

// TestALeaderDoesNotGiveAwayTheLeaseOfItsSuccessor is about one that was stopped for a while: its elector gives up before it has seen that
// another one leads, and gives the lease away then. A third one could take it, while the second relies on it.
func TestALeaderDoesNotGiveAwayTheLeaseOfItsSuccessor(t *testing.T) {
	lessor := &lessor{}
	lock := &watchedLease{Interface: &replicaLock{lessor: lessor, name: "one"}, fence: &controller.LeaseFence{}, timeout: time.Minute, log: logr.Discard()}
	if err := lock.Create(t.Context(), resourcelock.LeaderElectionRecord{HolderIdentity: "one", LeaseDurationSeconds: 15}); err != nil {
		t.Fatal(err)
	}
	lessor.set(&resourcelock.LeaderElectionRecord{HolderIdentity: "two", LeaseDurationSeconds: 15})
	if _, _, err := lock.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := lock.Update(t.Context(), resourcelock.LeaderElectionRecord{LeaseDurationSeconds: 1}); err == nil {
		t.Error("it says that it gave the lease away")
	}
	if got := lessor.record.HolderIdentity; got != "two" {
		t.Errorf("%q holds the lease", got)
	}
}

func TestWhoHasNeverLedIsNotToldThatItDoes(t *testing.T) {
	lock := &watchedLease{Interface: &replicaLock{lessor: &lessor{err: errors.New("connection refused")}, name: "one"}, fence: &controller.LeaseFence{}, timeout: time.Minute, log: logr.Discard()}
	record := resourcelock.LeaderElectionRecord{HolderIdentity: "one", LeaseDurationSeconds: 15}
	for name, write := range map[string]func(context.Context, resourcelock.LeaderElectionRecord) error{"create": lock.Create, "update": lock.Update} {
		if err := write(t.Context(), record); err == nil {
			t.Errorf("%s says that the lease was taken", name)
		}
	}
}

// TestALeaseThatCannotBeMadeAnewIsNotRenewed is about a lease that somebody deleted: LeaseLock has forgotten it then.
func TestALeaseThatCannotBeMadeAnewIsNotRenewed(t *testing.T) {
	lessor := &lessor{}
	lock := &watchedLease{Interface: &replicaLock{lessor: lessor, name: "one"}, fence: &controller.LeaseFence{}, timeout: time.Minute, log: logr.Discard()}
	record := resourcelock.LeaderElectionRecord{HolderIdentity: "one", LeaseDurationSeconds: 15}
	if err := lock.Create(t.Context(), record); err != nil {
		t.Fatal(err)
	}
	lessor.set(nil)
	lessor.answers(errors.New("connection refused"), false)
	if err := lock.Create(t.Context(), record); err == nil {
		t.Error("a lease that was not made is held")
	}
	if err := lock.Update(t.Context(), record); err == nil {
		t.Error("a lease that is not known is renewed")
	}
}
