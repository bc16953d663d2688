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

package probe

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// Prober reaches one run of a container. An error from it says that the question could not be asked, which says nothing about the
// container; it must not hold what may be secret.
type Prober interface {
	// Exec runs a command in the container and waits for its end, at most for timeout from when it has begun, where that is not zero.
	Exec(ctx context.Context, command []string, timeout time.Duration) (ExecResult, error)
	// Ask asks a question from inside the pod's network.
	Ask(ctx context.Context, r Request) (Answer, error)
}

// ExecResult is how a command ended.
type ExecResult struct {
	ExitCode int
	// TimedOut is set when it did not end in time.
	TimedOut bool
	// Output is what it wrote, both streams, cut where it is long.
	Output string
}

const (
	// tries is how often a question that can't be asked is tried before this turn is given up, as the kubelet does.
	tries = 3
	// slack is how much longer than the probe itself the way to it and back may take.
	slack = 10 * time.Second
)

// Run asks a probe once. Unknown means that it could not be asked: that does not count.
func Run(ctx context.Context, prober Prober, p *corev1.Probe, c *corev1.Container, podIP string) (podlifecycle.Result, string) {
	target, err := Resolve(p, c, podIP)
	if err != nil {
		return podlifecycle.Unknown, err.Error()
	}
	timeout := TimingOf(p).Timeout
	var result podlifecycle.Result
	var message string
	for range tries {
		result, message = runOnce(ctx, prober, target, timeout)
		if result != podlifecycle.Unknown || ctx.Err() != nil {
			break
		}
	}
	return result, cut(message)
}

func runOnce(ctx context.Context, prober Prober, target Target, timeout time.Duration) (podlifecycle.Result, string) {
	ctx, cancel := context.WithTimeout(ctx, timeout+slack)
	defer cancel()
	if target.Network != nil {
		answer, err := prober.Ask(ctx, *target.Network)
		if err != nil {
			return podlifecycle.Unknown, err.Error()
		}
		return answer.Result, answer.Message
	}
	result, err := prober.Exec(ctx, target.Exec, timeout)
	switch {
	case err != nil:
		return podlifecycle.Unknown, err.Error()
	case result.TimedOut:
		return podlifecycle.Failure, fmt.Sprintf("command timed out after %s", timeout)
	case result.ExitCode != 0:
		return podlifecycle.Failure, result.Output
	}
	return podlifecycle.Success, ""
}

// RunHook runs a hook once and waits for its end; ctx bounds it. Its error is in the kubelet's words.
func RunHook(ctx context.Context, prober Prober, h *corev1.LifecycleHandler, c *corev1.Container, podIP string) error {
	target, err := ResolveHook(h, c, podIP)
	switch {
	case err != nil:
		return err
	case target.Sleep != nil:
		timer := time.NewTimer(*target.Sleep)
		defer timer.Stop()
		select {
		case <-timer.C:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("Sleep lifecycle hook (%d) for Container %q failed - error: %w", h.Sleep.Seconds, c.Name, ctx.Err()) //nolint:staticcheck // the kubelet's words
		}
	case target.Network != nil:
		answer, err := prober.Ask(ctx, *target.Network)
		if err == nil && answer.Result != podlifecycle.Success {
			err = fmt.Errorf("%s", answer.Message)
		}
		if err != nil {
			return fmt.Errorf("HTTP lifecycle hook (%s) for Container %q failed - error: %w", h.HTTPGet.Path, c.Name, err) // the kubelet's words
		}
		return nil
	}
	result, err := prober.Exec(ctx, target.Exec, 0)
	if err == nil && result.ExitCode != 0 {
		err = fmt.Errorf("command exited with %d, message: %q", result.ExitCode, cut(result.Output))
	}
	if err != nil {
		return fmt.Errorf("Exec lifecycle hook for Container %q failed - error: %w", c.Name, err) // the kubelet's words
	}
	return nil
}
