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
	"bufio"
	"bytes"
	"encoding/json"
	"net"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/grace"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/agent"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// fakeAgent stands for the agent of a container: it takes a command and signals, and nothing ends but by SIGKILL.
type fakeAgent struct {
	conn    net.Conn
	starts  chan struct{}
	signals chan syscall.Signal
}

// newFakeAgent has a runner know of a container that runs.
func newFakeAgent(t *testing.T, r *runner) (*instance, *fakeAgent) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := agent.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	f := &fakeAgent{conn: conn, starts: make(chan struct{}, 1), signals: make(chan syscall.Signal, 8)}
	i := &instance{name: "main", spec: &corev1.Container{Name: "main"}, state: podlifecycle.InstanceRunning, copied: make(chan struct{})}
	if i.agent, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.agent.Close)
	go f.serve()
	r.instances["main"] = []*instance{i}
	return i, f
}

func (f *fakeAgent) serve() {
	defer close(f.signals)
	for lines := bufio.NewScanner(f.conn); lines.Scan(); {
		var request struct {
			Start  *agent.Start
			Signal syscall.Signal
		}
		// The command comes behind a byte that carries files.
		if json.Unmarshal(bytes.TrimPrefix(lines.Bytes(), []byte("F")), &request) != nil {
			return
		}
		switch {
		case request.Start != nil:
			f.starts <- struct{}{}
		case request.Signal == syscall.SIGKILL:
			f.signals <- request.Signal
			_ = f.conn.Close()
			return
		case request.Signal != 0:
			f.signals <- request.Signal
		}
	}
}

// next is the signal that comes next.
func (f *fakeAgent) next(t *testing.T) syscall.Signal {
	t.Helper()
	select {
	case s := <-f.signals:
		return s
	case <-time.After(time.Minute):
		t.Fatal("no signal came")
		return 0
	}
}

// TestAContainerHasTheLeastOfGracePeriodsHoweverLateItIsToldToEnd is about a shared file system that takes longer to write down what was
// decided than the grace period is.
func TestAContainerHasTheLeastOfGracePeriodsHoweverLateItIsToldToEnd(t *testing.T) {
	r := newTestRunner(t)
	_, f := newFakeAgent(t, r)
	asked := r.now()
	r.stopContainer(podlifecycle.Action{Container: "main", Deadline: asked.Add(-time.Minute)})
	if s := f.next(t); s != syscall.SIGTERM {
		t.Fatalf("the first signal is %v", s)
	}
	if s := f.next(t); s != syscall.SIGKILL {
		t.Fatalf("the second signal is %v", s)
	}
	if after := r.now().Sub(asked); after < grace.Least {
		t.Errorf("it was killed after %v", after)
	}
	r.awaits.Wait()
}

// TestALaterRequestEndsAContainerSooner also has that request come late: its deadline is over when it comes.
func TestALaterRequestEndsAContainerSooner(t *testing.T) {
	r := newTestRunner(t)
	i, f := newFakeAgent(t, r)
	asked := r.now()
	r.stopContainer(podlifecycle.Action{Container: "main", Deadline: asked.Add(time.Hour)})
	if s := f.next(t); s != syscall.SIGTERM {
		t.Fatalf("the first signal is %v", s)
	}
	r.stopContainer(podlifecycle.Action{Container: "main", Deadline: asked.Add(-time.Minute)})
	if s := f.next(t); s != syscall.SIGKILL {
		t.Fatalf("the second signal is %v", s)
	}
	if after := r.now().Sub(asked); after < grace.Least {
		t.Errorf("it was killed after %v", after)
	}
	r.awaits.Wait()
	if !i.stopping.killed {
		t.Error("nobody knows that it was killed")
	}
}

// TestWhatHasEndedIsNotToldToEnd has a stop come while it is taken down how the container ended, which takes a runtime its time.
func TestWhatHasEndedIsNotToldToEnd(t *testing.T) {
	r := newTestRunner(t)
	i, f := newFakeAgent(t, r)
	_ = f.conn.Close()
	<-i.agent.Done()
	r.stopContainer(podlifecycle.Action{Container: "main", Deadline: r.now()})
	if i.stopping != nil {
		t.Error("it is taken for one that ends because it was told to")
	}
}

// TestAStartThatIsTriedAgainIsNotWaitedForAtEveryMoment is about the loop, which would not rest.
func TestAStartThatIsTriedAgainIsNotWaitedForAtEveryMoment(t *testing.T) {
	r := newTestRunner(t)
	later := r.now().Add(time.Hour)
	r.troubles["a"], r.troubles["b"] = trouble{retry: r.now().Add(-time.Second)}, trouble{retry: later}
	if r.input(); !r.tryAt.Equal(later) {
		t.Errorf("it looks again at %v, and not at %v", r.tryAt, later)
	}
}
