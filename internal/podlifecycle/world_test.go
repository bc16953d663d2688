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

package podlifecycle

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// world is a machine on which a pod runs under simulated time: it does what decisions ask for, lets containers behave as a script says,
// and checks at every step what must hold whatever happens.
type world struct {
	t       testing.TB
	pod     *corev1.Pod
	script  func(container string, n int32) behaviour
	now     time.Time
	sandbox Sandbox
	// made are the instances of the present sandbox, and making is when those will be there that are being made.
	made     map[string][]*process
	making   map[Action]time.Time
	recorded Recorded
	// written is what recorded was read from.
	written []byte
	stop    *Stop
	waiting map[string]Waiting

	// recordsFirst has decisions recorded before they are acted upon; else it is the other way round.
	recordsFirst bool
	// crash says, asked once for each step, whether the decider dies and at which point of it; nil for never.
	crash func() crashPoint
	// events happen to the world when their time has come.
	events []event

	// log tells what was done, in order.
	log []string
	// ended is the highest N by container that a status showed as ended, and counts the highest restartCount.
	ended, counts map[string]int32
	last          Decision
}

type event struct {
	at time.Time
	do func(*world)
}

// crashPoint is where in a step the decider dies.
type crashPoint int

const (
	noCrash crashPoint = iota
	// crashAtOnce loses the decision. crashBeforeActions and crashAmidActions do none, and the first, of the actions, crashAfterActions does
	// all; each loses the record, unless that comes first.
	crashAtOnce
	crashBeforeActions
	crashAmidActions
	crashAfterActions
)

func newWorld(t testing.TB, pod *corev1.Pod, script func(string, int32) behaviour) *world {
	t.Helper()
	if script == nil {
		script = func(string, int32) behaviour { return behaviour{} }
	}
	return &world{
		t: t, pod: pod, script: script, now: epoch, made: map[string][]*process{}, making: map[Action]time.Time{},
		ended: map[string]int32{}, counts: map[string]int32{}, sandbox: Sandbox{State: SandboxNone},
	}
}

// input is what the decider sees.
func (w *world) input() Input {
	in := Input{
		Pod: w.pod.DeepCopy(), Now: w.now, Recorded: w.recorded, Sandbox: w.sandbox, Waiting: w.waiting, Stop: w.stop,
		Instances: map[string][]Instance{},
	}
	for name, list := range w.made {
		for _, p := range list {
			i := p.Instance
			p.observe(&i, w.now)
			in.Instances[name] = append(in.Instances[name], i)
		}
	}
	return in
}

// run drives the pod until it has ended or until, whichever is first, and tells whether it has ended.
func (w *world) run(until time.Duration) bool {
	for steps := 0; ; steps++ {
		if steps > 20000 {
			w.t.Fatalf("the pod does not come to rest at %s; last decision:\n%s\nlog: %v", w.now.Sub(epoch), dump(w.last), w.tail())
		}
		progress := w.step()
		if w.recorded.Finished {
			return true
		}
		if progress {
			continue
		}
		next := w.next()
		if next.IsZero() || next.After(epoch.Add(until)) {
			w.now = epoch.Add(until)
			w.settle()
			return false
		}
		w.now = next
		w.settle()
	}
}

// step takes one decision and does what it says; it tells whether anything changed by that.
func (w *world) step() bool {
	in := w.input()
	d := Decide(in)
	if again := Decide(w.input()); !reflect.DeepEqual(d, again) {
		w.t.Fatalf("the same input gives two decisions:\n%s\n%s", dump(d), dump(again))
	}
	w.check(in, d)
	w.last = d
	point := noCrash
	if w.crash != nil {
		point = w.crash()
	}
	progress := point != noCrash
	if point == crashAtOnce {
		w.forget()
		return progress
	}
	if w.recordsFirst {
		progress = w.record(d) || progress
	}
	w.undo(d)
	for i, a := range d.Actions {
		if point == crashBeforeActions || point == crashAmidActions && i > 0 {
			break
		}
		progress = w.act(a) || progress
	}
	if !w.recordsFirst && point == noCrash {
		progress = w.record(d) || progress
	}
	if point != noCrash {
		w.forget()
	}
	return progress
}

// record writes the decision down as the API would hold it.
func (w *world) record(d Decision) bool {
	r := Recorded{
		StartTime: w.recorded.StartTime, Finished: d.Finished(), Phase: d.Phase, Reason: d.Reason, Message: d.Message,
		InitContainers: d.InitContainers, Containers: d.Containers,
	}
	if r.StartTime.IsZero() {
		r.StartTime = w.now
	}
	data, err := json.Marshal(r)
	if err != nil {
		w.t.Fatal(err)
	}
	var read Recorded
	if err := json.Unmarshal(data, &read); err != nil {
		w.t.Fatal(err)
	}
	changed := !bytes.Equal(data, w.written)
	w.recorded, w.written = read, data
	return changed
}

// forget drops what a driver keeps in memory only.
func (w *world) forget() {
	clear(w.making)
	for _, list := range w.made {
		for _, p := range list {
			p.startAt = time.Time{}
			p.Stopping, p.StopReason, p.PostStart, p.hookSince = false, "", HookNone, time.Time{}
		}
	}
}

// undo gives up starts that are not asked for any more.
func (w *world) undo(d Decision) {
	for a := range w.making {
		if !slices.Contains(d.Actions, a) {
			delete(w.making, a)
		}
	}
	for name, list := range w.made {
		for _, p := range list {
			if !slices.Contains(d.Actions, Action{Kind: ActionStart, Container: name, N: p.N}) {
				p.startAt = time.Time{}
			}
		}
	}
}

// act does one action and tells whether it changed anything.
func (w *world) act(a Action) bool {
	p := w.find(a.Container, a.N)
	switch a.Kind {
	case ActionNewSandbox:
		for _, list := range w.made {
			for _, p := range list {
				if p.State == InstanceRunning {
					w.t.Fatalf("a new sandbox is asked for while %s runs", p.ID)
				}
			}
		}
		w.made, w.sandbox = map[string][]*process{}, Sandbox{State: SandboxReady}
		clear(w.making)
		w.note("sandbox")
	case ActionStart:
		return w.start(a, p)
	case ActionPostStart:
		if p == nil || p.State != InstanceRunning || p.PostStart != HookNone {
			w.t.Fatalf("postStart of an instance that does not run, or that has it: %+v", a)
		}
		p.PostStart, p.hookSince = HookRunning, w.now
	case ActionPreStop:
		if p.preStops > 0 {
			return false
		}
		p.preStops++
		w.note("preStop %s/%d", a.Container, a.N)
	case ActionStop:
		return w.stopProcess(a, p)
	case ActionRemove:
		if p == nil || p.State == InstanceRunning {
			w.t.Fatalf("remove of an instance that is not there or runs: %+v", a)
		}
		w.made[a.Container] = slices.DeleteFunc(w.made[a.Container], func(q *process) bool { return q == p })
	}
	return true
}

func (w *world) start(a Action, p *process) bool {
	for _, other := range w.made[a.Container] {
		if other.State == InstanceRunning {
			w.t.Fatalf("%s/%d is started while %d runs", a.Container, a.N, other.N)
		}
	}
	if w.sandbox.State != SandboxReady {
		w.t.Fatalf("%s/%d is started without a sandbox", a.Container, a.N)
	}
	if p != nil && (p.State != InstanceCreated || p.StartError != "") {
		w.t.Fatalf("%s/%d is started again", a.Container, a.N)
	}
	if p != nil {
		if !p.startAt.IsZero() {
			return false
		}
		p.startAt = w.now.Add(p.startTakes)
	} else {
		if _, ok := w.making[a]; ok {
			return false
		}
		w.making[a] = w.now.Add(w.script(a.Container, a.N).makingTakes)
	}
	w.settle()
	return true
}

// make has an instance there that was being made.
func (w *world) make(a Action) {
	p := &process{behaviour: w.script(a.Container, a.N)}
	p.N, p.ID, p.CreatedAt, p.State = a.N, fmt.Sprintf("sim://%s-%d", a.Container, a.N), w.now, InstanceCreated
	p.startAt = w.now.Add(p.startTakes)
	w.made[a.Container] = append(w.made[a.Container], p)
}

func (w *world) stopProcess(a Action, p *process) bool {
	if p == nil || p.State != InstanceRunning {
		w.t.Fatalf("stop of an instance that does not run: %+v", a)
	}
	if a.Deadline.IsZero() {
		w.t.Fatalf("stop without a deadline: %+v", a)
	}
	changed := !p.Stopping
	if !p.Stopping {
		p.Stopping, p.StopReason = true, a.Reason
		if p.termAt.IsZero() {
			p.termAt = w.now
			w.note("stop %s/%d %s", a.Container, a.N, a.Reason)
		}
		if a.RunPreStop {
			p.preStops++
		}
	}
	if p.killAt.IsZero() || a.Deadline.Before(p.killAt) {
		p.killAt = a.Deadline
		changed = true
	}
	w.settle()
	return changed
}

// next is when something happens by itself.
func (w *world) next() time.Time {
	var at time.Time
	earlier := func(t time.Time) {
		if t.After(w.now) && (at.IsZero() || t.Before(at)) {
			at = t
		}
	}
	earlier(w.last.WakeAt)
	for _, e := range w.events {
		earlier(e.at)
	}
	for _, t := range w.making {
		earlier(t)
	}
	for _, list := range w.made {
		for _, p := range list {
			if p.State != InstanceRunning {
				earlier(p.startAt)
				continue
			}
			end, _ := p.end()
			earlier(end)
			for _, d := range []time.Duration{p.startupAfter, p.readyAfter, p.livenessFails} {
				if d > 0 {
					earlier(p.StartedAt.Add(d))
				}
			}
			if p.PostStart == HookRunning {
				earlier(p.hookSince.Add(p.hookTakes))
			}
		}
	}
	return at
}

func (w *world) find(container string, n int32) *process {
	for _, p := range w.made[container] {
		if p.N == n {
			return p
		}
	}
	return nil
}

// at has something happen at a time after the beginning.
func (w *world) at(after time.Duration, do func(*world)) *world {
	w.events = append(w.events, event{epoch.Add(after), do})
	slices.SortStableFunc(w.events, func(a, b event) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
	return w
}

func (w *world) note(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%s %s", w.now.Sub(epoch), fmt.Sprintf(format, args...)))
}

func (w *world) tail() []string {
	return w.log[max(0, len(w.log)-40):]
}

func dump(v any) string {
	data, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(data)
}
