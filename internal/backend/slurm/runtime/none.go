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

package runtime

import (
	"context"
	"errors"
	"path/filepath"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/proc"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/stage"
)

// noneRuntime runs programs of the node, in the node's own file tree with the pod's volumes in it. The image's name means nothing.
type noneRuntime struct {
	Node
	pod Pod
}

var _ Runtime = (*noneRuntime)(nil)

func (r *noneRuntime) Prepare(_ context.Context, pod Pod) error {
	r.pod = pod
	return nil
}

func (r *noneRuntime) Image(_ context.Context, name string, _, _ bool) (Image, error) {
	return Image{Reference: name, Known: true}, nil
}

// errNoSpaces is why a container can't have what only namespaces give.
var errNoSpaces = errors.New("this node lets users have no namespaces of their own, so runtime None can't mount the pod's volumes; it runs pods without any")

func (r *noneRuntime) Start(_ context.Context, c Container) (*Running, error) {
	if !r.Spaces.Mounts {
		if len(c.Mounts) > 0 {
			return nil, errNoSpaces
		}
		return r.launch(proc.Command{Path: r.Self, Args: []string{r.Self, "agent", "--token=" + r.pod.Token, filepath.Join(c.Dir, "agent", "socket")}, Env: r.Env})
	}
	spaces := r.Spaces
	spaces.Processes = spaces.Processes && !r.pod.ShareProcesses
	return r.staged(noneScene(&r.Node, &r.pod, &c, spaces), spaces)
}

// noneScene is the scene for a container without an image.
func noneScene(n *Node, pod *Pod, c *Container, spaces stage.Spaces) stage.Config {
	command := agentCommand(pod.Token)
	return stage.Config{
		Root: filepath.Join(c.Dir, "root"), Mounts: n.allMounts(c), Hostname: pod.Hostname, OwnProcesses: spaces.Processes,
		Path: command[0], Args: command, Env: n.Env, Dir: "/",
	}
}

func (r *noneRuntime) Killed(context.Context, Container) bool  { return false }
func (r *noneRuntime) Remove(context.Context, Container) error { return nil }
func (r *noneRuntime) Close(context.Context) error             { return nil }
func (r *noneRuntime) Limits() bool                            { return false }
