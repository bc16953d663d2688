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

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/slurm"
)

// cluster is a SLURM of one node that runs for as long as the rest does, with Charliecloud for containers, since that needs no daemon, no
// store and no settings of the machine.
type cluster struct {
	*slurm.Cluster
	// dir takes all its files. Others may pass it: neither SLURM's jobs nor the manager run as root here.
	dir      string
	root     string
	uid, gid int
}

func startCluster(ctx context.Context, root string, c *cleanup) (*cluster, error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("BACKEND=slurm starts a SLURM, which takes root: its daemons run jobs as another user")
	}
	missing := slurm.Missing()
	if _, err := exec.LookPath("ch-run"); err != nil {
		missing = append(missing, "charliecloud")
	}
	if len(missing) > 0 {
		return nil, fmt.Errorf("BACKEND=slurm needs Debian's packages %s", strings.Join(missing, ", "))
	}
	dir, err := os.MkdirTemp("", "remotejob-slurm-")
	if err != nil {
		return nil, err
	}
	c.add(func(context.Context) error { return os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		return nil, err
	}
	say("starting munged, slurmctld and slurmd (their files are in %s)", dir)
	started, err := slurm.Start(ctx, slurm.Options{Dir: filepath.Join(dir, "cluster")})
	if err != nil {
		return nil, err
	}
	c.add(func(ctx context.Context) error {
		say("stopping SLURM")
		return started.Stop(ctx)
	})
	s := &cluster{Cluster: started, dir: dir, root: root}
	if s.uid, err = strconv.Atoi(started.JobUser.Uid); err != nil {
		return nil, err
	}
	if s.gid, err = strconv.Atoi(started.JobUser.Gid); err != nil {
		return nil, err
	}
	err = s.own(s.base(), 0o700)
	return s, err
}

// base is the base directory of the jobs.
func (s *cluster) base() string { return filepath.Join(s.dir, "jobs") }

// own makes a directory of the user who runs the jobs.
func (s *cluster) own(dir string, mode os.FileMode) error {
	return errors.Join(os.Mkdir(dir, mode), os.Chown(dir, s.uid, s.gid))
}

func (s *cluster) spec() v1alpha1.RemoteBackendSpec {
	memory := resource.MustParse("64Mi")
	return v1alpha1.RemoteBackendSpec{Type: v1alpha1.BackendSlurm, Slurm: &v1alpha1.SlurmBackend{
		Connection:    v1alpha1.SlurmConnection{Local: &v1alpha1.LocalConnection{}},
		BaseDirectory: s.base(),
		PollInterval:  &metav1.Duration{Duration: time.Second},
		Runtime:       v1alpha1.SlurmRuntime{Type: "Charliecloud", ImagePrefix: s.images() + "/"},
		Defaults:      v1alpha1.SlurmDefaults{Memory: &memory},
		AllowedFlags:  []string{"--time", "--partition", "--ntasks"},
	}}
}

// images is where the cluster's images are: Charliecloud takes a directory for one.
func (s *cluster) images() string { return filepath.Join(s.dir, "images") }

// load unpacks the image, so that pods give it the same name as on an engine.
func (s *cluster) load(context.Context) (string, error) {
	image, err := harness.BusyboxImage()
	if err != nil {
		return "", err
	}
	return demoImage, errors.Join(os.Mkdir(s.images(), 0o755), image.Unpack(filepath.Join(s.images(), demoImage)))
}

// manager has the manager run as the user whose jobs these are, by copies of the programs that this user can reach.
func (s *cluster) manager(cmd *exec.Cmd, files ...string) error {
	bin := filepath.Join(s.dir, "bin")
	if err := os.Mkdir(bin, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"manager", "podrunner"} {
		if err := copyFile(filepath.Join(s.root, "bin", name), filepath.Join(bin, name), 0o755); err != nil {
			return err
		}
	}
	for i, file := range files {
		theirs := filepath.Join(bin, filepath.Base(file))
		if err := errors.Join(copyFile(file, theirs, 0o600), os.Chown(theirs, s.uid, s.gid)); err != nil {
			return err
		}
		cmd.Env = replaceAll(cmd.Env, files[i], theirs)
	}
	cmd.Path = filepath.Join(bin, "manager")
	cmd.Args = replaceAll(cmd.Args, filepath.Join(s.root, "bin"), bin)
	cmd.Dir = bin
	cmd.Env = append(cmd.Env, append(s.Env(), "HOME="+s.JobUser.HomeDir)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(s.uid), Gid: uint32(s.gid)}}
	return nil
}

func replaceAll(words []string, old, with string) []string {
	out := make([]string, len(words))
	for i, word := range words {
		out[i] = strings.ReplaceAll(word, old, with)
	}
	return out
}

func copyFile(from, to string, mode os.FileMode) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// note has nothing to remember, and removeTraces nothing to remove: the cluster goes with all its files.
func (s *cluster) note(context.Context) error { return nil }

func (s *cluster) removeTraces(context.Context, string) error { return nil }
