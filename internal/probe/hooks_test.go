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
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// answering answers questions with a word, and commands with an exit code.
type answering struct {
	answer Answer
	err    error
	result ExecResult
	asked  *Request
}

func (a *answering) Exec(context.Context, []string, time.Duration) (ExecResult, error) {
	return a.result, a.err
}

func (a *answering) Ask(_ context.Context, r Request) (Answer, error) {
	a.asked = &r
	return a.answer, a.err
}

func TestRunHook(t *testing.T) {
	exec := &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"login", "--password=s3cret"}}}
	get := &corev1.LifecycleHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/stop", Port: intstr.FromInt32(80)}}
	tests := []struct {
		name   string
		hook   *corev1.LifecycleHandler
		prober answering
		want   string
	}{
		{name: "a command", hook: exec},
		{name: "a command that fails", hook: exec, prober: answering{result: ExecResult{ExitCode: 3, Output: "who?"}},
			want: `Exec lifecycle hook for Container "app" failed - error: command exited with 3, message: "who?"`},
		{name: "a command that can't be run", hook: exec, prober: answering{err: errors.New("no such container")},
			want: `Exec lifecycle hook for Container "app" failed - error: no such container`},
		{name: "a GET", hook: get, prober: answering{answer: Answer{Result: yes}}},
		{name: "a GET that fails", hook: get, prober: answering{answer: Answer{Result: no, Message: "connection refused"}},
			want: `HTTP lifecycle hook (/stop) for Container "app" failed - error: connection refused`},
		{name: "a GET that can't be sent", hook: get, prober: answering{err: ErrSessionEnded},
			want: `HTTP lifecycle hook (/stop) for Container "app" failed - error: ` + ErrSessionEnded.Error()},
		{name: "tcpSocket", hook: &corev1.LifecycleHandler{TCPSocket: &corev1.TCPSocketAction{}}, want: "tcpSocket is not supported in hooks"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := RunHook(t.Context(), &tt.prober, tt.hook, &corev1.Container{Name: "app"}, "")
			switch {
			case tt.want == "" && err != nil:
				t.Error(err)
			case tt.want != "" && (err == nil || err.Error() != tt.want):
				t.Errorf("got %v, want %s", err, tt.want)
			case err != nil && strings.Contains(err.Error(), "s3cret"):
				t.Errorf("the error tells the command: %v", err)
			}
			if tt.hook == get && (tt.prober.asked == nil || !tt.prober.asked.HTTP.Hook) {
				t.Errorf("it was not asked as a hook: %+v", tt.prober.asked)
			}
		})
	}
}

func sleeping(seconds int64) *corev1.Container {
	h := &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: seconds}}
	return &corev1.Container{Name: "app", Lifecycle: &corev1.Lifecycle{PostStart: h, PreStop: h}}
}

func TestHooksRunOnceInTheBackground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		var changed []time.Duration
		h := NewHooks(func(string) { changed = append(changed, time.Since(begun)) })
		defer h.Close()
		if state, _ := h.State(key, PostStart); state != podlifecycle.HookNone {
			t.Errorf("before: %q", state)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := h.Begin(ctx, key, PostStart, Instance{Container: sleeping(5)})
		cancel() // the call that began it is over
		if h.Begin(t.Context(), key, PostStart, Instance{Container: sleeping(60)}) != done {
			t.Error("a hook was begun twice")
		}
		synctest.Wait()
		if state, _ := h.State(key, PostStart); state != podlifecycle.HookRunning {
			t.Errorf("meanwhile: %q", state)
		}
		if state, _ := h.State(key, PreStop); state != podlifecycle.HookNone {
			t.Errorf("the other: %q", state)
		}
		<-done
		if state, words := h.State(key, PostStart); state != podlifecycle.HookDone || words != "" {
			t.Errorf("after: %q (%s)", state, words)
		}
		synctest.Wait()
		if len(changed) != 1 || changed[0] != 5*time.Second {
			t.Errorf("changes came at %v", changed)
		}
	})
}

func TestHooksEndAtTheirDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		h := NewHooks(nil)
		defer h.Close()
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		<-h.Begin(ctx, key, PreStop, Instance{Container: sleeping(30)})
		if took := time.Since(begun); took != 3*time.Second {
			t.Errorf("the hook took %s", took)
		}
		if state, words := h.State(key, PreStop); state != podlifecycle.HookFailed || !strings.Contains(words, "deadline exceeded") {
			t.Errorf("got %q (%s)", state, words)
		}
	})
}

func TestHooksStop(t *testing.T) {
	for name, stop := range map[string]func(h *Hooks){
		"an instance": func(h *Hooks) { h.Stop(key) },
		"its pod":     func(h *Hooks) { h.StopPod(key.Token) },
		"all":         func(h *Hooks) { h.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				begun := time.Now()
				h := NewHooks(func(string) { t.Error("a change was told of what is forgotten") })
				defer h.Close()
				done := h.Begin(t.Context(), key, PostStart, Instance{Container: sleeping(30)})
				stop(h)
				<-done
				if time.Since(begun) != 0 {
					t.Errorf("it took %s", time.Since(begun))
				}
				if state, _ := h.State(key, PostStart); state != podlifecycle.HookNone {
					t.Errorf("got %q", state)
				}
			})
		})
	}
	t.Run("and begin no more after the end", func(t *testing.T) {
		h := NewHooks(nil)
		h.Close()
		<-h.Begin(t.Context(), key, PostStart, Instance{Container: sleeping(30)})
	})
	t.Run("a container without the hook has nothing to run", func(t *testing.T) {
		h := NewHooks(nil)
		defer h.Close()
		<-h.Begin(t.Context(), key, PostStart, Instance{Container: &corev1.Container{}})
		if state, words := h.State(key, PostStart); state != podlifecycle.HookDone {
			t.Errorf("got %q (%s)", state, words)
		}
	})
}
