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

// Package history holds what was seen in a run of the fault suite, and the invariants that it is judged by.
package history

import (
	"slices"
	"time"
)

// Moment is a time of a run, counted from its beginning. Zero where it never came.
type Moment = time.Duration

// History is what was seen in a run.
type History struct {
	Pods   []Pod
	Runs   []Run
	Faults []Fault
	// Left is what was left anywhere when all pods had been deleted.
	Left []string
	// Trouble is what the managers did that nobody should see: panics, ends that nobody caused, growth.
	Trouble []string
}

// Pod is a pod as interLink and the virtual kubelet saw it.
type Pod struct {
	UID, Backend string
	// Containers in the pod's order, init containers first.
	Containers []Container
	// Endless pods run until they are deleted; raced ones are deleted while they are created; restartable ones have a restartPolicy other
	// than Never.
	Endless, Raced, Restartable bool
	// Accepted is when /create was answered 200, Refused when it was answered for good by something else, whose words are Refusal.
	Accepted, Refused Moment
	Refusal           string
	// Ended is when a status first showed all containers ended.
	Ended Moment
	// Deleting is when /delete was first sent, Deleted when it was answered, Settled when nothing of the pod was left.
	Deleting, Deleted, Settled Moment
	// Restored is when the ledger was restored from a backup. Forgotten pods are those that it does not know of since; those that are Back
	// had been deleted by then, and SettledAgain is when their second delete had left nothing.
	Restored, SettledAgain Moment
	Forgotten, Back        bool
	// Seen are the statuses of the containers in the order in which they were told, one for each change.
	Seen []Seen
	// Wrong are answers that are wrong whatever has happened: about another pod, with containers missing, with another pod's log.
	Wrong []string
	// Cut are lines of logs that say that something is missing there.
	Cut []string
}

// Steps counts what has happened to the pod so far.
func (p *Pod) Steps() int {
	n := len(p.Seen)
	for _, at := range []Moment{p.Accepted, p.Refused, p.Ended, p.Deleting, p.Deleted, p.Settled, p.Restored, p.SettledAgain} {
		if at != 0 {
			n++
		}
	}
	return n
}

// Container is what a container is expected to do.
type Container struct {
	Name string
	// Runs is how often it is run where nothing goes wrong, Code what the last of them ends with.
	Runs int
	Code int32
}

// State of a container.
type State int

// The states, in the order of a run.
const (
	Waiting State = iota
	Running
	Terminated
)

// Seen is what one status said of one container.
type Seen struct {
	At        Moment
	Container string
	State     State
	Code      int32
	Restarts  int32
	// Words are the reason and the message.
	Words string
}

// Run is a run of a container as it wrote itself down, outside of the system under test. Ended is zero where it was killed.
type Run struct {
	UID, Container, ID string
	Began, Ended       Moment
}

// Effect is what a fault may do to pods, as a set.
type Effect int

// The effects of faults.
const (
	// MayLose: the backend itself may lose the pod, which is then reported with a code other than 0.
	MayLose Effect = 1 << iota
	// MayEnd: the pod is cancelled, or fails for want of its payload.
	MayEnd
	// MayRepeat: the backend may run the pod again, once from the beginning.
	MayRepeat
	// MayRequeue: the same, of a pod whose restartPolicy lets it run again.
	MayRequeue
	// MayMiss: the code of a container that ends meanwhile may be lost, and be unknownCode, for which a restartPolicy may restart it; and one
	// that is being started may be said to be there already.
	MayMiss
	// MayMute: logs may be cut.
	MayMute
)

// Fault is a fault that struck.
type Fault struct {
	Kind     string
	From, To Moment
	// Pod is the UID of the one that it was aimed at; Backends those whose pods it strikes, where it is aimed at none; both are empty for
	// faults of which no pod may feel anything.
	Pod      string
	Backends []string
	May      Effect
}

// strikes tells whether a fault may have an effect on a pod.
func (f Fault) strikes(p *Pod, effect Effect) bool {
	may := f.May
	if may&MayRequeue != 0 && p.Restartable {
		may |= MayRepeat
	}
	if may&effect == 0 {
		return false
	}
	if f.Pod != "" {
		return f.Pod == p.UID
	}
	// A pod that had been seen to end when the fault struck, or that came afterwards, has nothing to lose.
	return slices.Contains(f.Backends, p.Backend) && (p.Ended == 0 || p.Ended >= f.From) && (p.Accepted == 0 || p.Accepted <= f.To+settling)
}

// settling is how long after a fault pods may feel it: a backend that was restarted sorts out what it has lost.
const settling = 30 * time.Second

func (h *History) struck(p *Pod, effect Effect) int {
	n := 0
	for _, f := range h.Faults {
		if f.strikes(p, effect) {
			n++
		}
	}
	return n
}

func (h *History) runsOf(uid string) map[string][]Run {
	runs := map[string][]Run{}
	for _, r := range h.Runs {
		if r.UID == uid {
			runs[r.Container] = append(runs[r.Container], r)
		}
	}
	return runs
}
