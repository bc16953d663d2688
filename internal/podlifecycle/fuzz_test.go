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
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// story is a pod, what its containers do, and what happens to it, all drawn from one seed.
type story struct {
	rng *rand.Rand
	pod *corev1.Pod
	// timeless is set where the end depends on nothing but what the containers do, however long the decider was away.
	timeless bool
}

func storyOf(seed uint64, timeless bool) *story {
	s := &story{rng: rand.New(rand.NewPCG(seed, 1)), timeless: timeless}
	policies := []corev1.RestartPolicy{corev1.RestartPolicyNever, corev1.RestartPolicyOnFailure, corev1.RestartPolicyAlways}
	if timeless {
		policies = policies[:2]
	}
	s.pod = podOf(policyOf(pick(s.rng, policies)), graceOf(int64(s.rng.IntN(40))))
	for i := range s.rng.IntN(4) {
		s.pod.Spec.InitContainers = append(s.pod.Spec.InitContainers, s.container(fmt.Sprintf("i%d", i), true))
	}
	for i := range 1 + s.rng.IntN(3) {
		s.pod.Spec.Containers = append(s.pod.Spec.Containers, s.container(fmt.Sprintf("a%d", i), false))
	}
	if !timeless && s.rng.IntN(3) == 0 {
		s.pod.Spec.ActiveDeadlineSeconds = new(int64(s.rng.IntN(600)))
	}
	return s
}

func pick[T any](rng *rand.Rand, list []T) T { return list[rng.IntN(len(list))] }

func (s *story) often(of int) bool { return s.rng.IntN(of) == 0 }

func (s *story) container(name string, isInit bool) corev1.Container {
	c := containerOf(name)
	if isInit && s.often(2) {
		restartPolicy(corev1.ContainerRestartPolicyAlways)(&c)
	} else if s.often(4) {
		restartPolicy(pick(s.rng, []corev1.ContainerRestartPolicy{corev1.ContainerRestartPolicyNever, corev1.ContainerRestartPolicyOnFailure}))(&c)
		if s.often(2) {
			rule(corev1.ContainerRestartRuleActionRestart, corev1.ContainerRestartRuleOnExitCodesOpIn, 2)(&c)
		}
		if !s.timeless && s.often(2) {
			rule(corev1.ContainerRestartRuleActionRestartAllContainers, corev1.ContainerRestartRuleOnExitCodesOpIn, 3)(&c)
		}
	}
	if isInit && !isSidecar(&c) {
		return c
	}
	for _, f := range []func(*corev1.Container){startupProbe, livenessProbe, readinessProbe, postStart, preStop} {
		if s.often(3) {
			f(&c)
		}
	}
	return c
}

// behave is what the n-th run of a container does. It depends on the seed, name and number only. In the end every container succeeds,
// so that a pod can end by itself.
func (s *story) behave(seed uint64) func(string, int32) behaviour {
	return func(name string, n int32) behaviour {
		h := seed
		for _, c := range fmt.Sprintf("%s/%d", name, n) {
			h = h*1099511628211 + uint64(c)
		}
		r := rand.New(rand.NewPCG(h, 2))
		b := behaviour{
			runsFor: time.Duration(1+r.IntN(90000)) * time.Millisecond, onTerm: pick(r, []int32{1, 143}), termTakes: time.Duration(r.IntN(8000)) * time.Millisecond,
			ignoresTerm: r.IntN(4) == 0, hookTakes: time.Duration(r.IntN(5)) * time.Second, startupAfter: time.Duration(r.IntN(9)) * time.Second,
			readyAfter: time.Duration(r.IntN(9)) * time.Second,
		}
		if n >= 4 {
			return b
		}
		b.exit = pick(r, []int32{0, 0, 1, 2, 3})
		if r.IntN(3) == 0 {
			b.makingTakes, b.startTakes = time.Duration(r.IntN(20))*time.Second, time.Duration(r.IntN(5))*time.Second
		}
		switch r.IntN(12) {
		case 0:
			b.startError = "no such file"
		case 1:
			b.hookFails = true
		case 2:
			b.startupFails = true
		case 3:
			b.livenessFails = time.Duration(1+r.IntN(60)) * time.Second
		case 4:
			b.exit, b.oom = 137, true
		case 5:
			b.runsFor += 11 * time.Minute
		}
		if !s.timeless {
			b.onTerm = pick(r, []int32{0, 1, 143})
		} else if b.hookFails || b.startupFails || b.livenessFails > 0 {
			// That it was asked to stop is forgotten in a crash; then a code of 0 is taken at its word, as by a kubelet that was restarted.
			b.exit, b.onTerm = 1, 1
		}
		return b
	}
}

// chaos has things happen to the pod from outside.
func (s *story) chaos(w *world) {
	for range s.rng.IntN(4) {
		at := time.Duration(s.rng.IntN(400000)) * time.Millisecond
		switch s.rng.IntN(3) {
		case 0:
			w.at(at, (*world).killSandbox)
		case 1:
			w.at(at, func(w *world) { w.removeSomething(s.rng) })
		case 2:
			w.at(at, func(w *world) { w.waiting = nil })
			w.waiting = map[string]Waiting{w.pod.Spec.Containers[0].Name: {Reason: "ErrImagePull", Message: "no route to host"}}
		}
	}
	if s.often(6) {
		w.at(time.Duration(s.rng.IntN(400))*time.Second, (*world).loseNode)
	}
	stop := time.Duration(s.rng.IntN(3000)) * time.Second
	if s.often(2) {
		stop = 3 * time.Hour
	}
	w.at(stop, func(w *world) { w.stop = &Stop{Since: w.now, Reason: "Cancelled", Message: "The pod was deleted"} })
}

// killSandbox ends what holds the pod's network; its containers go on without.
func (w *world) killSandbox() {
	if w.sandbox.State == SandboxReady {
		clear(w.making)
		w.sandbox = Sandbox{State: SandboxDead, EndedAt: w.now, Message: "it was killed"}
		w.note("sandbox dies")
	}
}

// loseNode ends everything at once, as an engine does that is started anew.
func (w *world) loseNode() {
	if w.sandbox.State != SandboxReady || w.recorded.Finished {
		return
	}
	for _, list := range w.made {
		for _, p := range list {
			if p.State == InstanceRunning {
				p.State, p.FinishedAt, p.ExitCode = InstanceExited, w.now, 0
			}
		}
	}
	w.sandbox = Sandbox{State: SandboxDead, EndedAt: w.now, NodeLost: true, Message: "the engine was started anew"}
}

// removeSomething removes an instance behind everybody's back.
func (w *world) removeSomething(rng *rand.Rand) {
	for _, c := range slices.Concat(w.pod.Spec.Containers, w.pod.Spec.InitContainers) {
		if list := w.made[c.Name]; len(list) > 0 && rng.IntN(2) == 0 {
			w.note("somebody removes %s/%d", c.Name, list[len(list)-1].N)
			w.made[c.Name] = list[:len(list)-1]
			return
		}
	}
}

// crashes kills the decider at random points, for a while: a decider that died at each step would never get anywhere.
func crashes(rng *rand.Rand, times int) func() crashPoint {
	return func() crashPoint {
		if times == 0 || rng.IntN(3) != 0 {
			return noCrash
		}
		times--
		return crashPoint(1 + rng.IntN(4))
	}
}

// FuzzDecide drives pods of all kinds through worlds that do them all kinds of harm, and holds every step against the invariants: see
// world.check. Every pod comes to an end.
func FuzzDecide(f *testing.F) {
	for seed := range uint64(16) {
		f.Add(seed)
	}
	f.Fuzz(tormented)
}

func tormented(t *testing.T, seed uint64) {
	s := storyOf(seed, false)
	w := newWorld(t, s.pod, s.behave(seed))
	s.chaos(w)
	w.crash, w.recordsFirst = crashes(s.rng, s.rng.IntN(30)), s.often(2)
	if !w.run(6 * time.Hour) {
		t.Fatalf("seed %d: the pod has not ended:\n%s\nlog: %q", seed, dump(w.last), w.tail())
	}
	// What has ended stays so, whatever is seen afterwards.
	w.step()
}

// FuzzCrashesChangeNoEnd lets the same pod live twice, once with a decider that dies again and again: both come to the same end, with the
// same codes and the same number of runs.
func FuzzCrashesChangeNoEnd(f *testing.F) {
	for seed := range uint64(16) {
		f.Add(seed)
	}
	f.Fuzz(twice)
}

func twice(t *testing.T, seed uint64) {
	calm := newWorld(t, storyOf(seed, true).pod, storyOf(seed, true).behave(seed))
	s := storyOf(seed, true)
	shaken := newWorld(t, s.pod, s.behave(seed))
	shaken.crash, shaken.recordsFirst = crashes(s.rng, 1+s.rng.IntN(40)), s.often(2)
	for _, w := range []*world{calm, shaken} {
		if !w.run(24 * time.Hour) {
			t.Fatalf("seed %d: the pod has not ended:\n%s\nlog: %q", seed, dump(w.last), w.tail())
		}
	}
	ends := func(w *world) []string {
		out := []string{string(w.recorded.Phase) + " " + w.recorded.Reason}
		for i, s := range slices.Concat(w.recorded.InitContainers, w.recorded.Containers) {
			if i < len(w.pod.Spec.InitContainers) && isSidecar(&w.pod.Spec.InitContainers[i]) {
				// How often a sidecar ran depends on how long the others took.
				continue
			}
			out = append(out, summary(s))
		}
		return out
	}
	if a, b := ends(calm), ends(shaken); !slices.Equal(a, b) {
		t.Fatalf("seed %d: a decider that dies comes to another end:\n%q\n%q\nlogs:\n%q\n%q", seed, a, b, calm.log, shaken.log)
	}
}

// TestManyPods runs both fuzz targets over more seeds than their corpora hold.
func TestManyPods(t *testing.T) {
	for seed := range uint64(300) {
		tormented(t, seed)
		twice(t, seed)
	}
}
