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
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// told is a signal that tells the job to end, and when it came.
type told struct {
	signal os.Signal
	at     time.Time
}

// fence is a signal of no meaning, by which this program learns that it has read all others. Its number is higher than theirs: of signals
// that wait the lowest is read first.
const fence = syscall.SIGWINCH

// fencePatience bounds how long it may take to read one's own signal.
const fencePatience = 5 * time.Second

// listener notes when signals come. Whoever is to act by them may be busy for long, with a shared file system that gives no answer, and has
// to know then what came first: a signal, or the end of a container that was sent the same.
type listener struct {
	terms  chan told
	one    sync.Mutex
	passed chan struct{}
}

// listen begins to take signals, the fence among them.
func listen(signals <-chan os.Signal) *listener {
	l := &listener{terms: make(chan told, 8), passed: make(chan struct{}, 1)}
	go func() {
		for s := range signals {
			if s == fence {
				l.pass()
				continue
			}
			select {
			case l.terms <- told{s, time.Now()}:
			default: // the first say it all
			}
		}
	}()
	return l
}

func (l *listener) pass() {
	select {
	case l.passed <- struct{}{}:
	default:
	}
}

// catchUp notes the signals that have come and that no thread has found the time to read. The first fence has this thread read what waits for
// the program, the second comes behind that. A signal that another thread is just reading may be missed: see together.
func (l *listener) catchUp() {
	l.one.Lock()
	defer l.one.Unlock()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	timer := time.NewTimer(fencePatience)
	defer timer.Stop()
	select {
	case <-l.passed: // somebody else's, or one that came after its time
	default:
	}
	for range 2 {
		if unix.Tgkill(os.Getpid(), unix.Gettid(), fence) != nil {
			return
		}
		select {
		case <-l.passed:
		case <-timer.C:
			return
		}
	}
}

const terminatedMessage = "The batch system told the job to end"

// heed begins to end the pod as a signal asks for.
func (r *runner) heed(t told) {
	r.log("got %v", t.signal)
	r.beginStop(t.at)
}

// beginStop begins to end the pod, from the time on at which it was asked to.
func (r *runner) beginStop(since time.Time) {
	r.mu.Lock()
	if r.stop == nil {
		r.stop = &podlifecycle.Stop{Since: since, Reason: jobdir.ReasonTerminated, Message: terminatedMessage}
	}
	r.mu.Unlock()
	r.readStop(true)
}

// hear heeds the signals that have come.
func (r *runner) hear(terms <-chan told) {
	for {
		select {
		case t := <-terms:
			r.heed(t)
		default:
			return
		}
	}
}

// together is how much later than a container this program may hear of the job's end: SLURM signals the processes of a job one after
// another, and a busy node runs their threads one after another. What ends within that time before a signal has ended by it.
const together = 50 * time.Millisecond

// hearOut waits until no signal is under way any more that came together with the last end.
func (r *runner) hearOut(terms <-chan told) {
	timer := time.NewTimer(r.lastEnd().Add(together).Sub(r.now()))
	defer timer.Stop()
	select {
	case t := <-terms:
		r.heed(t)
	case <-timer.C:
		r.hear(terms)
	}
}

// lastEnd is when a container ended last.
func (r *runner) lastEnd() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	var last time.Time
	for _, runs := range r.instances {
		for _, i := range runs {
			if i.finished.After(last) {
				last = i.finished
			}
		}
	}
	return last
}

// toldStop is the stop as the rules hear of it: it came before the ends that it may have brought about. The caller holds the lock.
func (r *runner) toldStop() *podlifecycle.Stop {
	if r.stop == nil {
		return nil
	}
	stop, earliest := *r.stop, r.stop.Since.Add(-together)
	for _, runs := range r.instances {
		for _, i := range runs {
			if i.state == podlifecycle.InstanceExited && !i.finished.Before(earliest) && !i.finished.After(stop.Since) {
				stop.Since = i.finished.Add(-1)
			}
		}
	}
	return &stop
}
