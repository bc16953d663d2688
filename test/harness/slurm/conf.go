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

package slurm

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/remotejob-dev/remotejob-operator/test/harness/ports"
)

func (c *Cluster) slurmConf(o Options) (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", err
	}
	host, _, _ = strings.Cut(host, ".")
	nodes, err := c.nodeLines(host)
	if err != nil {
		return "", err
	}
	storage := "accounting_storage/none"
	if c.accounting != nil {
		storage = c.accounting.slurmConf()
	}
	return fmt.Sprintf(`# A SLURM of one node for development and tests, see slurm.conf(5).
ClusterName=remotejob%[1]d
SlurmctldHost=%[2]s(127.0.0.1)
SlurmctldPort=%[1]d
# SLURM's control groups go by the job's id alone: clusters on one machine must not give out the same.
FirstJobId=%[8]d
SlurmUser=root
AuthType=auth/munge
# A job that is requeued waits until its last credential has expired, two minutes by default.
AuthInfo=socket=%[4]s/munge/socket,cred_expire=10
CredType=cred/munge
StateSaveLocation=%[4]s/state
SlurmdSpoolDir=%[4]s/spool/%%n
SlurmctldPidFile=%[4]s/slurmctld.pid
SlurmdPidFile=%[4]s/slurmd-%%n.pid
ProctrackType=proctrack/%[5]s
TaskPlugin=%[6]s
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
JobAcctGatherType=jobacct_gather/linux
AccountingStorageType=%[3]s
MpiDefault=none
ReturnToService=2
# Jobs are to start at once, and many at a time.
SchedulerParameters=batch_sched_delay=0,sched_interval=2,sched_min_interval=0
KillWait=5
%[9]s%[7]sPartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=FORCE:32
`, c.controllerPort, host, storage, c.dir, o.Proctrack, taskPlugin(o.Proctrack), nodes, firstJobID(c.controllerPort),
		messageTimeout(o)), nil
}

func messageTimeout(o Options) string {
	if o.MessageTimeout <= 0 {
		return ""
	}
	return fmt.Sprintf("MessageTimeout=%d\n", int(o.MessageTimeout.Seconds()))
}

// node is one slurmd.
type node struct {
	name string
	port int
}

// nodesOf are the nodes that a cluster is to have. A single one has the machine's name.
func nodesOf(o Options) ([]node, error) {
	host, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	host, _, _ = strings.Cut(host, ".")
	nodes := make([]node, max(o.Nodes, 1))
	for i := range nodes {
		nodes[i].name = host
		if len(nodes) > 1 {
			nodes[i].name = fmt.Sprintf("node%d", i+1)
		}
		if nodes[i].port, err = ports.Free(); err != nil {
			return nil, err
		}
	}
	return nodes, nil
}

func (c *Cluster) nodeLines(host string) (string, error) {
	memory, err := memoryMiB()
	if err != nil {
		return "", err
	}
	var lines strings.Builder
	for _, n := range c.nodes {
		fmt.Fprintf(&lines, "NodeName=%s NodeHostname=%s NodeAddr=127.0.0.1 Port=%d CPUs=%d RealMemory=%d State=UNKNOWN\n",
			n.name, host, n.port, runtime.NumCPU(), memory*9/10)
	}
	return lines.String(), nil
}

// firstJobID is one that no other cluster on the machine is near. SLURM's own bound is 67,043,328.
func firstJobID(port int) int { return port*1000 + 1 }

func taskPlugin(proctrack string) string {
	if proctrack == "cgroup" {
		return "task/cgroup"
	}
	return "task/none"
}

// cgroupConf has SLURM enforce memory, by the version of cgroups that the machine has.
func cgroupConf() string {
	conf := "ConstrainRAMSpace=yes\n"
	if _, err := os.Stat("/sys/fs/cgroup/memory"); err == nil {
		conf += "CgroupPlugin=cgroup/v1\nCgroupAutomount=yes\n"
	}
	return conf
}

func memoryMiB() (int, error) {
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(data)) {
		var kib int
		if _, err := fmt.Sscanf(line, "MemTotal: %d kB", &kib); err == nil {
			return kib >> 10, nil
		}
	}
	return 0, errors.New("/proc/meminfo does not say MemTotal")
}
