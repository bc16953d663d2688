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
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

func TestAPodThatIsDeletedByForceTakesItsJobAlong(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := &side{t: t, ctx: harness.Context(t), ledger: w.ledger, engine: shared.engine}
	s.manager = harness.StartManager(t, harness.ManagerOptions{
		Binaries: shared.binaries, Config: w.plane.Config, Args: []string{"--watch-pods", "--unasked-after=3s"},
	})
	rb := w.ledger.NewBackend(s.ctx, t, "orphans", shared.engine.Host)
	here := harness.NewPod("here", rb.Name, harness.Shell("main", "sleep 1000"))
	elsewhere := harness.NewPod("elsewhere", rb.Name, harness.Shell("main", "sleep 1000"))
	bound := here.DeepCopy()
	bound.UID = ""
	bound.Spec.AutomountServiceAccountToken = ptr(false)
	if err := w.ledger.Create(s.ctx, bound); err != nil {
		t.Fatal(err)
	}
	here.UID = bound.UID
	s.run(here)
	s.run(elsewhere)
	s.running(here, "main")
	s.running(elsewhere, "main")
	if err := w.ledger.Delete(s.ctx, &corev1.Pod{ObjectMeta: bound.ObjectMeta}, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, 2*time.Minute, "nothing is left of the pod", func() error {
		if err := s.ledger.Gone(s.ctx, here, nil); err != nil {
			return err
		}
		return s.nothingLeft(here)
	})
	harness.Eventually(t, time.Minute, "the pod that nobody asks about is reported", func() error {
		job := s.ledger.MustJob(s.ctx, t, elsewhere)
		if !meta.IsStatusConditionTrue(job.Status.Conditions, v1alpha1.ConditionUnasked) {
			return fmt.Errorf("its conditions are %+v", job.Status.Conditions)
		}
		return nil
	})
	s.running(elsewhere, "main")
	harness.Eventually(t, time.Minute, "the question is taken for one", func() error {
		// The replica that is asked may not have seen yet that the job is reported.
		if _, err := s.status(elsewhere); err != nil {
			return err
		}
		job := s.ledger.MustJob(s.ctx, t, elsewhere)
		if job.Spec.Cancel || meta.IsStatusConditionTrue(job.Status.Conditions, v1alpha1.ConditionUnasked) {
			return fmt.Errorf("cancelled: %v, its conditions are %+v", job.Spec.Cancel, job.Status.Conditions)
		}
		return nil
	})
}
