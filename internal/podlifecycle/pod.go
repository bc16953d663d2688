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
	"cmp"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// pod is one decision in the making: the spec, what is seen and what was recorded brought together, and what has been decided so far.
type pod struct {
	in Input
	// init are the init containers, restartable ones among them, and apps the others; all is both, in this order.
	init, apps, all []*container

	actions []Action
	wakeAt  time.Time
}

// role is what a container is to its pod.
type role int

const (
	roleInit role = iota
	roleSidecar
	roleApp
)

// container is one container of the pod, and what is known of its runs.
type container struct {
	spec     *corev1.Container
	role     role
	recorded *corev1.ContainerStatus
	waiting  *Waiting

	// last is the latest run that has begun, nil before the first; before is how the one ahead of it ended, where that is known.
	last   *run
	before *corev1.ContainerStateTerminated
	// created is an instance that has been made and not been started yet; it comes after last.
	created *Instance
	// seen are the instances in ascending order of N.
	seen []Instance

	// blockedUntil is the end of the back-off that keeps it from being started, zero where there is none.
	blockedUntil time.Time
	// again is set where an init container that is done has to run once more, since the sandbox that it ran in is gone.
	again bool
}

func newPod(in Input) *pod {
	p := &pod{in: in}
	spec := &in.Pod.Spec
	for i := range spec.InitContainers {
		r := roleInit
		if isSidecar(&spec.InitContainers[i]) {
			r = roleSidecar
		}
		p.init = append(p.init, newContainer(&in, &spec.InitContainers[i], r, in.Recorded.InitContainers))
	}
	for i := range spec.Containers {
		p.apps = append(p.apps, newContainer(&in, &spec.Containers[i], roleApp, in.Recorded.Containers))
	}
	p.all = slices.Concat(p.init, p.apps)
	if in.Sandbox.State == SandboxReady {
		// What comes after the furthest init container that has begun in this sandbox has to run in it, though it may have run before.
		for i := p.frontier() + 1; i < len(p.init); i++ {
			p.init[i].again = true
		}
	}
	return p
}

// isSidecar tells whether an init container is restartable (KEP-753).
func isSidecar(c *corev1.Container) bool {
	return c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways
}

// newContainer brings together what is seen and what was recorded. What was recorded as ended stays ended, and what was recorded as
// running and is gone has ended without anybody having seen how.
func newContainer(in *Input, spec *corev1.Container, r role, recorded []corev1.ContainerStatus) *container {
	c := &container{spec: spec, role: r, seen: slices.Clone(in.Instances[spec.Name])}
	slices.SortFunc(c.seen, func(a, b Instance) int { return cmp.Compare(a.N, b.N) })
	if i := slices.IndexFunc(recorded, func(s corev1.ContainerStatus) bool { return s.Name == spec.Name }); i >= 0 {
		c.recorded = &recorded[i]
	}
	if w, ok := in.Waiting[spec.Name]; ok {
		c.waiting = &w
	}

	runs := recordedRuns(c.recorded)
	for i := range c.seen {
		if in := &c.seen[i]; in.begun() {
			runs = append(runs, seenRun(in))
		}
	}
	// By N; of two views of the same run the recorded one comes first.
	slices.SortStableFunc(runs, func(a, b *run) int { return cmp.Compare(a.n, b.n) })
	for _, next := range runs {
		if c.last != nil && c.last.n == next.n {
			c.last.see(next)
			continue
		}
		if c.last != nil {
			c.before = c.last.end
		}
		c.last = next
	}
	if c.last != nil {
		c.last.conclude(in)
	}
	for i := range c.seen {
		if in := &c.seen[i]; !in.begun() && (c.last == nil || in.N > c.last.n) {
			c.created = in
		}
	}
	return c
}

// running tells whether the container's latest run goes on.
func (c *container) running() bool {
	return c.last != nil && c.last.end == nil
}

// ended tells whether the container has run and runs no more.
func (c *container) ended() bool {
	return c.last != nil && c.last.end != nil
}

// present tells whether the container has begun, or is about to begin, in what is there now.
func (c *container) present() bool {
	return c.created != nil || c.last != nil && c.last.seen != nil
}

// nextN is the N of the instance to start next.
func (c *container) nextN() int32 {
	switch {
	case c.created != nil:
		return c.created.N
	case c.last != nil:
		return c.last.n + 1
	default:
		return 0
	}
}

// anyRunning tells whether anything of the pod runs, be it what should or not.
func (p *pod) anyRunning() bool {
	return slices.ContainsFunc(p.all, (*container).anyRunning)
}

func (c *container) anyRunning() bool {
	return slices.ContainsFunc(c.seen, func(i Instance) bool { return i.State == InstanceRunning && i.begun() })
}
