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
	"cmp"
	"context"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// Logs streams what a container wrote, both streams as one, as a kubelet does.
func (b *Backend) Logs(ctx context.Context, ref backend.JobRef, name string, opts corev1.PodLogOptions) (io.ReadCloser, error) {
	list, err := b.containers(ctx, ref.Token)
	if err != nil {
		return nil, err
	}
	run, err := b.logRun(ctx, list, name, opts.Previous)
	if err != nil {
		return nil, err
	}
	seen, err := b.inspect(ctx, run.ID)
	if errdefs.IsNotFound(err) {
		return nil, backend.NotFound("the log of container %q is gone", name)
	}
	if err != nil {
		return nil, err
	}
	opts.Follow = opts.Follow && seen.State.Status != container.StateCreated
	return b.openLog(ctx, seen.ID, seen.Config.Tty, opts)
}

// logRun chooses the run of a container whose log is meant: the latest that has begun, or the one before. One that could not be started is
// a run that ended, and has an empty log.
func (b *Backend) logRun(ctx context.Context, list []container.Summary, name string, previous bool) (container.Summary, error) {
	if len(list) == 0 {
		return container.Summary{}, backend.NotFound("the engine holds no container of the job")
	}
	pod := podOf(list[0].Labels)
	inhabited := slices.ContainsFunc(list, func(c container.Summary) bool {
		return c.Labels[labelRole] == roleContainer && (c.State == container.StateRunning || c.State == container.StatePaused)
	})
	waits := false
	var runs []container.Summary
	for _, c := range list {
		if c.Labels[labelRole] != roleContainer || c.Labels[labelContainer] != name {
			continue
		}
		if c.State == container.StateCreated {
			seen, err := b.inspect(ctx, c.ID)
			if err != nil && !errdefs.IsNotFound(err) {
				return container.Summary{}, err
			}
			if err != nil || instance(&seenRun{InspectResponse: seen}, inhabited).State == podlifecycle.InstanceCreated {
				waits = true
				continue
			}
		}
		runs = append(runs, c)
	}
	slices.SortFunc(runs, func(a, b container.Summary) int {
		x, _ := number(a.Labels, labelN)
		y, _ := number(b.Labels, labelN)
		return cmp.Compare(y, x)
	})
	switch {
	case previous && len(runs) > 1:
		return runs[1], nil
	case previous:
		return container.Summary{}, backend.NotFound("previous terminated container %q in pod %q not found", name, pod.Name)
	case len(runs) > 0:
		return runs[0], nil
	case waits:
		return container.Summary{}, backend.NotFound("container %q in pod %q is waiting to start", name, pod.Name)
	default:
		return container.Summary{}, backend.NotFound("container %q in pod %q has not been started", name, pod.Name)
	}
}

// openLog opens the log of one run.
func (b *Backend) openLog(ctx context.Context, id string, tty bool, opts corev1.PodLogOptions) (io.ReadCloser, error) {
	ask := client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true, Follow: opts.Follow, Timestamps: opts.Timestamps || !tty, Since: since(opts, time.Now())}
	switch {
	case opts.TailLines == nil:
	case *opts.TailLines <= 0 && !opts.Follow:
		return io.NopCloser(strings.NewReader("")), nil
	case *opts.TailLines <= 0:
		ask.Tail = "0"
	case tty:
		ask.Tail = strconv.FormatInt(*opts.TailLines, 10)
	default:
		from, within, err := b.tailStart(ctx, id, *opts.TailLines, ask.Since)
		if err != nil {
			return nil, err
		}
		if from != "" {
			// The time alone would have the engine read the log from its beginning.
			ask.Since, ask.Tail = from, strconv.FormatInt(within+tailSlack, 10)
		}
	}
	ctx, stop := context.WithCancel(ctx)
	stream, err := b.engine.ContainerLogs(ctx, id, ask)
	if err != nil {
		stop()
		if errdefs.IsNotFound(err) {
			return nil, backend.NotFound("the container's log is gone")
		}
		return nil, engineError("open a container's log", err)
	}
	var text io.Reader = stream
	if !tty {
		lines := &lineReader{frames: frameReader{stream}, timestamps: opts.Timestamps}
		if opts.Follow {
			lines.frames = &wholeFrames{followed: lines.frames, rest: func(since string) (frames, error) {
				ask.Follow = false
				if since != "" {
					ask.Since, ask.Tail = since, ""
				}
				rest, err := b.engine.ContainerLogs(ctx, id, ask)
				if err != nil {
					return nil, engineError("open the rest of a container's log", err)
				}
				context.AfterFunc(ctx, func() { _ = rest.Close() })
				return frameReader{rest}, nil
			}}
		}
		text = lines
	}
	if opts.LimitBytes != nil {
		text = io.LimitReader(text, *opts.LimitBytes)
	}
	return &openLog{Reader: text, stream: stream, stop: stop}, nil
}

// openLog is a log that is being read.
type openLog struct {
	io.Reader
	stream io.Closer
	stop   context.CancelFunc
}

// Close ends the reading.
func (l *openLog) Close() error {
	l.stop()
	return l.stream.Close()
}

// since is the time from which on a log is wanted, as the engine takes it; empty for its beginning.
func since(opts corev1.PodLogOptions, now time.Time) string {
	switch {
	case opts.SinceTime != nil && !opts.SinceTime.IsZero():
		return opts.SinceTime.UTC().Format(time.RFC3339Nano)
	case opts.SinceSeconds != nil && *opts.SinceSeconds > 0:
		return now.Add(-time.Duration(*opts.SinceSeconds) * time.Second).UTC().Format(time.RFC3339Nano)
	default:
		return ""
	}
}

// tailSlack is how many messages may come between the look for where a log's last lines begin and the call that reads them.
const tailSlack = 10_000

// tailStart is the time at which the last lines of a log begin, and within how many of its last messages that is; the time is empty where
// it is the log's beginning. The engine counts messages, and cuts long lines into several, so its own tail would cut lines.
func (b *Backend) tailStart(ctx context.Context, id string, lines int64, since string) (from string, within int64, err error) {
	// One message more than lines are wanted tells, in a log without long lines, where the first of them begins.
	for ask := lines + 1; ; ask *= 4 {
		stream, err := b.engine.ContainerLogs(ctx, id, client.ContainerLogsOptions{
			ShowStdout: true, ShowStderr: true, Timestamps: true, Since: since, Tail: strconv.FormatInt(ask, 10),
		})
		if err != nil {
			return "", 0, engineError("open a container's log", err)
		}
		start, found, err := findTail(frameReader{stream}, lines, ask)
		_ = stream.Close()
		if err != nil {
			return "", 0, engineError("read a container's log", err)
		}
		if found {
			return start, ask, nil
		}
	}
}
