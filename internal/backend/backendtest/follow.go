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

package backendtest

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// lookAgain is how often to look at a pod at the least.
const lookAgain = 500 * time.Millisecond

// follow is what a controller makes of a backend whose pods are driven where they run: it asks for the end where that is wanted, and
// takes what an observation reports.
func follow(ctx context.Context, b backend.Backend, ref backend.JobRef, req backend.DriveRequest) (podlifecycle.Decision, error) {
	if stopper, ok := b.(backend.Stopper); ok && req.Stop != nil && !req.Recorded.Finished {
		if _, err := stopper.Stop(ctx, ref, *req.Stop); err != nil {
			return podlifecycle.Decision{}, err
		}
	}
	snapshot, err := b.Observe(ctx)
	if err != nil {
		return podlifecycle.Decision{}, err
	}
	seen, ok := snapshot.Jobs[ref.Token]
	if !ok || seen.Cancelled {
		return podlifecycle.Decision{}, backend.NotFound("the backend does not show the job")
	}
	switch {
	case req.Recorded.Finished:
		return podlifecycle.Decision{
			Phase: req.Recorded.Phase, Reason: req.Recorded.Reason, Message: req.Recorded.Message,
			InitContainers: req.Recorded.InitContainers, Containers: req.Recorded.Containers,
		}, nil
	case seen.Word != nil:
		return said(req, seen.Word), nil
	case seen.Report != nil:
		return *seen.Report, nil
	}
	return said(req, &backend.Word{Reason: podlifecycle.ReasonContainerCreating}), nil
}

// said is the decision that a backend's own word about a job comes to.
func said(req backend.DriveRequest, word *backend.Word) podlifecycle.Decision {
	d := podlifecycle.Decision{Phase: corev1.PodPending, Reason: word.Reason, Message: word.Message}
	if word.Ended {
		d.Phase = corev1.PodFailed
	}
	states := func(containers []corev1.Container, known []corev1.ContainerStatus) (out []corev1.ContainerStatus) {
		for i := range containers {
			s := corev1.ContainerStatus{Name: containers[i].Name, Image: containers[i].Image}
			for _, k := range known {
				if k.Name == s.Name {
					s = *k.DeepCopy()
				}
			}
			switch {
			case !word.Ended:
				s.State = corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: word.Reason, Message: word.Message}}
			case s.State.Terminated == nil:
				s.State = corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
					ExitCode: word.ExitCode, Reason: word.Reason, Message: word.Message, FinishedAt: metav1.Now(),
				}}
			}
			out = append(out, s)
		}
		return out
	}
	d.InitContainers = states(req.Workload.Pod.Spec.InitContainers, req.Recorded.InitContainers)
	d.Containers = states(req.Workload.Pod.Spec.Containers, req.Recorded.Containers)
	return d
}
