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

// Package remote runs commands on the machine that has sbatch: this one, or a login node that is reached by SSH. Both behave alike, so
// whoever uses a Runner need not know which it is.
package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
)

// Runner runs commands. Its methods may be called at the same time from many goroutines.
//
// An error is backend.Unavailable when the machine could not be asked, did not answer in time, or was lost on the way: it is then not
// known whether the command has been run. A command that ended with a code other than 0 is no error.
type Runner interface {
	// Run runs a command to its end and returns what it wrote. It has DefaultTimeout where neither ctx nor the command says less; at
	// the deadline, or a few seconds after it on a far machine, the command and its descendants are ended: by SIGTERM, so that a script can
	// clean up, and by SIGKILL a second later. A far machine that nobody reaches any more kills it at once.
	Run(ctx context.Context, command Command) (Result, error)

	// Stream starts a command and returns its output as it comes. A read error that is Unavailable says that the connection was lost; one
	// that is an *ExitError that the command failed. Close ends the command, as does the end of ctx. Commands that are streamed get no
	// standard input but one that stays open as long as somebody reads.
	Stream(ctx context.Context, command Command) (io.ReadCloser, error)

	// Close ends the connection and what runs on it.
	Close() error
}

// DefaultTimeout is how long a command may take that has no deadline of its own. It is longer than SLURM's commands wait for slurmctld.
const DefaultTimeout = time.Minute

// maxOutput bounds what is kept of a command's output; the states of 10,000 jobs are some 20 MiB.
const maxOutput = 256 << 20

// maxStderr bounds what is kept of a command's complaints.
const maxStderr = 64 << 10

// Command is a program and its arguments, word for word: no shell looks at them.
type Command struct {
	// Argv is the program and its arguments.
	Argv []string
	// Stdin is the standard input; nil for an empty one.
	Stdin io.Reader
	// Timeout, where it is shorter than DefaultTimeout, or longer and wanted so.
	Timeout time.Duration
}

// Shell is a command that runs a POSIX shell script with arguments ($1 and so on).
func Shell(script string, args ...string) Command {
	return Command{Argv: append([]string{"/bin/sh", "-c", script, "sh"}, args...)}
}

// With gives the command a standard input.
func (c Command) With(stdin io.Reader) Command {
	c.Stdin = stdin
	return c
}

// bound gives ctx the command's deadline.
func (c Command) bound(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	return context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%s did not end within %s", c.name(), timeout))
}

// name is what the command is called in errors: never its arguments, which may be long or hold what is not for everybody's eyes.
func (c Command) name() string {
	if len(c.Argv) == 0 {
		return "no command"
	}
	if len(c.Argv) > 2 && c.Argv[0] == "/bin/sh" && c.Argv[1] == "-c" {
		return "a script"
	}
	return c.Argv[0]
}

// Result is what a command wrote and how it ended.
type Result struct {
	Stdout, Stderr []byte
	// ExitCode is 128 and the signal's number where a signal ended it.
	ExitCode int
}

// Err is nil for exit code 0, else an *ExitError.
func (r Result) Err() error {
	if r.ExitCode == 0 {
		return nil
	}
	return &ExitError{Code: r.ExitCode, Stderr: strings.TrimSpace(string(r.Stderr))}
}

// ExitError says that a command ended with a code other than 0.
type ExitError struct {
	Code int
	// Stderr is what the command complained about.
	Stderr string
}

func (e *ExitError) Error() string {
	if e.Stderr == "" {
		return fmt.Sprintf("exit code %d", e.Code)
	}
	return fmt.Sprintf("exit code %d: %s", e.Code, e.Stderr)
}

// A command that is cut off is told to end some times, each for cutOffEvery, before it is killed. All of it takes less than the 2 s for which a
// lease goes on after calls that were made under it are cut off. Tests of what a script cleans up give it longer.
var cutOffTimes = 4

const cutOffEvery = 250 * time.Millisecond

// cutOff ends a command, so that a script can clean up. A shell that is told to just before it starts a program waits for that program's end
// first, and the program was not there to be told: so it is told again.
func cutOff(signal func(kill bool), gone <-chan struct{}) {
	for range cutOffTimes {
		signal(false)
		select {
		case <-gone:
			return
		case <-time.After(cutOffEvery):
		}
	}
	signal(true)
}

// lost says that a command's end is not known.
func lost(ctx context.Context, command Command, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		if ctx.Err() != nil && !errors.Is(cause, ctx.Err()) {
			return backend.Unavailable("%w (%w)", cause, ctx.Err())
		}
		return backend.Unavailable("%s: %w", command.name(), cause)
	}
	return backend.Unavailable("%s: %w", command.name(), err)
}

// bounded keeps the beginning of what is written to it, and takes all.
type bounded struct {
	bytes.Buffer
	max      int
	overflow bool
}

func (b *bounded) Write(p []byte) (int, error) {
	room := max(b.max-b.Len(), 0)
	if len(p) > room {
		b.overflow = true
	}
	b.Buffer.Write(p[:min(len(p), room)])
	return len(p), nil
}

// outputs are a command's two.
type outputs struct{ stdout, stderr bounded }

func newOutputs() *outputs {
	return &outputs{stdout: bounded{max: maxOutput}, stderr: bounded{max: maxStderr}}
}

func (o *outputs) result(command Command, code int) (Result, error) {
	if o.stdout.overflow {
		return Result{}, fmt.Errorf("%s wrote more than %d MiB", command.name(), maxOutput>>20)
	}
	return Result{Stdout: o.stdout.Bytes(), Stderr: o.stderr.Bytes(), ExitCode: code}, nil
}
