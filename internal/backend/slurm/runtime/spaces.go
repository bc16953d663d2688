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
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/proc"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/stage"
)

// tryTimeout bounds one try of a kind of namespaces.
const tryTimeout = 10 * time.Second

// FindSpaces tries which namespaces users may have on this node, the best first.
func FindSpaces(ctx context.Context, n *Node) stage.Spaces {
	probe := filepath.Join(n.Scratch, "try")
	if err := os.MkdirAll(filepath.Join(probe, "root"), 0o700); err != nil {
		return stage.Spaces{}
	}
	defer func() { _ = os.RemoveAll(probe) }()
	for _, spaces := range []stage.Spaces{{Mounts: true, Processes: true}, {Mounts: true}} {
		c := stage.Config{
			Root: filepath.Join(probe, "root"), OwnProcesses: spaces.Processes, Hostname: "try",
			// A place that is missing, so that a root is put together.
			Mounts: []stage.Mount{{Source: probe, Target: AgentDir}, {Source: n.Self, Target: AgentProgram, File: true, ReadOnly: true}},
			Path:   AgentProgram, Args: []string{AgentProgram, "version"},
		}
		ctx, cancel := context.WithTimeout(ctx, tryTimeout)
		r, err := n.staged(c, spaces)
		if err == nil {
			select {
			case <-r.Process.Done():
			case <-ctx.Done():
				_ = r.Process.Signal(9)
				<-r.Process.Done()
			}
		}
		cancel()
		if err == nil && r.Process.Status().ExitStatus() == 0 {
			return spaces
		}
		if n.Log != nil && err == nil {
			n.Log("namespaces %+v can't be had on this node: %s", spaces, r.Words())
		}
	}
	return stage.Spaces{}
}

// staged starts a program in a scene of its own.
func (n *Node) staged(c stage.Config, spaces stage.Spaces) (*Running, error) {
	data, err := json.Marshal(c)
	if err != nil {
		return nil, fmt.Errorf("set the scene: %w", err)
	}
	config, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("set the scene: %w", err)
	}
	defer config.Close()
	go func() {
		_, _ = write.Write(data)
		_ = write.Close()
	}()
	return n.launch(proc.Command{
		Path: n.Self, Args: []string{n.Self, "stage"}, Env: []string{"GOMAXPROCS=2"}, Sys: spaces.Attributes(), Files: []*os.File{nil, nil, nil, config},
	})
}

// launch starts a program whose output is kept for words: none of it is the container's own.
func (n *Node) launch(c proc.Command) (*Running, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	defer write.Close()
	files := make([]*os.File, max(3, len(c.Files)))
	copy(files, c.Files)
	files[1], files[2] = write, write
	c.Files = files
	p, err := n.Table.Start(c)
	if err != nil {
		_ = read.Close()
		return nil, err
	}
	said := &words{ended: p.Done(), copied: make(chan struct{})}
	go func() {
		defer read.Close()
		_ = proc.Copy(said, read, said.ended, lateWords)
		close(said.copied)
		_, _ = io.Copy(said, read) // what it started may live on, and have words too
	}()
	return &Running{Process: p, Words: said.String}, nil
}

// lateWords is how long what a program started may still say something after the program's own end, to be waited for.
const lateWords = 100 * time.Millisecond

// words keep the end of what a program says.
type words struct {
	// ended is closed when the program has ended, copied when all that it said by then is here.
	ended  <-chan struct{}
	copied chan struct{}
	mu     sync.Mutex
	data   []byte
}

const maxWords = 4 << 10

func (w *words) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.data = append(w.data, p...)
	if over := len(w.data) - maxWords; over > 0 {
		w.data = append(w.data[:0], w.data[over:]...)
	}
	return len(p), nil
}

// String is all that a program said which has ended, and what has come so far of one that runs.
func (w *words) String() string {
	select {
	case <-w.ended:
		<-w.copied
	default:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(bytes.TrimSpace(w.data))
}
