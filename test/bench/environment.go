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
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/controlplane"
	"github.com/remotejob-dev/remotejob-operator/test/harness/slurm"
)

// patience bounds waits, which are only used up where something is wrong.
const patience = 5 * time.Minute

// environment starts what the parts of the run stand on. What is started for a part ends with it.
type environment struct {
	options  options
	binaries *harness.Binaries
	ends     []func() error
}

func (e *environment) later(end func() error) { e.ends = append(e.ends, end) }

// endPart ends what was started for a part, the last first.
func (e *environment) endPart() error {
	var errs []error
	for _, end := range slices.Backward(e.ends) {
		errs = append(errs, end())
	}
	e.ends = nil
	return errors.Join(errs...)
}

func (e *environment) close() error { return e.endPart() }

// directory is one that others can pass, since SLURM's jobs run as another user.
func (e *environment) directory() (string, error) { return e.directoryIn("") }

// memory is a file system that costs no disk, empty where programs can't be run there.
func memory() string {
	const shm, noexec = "/dev/shm", 0x8
	var fs syscall.Statfs_t
	if syscall.Statfs(shm, &fs) != nil || fs.Flags&noexec != 0 {
		return ""
	}
	return shm
}

func (e *environment) directoryIn(parent string) (string, error) {
	dir, err := os.MkdirTemp(parent, "rj-bench-")
	if err != nil {
		return "", err
	}
	e.later(func() error { return os.RemoveAll(dir) })
	return dir, os.Chmod(dir, 0o755)
}

// ledger is a control plane with the kinds.
type ledger struct {
	*harness.Ledger
	plane *controlplane.ControlPlane
	// api counts what goes through it.
	api *harness.APIProxy
}

func (e *environment) ledger(ctx context.Context) (*ledger, error) {
	var flags []string
	if e.options.profiles != "" {
		flags = []string{"--profiling=true"}
	}
	plane, err := controlplane.Start(ctx, controlplane.Options{APIServerFlags: flags})
	if err != nil {
		return nil, err
	}
	e.later(func() error { return plane.Stop(context.Background()) })
	l := &ledger{plane: plane}
	if l.Ledger, err = harness.NewLedger(ctx, plane.Config); err != nil {
		return nil, err
	}
	if l.api, err = harness.NewAPIProxy(plane.Config); err != nil {
		return nil, err
	}
	e.later(func() error { l.api.Close(); return nil })
	return l, nil
}

// quiet waits until nothing has been written for some time: what belongs to what was done before is then written.
func (l *ledger) quiet(ctx context.Context, last time.Duration) error {
	return quiet(ctx, last, func() (float64, error) { return float64(l.api.Writes()), nil })
}

func quiet(ctx context.Context, last time.Duration, count func() (writes float64, err error)) error {
	var writes float64
	since := time.Now()
	return harness.Poll(patience, func() error {
		now, err := count()
		if err != nil {
			return err
		}
		if now != writes {
			writes, since = now, time.Now()
		}
		if time.Since(since) < last && ctx.Err() == nil {
			return fmt.Errorf("the last write is %s ago", time.Since(since))
		}
		return ctx.Err()
	})
}

// pids are the control plane's processes.
func (l *ledger) pids() map[string]int { return processes(l.plane.Dir) }

// manager is one that is measured.
type manager struct {
	*harness.Manager
	metrics, pprof string
}

// manager starts one, and waits until it answers.
func (e *environment) manager(config *rest.Config, defaultBackend string, env []string, args ...string) (*manager, error) {
	m, err := e.newManager(config, defaultBackend, env, args...)
	if err == nil {
		err = m.Start()
	}
	if err == nil {
		err = m.WaitReady()
	}
	return m, err
}

// newManager prepares a manager, and does not start it.
func (e *environment) newManager(config *rest.Config, defaultBackend string, env []string, args ...string) (*manager, error) {
	if e.binaries == nil {
		binaries, err := harness.Build("bench")
		if err != nil {
			return nil, err
		}
		e.binaries = &binaries
	}
	dir, err := e.directory()
	if err != nil {
		return nil, err
	}
	m := &manager{}
	if m.metrics, err = harness.FreeAddress(); err != nil {
		return nil, err
	}
	if m.pprof, err = harness.FreeAddress(); err != nil {
		return nil, err
	}
	args = append([]string{"--metrics-bind-address=" + m.metrics, "--metrics-secure=false", "--pprof-bind-address=" + m.pprof}, args...)
	m.Manager, err = harness.NewManager(dir, harness.ManagerOptions{Binaries: *e.binaries, Config: config, DefaultBackend: defaultBackend, Env: env, Args: args})
	if err != nil {
		return nil, err
	}
	e.later(func() error {
		if err := m.Close(); err != nil {
			return fmt.Errorf("%w\n%s", err, m.Tail(30))
		}
		return nil
	})
	return m, nil
}

// profile has the CPU profiles of the manager and its API server taken for some time, where profiles are wanted, and returns a function that waits for it.
func (e *environment) profile(m *manager, l *ledger, name string, seconds int) (wait func() error) {
	if e.options.profiles == "" {
		return func() error { return nil }
	}
	take := func(client *http.Client, base, file string) <-chan error {
		done := make(chan error, 1)
		go func() {
			done <- fetch(client, base+"/debug/pprof/profile?seconds="+strconv.Itoa(seconds), filepath.Join(e.options.profiles, file+".pprof"))
		}()
		return done
	}
	ours := take(http.DefaultClient, "http://"+m.pprof, name)
	server, err := rest.HTTPClientFor(l.plane.Config)
	if err != nil {
		return func() error { return err }
	}
	theirs := take(server, l.plane.Config.Host, name+"-apiserver")
	return func() error { return errors.Join(<-ours, <-theirs) }
}

// heap has the manager's live heap written down, where profiles are wanted. It is collected before.
func (e *environment) heap(m *manager, name string) error {
	if e.options.profiles == "" {
		return nil
	}
	return fetch(http.DefaultClient, "http://"+m.pprof+"/debug/pprof/heap?gc=1", filepath.Join(e.options.profiles, name+"-heap.pprof"))
}

func fetch(client *http.Client, url, file string) error {
	resp, err := client.Get(url)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, text, 0o644))
}

// sums reads the manager's metrics: the sum of the values of each name, labels left out but those in the name that is asked for.
func (m *manager) sums(names ...string) (map[string]float64, error) {
	resp, err := http.Get("http://" + m.metrics + "/metrics")
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	out := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		at := strings.LastIndexByte(strings.TrimSpace(line), ' ')
		for _, name := range names {
			base, label, _ := strings.Cut(name, "|")
			if at > 0 && strings.HasPrefix(line, base) && strings.ContainsAny(line[len(base):len(base)+1], "{ ") && strings.Contains(line, label) {
				value, _ := strconv.ParseFloat(strings.TrimSpace(line[at:]), 64)
				out[name] += value
			}
		}
	}
	return out, nil
}

// cluster is a SLURM and the RemoteBackend that stands for it.
type cluster struct {
	*slurm.Cluster
	dir, base string
}

// cluster keeps its files in memory: the directories of very many jobs would otherwise measure the disk.
func (e *environment) cluster(ctx context.Context) (*cluster, error) {
	dir, err := e.directoryIn(memory())
	if err != nil {
		return nil, err
	}
	c := &cluster{dir: filepath.Join(dir, "cluster"), base: filepath.Join(dir, "base")}
	if err := os.Mkdir(c.base, 0o700); err != nil {
		return nil, err
	}
	if c.Cluster, err = slurm.Start(ctx, slurm.Options{Dir: c.dir}); err != nil {
		return nil, err
	}
	e.later(func() error {
		_ = c.Command(context.Background(), "scancel", "--user=root").Run() // whose all jobs of a run are
		return c.Stop(context.Background())
	})
	return c, nil
}

// register makes the RemoteBackend.
func (c *cluster) register(ctx context.Context, l *ledger, name string, poll time.Duration) error {
	least := resource.MustParse("64Mi")
	return l.Create(ctx, &v1alpha1.RemoteBackend{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.RemoteBackendSpec{Type: v1alpha1.BackendSlurm, Slurm: &v1alpha1.SlurmBackend{
			Connection: v1alpha1.SlurmConnection{Local: &v1alpha1.LocalConnection{}}, BaseDirectory: c.base, PollInterval: &metav1.Duration{Duration: poll},
			Runtime: v1alpha1.SlurmRuntime{Type: "None"}, Defaults: v1alpha1.SlurmDefaults{Memory: &least}, AllowedFlags: []string{"--hold"},
		}},
	})
}

func (l *ledger) ready(ctx context.Context, backend string) error {
	return harness.Poll(patience, func() error { return l.BackendReady(ctx, backend, metav1.ConditionTrue) })
}

// createBody is what interLink sends of a pod that comes with nothing.
func createBody(pod *corev1.Pod) ([]byte, error) { return json.Marshal(harness.Request(pod)) }
