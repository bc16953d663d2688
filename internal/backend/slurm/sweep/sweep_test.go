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

package sweep

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/crilog"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

const (
	one   = "rj-00000000000000000000000000000001"
	two   = "rj-00000000000000000000000000000002"
	three = "rj-00000000000000000000000000000003"
)

func newJob(t *testing.T, base jobdir.Base, token string) jobdir.Dir {
	t.Helper()
	dir := base.Job(token)
	if err := os.MkdirAll(string(dir), jobdir.DirMode); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestOnlyNewsIsTold(t *testing.T) {
	base := jobdir.Base(t.TempDir())
	dir := newJob(t, base, one)
	if err := dir.WriteState(jobdir.State{JobID: "7", Sequence: 4}); err != nil {
		t.Fatal(err)
	}
	if _, _, err := dir.Take(jobdir.Claim{JobID: "7"}); err != nil {
		t.Fatal(err)
	}
	newJob(t, base, two)
	if err := base.MarkDone(two, jobdir.Done{}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		request Request
		want    func(Answer) bool
	}{
		"a later state":         {Request{Token: one, Sequence: 3}, func(a Answer) bool { return a.State != nil && a.State.Sequence == 4 && a.Claim == nil }},
		"a state that is known": {Request{Token: one, Sequence: 4}, nil},
		"a claim":               {Request{Token: one, Sequence: 4, Claim: true}, func(a Answer) bool { return a.State == nil && a.Claim.JobID == "7" && !a.Missing }},
		"no claim":              {Request{Token: two, Claim: true}, nil},
		"a marker":              {Request{Token: two, Done: true}, func(a Answer) bool { return a.Done }},
		"no marker":             {Request{Token: one, Sequence: 9, Done: true}, nil},
		"no directory":          {Request{Token: three, Claim: true}, func(a Answer) bool { return a.Missing }},
	} {
		line, err := json.Marshal(c.request)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		if err := Sweep(base, bytes.NewReader(line), &out); err != nil {
			t.Fatal(err)
		}
		if c.want == nil {
			if out.Len() > 0 {
				t.Errorf("%s: got %s", name, out.String())
			}
			continue
		}
		var a Answer
		if err := json.Unmarshal(out.Bytes(), &a); err != nil || a.Token != c.request.Token || a.Error != "" || !c.want(a) {
			t.Errorf("%s: got %s, %v", name, out.String(), err)
		}
	}
}

func TestWhatIsNoTokenIsRefused(t *testing.T) {
	for _, in := range []string{`{"token":"../../etc"}`, `{"token":""}`, `no json`} {
		var out bytes.Buffer
		if err := Sweep(jobdir.Base(t.TempDir()), strings.NewReader(in), &out); err == nil {
			t.Errorf("%s was answered by %s", in, out.String())
		}
	}
}

func TestAStateThatCantBeReadIsSaid(t *testing.T) {
	base := jobdir.Base(t.TempDir())
	if err := os.WriteFile(newJob(t, base, one).State(), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Sweep(base, strings.NewReader(`{"token":"`+one+`"}`), &out); err != nil || !strings.Contains(out.String(), `"error"`) {
		t.Errorf("got %s, %v", out.String(), err)
	}
}

func state(sequence int64, restarts int32, s corev1.ContainerState, finished bool) jobdir.State {
	return jobdir.State{JobID: "1", Sequence: sequence, Finished: finished, Decision: podlifecycle.Decision{
		Containers: []corev1.ContainerStatus{{Name: "main", RestartCount: restarts, State: s}},
	}}
}

func TestTheRunThatCountsIsRead(t *testing.T) {
	dir := newJob(t, jobdir.Base(t.TempDir()), one)
	for n, text := range []string{"first\n", "second\n", "third\n"} {
		l, err := crilog.Create(dir.Log("main", int32(n)), jobdir.LogLimits{}, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		l.Copy("stdout", strings.NewReader(text))
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}
	for restarts, want := range map[int32][2]string{0: {"second\n", ""}, 1: {"third\n", "first\n"}, 2: {"third\n", "second\n"}} {
		if err := dir.WriteState(state(1, restarts, running, false)); err != nil {
			t.Fatal(err)
		}
		for i, previous := range []bool{false, true} {
			var b bytes.Buffer
			err := Logs(t.Context(), LogRequest{Dir: dir, Container: "main", Previous: previous}, &b)
			if b.String() != want[i] || (want[i] == "") != errors.Is(err, fs.ErrNotExist) {
				t.Errorf("after %d restarts, previous %v: got %q, %v", restarts, previous, b.String(), err)
			}
		}
	}
	for _, nobody := range []string{"nobody", "../main", ""} {
		if err := Logs(t.Context(), LogRequest{Dir: dir, Container: nobody}, &bytes.Buffer{}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%q: got %v", nobody, err)
		}
	}
}

func TestFollowingEndsWithTheContainer(t *testing.T) {
	dir := newJob(t, jobdir.Base(t.TempDir()), one)
	if err := dir.WriteState(state(1, 0, corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, false)); err != nil {
		t.Fatal(err)
	}
	l, err := crilog.Create(dir.Log("main", 0), jobdir.LogLimits{}, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	l.Copy("stdout", strings.NewReader("one\n"))
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	done := make(chan string, 1)
	go func() {
		var b bytes.Buffer
		if err := Logs(ctx, LogRequest{Dir: dir, Container: "main", Follow: true}, &b); err != nil {
			t.Error(err)
		}
		done <- b.String()
	}()
	l.Copy("stdout", strings.NewReader("two\n"))
	if err := dir.WriteState(state(2, 0, corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}, false)); err != nil {
		t.Fatal(err)
	}
	if got := <-done; got != "one\ntwo\n" {
		t.Errorf("got %q", got)
	}
}
