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
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// run is one run of a container, as far as it is known.
type run struct {
	n int32
	// seen is the instance, nil where only the record tells of it.
	seen        *Instance
	id, imageID string
	startedAt   time.Time
	finishedAt  time.Time
	// end is how it ended, nil while it runs.
	end *corev1.ContainerStateTerminated
	// recorded is set where its end is on record.
	recorded bool
}

// begun tells whether an instance is, or was, more than made: one that the runtime could not start counts as a run that ended.
func (i *Instance) begun() bool {
	return i.State != InstanceCreated || i.StartError != ""
}

// seenRun is the run that an instance shows.
func seenRun(i *Instance) *run {
	r := &run{n: i.N, seen: i, id: i.ID, imageID: i.ImageID, startedAt: i.StartedAt, finishedAt: i.FinishedAt}
	if i.State != InstanceRunning {
		if r.finishedAt.IsZero() {
			r.finishedAt = i.CreatedAt
		}
		r.end = i.terminated(r.finishedAt)
	}
	return r
}

// terminated is the state of an instance that has ended, with the reasons that the container runtimes give.
func (i *Instance) terminated(finishedAt time.Time) *corev1.ContainerStateTerminated {
	t := &corev1.ContainerStateTerminated{
		ExitCode:    i.ExitCode,
		Signal:      i.Signal,
		Message:     i.Message,
		StartedAt:   seconds(i.StartedAt),
		FinishedAt:  seconds(finishedAt),
		ContainerID: i.ID,
	}
	switch {
	case i.StartError != "":
		t.ExitCode, t.Reason, t.Message = exitStartError, ReasonStartError, i.StartError
	case i.OOMKilled:
		t.Reason = ReasonOOMKilled
	case i.ExitCode == 0:
		t.Reason = ReasonCompleted
	default:
		t.Reason = ReasonError
	}
	return t
}

// recordedRuns are the runs that a recorded status tells of, in order: the latest that had begun and, where it is there, the end of
// the one before. A status that waits has a restartCount that speaks of the run that ended last.
func recordedRuns(s *corev1.ContainerStatus) []*run {
	if s == nil {
		return nil
	}
	latest := &run{n: s.RestartCount, id: s.ContainerID, imageID: s.ImageID}
	previous := s.LastTerminationState.Terminated
	switch {
	case s.State.Running != nil:
		latest.startedAt = s.State.Running.StartedAt.Time
	case s.State.Terminated != nil:
		latest.ends(s.State.Terminated)
	case previous != nil:
		latest.ends(previous)
		previous = nil
	case s.RestartCount > 0:
		latest.ends(&corev1.ContainerStateTerminated{ExitCode: exitUnknown, Reason: ReasonContainerStatusUnknown, ContainerID: s.ContainerID})
	default:
		return nil
	}
	if previous == nil || latest.n == 0 {
		return []*run{latest}
	}
	earlier := &run{n: latest.n - 1, id: previous.ContainerID}
	earlier.ends(previous)
	return []*run{earlier, latest}
}

// ends takes over an end that was recorded.
func (r *run) ends(t *corev1.ContainerStateTerminated) {
	r.end, r.recorded = t.DeepCopy(), true
	r.startedAt, r.finishedAt = t.StartedAt.Time, t.FinishedAt.Time
	if t.ContainerID != "" {
		r.id = t.ContainerID
	}
}

// see adds what is seen of a recorded run. Its recorded end, if it has one, stands: nothing goes back from terminated to running.
func (r *run) see(seen *run) {
	r.seen = seen.seen
	r.id, r.imageID = cmp.Or(seen.id, r.id), cmp.Or(seen.imageID, r.imageID)
	if r.end == nil {
		r.end = seen.end
	}
	// What is seen is finer than the record's seconds.
	if seen.end != nil && !seen.finishedAt.IsZero() {
		r.finishedAt = seen.finishedAt
	}
}

// conclude settles the ends that nobody saw, or that do not mean what they say.
func (r *run) conclude(in *Input) {
	switch {
	case r.recorded:
	case r.seen == nil:
		r.finishedAt = in.Now
		r.end = &corev1.ContainerStateTerminated{
			ExitCode:    exitUnknown,
			Reason:      ReasonContainerStatusUnknown,
			Message:     "The container could not be located. It used to be Running",
			StartedAt:   seconds(r.startedAt),
			FinishedAt:  seconds(in.Now),
			ContainerID: r.id,
		}
	case r.end == nil:
	case r.cutOff(&in.Sandbox):
		words := "The pod's sandbox ended under the container" + because(in.Sandbox.Message)
		if r.end.ExitCode == 0 {
			r.end.ExitCode, r.end.Reason = exitUnknown, ReasonSandboxChanged
			r.end.Message = words + "; it exited with code 0 when it was stopped"
		}
		r.end.Message = cmp.Or(r.end.Message, words)
	default:
		r.end.Message = cmp.Or(r.end.Message, r.seen.stopWords())
	}
}

// stopWords say why an instance had to be stopped, for one that says nothing itself.
func (i *Instance) stopWords() string {
	switch i.StopReason {
	case StopLivenessProbe:
		return "The container failed its liveness probe" + because(i.Probes.Message)
	case StopStartupProbe:
		return "The container failed its startup probe" + because(i.Probes.Message)
	case StopPostStartHook:
		return "The container's postStart hook failed" + because(i.PostStartMessage)
	}
	return ""
}

// cutOff tells whether the run ended because the pod's sandbox had ended.
func (r *run) cutOff(s *Sandbox) bool {
	if r.seen.StopReason == ReasonSandboxChanged {
		return true
	}
	return s.State == SandboxDead && !s.EndedAt.IsZero() && r.finishedAt.After(s.EndedAt)
}

// because is a message in brackets, nothing where there is none.
func because(message string) string {
	if message == "" {
		return ""
	}
	return " (" + message + ")"
}

// seconds is a time as an object of the API holds it, so that what is decided equals what is read back.
func seconds(t time.Time) metav1.Time {
	if t.IsZero() {
		return metav1.Time{}
	}
	return metav1.NewTime(t.Truncate(time.Second))
}
