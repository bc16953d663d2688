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

package slurm

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/remote"
)

// codeNoLog is podrunner's exit code where there is no such log.
const codeNoLog = 4

// firstWords is how long a followed log may take to begin or to fail before it is taken for one that is just silent.
const firstWords = 3 * time.Second

// Logs streams what a container wrote, as podrunner has kept it.
func (b *Backend) Logs(ctx context.Context, ref backend.JobRef, container string, opts corev1.PodLogOptions) (io.ReadCloser, error) {
	if !jobdir.ValidToken(ref.Token) {
		return nil, fmt.Errorf("open a log: %q is not a token", ref.Token)
	}
	if err := b.learn(ctx); err != nil {
		return nil, err
	}
	ctx, end := span(ctx, "open a log")
	stream, err := b.run.Stream(ctx, remote.Command{Argv: append([]string{b.podrunner(), "logs"}, logArgs(string(b.base.Job(ref.Token)), container, opts)...)})
	if err != nil {
		end(remote.Result{}, err)
		return nil, fmt.Errorf("open a log: %w", err)
	}
	stream, err = begun(stream, opts.Follow, container)
	end(remote.Result{}, err)
	return stream, err
}

// logArgs are podrunner's arguments for what is wanted of a log.
func logArgs(dir, container string, opts corev1.PodLogOptions) []string {
	args := []string{"--dir=" + dir, "--container=" + container}
	on := func(wanted bool, name string) {
		if wanted {
			args = append(args, "--"+name)
		}
	}
	number := func(n *int64, name string) {
		if n != nil && *n >= 0 {
			args = append(args, "--"+name+"="+strconv.FormatInt(*n, 10))
		}
	}
	on(opts.Previous, "previous")
	on(opts.Follow, "follow")
	on(opts.Timestamps, "timestamps")
	number(opts.TailLines, "tail")
	number(opts.LimitBytes, "limit-bytes")
	if opts.SinceTime != nil && !opts.SinceTime.IsZero() {
		args = append(args, "--since="+opts.SinceTime.UTC().Format(time.RFC3339Nano))
	} else if opts.SinceSeconds != nil && *opts.SinceSeconds > 0 {
		number(opts.SinceSeconds, "since-seconds")
	}
	return args
}

// podrunner is the program that runs where sbatch is.
func (b *Backend) podrunner() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.here
}

// first is the beginning of a stream.
type first struct {
	data []byte
	err  error
}

// begun waits until a stream has begun, so that a log which is not there is an error here and not in the middle of an answer. A log that
// is followed may have nothing to say for long.
func begun(stream io.ReadCloser, follow bool, container string) (io.ReadCloser, error) {
	beginning := make(chan first, 1)
	go func() {
		buffer := make([]byte, 32<<10)
		n, err := stream.Read(buffer)
		beginning <- first{buffer[:n], err}
	}()
	s := &begunStream{stream: stream, beginning: beginning}
	var silent <-chan time.Time
	if follow {
		timer := time.NewTimer(firstWords)
		defer timer.Stop()
		silent = timer.C
	}
	select {
	case <-silent:
		return s, nil
	case f := <-beginning:
		if len(f.data) == 0 && f.err != nil && !errors.Is(f.err, io.EOF) {
			_ = stream.Close()
			return nil, logError(f.err, container)
		}
		beginning <- f
		return s, nil
	}
}

func logError(err error, container string) error {
	var exit *remote.ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("open a log: %w", err)
	}
	if exit.Code == codeNoLog {
		return backend.NotFound("there is no such log of container %q: %s", container, strings.TrimPrefix(exit.Stderr, "podrunner: "))
	}
	return backend.Unavailable("open a log: %w", err)
}

// begunStream gives back the beginning of a stream that was read ahead.
type begunStream struct {
	stream    io.ReadCloser
	beginning chan first
	read      bool
	rest      []byte
	err       error
}

func (s *begunStream) Read(p []byte) (int, error) {
	if !s.read {
		f := <-s.beginning
		s.read, s.rest, s.err = true, f.data, f.err
	}
	if len(s.rest) > 0 {
		n := copy(p, s.rest)
		s.rest = s.rest[n:]
		return n, nil
	}
	if s.err != nil {
		return 0, s.err
	}
	return s.stream.Read(p)
}

func (s *begunStream) Close() error { return s.stream.Close() }
