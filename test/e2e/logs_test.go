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

package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

func TestLogsAreRightToTheByte(t *testing.T) {
	s := onShared(t)
	// Ten numbered lines, a line on stderr, bytes that are no UTF-8, an empty line, and an end without a newline. stdout and stderr are two
	// pipes, which the engine reads side by side: what is to come in order is written apart.
	pod := harness.NewPod("logs", mainBackend, harness.Shell("c",
		`for i in $(seq 10); do echo "line $i"; done; sleep 2; echo to stderr >&2; sleep 2; printf '\377\376\000\r\n'; echo; printf 'no newline'`))
	s.run(pod)
	s.exits(s.ended(pod, time.Minute), map[string]int32{"c": 0})
	var lines strings.Builder
	for i := range 10 {
		fmt.Fprintf(&lines, "line %d\n", i+1)
	}
	all := lines.String() + "to stderr\n" + "\377\376\000\r\n" + "\n" + "no newline"
	for _, c := range []struct {
		name string
		opts harness.LogOpts
		want string
	}{
		{"everything", harness.LogOpts{}, all},
		{"followed to its end", harness.LogOpts{Follow: true}, all},
		{"the last line", harness.LogOpts{Tail: 1}, "no newline"},
		{"the last four lines", harness.LogOpts{Tail: 4}, "to stderr\n" + "\377\376\000\r\n" + "\n" + "no newline"},
		{"more lines than there are", harness.LogOpts{Tail: 1000}, all},
		{"the first bytes", harness.LogOpts{Bytes: 10}, all[:10]},
		{"the first bytes of the last lines", harness.LogOpts{Bytes: 5, Tail: 4}, "to st"},
		{"more bytes than there are", harness.LogOpts{Bytes: 1 << 20}, all},
		{"since an hour ago", harness.LogOpts{SinceSeconds: 3600}, all},
		{"since a time before it began", harness.LogOpts{SinceTime: time.Now().Add(-time.Hour)}, all},
		{"since a time after it ended", harness.LogOpts{SinceTime: time.Now().Add(time.Hour)}, ""},
	} {
		if got := s.log(pod, "c", c.opts); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}

	stamped := strings.SplitAfter(s.log(pod, "c", harness.LogOpts{Timestamps: true, Tail: 13}), "\n")
	plain := strings.SplitAfter(all, "\n")
	plain = plain[len(plain)-13:]
	if len(stamped) != len(plain) {
		t.Fatalf("with timestamps there are %d lines, want %d: %q", len(stamped), len(plain), stamped)
	}
	for i, line := range stamped {
		stamp, rest, _ := strings.Cut(line, " ")
		if _, err := time.Parse(time.RFC3339Nano, stamp); err != nil || rest != plain[i] {
			t.Errorf("line %d with its timestamp is %q, want a time and %q", i, line, plain[i])
		}
	}
}

func TestLogsSinceATimeInTheMiddleBeginThere(t *testing.T) {
	s := onShared(t)
	pod := harness.NewPod("since", mainBackend, harness.Shell("c", "echo before; while [ ! -e /go ]; do sleep 0.05; done; echo after"))
	s.run(pod)
	s.running(pod, "c")
	followed := s.follow(pod, "c")
	followed.has("before\n")
	// The engine's clock is this machine's; what is written from the next second on is "after".
	middle := time.Now()
	if err := harness.Exec(s.ctx, s.engine.Client, s.ledger.Token(pod)+"-c-0", "touch", "/go"); err != nil {
		t.Logf("the container ended while the command ran in it: %v", err)
	}
	if got := followed.all(); got != "before\nafter\n" {
		t.Errorf("followed: %q", got)
	}
	if got := s.log(pod, "c", harness.LogOpts{SinceTime: middle}); got != "after\n" {
		t.Errorf("since %v: %q", middle, got)
	}
}

func TestALineOfAHundredThousandCharactersComesWhole(t *testing.T) {
	s := onShared(t)
	pod := harness.NewPod("long-line", mainBackend, harness.Shell("c", "head -c 100000 /dev/zero | tr '\\0' x; echo; echo short"))
	s.run(pod)
	s.ended(pod, time.Minute)
	long := strings.Repeat("x", 100000) + "\n"
	for name, c := range map[string]struct {
		opts harness.LogOpts
		want string
	}{
		"everything":         {harness.LogOpts{}, long + "short\n"},
		"the last line":      {harness.LogOpts{Tail: 1}, "short\n"},
		"the last two lines": {harness.LogOpts{Tail: 2}, long + "short\n"},
	} {
		if got := s.log(pod, "c", c.opts); got != c.want {
			t.Errorf("%s: %d bytes that end in %q, want %d", name, len(got), got[max(0, len(got)-20):], len(c.want))
		}
	}
	got := s.log(pod, "c", harness.LogOpts{Timestamps: true})
	if n := strings.Count(got, "T"); n != 2 {
		t.Errorf("two lines have %d timestamps: a line is not stamped in its middle", n)
	}
}

func TestFollowedLogsComeAsTheyAreWrittenAndEndWithTheContainer(t *testing.T) {
	s := onShared(t)
	pod := harness.NewPod("follow", mainBackend, harness.Shell("c",
		"echo first; while [ ! -e /one ]; do sleep 0.05; done; echo second; while [ ! -e /two ]; do sleep 0.05; done; echo third; exit 4"))
	s.run(pod)
	s.running(pod, "c")
	followed := []*followed{s.follow(pod, "c"), s.follow(pod, "c"), s.follow(pod, "c")}
	for _, step := range []struct{ seen, touch string }{{"first\n", "/one"}, {"second\n", "/two"}} {
		for _, f := range followed {
			f.has(step.seen)
		}
		if err := harness.Exec(s.ctx, s.engine.Client, s.ledger.Token(pod)+"-c-0", "touch", step.touch); err != nil {
			t.Logf("the container ended while the command ran in it: %v", err)
		}
	}
	for _, f := range followed {
		if got := f.all(); got != "first\nsecond\nthird\n" {
			t.Errorf("followed: %q", got)
		}
	}
}

func TestLogsThatAreNotThereAreToldOfInWords(t *testing.T) {
	s := onShared(t)
	pod := harness.NewPod("no-logs", mainBackend, harness.Shell("c", "true"))
	s.run(pod)
	s.ended(pod, time.Minute)
	for name, ask := range map[string]struct {
		container string
		opts      harness.LogOpts
		unknown   bool
	}{
		"another container":  {container: "other"},
		"no previous run":    {container: "c", opts: harness.LogOpts{Previous: true}},
		"an unknown pod":     {container: "c", unknown: true},
		"no container named": {container: ""},
	} {
		asked := pod.DeepCopy()
		if ask.unknown {
			asked.UID = harness.NewUID()
		}
		answer, err := s.manager.Logs(s.ctx, asked, ask.container, ask.opts)
		if err != nil {
			t.Fatal(err)
		}
		// The pod has one container, so its name is not missed.
		if ask.container == "" && answer.Code == http.StatusOK {
			continue
		}
		if answer.Code < 400 || answer.Code >= 500 || len(answer.Body) < 10 {
			t.Errorf("%s: %d %q", name, answer.Code, answer.Body)
		}
	}
}

func TestTheLogOfTheRunBeforeIsKept(t *testing.T) {
	s := onShared(t)
	pod := harness.NewPod("previous", mainBackend, harness.Shell("c", "if [ -e /work/n ]; then echo second; while :; do sleep 0.1; done; fi; echo x >/work/n; echo first; exit 1"))
	pod.Spec.RestartPolicy = "OnFailure"
	pod.Spec.TerminationGracePeriodSeconds = ptr(int64(1))
	pod.Spec.Volumes, pod.Spec.Containers[0].VolumeMounts = scratch("/work")
	s.run(pod)
	s.eventually(pod, time.Minute, "runs a second time", func(st harness.PodStatus) error {
		if c := st.Containers[0]; c.State.Running == nil || c.RestartCount != 1 {
			return fmt.Errorf("it does not: %s, %d restarts", states(st), c.RestartCount)
		}
		return nil
	})
	harness.Eventually(t, 10*time.Second, "the second run's log", func() error {
		if got := s.log(pod, "c", harness.LogOpts{}); got != "second\n" {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
	if got := s.log(pod, "c", harness.LogOpts{Previous: true}); got != "first\n" {
		t.Errorf("the log of the run before is %q", got)
	}
}
