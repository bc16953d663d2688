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

// Package plan chooses what a run of the fault suite does: which pods come when, and which faults strike when. The choice follows from a
// seed alone.
package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// Kind is a kind of fault.
type Kind string

// The kinds of faults.
const (
	KillManager      Kind = "kill-manager"       // SIGKILL, started again at once
	KillManagerLong  Kind = "kill-manager-long"  // SIGKILL, started again later
	PauseManager     Kind = "pause-manager"      // SIGSTOP, SIGCONT
	KillLeader       Kind = "kill-leader"        // SIGKILL, started again when another one leads
	PauseLeader      Kind = "pause-leader"       // SIGSTOP until another one leads, SIGCONT
	StopAPIServer    Kind = "stop-apiserver"     // stopped and started
	StopEtcd         Kind = "stop-etcd"          // stopped and started
	KillController   Kind = "kill-slurmctld"     // SIGKILL, started again at once
	StopController   Kind = "stop-slurmctld"     // stopped, started again later
	CutLine          Kind = "cut-ssh"            // all connections end
	RefuseLine       Kind = "refuse-ssh"         // and no new ones for a while
	StallLine        Kind = "stall-ssh"          // the line is silent for a while
	SlowCommands     Kind = "slow-commands"      // sbatch, squeue and scancel take their time
	FailCommands     Kind = "fail-commands"      // one of them fails
	LoseAnswers      Kind = "lose-answers"       // one of them does its work and says that it timed out
	LateSubmission   Kind = "late-sbatch"        // sbatch times out, and its job goes in later
	Requeue          Kind = "requeue"            // scontrol requeue of a job
	Conflicts        Kind = "api-409"            // writes are answered 409
	TooManyRequests  Kind = "api-429"            // calls are answered 429
	LostWrites       Kind = "api-lost-answers"   // writes take effect and their answers are lost
	SlowWatch        Kind = "slow-watch"         // watches and lists are held
	DeleteRemoteJob  Kind = "delete-remotejob"   // a person deletes one
	DeletePayload    Kind = "delete-payload"     // a person deletes the Secrets of one
	SameCreate       Kind = "same-create"        // many clients create one pod
	FullBase         Kind = "full-base"          // the base directory's file system is full
	RestartEngine    Kind = "restart-dockerd"    // with live-restore: containers go on
	KillEngine       Kind = "kill-dockerd"       // SIGKILL, with live-restore
	LoseNode         Kind = "lose-docker-node"   // restarted without live-restore: containers end
	DeleteMeetCreate Kind = "delete-meet-create" // not struck by chaos: pods whose delete races their create
)

// Backend is where a pod runs.
type Backend string

// The backends of a run.
const (
	SLURM  Backend = "slurm"  // SLURM without a container runtime
	Podman Backend = "podman" // SLURM with Podman
	Docker Backend = "docker"
)

// Class is what a pod is like.
type Class string

// The classes of pods.
const (
	Quick   Class = "quick"   // ends by itself, with a code
	Files   Class = "files"   // the same, and needs what came with it
	Pair    Class = "pair"    // an init container and two containers
	Retry   Class = "retry"   // fails once and is restarted
	Endless Class = "endless" // runs until it is deleted
	Raced   Class = "raced"   // is deleted while it is created
)

// Pod is a pod of the run.
type Pod struct {
	Index   int
	At      time.Duration
	Class   Class
	Backend Backend
	// Code is what its container ends with; Life is how long it runs, or until it is deleted; Linger is how long it stays after its end.
	Code         int32
	Life, Linger time.Duration
	// Requeueable pods may be run again by SLURM.
	Requeueable bool
}

// Fault is a fault of the run.
type Fault struct {
	Index int
	At    time.Duration
	Kind  Kind
	// For is how long it lasts, where it lasts.
	For time.Duration
	// Pick chooses whom it strikes among those that there are.
	Pick uint64
}

// Options say how a run is to be.
type Options struct {
	Seed         uint64
	Pods, Faults int
	// Kinds are the kinds of faults to choose from.
	Kinds []Kind
	// DockerPods of the pods run on a Docker engine, PodmanPods on SLURM with Podman.
	DockerPods, PodmanPods int
	// Pace is the mean time from one fault to the next.
	Pace time.Duration
}

// Plan is what a run does.
type Plan struct {
	Options
	Pods   []Pod
	Faults []Fault
	// Length is the time from the first pod to the last fault.
	Length time.Duration
}

// Make makes the plan of a seed.
func Make(o Options) (*Plan, error) {
	if o.Pods <= 0 || o.Faults < 0 || o.DockerPods+o.PodmanPods > o.Pods || o.Pace <= 0 || (o.Faults > 0 && len(o.Kinds) == 0) {
		return nil, fmt.Errorf("no plan can be made of %+v", o)
	}
	r := rand.New(rand.NewPCG(o.Seed, 0))
	p := &Plan{Options: o, Length: max(time.Duration(o.Faults)*o.Pace, time.Duration(o.Pods)*25*time.Millisecond)}
	for i := range o.Pods {
		p.Pods = append(p.Pods, makePod(r, i, p.Length))
	}
	for n, i := range r.Perm(o.Pods)[:o.DockerPods+o.PodmanPods] {
		p.Pods[i].Backend = Docker
		if n >= o.DockerPods {
			p.Pods[i].Backend = Podman
		}
	}
	p.Faults = makeFaults(r, o, p.Length)
	return p, nil
}

// codes are what containers end with. 1 is what is reported of a job of which nothing else is known.
var codes = []int32{0, 0, 2, 3}

func makePod(r *rand.Rand, i int, length time.Duration) Pod {
	pod := Pod{
		Index: i, At: between(r, 0, length), Backend: SLURM, Class: Quick, Code: codes[r.IntN(len(codes))],
		Life: between(r, 0, 6*time.Second), Linger: between(r, 0, 3*time.Second), Requeueable: r.IntN(2) == 0,
	}
	switch n := r.IntN(100); {
	case n < 15:
		pod.Class = Files
	case n < 25:
		pod.Class = Pair
	case n < 32:
		pod.Class = Retry
	case n < 47:
		pod.Class = Endless
	case n < 55:
		pod.Class = Raced
	}
	if pod.Class == Retry {
		pod.Code = 0
	}
	// A pod that may run again after a failure is one that fails on purpose and no other: its code would be followed by a restart.
	if pod.Requeueable && pod.Class != Endless {
		pod.Code = 0
	}
	return pod
}

// makeFaults spreads faults over the time. Each kind comes before any comes again.
func makeFaults(r *rand.Rand, o Options, length time.Duration) []Fault {
	var faults []Fault
	var round []Kind
	for i := range o.Faults {
		if len(round) == 0 {
			round = slices.Clone(o.Kinds)
			r.Shuffle(len(round), func(a, b int) { round[a], round[b] = round[b], round[a] })
		}
		step := length / time.Duration(o.Faults)
		faults = append(faults, Fault{
			Index: i, Kind: round[0], At: step*time.Duration(i) + between(r, 0, step), For: between(r, 500*time.Millisecond, 4*time.Second), Pick: r.Uint64(),
		})
		round = round[1:]
	}
	return faults
}

func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(r.Int64N(int64(to-from)))
}
