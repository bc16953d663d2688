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

// Package slurm brings up a real SLURM of one node on the loopback interface, from the distribution's packages, beside any other that
// the machine has: munged, slurmctld and slurmd with a configuration, ports, key and state of their own.
package slurm

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/remotejob-dev/remotejob-operator/test/harness/ports"
	"github.com/remotejob-dev/remotejob-operator/test/harness/process"
)

const (
	startTimeout = 3 * time.Minute // on a machine that has much else to do
	stopGrace    = 10 * time.Second
	saveGrace    = time.Minute // slurmctld writes its state at its end; one that is killed before forgets jobs
	pollEvery    = 50 * time.Millisecond
)

// Options say how the cluster is to be.
type Options struct {
	// Dir takes all files of the cluster. Each of its parents must let others pass, since jobs run as another user.
	Dir string
	// JobUser is the unprivileged user whose jobs run; it must exist. Its default is DefaultJobUser.
	JobUser string
	// Proctrack is SLURM's ProctrackType without the prefix: cgroup (the default) or linuxproc.
	Proctrack string
	// Nodes is how many the cluster has, each a slurmd with all of the machine's CPUs; 1 where it is 0. A cluster of several names them
	// node1 and so on.
	Nodes int
	// Accounting gives the cluster a slurmdbd, on a MariaDB of its own, so that sacct has something to tell.
	Accounting bool
	// MessageTimeout is how long SLURM's parts wait for an answer, and its commands for a slurmctld that is away; SLURM's own 10 s where it
	// is 0. A busy machine may need more, where no test takes slurmctld away.
	MessageTimeout time.Duration
}

// DefaultJobUser is who runs jobs where nobody else is named.
const DefaultJobUser = "remotejob"

// Cluster is a SLURM that runs.
type Cluster struct {
	// Conf is the path of slurm.conf; SLURM's commands find the cluster by the environment of Env.
	Conf string
	// JobUser is the unprivileged user whose jobs run.
	JobUser *user.User

	dir               string
	munged, slurmctld *process.Process
	slurmds           []*process.Process
	nodes             []node
	controllerPort    int
	accounting        *accounting
}

// Missing says what the machine lacks to run a cluster, empty for nothing.
func Missing() []string {
	var missing []string
	for program, from := range map[string]string{"munged": "munge", "slurmctld": "slurmctld", "slurmd": "slurmd", "sbatch": "slurm-client"} {
		if _, err := find(program); err != nil {
			missing = append(missing, from)
		}
	}
	return missing
}

// find looks for a program where administrators' programs are, too.
func find(program string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/" + program)
}

// EnsureUser makes the unprivileged user that runs jobs, if there is none of that name.
func EnsureUser(name string) (*user.User, error) {
	if u, err := user.Lookup(name); err == nil {
		return u, nil
	}
	out, err := exec.Command("/usr/sbin/useradd", "--create-home", "--user-group", "--shell", "/bin/sh", name).CombinedOutput()
	u, lookup := user.Lookup(name)
	if lookup != nil { // else tests of another package may have made it meanwhile
		return nil, fmt.Errorf("make the user %s: %w: %s", name, errors.Join(err, lookup), out)
	}
	return u, nil
}

// Start brings a cluster up, and returns when its node takes jobs.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if missing := Missing(); len(missing) > 0 {
		return nil, fmt.Errorf("this machine lacks Debian's packages %s", strings.Join(missing, ", "))
	}
	if o.JobUser == "" {
		o.JobUser = DefaultJobUser
	}
	if o.Proctrack == "" {
		o.Proctrack = "cgroup"
	}
	jobUser, err := EnsureUser(o.JobUser)
	if err != nil {
		return nil, err
	}
	c := &Cluster{Conf: filepath.Join(o.Dir, "slurm.conf"), JobUser: jobUser, dir: o.Dir}
	if o.Accounting {
		c.accounting = &accounting{cluster: c}
	}
	if err := c.layOut(o); err != nil {
		return nil, err
	}
	if err := c.start(ctx); err != nil {
		return nil, errors.Join(err, c.Stop(context.WithoutCancel(ctx)))
	}
	return c, nil
}

// layOut writes the cluster's files.
func (c *Cluster) layOut(o Options) error {
	munge, err := user.Lookup("munge")
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(munge.Uid)
	gid, _ := strconv.Atoi(munge.Gid)
	for _, dir := range []string{"", "state", "spool", "log", "munge"} {
		if err := os.MkdirAll(filepath.Join(c.dir, dir), 0o755); err != nil { // jobs run as another user
			return err
		}
	}
	key := make([]byte, 1024)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	keyFile := filepath.Join(c.dir, "munge", "munge.key")
	if err := os.WriteFile(keyFile, key, 0o400); err != nil {
		return err
	}
	for _, path := range []string{filepath.Join(c.dir, "munge"), keyFile} {
		if err := os.Chown(path, uid, gid); err != nil {
			return err
		}
	}
	if c.controllerPort, err = ports.Free(); err != nil {
		return err
	}
	if c.nodes, err = nodesOf(o); err != nil {
		return err
	}
	if c.accounting != nil {
		if err := c.accounting.layOut(); err != nil {
			return err
		}
	}
	conf, err := c.slurmConf(o)
	if err != nil {
		return err
	}
	if err := os.WriteFile(c.Conf, []byte(conf), 0o644); err != nil { // everybody reads slurm.conf
		return err
	}
	return os.WriteFile(filepath.Join(c.dir, "cgroup.conf"), []byte(cgroupConf()), 0o644)
}

func (c *Cluster) start(ctx context.Context) error {
	munge := filepath.Join(c.dir, "munge")
	munged, err := find("munged")
	if err != nil {
		return err
	}
	socket := filepath.Join(munge, "socket")
	// munged refuses a key that is not its own user's, so it runs as the user that its package made.
	c.munged, err = c.launch("munged", "setpriv", "--reuid=munge", "--regid=munge", "--clear-groups", munged, "--foreground", "--force",
		"--key-file="+filepath.Join(munge, "munge.key"), "--socket="+socket, "--pid-file="+filepath.Join(munge, "pid"),
		"--seed-file="+filepath.Join(munge, "seed"), "--log-file="+filepath.Join(munge, "log"))
	if err != nil {
		return err
	}
	if err := until(ctx, "munged to listen", func() error { _, err := os.Stat(socket); return err }); err != nil {
		return err
	}
	if c.accounting != nil {
		if err := c.accounting.start(ctx); err != nil {
			return err
		}
	}
	if err := c.StartController(ctx); err != nil {
		return err
	}
	slurmd, err := find("slurmd")
	if err != nil {
		return err
	}
	for _, n := range c.nodes {
		p, err := c.launch("slurmd-"+n.name, slurmd, "-D", "-N", n.name)
		if err != nil {
			return err
		}
		c.slurmds = append(c.slurmds, p)
	}
	return until(ctx, "the nodes to take jobs", func() error {
		out, err := c.Command(ctx, "sinfo", "--noheader", "--Node", "--format=%T").CombinedOutput()
		if err == nil && strings.TrimSpace(strings.ReplaceAll(string(out), "idle\n", "")) != "" {
			err = fmt.Errorf("sinfo says %q", out)
		}
		return err
	})
}

// StartController starts slurmctld, and returns when it answers.
func (c *Cluster) StartController(ctx context.Context) error {
	slurmctld, err := find("slurmctld")
	if err != nil {
		return err
	}
	if c.slurmctld, err = c.launch("slurmctld", slurmctld, "-D"); err != nil {
		return err
	}
	return until(ctx, "slurmctld to answer", func() error { return c.Command(ctx, "scontrol", "ping").Run() })
}

// StopController stops slurmctld in order.
func (c *Cluster) StopController(ctx context.Context) error { return c.slurmctld.Stop(ctx, saveGrace) }

// KillController ends slurmctld as a crash would.
func (c *Cluster) KillController() error { return c.slurmctld.Kill() }

// Stop cancels all jobs and ends the cluster.
func (c *Cluster) Stop(ctx context.Context) error {
	var errs []error
	if c.slurmctld != nil && len(c.slurmds) > 0 {
		// What still runs would outlive slurmd, which leaves its jobs alone when it ends.
		_ = c.Command(ctx, "scancel", "--full", "--signal=KILL", "--user="+c.JobUser.Username).Run()
		errs = append(errs, until(ctx, "the jobs to end", func() error {
			out, err := c.Command(ctx, "squeue", "--noheader", "--format=%A").Output()
			if err == nil && len(out) > 0 {
				_ = c.Command(ctx, "scancel", "--user="+c.JobUser.Username).Run()
				err = fmt.Errorf("squeue still lists %q", out)
			}
			return err
		}))
	}
	stop := append(slices.Clone(c.slurmds), c.slurmctld)
	if c.accounting != nil {
		stop = append(stop, c.accounting.slurmdbd, c.accounting.mariadbd)
	}
	for _, p := range append(stop, c.munged) {
		if p != nil {
			errs = append(errs, p.Stop(ctx, stopGrace))
		}
	}
	return errors.Join(errs...)
}

// Env is the environment by which SLURM's commands find the cluster.
func (c *Cluster) Env() []string { return []string{"SLURM_CONF=" + c.Conf} }

// Command is one of SLURM's commands, run as root.
func (c *Cluster) Command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), c.Env()...)
	return cmd
}

func (c *Cluster) launch(name string, argv ...string) (*process.Process, error) {
	log, err := os.OpenFile(filepath.Join(c.dir, "log", name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }()
	cmd := c.Command(context.Background(), argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	return process.Start(cmd)
}

// until asks again until there is no error.
func until(ctx context.Context, what string, ask func() error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		err := ask()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited for %s: %w", what, err)
		case <-tick.C:
		}
	}
}

func (c *Cluster) path(name string) string { return filepath.Join(c.dir, name) }

// reach tells whether something listens on a port of the loopback interface.
func reach(ctx context.Context, port int) error {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return err
	}
	return conn.Close()
}
