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

// Package runtime starts containers by the container runtimes that SLURM's nodes have. What a runtime is told is decided by pure
// functions; each container's program is podrunner's agent, which is handed the command later, so that a runtime's command line holds
// neither arguments nor env of a pod.
package runtime

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/proc"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/stage"
)

// The types of runtime, as v1alpha1.SlurmRuntime names them.
const (
	None         = "None"
	Podman       = "Podman"
	Charliecloud = "Charliecloud"
	Apptainer    = "Apptainer"
	Singularity  = "Singularity"
	Enroot       = "Enroot"
)

// Types are all of them.
var Types = []string{Apptainer, Singularity, Podman, Charliecloud, Enroot, None}

// The places in a container that are podrunner's.
const (
	// AgentDir is mounted into each container.
	AgentDir = "/.remotejob"
	// AgentProgram and AgentSocket are in it.
	AgentProgram = AgentDir + "/podrunner"
	AgentSocket  = AgentDir + "/socket"
	// AgentMessage takes the termination message where its own path can't be mounted.
	AgentMessage = AgentDir + "/message"
)

// TokenVariable holds the token in the environment of what podman leaves running beside its containers.
const TokenVariable = "REMOTEJOB_TOKEN"

// Pod is what all containers of a pod share.
type Pod struct {
	// Token is the job's.
	Token string
	// Hostname of the pod.
	Hostname string
	// Hosts are lines for /etc/hosts.
	Hosts []Host
	// DNS settings, by podman's options.
	DNSServers, DNSSearches, DNSOptions []string
	// ShareProcesses has the containers see each other's processes.
	ShareProcesses bool
	// HostNetwork has them use the node's network.
	HostNetwork bool
}

// Host is one address with its names.
type Host struct {
	IP    string
	Names []string
}

// Container is one run of one container.
type Container struct {
	// Name is unique on a node: the token, the container's name and the number of the run.
	Name string
	// Dir is a directory of the container's own on the node. It holds what is mounted at AgentDir as "agent".
	Dir   string
	Image Image
	// Mounts of the node's files, podrunner's own left out.
	Mounts []stage.Mount
	// User (of the form USER[:GROUP]), Groups and what follows come from the security context. An empty User is the image's.
	User         string
	Groups       []int64
	ReadOnlyRoot bool
	Privileged   bool
	CapAdd       []string
	CapDrop      []string
	NoNewPrivs   bool
	// Unconfined turns the default seccomp filter off.
	Unconfined bool
	Devices    Devices
	// MemoryBytes and CPUMillis are limits; 0 for none.
	MemoryBytes int64
	CPUMillis   int64
	// ExtraMounts and ExtraOptions are more of the runtime's own words, and CommandPrefix goes before its program, as the pod has them.
	ExtraMounts   []string
	ExtraOptions  []string
	CommandPrefix []string
}

// Devices are the accelerators that a container asks for.
type Devices struct {
	Nvidia, AMD bool
}

// Image is what is known of a container's image.
type Image struct {
	// Reference is what the runtime calls it.
	Reference string
	// ID as in v1.ContainerStatus.
	ID string
	// Entrypoint and Cmd of the image; Known is set where the runtime tells them.
	Entrypoint, Cmd []string
	Known           bool
	// StopSignal is the image's, such as SIGQUIT; empty for none.
	StopSignal string
	// User is the image's.
	User string
}

// Running is a container that is being started. Its agent is to connect.
type Running struct {
	// Process is the runtime's own.
	Process *proc.Process
	// Detached is set where the process ends, with 0, once the container runs.
	Detached bool
	// Words are what the runtime has said so far.
	Words func() string
}

// ImageError is why an image is not there, with a reason in the kubelet's words.
type ImageError struct {
	Reason string
	Words  string
}

func (e *ImageError) Error() string { return e.Words }

// The reasons of image errors.
const (
	ReasonErrImagePull      = "ErrImagePull"
	ReasonErrImageNeverPull = "ErrImageNeverPull"
	ReasonInvalidImageName  = "InvalidImageName"
)

// Credentials are for pulling images: the content of Docker's config files.
type Credentials []byte

// Runtime starts a pod's containers on this node.
type Runtime interface {
	// Prepare makes what the pod's containers share. It is called again after a failure.
	Prepare(ctx context.Context, pod Pod) error
	// Image finds an image by its full name, or pulls it.
	Image(ctx context.Context, name string, always, never bool) (Image, error)
	// Start begins to start a container.
	Start(ctx context.Context, c Container) (*Running, error)
	// Killed tells whether the runtime knows of a container that has ended that it was killed for its memory.
	Killed(ctx context.Context, c Container) bool
	// Remove removes a container that has ended.
	Remove(ctx context.Context, c Container) error
	// Close removes all that was made for the pod.
	Close(ctx context.Context) error
	// Limits tells whether the runtime holds each container to its memory limit by itself.
	Limits() bool
}

// Node is what a runtime works with on this node.
type Node struct {
	Table *proc.Table
	// Self is podrunner's program.
	Self string
	// Scratch is a directory of the job on this node, of a short path, which goes when the pod has ended.
	Scratch string
	// Env is the job's environment.
	Env []string
	// Spaces are the namespaces that users may have here.
	Spaces stage.Spaces
	// Credentials for pulling, to be tried one after another; none where there are none.
	Credentials []Credentials
	// ImageRoot goes before the names of images, as the pod has it.
	ImageRoot string
	// Log takes what a person should know.
	Log func(format string, args ...any)
}

// New returns the runtime of the spec.
func New(spec jobdir.Runtime, node Node) (Runtime, error) {
	switch spec.Type {
	case None:
		return &noneRuntime{Node: node}, nil
	case Podman:
		return newPodman(spec, node), nil
	case Charliecloud:
		return &charliecloudRuntime{Node: node, spec: spec}, nil
	case Apptainer, Singularity:
		return &apptainerRuntime{Node: node, spec: spec}, nil
	case Enroot:
		return &enrootRuntime{Node: node, spec: spec}, nil
	}
	return nil, fmt.Errorf("there is no container runtime %q", spec.Type)
}

// program is a runtime's own program.
func (n *Node) program(spec jobdir.Runtime, name string) (string, error) {
	if spec.Path != "" {
		name = spec.Path
	}
	return n.find(name)
}

// find looks for a program in the job's PATH.
func (n *Node) find(name string) (string, error) {
	if filepath.IsAbs(name) {
		return name, nil
	}
	for _, dir := range filepath.SplitList(n.env("PATH")) {
		p := filepath.Join(dir, name)
		if info, err := os.Stat(p); err == nil && !info.IsDir() && info.Mode()&0o111 != 0 {
			return p, nil
		}
	}
	return "", fmt.Errorf("there is no program %s in the PATH of the job (%s)", name, n.env("PATH"))
}

func (n *Node) env(name string) string { return lookup(n.Env, name) }

// lookup is the value of a variable, empty where it is not set.
func lookup(env []string, name string) string {
	value := ""
	for _, entry := range env {
		if len(entry) > len(name) && entry[len(name)] == '=' && entry[:len(name)] == name {
			value = entry[len(name)+1:]
		}
	}
	return value
}

// agentMounts are podrunner's own in every container.
func (n *Node) agentMounts(c *Container) []stage.Mount {
	return []stage.Mount{
		{Source: filepath.Join(c.Dir, "agent"), Target: AgentDir},
		{Source: n.Self, Target: AgentProgram, ReadOnly: true, File: true},
	}
}

// agentCommand is the program of every container. The token in it is for those who look for what a job left behind.
func agentCommand(token string) []string {
	return []string{AgentProgram, "agent", "--token=" + token, AgentSocket}
}

// allMounts are the pod's and podrunner's, outer ones first.
func (n *Node) allMounts(c *Container) []stage.Mount {
	return stage.Sorted(slices.Concat(c.Mounts, n.agentMounts(c)))
}
