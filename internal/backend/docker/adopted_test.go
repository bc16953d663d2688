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

package docker

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

func TestASubmissionThatFindsItsJobSaysSo(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	adopted := 0
	w := newWorld()
	b, err := New(Options{Host: testHost(), Ledger: w.ledger, Backend: w.backend, Podrunner: podrunner, Adopted: func() { adopted++ }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	if _, err := b.Check(ctx); err != nil {
		t.Fatal(err)
	}
	template := corev1.PodTemplateSpec{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: testImage, Command: []string{"true"}}}}}
	token := workload.PodToken(w.ledger, "default", "adopted")
	job := workload.Bare(workload.ResolveRequest{
		Template: template, Namespace: "default", Name: "adopted", UID: "adopted", Token: token, Ledger: w.ledger, Backend: w.backend,
	})
	cancelAfterwards(t, b, token)
	for i, want := range []int{0, 1, 2} {
		if _, err := b.Submit(ctx, job); err != nil {
			t.Fatal(err)
		}
		if adopted != want {
			t.Errorf("after submission %d, %d are said to have found their job, want %d", i+1, adopted, want)
		}
	}
}
