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
	"archive/tar"
	"context"
	"errors"
	"io"
	"path"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"
	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
)

// Bounds of a termination message, as the kubelet has them.
const (
	maxMessageBytes    = 4096
	maxMessageLogBytes = 2048
	maxMessageLogLines = 80
)

// terminationMessage is what a container that has ended left as its last word. It is read once.
func (b *Backend) terminationMessage(ctx context.Context, j *job, req backend.DriveRequest, v *view, name string, r *seenRun) (string, error) {
	j.mu.Lock()
	message, ok := j.messages[r.ID]
	j.mu.Unlock()
	if ok {
		return message, nil
	}
	c := containerOf(req.Workload.Pod, name)
	if c == nil || v.infra == nil {
		return "", nil
	}
	message, err := b.readTail(ctx, v.infra.ID, path.Join(infraMessages, messageName(name, r.n)))
	if err != nil {
		return "", err
	}
	if message == "" && c.TerminationMessagePolicy == corev1.TerminationMessageFallbackToLogsOnError && r.State.ExitCode != 0 {
		if message, err = b.lastLog(ctx, r.ID, r.Config.Tty); err != nil {
			return "", err
		}
	}
	j.mu.Lock()
	j.messages[r.ID] = message
	j.mu.Unlock()
	return message, nil
}

// readTail reads the end of a file in the infra container, as much of it as a termination message may have. A file that is not there is
// empty.
func (b *Backend) readTail(ctx context.Context, infraID, file string) (string, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the engine's stream, whatever is left of it
	copied, err := b.engine.CopyFromContainer(ctx, infraID, client.CopyFromContainerOptions{SourcePath: file})
	if errdefs.IsNotFound(err) {
		return "", nil
	}
	if err != nil {
		return "", engineError("read what a container left", err)
	}
	defer copied.Content.Close()
	archive := tar.NewReader(copied.Content)
	if _, err := archive.Next(); err != nil {
		return "", engineError("read what a container left", err)
	}
	tail := tailBuffer{max: maxMessageBytes}
	if _, err := io.Copy(&tail, archive); err != nil { //nolint:gosec // no more than the tail is kept
		return "", engineError("read what a container left", err)
	}
	return string(tail.data), nil
}

// lastLog is the end of a container's log, for a container that failed without a word.
func (b *Backend) lastLog(ctx context.Context, id string, tty bool) (string, error) {
	lines := int64(maxMessageLogLines)
	log, err := b.openLog(ctx, id, tty, corev1.PodLogOptions{TailLines: &lines})
	if err != nil {
		return "", err
	}
	defer log.Close()
	tail := tailBuffer{max: maxMessageLogBytes}
	if _, err := io.Copy(&tail, log); err != nil && !errors.Is(err, io.EOF) {
		return "", engineError("read a container's log", err)
	}
	return string(tail.data), nil
}

// tailBuffer keeps the last bytes of what is written to it.
type tailBuffer struct {
	max  int
	data []byte
}

func (t *tailBuffer) Write(p []byte) (int, error) {
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
