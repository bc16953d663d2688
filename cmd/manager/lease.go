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
	"net/http"
	"os"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/remotejob-dev/remotejob-operator/internal/controller"
)

const (
	leaseName = "manager.remotejob.dev"
	// A leader that is gone is followed after leaseDuration at the latest; one that is refused gives up after renewDeadline.
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
	// renewTimeout is how long one call may take, its repetitions by the client among them: one that hangs must not cost the lease.
	renewTimeout = renewDeadline / 2
)

// newLease returns the lease that replicas elect their leader by. It tells the fence of each renewal.
func newLease(config *rest.Config, namespace string, fence *controller.LeaseFence) (resourcelock.Interface, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("name this replica: %w", err)
	}
	config = rest.AddUserAgent(rest.CopyConfig(config), "leader-election")
	client, err := coordinationv1.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("reach leases: %w", err)
	}
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: leaseName},
		Client:     client,
		LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())},
	}
	return &watchedLease{Interface: lock, fence: fence, timeout: renewTimeout, log: ctrl.Log.WithName("lease")}, nil
}

// watchedLease tells the fence what becomes of the lease, and keeps a leader in place while the API server is away: nobody can take the
// lease from it then, and a leader that gave up could not start again. So a renewal that nobody answers is one to the elector. The fence is
// not told of it and closes in time: a leader that can't renew changes nothing, whether it alone is cut off or all are.
type watchedLease struct {
	resourcelock.Interface
	fence *controller.LeaseFence
	// timeout bounds each call: what is left of the elector's time is for the next one.
	timeout time.Duration
	log     logr.Logger

	// The elector makes one call at a time.

	// leads is set from the first write that took or renewed the lease.
	leads bool
	// unanswered is set while renewals are not answered.
	unanswered bool
	// overtaken is set for good when somebody else was seen to hold the lease since. What this process knows of the jobs is of its own term.
	overtaken bool
}

var errOvertaken = errors.New("another replica has led meanwhile")

// Get reads the lease.
func (l *watchedLease) Get(ctx context.Context) (*resourcelock.LeaderElectionRecord, []byte, error) {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	record, raw, err := l.Interface.Get(ctx)
	if err == nil && l.leads && record.HolderIdentity != l.Identity() {
		l.overtaken = true
		l.fence.Lost()
	}
	return record, raw, err
}

// Create takes a lease that nobody has made yet.
func (l *watchedLease) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	ctx, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	err := l.tell(record, func() error { return l.Interface.Create(ctx, record) })
	if err != nil {
		l.leads = false // the lease is not known any more: what comes is no renewal
	}
	return err
}

// Update takes, renews or releases the lease.
func (l *watchedLease) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	try, cancel := context.WithTimeout(ctx, l.timeout)
	defer cancel()
	err := l.tell(record, func() error { return l.Interface.Update(try, record) })
	renewal := l.leads && record.HolderIdentity == l.Identity() && !l.overtaken
	if !renewal || ctx.Err() != nil || !noAnswer(err) {
		return err
	}
	if !l.unanswered {
		l.unanswered = true
		l.log.Info("the lease can't be renewed while the API server is away; nothing is changed on backends until it is", "cause", err.Error())
	}
	return nil
}

// tell makes a write and tells the fence.
func (l *watchedLease) tell(record resourcelock.LeaderElectionRecord, write func() error) error {
	held := record.HolderIdentity == l.Identity()
	if !held {
		l.fence.Lost() // before it is given away, not after
	}
	// That goes for giving it away, too: an elector that could not see for a while gives the lease away without looking whose it is.
	if l.overtaken {
		return errOvertaken
	}
	sent := time.Now()
	if err := write(); err != nil {
		return err
	}
	if l.leads = held; held {
		l.fence.Renewed(sent, time.Duration(record.LeaseDurationSeconds)*time.Second)
	}
	if l.unanswered {
		l.unanswered = false
		l.log.Info("the lease is renewed again")
	}
	return nil
}

// noAnswer tells whether an error says nothing about the lease: there was no answer, or one of an API server that can't do its work.
func noAnswer(err error) bool {
	if err == nil {
		return false
	}
	var status apierrors.APIStatus
	return !errors.As(err, &status) || status.Status().Code >= http.StatusInternalServerError || apierrors.IsTooManyRequests(err)
}
