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

package e2e

import (
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	crclient "sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// TestALedgerRestoredFromABackupNeitherKillsNorRepeatsJobs restores a whole etcd, as a cluster's administrator does: the managers are ended
// before and started afterwards.
func TestALedgerRestoredFromABackupNeitherKillsNorRepeatsJobs(t *testing.T) {
	t.Parallel()
	s, w, backend := alone(t, harness.ManagerOptions{})
	pod := func(name, script string) *corev1.Pod {
		p := harness.NewPod(name, backend, harness.Shell("c", script))
		p.Spec.TerminationGracePeriodSeconds = ptr(int64(1))
		p.Annotations["JobID"] = s.run(p).PodJID
		s.running(p, "c")
		return p
	}
	const untilTold = "while [ ! -e /go ]; do sleep 0.05; done; exit 3"
	goesOn, ends, ended := pod("goes-on", "sleep 1000"), pod("ends-meanwhile", untilTold), pod("ended-before", untilTold)
	deleted := pod("deleted-meanwhile", "sleep 1000")
	end := func(p *corev1.Pod) {
		t.Helper()
		if err := harness.Exec(s.ctx, s.engine.Client, s.ledger.Token(p)+"-c-0", "touch", "/go"); err != nil {
			t.Logf("the container ended while the command ran in it: %v", err)
		}
		s.exits(s.ended(p, longTime), map[string]int32{"c": 3})
	}
	end(ended)

	backup := filepath.Join(t.TempDir(), "backup")
	if err := w.plane.BackUp(s.ctx, backup); err != nil {
		t.Fatal(err)
	}
	s.manager.HTTP.CloseIdleConnections()
	created := pod("created-meanwhile", "sleep 1000")
	end(ends)
	s.gone(deleted, longTime)
	if err := s.manager.Stop(time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := w.plane.Restore(s.ctx, backup); err != nil {
		t.Fatal(err)
	}
	if err := s.manager.Start(); err != nil {
		t.Fatal(err)
	}
	if err := s.manager.WaitReady(); err != nil {
		t.Fatal(err)
	}

	// What the ledger knows is as it is on the engine now.
	s.running(goesOn, "c")
	s.exits(s.ended(ended, longTime), map[string]int32{"c": 3})
	s.exits(s.ended(ends, longTime), map[string]int32{"c": 3})
	// What it knows and the engine does not is lost.
	st := s.ended(deleted, longTime)
	if got := st.Containers[0].State.Terminated; got.ExitCode == 0 || got.Reason != "JobLost" {
		t.Errorf("the pod that had been deleted is %+v", got)
	}
	// What it does not know runs on, is listed, and is lost for its pod.
	token := s.ledger.Token(created)
	harness.Eventually(t, longTime, "the job that was made after the backup is listed", func() error {
		var b v1alpha1.RemoteBackend
		if err := s.ledger.Get(s.ctx, crclient.ObjectKey{Name: backend}, &b); err != nil {
			return err
		}
		if len(b.Status.Leftovers) != 1 || b.Status.Leftovers[0].Token != token {
			return fmt.Errorf("the leftovers are %+v", b.Status.Leftovers)
		}
		return nil
	})
	if st := s.ended(created, longTime); st.Containers[0].State.Terminated.ExitCode == 0 {
		t.Errorf("the pod that the ledger does not know is %s", states(st))
	}
	for _, p := range []*corev1.Pod{goesOn, created} {
		if c, err := s.inspect(s.ledger.Token(p) + "-c-0"); err != nil || !c.State.Running {
			t.Errorf("the container of pod %s does not run: %v", p.Name, err)
		}
	}
	known := []*corev1.Pod{goesOn, ends, ended, deleted}
	for _, p := range append(known, created) {
		s.started(p, "c")
	}
	// All of them go by their delete, also the one that the ledger had forgotten, of which it keeps that it was deleted.
	for _, p := range known {
		s.gone(p, longTime)
	}
	if answer, err := s.manager.Delete(s.ctx, created); err != nil || answer.Code != http.StatusOK {
		t.Fatalf("delete the pod that the ledger had forgotten: %v, %d %s", err, answer.Code, answer.Body)
	}
	harness.Eventually(t, longTime, "nothing left of the pod that the ledger had forgotten", func() error { return s.nothingLeft(created) })
}
