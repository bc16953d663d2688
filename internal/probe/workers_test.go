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
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// scripted answers exec probes by the first word of their command, and writes down when each came.
type scripted struct {
	start time.Time
	exec  func(ctx context.Context, word string, n int) (ExecResult, error)

	mu    sync.Mutex
	calls map[string]int
	log   []string
}

func newScripted(exec func(ctx context.Context, word string, n int) (ExecResult, error)) *scripted {
	return &scripted{start: time.Now(), exec: exec, calls: map[string]int{}}
}

func (s *scripted) Exec(ctx context.Context, command []string, _ time.Duration) (ExecResult, error) {
	s.mu.Lock()
	word := command[0]
	n := s.calls[word]
	s.calls[word]++
	s.log = append(s.log, fmt.Sprintf("%s %s", time.Since(s.start), word))
	s.mu.Unlock()
	return s.exec(ctx, word, n)
}

func (s *scripted) Ask(context.Context, Request) (Answer, error) {
	return Answer{}, errors.New("nobody to ask")
}

func (s *scripted) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.log)
}

var (
	ok     = ExecResult{}
	failed = ExecResult{ExitCode: 1, Output: "no"}
)

func execProbe(word string, p corev1.Probe) *corev1.Probe {
	p.Exec = &corev1.ExecAction{Command: []string{word}}
	return &p
}

func wantLog(t *testing.T, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

var key = Key{Token: "rj-1", Container: "app", N: 0}

func TestWorkersProbeAtTheirPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		prober := newScripted(func(_ context.Context, word string, n int) (ExecResult, error) {
			switch {
			case word == "startup" && n < 2:
				return failed, nil
			case word == "live" && n >= 2:
				return failed, nil
			}
			return ok, nil
		})
		changes := make(chan time.Duration, 100)
		w := NewWorkers(WorkersOptions{Changed: func(token string) {
			if token != key.Token {
				t.Errorf("got a change of %q", token)
			}
			changes <- time.Since(prober.start)
		}})
		defer w.Close()
		first := w.Start(key, Instance{StartedAt: time.Now(), Prober: prober, Container: &corev1.Container{
			StartupProbe:   execProbe("startup", corev1.Probe{InitialDelaySeconds: 1, PeriodSeconds: 5}),
			LivenessProbe:  execProbe("live", corev1.Probe{PeriodSeconds: 10, FailureThreshold: 2}),
			ReadinessProbe: execProbe("ready", corev1.Probe{InitialDelaySeconds: 13, PeriodSeconds: 20}),
		}})
		if want := (podlifecycle.Probes{Liveness: yes, Readiness: no}); first != want {
			t.Errorf("at first %+v, want %+v", first, want)
		}
		time.Sleep(65 * time.Second)
		wantLog(t, prober.seen(), []string{
			"1s startup", "6s startup", "11s startup",
			"11s live",              // let go by the startup probe
			"13s ready",             // by its own delay, from the container's start
			"21s live",              // a period later
			"31s live", "33s ready", // the first failure
			"41s live", // the second, which counts: it is not asked again
			"53s ready",
		})
		want := podlifecycle.Probes{Startup: yes, Liveness: no, Readiness: yes, Message: "Liveness probe failed: no"}
		if got, found := w.Results(key); !found || got != want {
			t.Errorf("at last %+v, want %+v", got, want)
		}
		close(changes)
		var at []time.Duration
		for c := range changes {
			at = append(at, c)
		}
		if want := []time.Duration{11 * time.Second, 13 * time.Second, 41 * time.Second}; !slices.Equal(at, want) {
			t.Errorf("changes came at %v, want %v", at, want)
		}
	})
}

func TestWorkersKeepSlowAndBrokenProbesApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		prober := newScripted(func(_ context.Context, word string, _ int) (ExecResult, error) {
			switch word {
			case "slow": // longer than its period: the next one comes right after
				time.Sleep(3 * time.Second)
				return ok, nil
			case "late":
				return ExecResult{TimedOut: true}, nil
			}
			return ExecResult{}, errors.New("engine away") // tried three times at once, then given up
		})
		w := NewWorkers(WorkersOptions{})
		defer w.Close()
		other := Key{Token: "rj-1", Container: "other"}
		w.Start(key, Instance{StartedAt: time.Now(), Prober: prober, Container: &corev1.Container{
			LivenessProbe:  execProbe("broken", corev1.Probe{InitialDelaySeconds: 1, PeriodSeconds: 10, FailureThreshold: 1}),
			ReadinessProbe: execProbe("slow", corev1.Probe{PeriodSeconds: 2}),
		}})
		w.Start(other, Instance{StartedAt: time.Now(), Prober: prober, Container: &corev1.Container{
			LivenessProbe: execProbe("late", corev1.Probe{InitialDelaySeconds: 2, FailureThreshold: 1, TimeoutSeconds: 4}),
		}})
		time.Sleep(8 * time.Second)
		wantLog(t, prober.seen(), []string{"0s slow", "1s broken", "1s broken", "1s broken", "2s late", "3s slow", "6s slow"})
		if got, _ := w.Results(key); got != (podlifecycle.Probes{Liveness: yes, Readiness: yes}) {
			t.Errorf("got %+v", got)
		}
		if got, _ := w.Results(other); got != (podlifecycle.Probes{Liveness: no, Message: "Liveness probe failed: command timed out after 4s"}) {
			t.Errorf("got %+v", got)
		}
	})
}

func TestWorkersResumeAndSpread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		prober := newScripted(func(context.Context, string, int) (ExecResult, error) { return ok, nil })
		w := NewWorkers(WorkersOptions{Spread: func(period time.Duration) time.Duration { return period / 2 }})
		defer w.Close()
		got := w.Start(key, Instance{
			StartedAt: time.Now().Add(-time.Hour), Prober: prober,
			Resume: podlifecycle.Probes{Startup: yes, Readiness: yes},
			Container: &corev1.Container{
				StartupProbe:   execProbe("startup", corev1.Probe{}),
				LivenessProbe:  execProbe("live", corev1.Probe{PeriodSeconds: 4}),
				ReadinessProbe: execProbe("ready", corev1.Probe{PeriodSeconds: 10}),
			},
		})
		if want := (podlifecycle.Probes{Startup: yes, Liveness: yes, Readiness: yes}); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
		time.Sleep(7 * time.Second)
		wantLog(t, prober.seen(), []string{"2s live", "5s ready", "6s live"})
	})
}

func TestWorkersStop(t *testing.T) {
	container := &corev1.Container{
		LivenessProbe:  execProbe("live", corev1.Probe{PeriodSeconds: 2, FailureThreshold: 1}),
		ReadinessProbe: execProbe("ready", corev1.Probe{PeriodSeconds: 3, FailureThreshold: 1}),
	}
	hanging := func(ctx context.Context, word string, n int) (ExecResult, error) {
		if word == "live" && n == 1 {
			<-ctx.Done() // under way when the end comes
			return failed, nil
		}
		return ok, nil
	}
	tests := []struct {
		name string
		stop func(w *Workers)
		want []string
		left bool
	}{
		{"an instance", func(w *Workers) { w.Stop(key) }, []string{"0s live", "0s ready", "2s live"}, false},
		{"its pod", func(w *Workers) { w.StopPod(key.Token) }, []string{"0s live", "0s ready", "2s live"}, false},
		{"another instance", func(w *Workers) { w.Stop(Key{Token: key.Token, Container: key.Container, N: 1}) },
			[]string{"0s live", "0s ready", "2s live", "3s ready", "6s ready"}, true},
		{"another pod", func(w *Workers) { w.StopPod("rj-2"); w.End("rj-2") },
			[]string{"0s live", "0s ready", "2s live", "3s ready", "6s ready"}, true},
		{"all but readiness of a pod that ends", func(w *Workers) { w.End(key.Token) },
			[]string{"0s live", "0s ready", "2s live", "3s ready", "6s ready"}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				prober := newScripted(hanging)
				w := NewWorkers(WorkersOptions{})
				defer w.Close()
				run := Instance{StartedAt: time.Now(), Prober: prober, Container: container}
				w.Start(key, run)
				w.Start(key, run) // has no effect
				time.Sleep(2500 * time.Millisecond)
				tt.stop(w)
				time.Sleep(5 * time.Second)
				got := prober.seen()
				slices.Sort(got) // those of one moment come in any order
				wantLog(t, got, tt.want)
				if results, found := w.Results(key); found != tt.left || results.Liveness == no {
					t.Errorf("got %+v, %v", results, found)
				}
			})
		})
	}
}

func TestWorkersOfAPodThatEndsProbeReadinessOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		prober := newScripted(func(context.Context, string, int) (ExecResult, error) { return failed, nil })
		w := NewWorkers(WorkersOptions{})
		defer w.Close()
		w.End(key.Token)
		w.Start(key, Instance{StartedAt: time.Now(), Prober: prober, Container: &corev1.Container{
			LivenessProbe:  execProbe("live", corev1.Probe{}),
			ReadinessProbe: execProbe("ready", corev1.Probe{}),
		}})
		time.Sleep(time.Second)
		wantLog(t, prober.seen(), []string{"0s ready"})
	})
}

func TestWorkersCloseWaitsAndStartsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		under := 0
		prober := newScripted(func(ctx context.Context, _ string, _ int) (ExecResult, error) {
			under++
			<-ctx.Done()
			time.Sleep(time.Second) // slow to notice
			under--
			return ok, nil
		})
		w := NewWorkers(WorkersOptions{})
		run := Instance{StartedAt: time.Now(), Prober: prober, Container: &corev1.Container{LivenessProbe: execProbe("live", corev1.Probe{})}}
		w.Start(key, run)
		synctest.Wait()
		if under != 1 {
			t.Fatalf("%d probes under way", under)
		}
		w.Close()
		if under != 0 {
			t.Errorf("%d probes under way after the end", under)
		}
		w.Start(Key{Token: "rj-2"}, run)
		time.Sleep(time.Minute)
		wantLog(t, prober.seen(), []string{"0s live"})
	})
}
