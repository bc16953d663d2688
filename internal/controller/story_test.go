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
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

func TestWhatLogAndTraceTellOfAJob(t *testing.T) {
	status := func(phase v1alpha1.RemoteJobPhase, reason, message string) v1alpha1.RemoteJobStatus {
		return v1alpha1.RemoteJobStatus{Phase: phase, Reason: reason, Message: message}
	}
	ended := status(v1alpha1.PhaseFailed, "Error", "container main ended with exit code 3: my password is 1234")
	ended.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 3}}}}
	unstarted := status(v1alpha1.PhaseFailed, "StartError", "container main ended with exit code 128")
	unstarted.ContainerStatuses = []corev1.ContainerStatus{{Name: "main", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		ExitCode: 128, Reason: "StartError", Message: "no such file",
	}}}}
	for name, tt := range map[string]struct {
		was, is       v1alpha1.RemoteJobStatus
		what, message string
		trouble       bool
	}{
		"nothing new": {was: status("Running", "", ""), is: status("Running", "", "")},
		"a backend that is away": {
			was: status("", "", ""), is: status("Pending", "BackendNotReady", "connection refused"), what: toldGoesOn, message: "connection refused", trouble: true,
		},
		"another reason why":          {was: status("Pending", "BackendNotReady", "x"), is: status("Pending", "WaitingForSlot", "full"), what: toldHeldUp, message: "full", trouble: true},
		"the same in other words":     {was: status("Pending", "Unavailable", "x"), is: status("Pending", "Unavailable", "y")},
		"a queue":                     {was: status("Pending", "", ""), is: status("Queued", "Queued", "SLURM job 1 waits"), what: toldGoesOn, message: "SLURM job 1 waits"},
		"an image":                    {was: status("Queued", "ContainerCreating", ""), is: status("Queued", "ErrImagePull", "no such"), what: toldHeldUp, message: "no such", trouble: true},
		"an image's turns":            {was: status("Queued", "ErrImagePull", "x"), is: status("Queued", "ImagePullBackOff", "y")},
		"trouble that is over":        {was: status("Queued", "ErrImagePull", "x"), is: status("Queued", "ContainerCreating", "")},
		"an end in a job's own words": {was: status("Running", "", ""), is: ended, what: toldEnded, message: `container "main" ended with exit code 3`, trouble: true},
		"an end before its begin":     {was: status("Queued", "", ""), is: unstarted, what: toldEnded, message: `container "main" ended with exit code 128: no such file`, trouble: true},
		"a good end":                  {was: status("Running", "", ""), is: status("Succeeded", "Completed", "my password"), what: toldEnded},
	} {
		t.Run(name, func(t *testing.T) {
			got := toldOf(&v1alpha1.RemoteJob{Status: tt.was}, &v1alpha1.RemoteJob{Status: tt.is})
			if got.what != tt.what || got.message != tt.message || got.trouble != tt.trouble {
				t.Errorf("told %+v", got)
			}
		})
	}
}
