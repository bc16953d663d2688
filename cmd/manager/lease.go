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
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	coordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection/resourcelock"

	"github.com/remotejob-dev/remotejob-operator/internal/controller"
)

const (
	leaseName = "manager.remotejob.dev"
	// A leader that is gone is followed after leaseDuration at the latest; one that can't renew gives up after renewDeadline.
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

// newLease returns the lease that replicas elect their leader by. It tells the fence of each renewal.
func newLease(config *rest.Config, namespace string, fence *controller.LeaseFence) (resourcelock.Interface, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("name this replica: %w", err)
	}
	config = rest.AddUserAgent(rest.CopyConfig(config), "leader-election")
	// One call that hangs must not cost the lease.
	config.Timeout = renewDeadline / 2
	client, err := coordinationv1.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("reach leases: %w", err)
	}
	lock := &resourcelock.LeaseLock{
		LeaseMeta:  metav1.ObjectMeta{Namespace: namespace, Name: leaseName},
		Client:     client,
		LockConfig: resourcelock.ResourceLockConfig{Identity: host + "_" + string(uuid.NewUUID())},
	}
	return &watchedLease{Interface: lock, fence: fence}, nil
}

// watchedLease tells the fence what becomes of the lease.
type watchedLease struct {
	resourcelock.Interface
	fence *controller.LeaseFence
}

// Create takes a lease that nobody has made yet.
func (l *watchedLease) Create(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.tell(record, func() error { return l.Interface.Create(ctx, record) })
}

// Update takes, renews or releases the lease.
func (l *watchedLease) Update(ctx context.Context, record resourcelock.LeaderElectionRecord) error {
	return l.tell(record, func() error { return l.Interface.Update(ctx, record) })
}

func (l *watchedLease) tell(record resourcelock.LeaderElectionRecord, write func() error) error {
	held := record.HolderIdentity == l.Identity()
	if !held {
		l.fence.Lost() // before it is given away, not after
	}
	sent := time.Now()
	err := write()
	if err == nil && held {
		l.fence.Renewed(sent, time.Duration(record.LeaseDurationSeconds)*time.Second)
	}
	return err
}
