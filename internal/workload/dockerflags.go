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

package workload

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/docker/go-units"
	"github.com/spf13/pflag"

	"github.com/remotejob-dev/remotejob-operator/internal/shellwords"
)

// DockerFlags are the options of docker run that a pod's annotation asks for, for each of its containers.
type DockerFlags struct {
	CapAdd, CapDrop, SecurityOpt, GroupAdd []string
	// Env holds NAME=VALUE, Label and Sysctl name and value, StorageOpt the storage driver's options, Tmpfs options by path.
	Env                              []string
	Label, Sysctl, StorageOpt, Tmpfs map[string]string
	// Devices are as docker run has them: a path of the machine, of the container, and what it may do with it.
	Devices []DockerDevice
	Ulimits []*units.Ulimit
	// GPUs is all, or a number.
	GPUs    string
	Runtime string
	// NanoCPUs, and sizes in bytes; zero where they are not set.
	NanoCPUs                                            int64
	Memory, MemoryReservation, MemorySwap, SharedMemory int64
	CPUSetCPUs, CPUSetMems                              string
	PidsLimit                                           int64
	Init, ReadOnly, Privileged                          bool
}

// DockerDevice is a device of the machine.
type DockerDevice struct{ Host, Container, Permissions string }

// flagError is about one option.
type flagError struct {
	name  string
	words string
}

func (e *flagError) Error() string { return "--" + e.name + ": " + e.words }

// elsewhere are options whose place in a pod is a field.
var elsewhere = map[string]string{
	"add-host": "spec.hostAliases", "dns": "spec.dnsConfig.nameservers", "dns-option": "spec.dnsConfig.options", "dns-search": "spec.dnsConfig.searches",
	"entrypoint": "the container's command", "expose": "the container's ports", "publish": "the container's hostPort", "hostname": "spec.hostname",
	"interactive": "the container's stdin", "tty": "the container's tty", "ipc": "spec.hostIPC", "pid": "spec.hostPID", "network": "spec.hostNetwork",
	"net": "spec.hostNetwork", "mount": "spec.volumes", "volume": "spec.volumes", "volumes-from": "spec.volumes", "pull": "the container's imagePullPolicy",
	"restart": "spec.restartPolicy", "stop-signal": "the container's lifecycle.stopSignal", "stop-timeout": "spec.terminationGracePeriodSeconds",
	"user": "the container's securityContext.runAsUser", "workdir": "the container's workingDir", "cpu-shares": "the container's resources.requests",
	"health-cmd": "the container's livenessProbe", "name": "metadata.name", "env-file": "the container's envFrom",
}

// ParseDockerFlags reads the options as a shell would and as docker run does. What has no place in a job is an error that names it.
func ParseDockerFlags(line string) (*DockerFlags, error) {
	words, err := shellwords.Split(line)
	if err != nil {
		return nil, err
	}
	out := &DockerFlags{}
	var cpus, memory, reservation, swap, shm string
	var devices, ulimits, tmpfs []string
	set := pflag.NewFlagSet("docker", pflag.ContinueOnError)
	set.Usage = func() {}
	set.SortFlags = false
	set.StringArrayVar(&out.CapAdd, "cap-add", nil, "")
	set.StringArrayVar(&out.CapDrop, "cap-drop", nil, "")
	set.StringArrayVar(&out.SecurityOpt, "security-opt", nil, "")
	set.StringArrayVar(&out.GroupAdd, "group-add", nil, "")
	set.StringArrayVarP(&out.Env, "env", "e", nil, "")
	labels := set.StringArrayP("label", "l", nil, "")
	sysctls := set.StringArray("sysctl", nil, "")
	storage := set.StringArray("storage-opt", nil, "")
	set.StringArrayVar(&devices, "device", nil, "")
	set.StringArrayVar(&ulimits, "ulimit", nil, "")
	set.StringArrayVar(&tmpfs, "tmpfs", nil, "")
	set.StringVar(&out.GPUs, "gpus", "", "")
	set.StringVar(&out.Runtime, "runtime", "", "")
	set.StringVar(&cpus, "cpus", "", "")
	set.StringVarP(&memory, "memory", "m", "", "")
	set.StringVar(&reservation, "memory-reservation", "", "")
	set.StringVar(&swap, "memory-swap", "", "")
	set.StringVar(&shm, "shm-size", "", "")
	set.StringVar(&out.CPUSetCPUs, "cpuset-cpus", "", "")
	set.StringVar(&out.CPUSetMems, "cpuset-mems", "", "")
	set.Int64Var(&out.PidsLimit, "pids-limit", 0, "")
	set.BoolVar(&out.Init, "init", false, "")
	set.BoolVar(&out.ReadOnly, "read-only", false, "")
	set.BoolVar(&out.Privileged, "privileged", false, "")
	// A job's containers run in the background, and are removed with it, in any case.
	set.Bool("rm", false, "")
	set.BoolP("detach", "d", false, "")
	misplaced := map[string]*string{}
	for name := range elsewhere {
		misplaced[name] = set.StringP(name, map[string]string{"user": "u", "volume": "v", "publish": "p", "workdir": "w", "hostname": "h", "cpu-shares": "c", "interactive": "i", "tty": "t"}[name], "", "")
		set.Lookup(name).NoOptDefVal = map[bool]string{true: "true"}[name == "interactive" || name == "tty"]
	}
	if err := set.Parse(words); err != nil {
		return nil, unknownFlag(err)
	}
	if set.NArg() > 0 {
		// It is not quoted: it may be the rest of a value that was to be in quotation marks, and that may be a secret.
		return nil, fmt.Errorf("it holds %d words that are no options: values with spaces need quotation marks", set.NArg())
	}
	for name, field := range elsewhere {
		if set.Changed(name) {
			return nil, &flagError{name, "that is what " + field + " says"}
		}
	}
	r := &flagReader{}
	out.NanoCPUs = r.cpus("cpus", cpus)
	out.Memory, out.MemoryReservation, out.MemorySwap, out.SharedMemory = r.size("memory", memory), r.size("memory-reservation", reservation), r.size("memory-swap", swap), r.size("shm-size", shm)
	out.Label, out.Sysctl, out.StorageOpt = r.pairs("label", *labels, true), r.pairs("sysctl", *sysctls, false), r.pairs("storage-opt", *storage, false)
	out.Devices, out.Ulimits, out.Tmpfs = r.devices(devices), r.ulimits(ulimits), r.tmpfs(tmpfs)
	r.envs(out.Env)
	r.gpus(out.GPUs)
	return out, r.err
}

// unknownFlag says of pflag's errors what matters: the option's name.
func unknownFlag(err error) error {
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		dashes := "--"
		if unknown.GetSpecifiedShortnames() != "" {
			dashes = "-"
		}
		return fmt.Errorf("%s%s: jobs can't be given this option", dashes, unknown.GetSpecifiedName())
	}
	return err
}

// flagReader reads the values of options, and keeps the first error.
type flagReader struct{ err error }

func (r *flagReader) fail(name, format string, args ...any) {
	if r.err == nil {
		r.err = &flagError{name, fmt.Sprintf(format, args...)}
	}
}

func (r *flagReader) size(name, value string) int64 {
	if value == "" {
		return 0
	}
	if name == "memory-swap" && value == "-1" {
		return -1
	}
	n, err := units.RAMInBytes(value)
	if err != nil || n <= 0 {
		r.fail(name, "%q is no size such as 512m", value)
	}
	return n
}

func (r *flagReader) cpus(name, value string) int64 {
	if value == "" {
		return 0
	}
	n, err := strconv.ParseFloat(value, 64)
	if err != nil || !(n >= 0.01 && n <= 1e6) {
		r.fail(name, "%q is no number of CPUs", value)
		return 0
	}
	return int64(n * 1e9)
}

func (r *flagReader) pairs(name string, values []string, alone bool) map[string]string {
	var out map[string]string
	for _, v := range values {
		key, value, ok := strings.Cut(v, "=")
		if key == "" || !ok && !alone {
			r.fail(name, "%q is not of the form NAME=VALUE", v)
		}
		setKey(&out, key, value)
	}
	return out
}

func (r *flagReader) envs(values []string) {
	for _, v := range values {
		// Without a value docker run takes the variable of whoever calls it, and nobody does.
		if name, _, ok := strings.Cut(v, "="); !ok || name == "" {
			r.fail("env", "a value is not of the form NAME=VALUE") // not quoted: it may be a secret
		}
	}
}

func (r *flagReader) devices(values []string) []DockerDevice {
	var out []DockerDevice
	for _, v := range values {
		parts := strings.Split(v, ":")
		d := DockerDevice{Host: parts[0], Container: parts[0], Permissions: "rwm"}
		switch {
		case len(parts) == 2 && !strings.HasPrefix(parts[1], "/"):
			d.Permissions = parts[1]
		case len(parts) == 2:
			d.Container = parts[1]
		case len(parts) == 3:
			d.Container, d.Permissions = parts[1], parts[2]
		}
		if len(parts) > 3 || !strings.HasPrefix(d.Host, "/") || !strings.HasPrefix(d.Container, "/") || strings.Trim(d.Permissions, "rwm") != "" || d.Permissions == "" {
			r.fail("device", "%q is no device such as /dev/fuse", v)
		}
		out = append(out, d)
	}
	return out
}

func (r *flagReader) ulimits(values []string) []*units.Ulimit {
	var out []*units.Ulimit
	for _, v := range values {
		limit, err := units.ParseUlimit(v)
		if err != nil {
			r.fail("ulimit", "%v", err)
		}
		out = append(out, limit)
	}
	return out
}

func (r *flagReader) tmpfs(values []string) map[string]string {
	var out map[string]string
	for _, v := range values {
		p, options, _ := strings.Cut(v, ":")
		if refusal := checkMountPath(nil, "", p); refusal != nil || !strings.HasPrefix(p, "/") {
			r.fail("tmpfs", "%q is no path that a file system can be mounted at", p)
		}
		setKey(&out, p, options)
	}
	return out
}

func (r *flagReader) gpus(value string) {
	if n, err := strconv.Atoi(value); value != "" && value != "all" && (err != nil || n < 1) {
		r.fail("gpus", "%q is neither all nor a number", value)
	}
}
