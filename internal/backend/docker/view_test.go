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
	"testing"

	"github.com/moby/moby/api/types/container"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// What an engine says of a container that it could not start is about the container, or about something else that was not there.
func TestAStartThatFailedForWantOfSomethingElseIsNotAnEnd(t *testing.T) {
	const hollow = "can't join IPC of container 44e0a268: non-shareable IPC (hint: use IpcMode:shareable for the donor container)"
	tests := []struct {
		words string
		ended bool
		// inhabited has another container of the pod run.
		inhabited bool
	}{
		{words: ""},
		{words: hollow},
		{words: hollow, inhabited: true, ended: true},
		{words: `connection error: desc = "transport: Error while dialing dial unix /run/containerd/containerd.sock: timeout": unavailable`},
		{words: `connection error: desc = "transport: error while dialing: dial unix /run/containerd/containerd.sock: connect: connection refused"`},
		{words: "cannot join network of a non running container: 60d2d4d1"},
		{words: "context canceled"},
		{words: "failed to create task for container: context deadline exceeded"},
		{words: `OCI runtime create failed: runc create failed: exec: "nothing": executable file not found in $PATH: unknown`, ended: true},
	}
	for _, tt := range tests {
		run := seenRun{InspectResponse: container.InspectResponse{State: &container.State{Status: container.StateCreated, Error: tt.words}}}
		v := &view{runs: map[string][]seenRun{"c": {run}}}
		if tt.inhabited {
			v.runs["other"] = []seenRun{{InspectResponse: container.InspectResponse{State: &container.State{Status: container.StateRunning, Running: true}}}}
		}
		in := instance(&run, v.inhabited())
		if ended := in.State == podlifecycle.InstanceExited; ended != tt.ended || (in.StartError != "") != tt.ended {
			t.Errorf("%q: it is %+v", tt.words, in)
		}
	}
}

// An engine that is busy takes the time of a start when what it started has ended.
func TestNoRunEndsBeforeItBegins(t *testing.T) {
	const begun, ended = "2026-01-02T03:04:06.1Z", "2026-01-02T03:04:05.9Z"
	run := seenRun{InspectResponse: container.InspectResponse{State: &container.State{Status: container.StateExited, StartedAt: begun, FinishedAt: ended}}}
	if in := instance(&run, false); in.StartedAt.After(in.FinishedAt) || in.FinishedAt != engineTime(ended) {
		t.Errorf("it ran from %s to %s", in.StartedAt, in.FinishedAt)
	}
}
