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

// Package sbatch knows sbatch's options: it reads them as a user wrote them, checks them against what a site allows, and quotes what goes
// into a script. Nothing in it talks to SLURM.
package sbatch

// argument says whether an option takes a value.
type argument int

const (
	none argument = iota
	required
	// optional values can only be given as --name=value.
	optional
)

// option is one option of sbatch, by its canonical (long) name.
type option struct {
	short byte
	arg   argument
	// reserved says why no pod may set it, where that is so.
	reserved string
}

const (
	identity = "the operator finds the job by it"
	output   = "the operator keeps the job's output"
	script   = "the operator writes the job's script"
	restarts = "the operator decides whether a job may be requeued"
	account  = "it would run the job as somebody else"
	answer   = "the operator reads sbatch's answer"
)

// options are those of the man page of sbatch(1), releases 20.11 to 25.11.
var options = map[string]option{
	"account": {short: 'A', arg: required}, "acctg-freq": {arg: required}, "array": {short: 'a', arg: required, reserved: "a pod is one job"},
	"batch": {arg: required}, "bb": {arg: required}, "bbf": {arg: required}, "begin": {short: 'b', arg: required},
	"chdir": {short: 'D', arg: required, reserved: output}, "cluster-constraint": {arg: required}, "clusters": {short: 'M', arg: required, reserved: identity},
	"comment": {arg: required, reserved: identity}, "consolidate-segments": {}, "constraint": {short: 'C', arg: required}, "container": {arg: required, reserved: script},
	"container-id": {arg: required, reserved: script}, "contiguous": {}, "core-spec": {short: 'S', arg: required}, "cores-per-socket": {arg: required},
	"cpu-freq": {arg: required}, "cpus-per-gpu": {arg: required}, "cpus-per-task": {short: 'c', arg: required}, "deadline": {arg: required},
	"delay-boot": {arg: required}, "dependency": {short: 'd', arg: required}, "distribution": {short: 'm', arg: required},
	"error": {short: 'e', arg: required, reserved: output}, "exclude": {short: 'x', arg: required}, "exclusive": {arg: optional},
	"export": {arg: optional, reserved: "the operator sets the job's environment"}, "export-file": {arg: required, reserved: "the operator sets the job's environment"},
	"extra": {arg: required}, "extra-node-info": {short: 'B', arg: required}, "get-user-env": {arg: optional, reserved: "the operator sets the job's environment"},
	"gid": {arg: required, reserved: account}, "gpu-bind": {arg: required}, "gpu-freq": {arg: required}, "gpus": {short: 'G', arg: required},
	"gpus-per-node": {arg: required}, "gpus-per-socket": {arg: required}, "gpus-per-task": {arg: required}, "gres": {arg: required}, "gres-flags": {arg: required},
	"help": {short: 'h', reserved: answer}, "hint": {arg: required}, "hold": {short: 'H'}, "ignore-pbs": {}, "input": {short: 'i', arg: required, reserved: script},
	"job-name": {short: 'J', arg: required, reserved: identity}, "kill-on-invalid-dep": {arg: required}, "licenses": {short: 'L', arg: required},
	"mail-type": {arg: required}, "mail-user": {arg: required}, "mcs-label": {arg: required}, "mem": {arg: required}, "mem-bind": {arg: required},
	"mem-per-cpu": {arg: required}, "mem-per-gpu": {arg: required}, "mincpus": {arg: required}, "network": {arg: required}, "nice": {arg: optional},
	"no-kill": {short: 'k', arg: optional}, "no-requeue": {reserved: restarts}, "nodefile": {short: 'F', arg: required, reserved: "it would read a file of the operator's host"},
	"nodelist": {short: 'w', arg: required}, "nodes": {short: 'N', arg: required}, "ntasks": {short: 'n', arg: required}, "ntasks-per-core": {arg: required},
	"ntasks-per-gpu": {arg: required}, "ntasks-per-node": {arg: required}, "ntasks-per-socket": {arg: required}, "open-mode": {arg: required, reserved: output},
	"oom-kill-step": {arg: optional}, "output": {short: 'o', arg: required, reserved: output}, "overcommit": {short: 'O'}, "oversubscribe": {short: 's'},
	"parsable": {reserved: answer}, "partition": {short: 'p', arg: required}, "power": {arg: required}, "prefer": {arg: required}, "priority": {arg: required},
	"profile": {arg: required}, "propagate": {arg: optional}, "qos": {short: 'q', arg: required}, "quiet": {short: 'Q', reserved: answer}, "reboot": {},
	"requeue": {reserved: restarts}, "reservation": {arg: required}, "resv-ports": {arg: optional}, "segment": {arg: required}, "signal": {arg: required},
	"sockets-per-node": {arg: required}, "spread-job": {}, "stepmgr": {}, "switches": {arg: required}, "test-only": {reserved: "it submits nothing"},
	"thread-spec": {arg: required}, "threads-per-core": {arg: required}, "time": {short: 't', arg: required}, "time-min": {arg: required}, "tmp": {arg: required},
	"tres-bind": {arg: required}, "tres-per-task": {arg: required}, "uid": {arg: required, reserved: account}, "usage": {reserved: answer}, "use-min-nodes": {},
	"verbose": {short: 'v', reserved: answer}, "version": {short: 'V', reserved: answer}, "wait": {short: 'W', reserved: "the operator does not wait for the job's end"},
	"wait-all-nodes": {arg: required}, "wckey": {arg: required}, "wrap": {arg: required, reserved: script},
}

// shorts are the options by their letter.
var shorts = func() map[byte]string {
	m := map[byte]string{}
	for name, o := range options {
		if o.short != 0 {
			m[o.short] = name
		}
	}
	return m
}()
