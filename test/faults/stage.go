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
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/faults/plan"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/controlplane"
	"github.com/remotejob-dev/remotejob-operator/test/harness/slurm"
	"github.com/remotejob-dev/remotejob-operator/test/harness/sshd"
)

// namespace of all pods and of the managers.
const namespace = "default"

// patience bounds waits for parts, which are only used up where something is wrong.
const patience = 5 * time.Minute

// stage is what a run is played on: a control plane, managers, a SLURM behind a line of SSH, a Docker engine.
type stage struct {
	dir   string
	clock clock

	plane    *controlplane.ControlPlane
	ledger   *harness.Ledger
	proxies  []*harness.APIProxy
	managers []*harness.Manager
	// metrics are the addresses of the managers' metrics.
	metrics []string

	cluster  *slurm.Cluster
	login    *sshd.Server
	line     *sshd.Proxy
	commands commands
	// disk is a file system that can be filled. On it are the base directories of the RemoteBackends on SLURM, each with its name.
	disk string
	// image is what pods in Podman run.
	image string

	engine *harness.Dockerd

	// ran is the file in which pods write down that they run.
	ran string

	// keep has close leave the files of the run where they are.
	keep bool

	closers []func() error
}

// newStage brings everything up. What it brought up is taken down by close, also when it fails.
func newStage(ctx context.Context, o options) (*stage, error) {
	s := &stage{}
	steps := []func(context.Context, options) error{s.makeDirectory, s.startPlane, s.startCluster, s.loadImage, s.startEngine, s.makeBackends, s.startManagers}
	for _, step := range steps {
		if err := step(ctx, o); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s *stage) onClose(f func() error) { s.closers = append(s.closers, f) }

func (s *stage) close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	return errors.Join(errs...)
}

func (s *stage) makeDirectory(_ context.Context, o options) (err error) {
	if s.clock, err = newClock(); err != nil {
		return err
	}
	if s.dir, err = os.MkdirTemp("", "rj-faults-"); err != nil {
		return err
	}
	s.keep = o.keep
	s.onClose(func() error {
		if s.keep {
			fmt.Println("files are kept in", s.dir)
			return nil
		}
		return os.RemoveAll(s.dir)
	})
	// Jobs run as another user, and write into the file.
	s.ran = filepath.Join(s.dir, "ran", "runs")
	return errors.Join(os.Chmod(s.dir, 0o755), os.Mkdir(filepath.Dir(s.ran), 0o755),
		os.WriteFile(s.ran, nil, 0o600), os.Chmod(s.ran, 0o666))
}

func (s *stage) startPlane(ctx context.Context, _ options) (err error) {
	if s.plane, err = controlplane.Start(ctx, controlplane.Options{}); err != nil {
		return err
	}
	s.onClose(func() error { return s.plane.Stop(context.Background()) })
	s.ledger, err = harness.NewLedger(ctx, s.plane.Config)
	return err
}

func (s *stage) startCluster(ctx context.Context, _ options) (err error) {
	if s.cluster, err = slurm.Start(ctx, slurm.Options{Dir: filepath.Join(s.dir, "cluster")}); err != nil {
		return err
	}
	s.onClose(func() error { return s.cluster.Stop(context.Background()) })
	if s.commands, err = newCommands(filepath.Join(s.dir, "commands")); err != nil {
		return err
	}
	logins := filepath.Join(s.dir, "login")
	if err := os.Mkdir(logins, 0o755); err != nil {
		return err
	}
	s.login, err = sshd.Start(ctx, sshd.Options{
		Dir: logins, User: s.cluster.JobUser.Username, Env: append(s.cluster.Env(), "PATH="+s.commands.path()),
	})
	if err != nil {
		return err
	}
	s.onClose(func() error { return s.login.Stop(context.Background()) })
	if s.line, err = sshd.NewProxy(s.login.Address); err != nil {
		return err
	}
	s.onClose(s.line.Close)
	return s.mountDisk()
}

// mountDisk gives the base directories a file system of their own, which can be filled.
func (s *stage) mountDisk() error {
	s.disk = filepath.Join(s.dir, "disk")
	if err := os.Mkdir(s.disk, 0o700); err != nil {
		return err
	}
	options := fmt.Sprintf("size=512m,mode=0700,uid=%s,gid=%s", s.cluster.JobUser.Uid, s.cluster.JobUser.Gid)
	if err := syscall.Mount("tmpfs", s.disk, "tmpfs", 0, options); err != nil {
		return fmt.Errorf("mount the base directories' file system: %w", err)
	}
	s.onClose(func() error { return syscall.Unmount(s.disk, syscall.MNT_DETACH) })
	uid, _ := strconv.Atoi(s.cluster.JobUser.Uid)
	gid, _ := strconv.Atoi(s.cluster.JobUser.Gid)
	for _, backend := range onSLURM {
		if err := errors.Join(os.Mkdir(s.base(backend), 0o700), os.Chown(s.base(backend), uid, gid)); err != nil {
			return err
		}
	}
	return nil
}

// base is the base directory of a RemoteBackend on SLURM.
func (s *stage) base(backend string) string { return filepath.Join(s.disk, backend) }

// loadImage gives the user who runs the jobs an image for Podman.
func (s *stage) loadImage(ctx context.Context, o options) error {
	if o.podman == 0 {
		return nil
	}
	s.image = "localhost/remotejob-faults:" + filepath.Base(s.dir)
	image, err := harness.BusyboxImage()
	if err != nil {
		return err
	}
	archive, err := image.Archive(s.image)
	if err != nil {
		return err
	}
	if err := s.cluster.LoadImage(ctx, archive); err != nil {
		return err
	}
	s.onClose(func() error { return s.cluster.Podman(context.Background(), "rmi", "--force", s.image) })
	return nil
}

func (s *stage) startEngine(ctx context.Context, o options) error {
	if o.dockerPods() == 0 {
		return nil
	}
	image, err := harness.BusyboxImage()
	if err != nil {
		return err
	}
	if s.engine, err = harness.StartDockerd(ctx, image, "--live-restore"); err != nil {
		return err
	}
	s.onClose(func() error { s.engine.Close(); return nil })
	return nil
}

func (s *stage) makeBackends(ctx context.Context, _ options) error {
	const login = "login"
	err := s.ledger.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: login, Namespace: namespace}, Type: corev1.SecretTypeSSHAuth,
		Data: map[string][]byte{corev1.SSHAuthPrivateKey: s.login.PrivateKey, "known_hosts": s.login.KnownHosts(s.line.Address())},
	})
	if err != nil {
		return err
	}
	ref := &corev1.LocalObjectReference{Name: login}
	onCluster := func(name plan.Backend, runtime v1alpha1.SlurmRuntime, memory string) error {
		quantity := resource.MustParse(memory)
		return s.ledger.Create(ctx, &v1alpha1.RemoteBackend{
			ObjectMeta: metav1.ObjectMeta{Name: string(name)},
			Spec: v1alpha1.RemoteBackendSpec{
				Type: v1alpha1.BackendSlurm, Policy: s.policy(),
				Slurm: &v1alpha1.SlurmBackend{
					Connection: v1alpha1.SlurmConnection{SSH: &v1alpha1.SSHConnection{
						Address: s.line.Address(), User: s.login.User, IdentitySecretRef: ref, KnownHostsSecretRef: ref,
					}},
					BaseDirectory: s.base(string(name)), PollInterval: &metav1.Duration{Duration: 2 * time.Second},
					Runtime: runtime, Defaults: v1alpha1.SlurmDefaults{Memory: &quantity},
				},
			},
		})
	}
	err = onCluster(plan.SLURM, v1alpha1.SlurmRuntime{Type: "None"}, "16Mi")
	if err == nil && s.image != "" {
		err = onCluster(plan.Podman, v1alpha1.SlurmRuntime{Type: "Podman", Options: slurm.PodmanOptions()}, "256Mi")
	}
	if err != nil || s.engine == nil {
		return err
	}
	return s.ledger.Create(ctx, &v1alpha1.RemoteBackend{
		ObjectMeta: metav1.ObjectMeta{Name: string(plan.Docker)},
		Spec: v1alpha1.RemoteBackendSpec{
			Type: v1alpha1.BackendDocker, Policy: s.policy(), Docker: &v1alpha1.DockerBackend{Host: s.engine.Host},
		},
	})
}

// policy lets pods reach the file in which they write down that they run.
func (s *stage) policy() v1alpha1.BackendPolicy {
	return v1alpha1.BackendPolicy{AllowedHostPaths: []string{filepath.Dir(s.ran)}}
}

// backends are the names of the RemoteBackends.
func (s *stage) backends() []string {
	names := []string{string(plan.SLURM)}
	if s.image != "" {
		names = append(names, string(plan.Podman))
	}
	if s.engine != nil {
		names = append(names, string(plan.Docker))
	}
	return names
}

func (s *stage) startManagers(ctx context.Context, o options) error {
	binaries, err := harness.Build("faults")
	if err != nil {
		return err
	}
	for i := range o.replicas {
		proxy, err := harness.NewAPIProxy(s.plane.Config)
		if err != nil {
			return err
		}
		s.onClose(func() error { proxy.Close(); return nil })
		dir := filepath.Join(s.dir, "manager"+strconv.Itoa(i))
		if err := os.Mkdir(dir, 0o700); err != nil {
			return err
		}
		metrics, err := harness.FreeAddress()
		if err != nil {
			return err
		}
		settings := harness.ManagerOptions{
			Binaries: binaries, Config: proxy.Config, DefaultBackend: string(plan.SLURM), Env: []string{"POD_NAMESPACE=" + namespace},
			Args: []string{"--metrics-secure=false", "--metrics-bind-address=" + metrics},
		}
		if o.replicas > 1 {
			// A leader that can't renew its lease ends, and is started again.
			settings.Supervised = true
			settings.Args = append(settings.Args, "--leader-elect", "--leader-election-namespace="+namespace)
		}
		m, err := harness.NewManager(dir, settings)
		if err != nil {
			return err
		}
		s.proxies, s.managers, s.metrics = append(s.proxies, proxy), append(s.managers, m), append(s.metrics, metrics)
		if err := m.Start(); err != nil {
			return err
		}
		s.onClose(func() error { _ = m.Close(); return nil })
	}
	return s.allReady(ctx)
}

// allReady waits until all managers and backends are.
func (s *stage) allReady(ctx context.Context) error {
	for _, m := range s.managers {
		if err := m.WaitReady(); err != nil {
			return err
		}
	}
	for _, name := range s.backends() {
		err := harness.Poll(patience, func() error { return s.ledger.BackendReady(ctx, name, metav1.ConditionTrue) })
		if err != nil {
			return fmt.Errorf("RemoteBackend %s is not ready: %w", name, err)
		}
	}
	return nil
}
