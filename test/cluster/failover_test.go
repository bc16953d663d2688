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

package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// leader is the name of the pod that reconciles; none for as long as nobody does.
func (s *stage) leader(ctx context.Context) (string, error) {
	var lease coordinationv1.Lease
	if err := s.ledger.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "manager.remotejob.dev"}, &lease); err != nil {
		return "", err
	}
	if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
		return "", errors.New("nobody holds the lease")
	}
	name, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
	return name, nil
}

// watched are pods whose status is asked for all the time, as a virtual kubelet does.
type watched struct {
	s *stage

	mu     sync.Mutex
	pods   []*corev1.Pod
	failed []string
}

func (w *watched) add(pod *corev1.Pod) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pods = append(w.pods, pod)
}

func (w *watched) run(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		w.mu.Lock()
		pods := append([]*corev1.Pod{}, w.pods...)
		w.mu.Unlock()
		for _, pod := range pods {
			if _, err := w.s.status(ctx, pod); err != nil && ctx.Err() == nil {
				w.mu.Lock()
				w.failed = append(w.failed, fmt.Sprintf("%s %v", time.Now().Format(time.TimeOnly), err))
				w.mu.Unlock()
			}
		}
	}
}

func TestLosingTheLeaderLosesNoJobAndRunsNoneTwice(t *testing.T) {
	now, orderly := int64(0), int64(30)
	for name, grace := range map[string]*int64{"it is told to end": &orderly, "it is killed": &now} {
		t.Run(name, func(t *testing.T) { losingTheLeader(t, client.GracePeriodSeconds(*grace)) })
	}
}

func losingTheLeader(t *testing.T, how client.DeleteOption) {
	s, ctx := onSite(t), harness.Context(t)
	asking, stop := context.WithCancel(ctx)
	defer stop()
	w := &watched{s: s}
	asked := make(chan struct{})
	go func() { w.run(asking); close(asked) }()

	const pods = 12
	var all []*corev1.Pod
	var old string
	for i := range pods {
		// Some run while the leader goes, some start, some are sent when it has gone.
		pod := harness.NewPod(fmt.Sprintf("failover-%d", i), backend, harness.Shell("main", fmt.Sprintf("sleep %d; exit %d", 1+i%6, i)))
		created := s.create(ctx, t, harness.Request(pod))
		pod.Annotations["JobID"] = created.PodJID // as the virtual kubelet keeps it: from here on, unknown means lost
		all = append(all, pod)
		w.add(pod)
		if i == pods/2 {
			old = s.loseLeader(ctx, t, how)
		}
	}
	for i, pod := range all {
		if status := s.ended(ctx, t, pod); status.Exit("main") != int32(i) {
			t.Errorf("pod %s: %+v, want code %d", pod.Name, status.Containers, i)
		}
		if err := s.engine.Events().StartedOnce(s.ledger.Token(pod), "main"); err != nil {
			t.Errorf("pod %s: %v", pod.Name, err)
		}
	}
	stop()
	<-asked
	if len(w.failed) > 0 {
		t.Errorf("%d calls of /status failed, such as: %s", len(w.failed), w.failed[0])
	}
	for _, pod := range all {
		s.gone(ctx, t, pod)
	}
	if leads, err := s.leader(ctx); err != nil || leads == old {
		t.Errorf("%q leads (%v), and %q was deleted", leads, err, old)
	}
	if err := s.kubectl(ctx, "-n", namespace, "rollout", "status", "deployment/"+deployment, "--timeout=3m"); err != nil {
		t.Error(err)
	}
}

// loseLeader deletes the leader's pod, and returns its name.
func (s *stage) loseLeader(ctx context.Context, t *testing.T, how client.DeleteOption) string {
	t.Helper()
	name, err := s.leader(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.ledger.Delete(ctx, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}, how); err != nil {
		t.Fatal(err)
	}
	return name
}
