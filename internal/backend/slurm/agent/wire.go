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

// Package agent is podrunner's end inside of each container. The container runtime starts it in place of the container's command; it
// connects to podrunner by a socket, is handed the command with its arguments, env and output there, and runs it. So nothing of these
// passes through a runtime's own command line or env files, each of which quotes in its own way; what podrunner asks to be run in the
// container (probes, hooks) runs beside the command and never in a second container; questions over the network are asked from the pod's
// own; and when the command ends, or podrunner does, the agent leaves no process behind.
package agent

import (
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/probe"
)

// Start is the command to run.
type Start struct {
	// Args are the program and its arguments.
	Args []string `json:"args"`
	// Env are the container's variables as NAME=VALUE; of two for one name the later counts. They go before what the runtime gives (the
	// image's own) and that before Defaults.
	Env      []string `json:"env,omitempty"`
	Defaults []string `json:"defaults,omitempty"`
	// Dir is where it runs; where the agent itself runs, if empty. It is made where it is missing.
	Dir string `json:"dir,omitempty"`
	// Message is a path that is to lead to MessageFile, where the runtime can't mount it there.
	Message     string `json:"message,omitempty"`
	MessageFile string `json:"messageFile,omitempty"`
}

// Exit is how the command ended.
type Exit struct {
	Code int32 `json:"code"`
	// Signal that ended it; 0 where it ended by itself.
	Signal int32 `json:"signal,omitempty"`
	// Felt is set where a signal that podrunner asked for reached it before.
	Felt bool `json:"felt,omitempty"`
	// MaxRSS is the most memory that it, or one of its children, held at once, in bytes.
	MaxRSS int64 `json:"maxRSS,omitempty"`
	// Left says that processes of the container could not be killed.
	Left string `json:"left,omitempty"`
}

// request is what podrunner asks for.
type request struct {
	ID     uint64         `json:"id,omitempty"`
	Start  *Start         `json:"start,omitempty"`
	Signal int            `json:"signal,omitempty"`
	Exec   *execRequest   `json:"exec,omitempty"`
	Ask    *probe.Request `json:"ask,omitempty"`
	// Cancel gives up the request of this ID.
	Cancel bool `json:"cancel,omitempty"`
}

type execRequest struct {
	Args    []string      `json:"args"`
	Timeout time.Duration `json:"timeout,omitempty"`
}

// reply is what the agent says.
type reply struct {
	ID uint64 `json:"id,omitempty"`
	// Hello is the first thing that is said.
	Hello bool `json:"hello,omitempty"`
	// Started is the command's process, by the container's own count.
	Started    int    `json:"started,omitempty"`
	StartError string `json:"startError,omitempty"`
	Exited     *Exit  `json:"exited,omitempty"`

	Exec   *probe.ExecResult `json:"exec,omitempty"`
	Answer *probe.Answer     `json:"answer,omitempty"`
	Error  string            `json:"error,omitempty"`
}

const (
	// maxRequest bounds a request: a kernel takes a few MiB of arguments and env.
	maxRequest = 64 << 20
	// maxReply bounds a reply. What runs in a container may have taken the agent's place: it is not trusted.
	maxReply = 1 << 20
	// maxOutput is how much is kept of what a command writes.
	maxOutput = 10 << 10
)
