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

package podrun

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/crilog"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/proc"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// removeTimeout bounds the removal of one container, and runtimeWait how long its runtime may take to see that it has ended.
const (
	removeTimeout = time.Minute
	runtimeWait   = 5 * time.Second
)

// exitKilled is the exit code of a container of which nobody could say how it ended: it was killed with its agent.
const exitKilled = 128 + int32(syscall.SIGKILL)

// await waits for a run's end and takes down how it ended.
func (r *runner) await(i *instance) {
	<-i.agent.Done()
	// What it may have ended by came before its end.
	r.catchUp()
	finished := r.now()
	exit := i.agent.Exit()
	killedByRuntime := r.tearDown(i)
	i.closeLog()
	code, signal := exitKilled, int32(syscall.SIGKILL)
	if exit != nil {
		code, signal = exit.Code, exit.Signal
		if exit.Left != "" {
			r.log("container %s: %s", i.name, exit.Left)
		}
	}
	message := r.terminationMessage(i, code)

	r.mu.Lock()
	defer r.mu.Unlock()
	i.probes, i.postStart, i.postStartMessage = r.tended(i)
	i.state, i.finished, i.exitCode, i.signal, i.message = podlifecycle.InstanceExited, finished, code, signal, message
	if s := i.stopping; s != nil && exit != nil && !exit.Felt {
		s.endedBefore()
	}
	killedByUs := i.stopping != nil && i.stopping.killed
	byKernel := signal == int32(syscall.SIGKILL) && !killedByUs && oomKills() > i.oomKills
	i.oom = i.overLimit || killedByRuntime || byKernel
	r.workers.Stop(i.key(r.spec.Token))
	r.hooks.Stop(i.key(r.spec.Token))
	r.poke()
}

// tearDown sees to it that nothing of a run is left, and tells whether the runtime says that it was killed for its memory.
func (r *runner) tearDown(i *instance) (killed bool) {
	if i.agent != nil {
		i.agent.Close()
	}
	if p := i.running.Process; !i.running.Detached && !ends(p.Done(), runtimeWait) || i.agent == nil && !ends(p.Done(), 0) {
		if s, ok := proc.Look(p.Pid); ok {
			killTree(s)
		}
		ends(p.Done(), runtimeWait)
	}
	if i.agent != nil {
		killTree(i.agentStat)
	}
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	return r.runtimeOf(i).Killed(ctx, i.made)
}

// remove removes what is left of a run.
func (r *runner) remove(i *instance) {
	ctx, cancel := context.WithTimeout(context.Background(), removeTimeout)
	defer cancel()
	if err := r.runtimeOf(i).Remove(ctx, i.made); err != nil {
		r.log("%v", err)
	}
	if err := removeAll(i.made.Dir); err != nil {
		r.log("remove the directory of container %s: %v", i.name, err)
	}
}

// Bounds of a termination message, as the kubelet has them.
const (
	maxMessageBytes    = 4096
	maxMessageLogBytes = 2048
	maxMessageLogLines = 80
)

// terminationMessage is what a container that has ended left as its last word.
func (r *runner) terminationMessage(i *instance, code int32) string {
	message := tailOf(r.messageFile(i), maxMessageBytes)
	if message != "" || i.spec.TerminationMessagePolicy != corev1.TerminationMessageFallbackToLogsOnError || code == 0 {
		return message
	}
	lines := int64(maxMessageLogLines)
	tail := &tailBuffer{max: maxMessageLogBytes}
	if err := crilog.Read(context.Background(), r.Dir.Log(i.name, i.n), crilog.Options{Tail: &lines}, tail); err != nil {
		return ""
	}
	return string(tail.data)
}

// messageFile is the file on this node that the container's message is in: its own, unless the pod mounts a volume there.
func (r *runner) messageFile(i *instance) string {
	target := path.Clean(i.spec.TerminationMessagePath)
	for _, m := range i.made.Mounts {
		if m.Target == target && m.File {
			return m.Source
		}
	}
	return filepath.Join(i.made.Dir, "agent", "message")
}

// tailOf is the end of a file, empty where it can't be read. It is the container's to write: it may be anything.
func tailOf(name string, most int64) string {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return ""
	}
	data := make([]byte, min(most, info.Size()))
	n, err := f.ReadAt(data, info.Size()-int64(len(data)))
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	return string(data[:n])
}

// tailBuffer keeps the last bytes of what is written to it.
type tailBuffer struct {
	max int

	mu   sync.Mutex
	data []byte
}

// words are what it has, without the blanks around them.
func (t *tailBuffer) words() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.data))
}

func (t *tailBuffer) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := len(p)
	if n > t.max {
		p = p[n-t.max:]
	}
	t.data = append(t.data, p...)
	if over := len(t.data) - t.max; over > 0 {
		t.data = append(t.data[:0], t.data[over:]...)
	}
	return n, nil
}
