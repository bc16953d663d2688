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

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/slurm"
	"github.com/remotejob-dev/remotejob-operator/test/harness/sshd"
)

// site is a SLURM with a login node, which all tests on SLURM share. Each has a base directory and a line to the login node of its own.
type site struct {
	dir     string
	cluster *slurm.Cluster
	login   *sshd.Server
	uid     int
}

// theSite is started by the first test that needs it.
var theSite = struct {
	once sync.Once
	site *site
	err  error
}{}

func onSite(t *testing.T) *site {
	t.Helper()
	theSite.once.Do(func() { theSite.site, theSite.err = startSite() })
	if theSite.err != nil {
		t.Fatal(theSite.err)
	}
	return theSite.site
}

func startSite() (s *site, err error) {
	ctx := context.Background()
	s = &site{}
	// Others may pass the directory: neither jobs nor their directories are root's.
	if s.dir, err = os.MkdirTemp("", "rj-e2e-slurm-"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	logins := filepath.Join(s.dir, "login")
	if err := errors.Join(os.Chmod(s.dir, 0o755), os.Mkdir(logins, 0o755)); err != nil {
		return s, err
	}
	if s.cluster, err = slurm.Start(ctx, slurm.Options{Dir: filepath.Join(s.dir, "cluster")}); err != nil {
		return s, err
	}
	if s.uid, err = strconv.Atoi(s.cluster.JobUser.Uid); err != nil {
		return s, err
	}
	s.login, err = sshd.Start(ctx, sshd.Options{Dir: logins, User: s.cluster.JobUser.Username, Env: s.cluster.Env()})
	return s, err
}

// stop ends what was started of it.
func (s *site) stop() error {
	ctx := context.Background()
	var errs []error
	if s.login != nil {
		errs = append(errs, s.login.Stop(ctx))
	}
	if s.cluster != nil {
		errs = append(errs, s.cluster.Stop(ctx))
	}
	return errors.Join(append(errs, os.RemoveAll(s.dir))...)
}

// stopSite ends the site if any test has started it.
func stopSite() error {
	if theSite.site == nil {
		return nil
	}
	return theSite.site.stop()
}

// far is a test's ledger and manager, with a RemoteBackend on SLURM that is reached through a line of SSH which can be cut.
type far struct {
	*side
	site    *site
	line    *sshd.Proxy
	backend string
	base    string
}

// onSLURM gives a test what it needs. Pods have no images there: their containers are processes of the node. The manager is started again
// whenever it was killed.
func onSLURM(t *testing.T, args ...string) *far {
	t.Helper()
	t.Parallel()
	return atSite(t, onSite(t), args...)
}

// atSite is onSLURM at a given site.
func atSite(t *testing.T, s *site, args ...string) *far {
	t.Helper()
	w := newWorld(t)
	ctx := harness.Context(t)
	f := &far{site: s, base: filepath.Join(s.dir, "base-"+string(harness.NewUID())), side: &side{t: t, ctx: ctx, ledger: w.ledger, plane: w.plane}}
	if err := errors.Join(os.Mkdir(f.base, 0o700), os.Chown(f.base, s.uid, -1)); err != nil {
		t.Fatal(err)
	}
	var err error
	if f.line, err = sshd.NewProxy(s.login.Address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.line.Close() })

	const login = "login"
	identity := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: login, Namespace: "default"}, Type: corev1.SecretTypeSSHAuth,
		Data: map[string][]byte{corev1.SSHAuthPrivateKey: s.login.PrivateKey, "known_hosts": s.login.KnownHosts(f.line.Address())},
	}
	if err := w.ledger.Create(ctx, identity); err != nil {
		t.Fatal(err)
	}
	memory := resource.MustParse("64Mi")
	f.backend = w.ledger.MakeBackend(ctx, t, "slurm", "", func(b *v1alpha1.RemoteBackend) {
		b.Spec = v1alpha1.RemoteBackendSpec{Type: v1alpha1.BackendSlurm, Slurm: &v1alpha1.SlurmBackend{
			Connection: v1alpha1.SlurmConnection{SSH: &v1alpha1.SSHConnection{
				Address: f.line.Address(), User: s.login.User,
				IdentitySecretRef: &corev1.LocalObjectReference{Name: login}, KnownHostsSecretRef: &corev1.LocalObjectReference{Name: login},
			}},
			BaseDirectory: f.base, PollInterval: &metav1.Duration{Duration: time.Second},
			Runtime: v1alpha1.SlurmRuntime{Type: "None"}, Defaults: v1alpha1.SlurmDefaults{Memory: &memory}, AllowedFlags: []string{"--partition", "--time"},
		}}
	}).Name
	f.manager = harness.StartManager(t, harness.ManagerOptions{
		Binaries: shared.binaries, Config: w.plane.Config, DefaultBackend: f.backend, KeepAlive: true, Env: []string{"POD_NAMESPACE=default"}, Args: args,
	})
	f.ready(metav1.ConditionTrue)
	return f
}

// ready waits until the RemoteBackend is, or is not.
func (f *far) ready(want metav1.ConditionStatus) {
	f.t.Helper()
	harness.Eventually(f.t, longTime, "RemoteBackend "+f.backend+" ready: "+string(want), func() error {
		return f.ledger.BackendReady(f.ctx, f.backend, want)
	})
}

// counted is a container that says that it ran, in a file outside of what is tested, before it does something else.
func (f *far) counted(name, script string) (c corev1.Container, ran func() int) {
	f.t.Helper()
	file := filepath.Join(f.site.dir, "ran-"+string(harness.NewUID()))
	if err := errors.Join(os.WriteFile(file, nil, 0o600), os.Chown(file, f.site.uid, -1)); err != nil {
		f.t.Fatal(err)
	}
	return harness.Shell(name, "echo run >>"+file+"; "+script), func() int {
		said, err := os.ReadFile(file)
		if err != nil {
			f.t.Fatal(err)
		}
		return strings.Count(string(said), "run\n")
	}
}

// clean deletes the pod and waits until neither the ledger nor the cluster nor the base directory holds anything of it but its marker.
func (f *far) clean(pod *corev1.Pod) {
	f.t.Helper()
	var secrets []string
	if job, err := f.ledger.Job(f.ctx, pod); err == nil {
		secrets = job.Spec.PayloadSecretNames
	}
	answer, err := f.manager.Delete(f.ctx, pod)
	if err != nil || answer.Code != http.StatusOK {
		f.t.Fatalf("delete pod %s: %v, %d %s", pod.Name, err, answer.Code, answer.Body)
	}
	f.cleaned(pod, secrets)
}

// cleaned waits for what clean waits for, of a pod that was deleted.
func (f *far) cleaned(pod *corev1.Pod, secrets []string) {
	f.t.Helper()
	token := f.ledger.Token(pod)
	harness.Eventually(f.t, longTime, "nothing left of pod "+pod.Name, func() error {
		if err := f.ledger.Gone(f.ctx, pod, secrets); err != nil {
			return err
		}
		if err := f.finished(token); err != nil {
			return err
		}
		if _, err := os.Stat(filepath.Join(f.base, "jobs", token)); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("the directory of the job is there: %w", errors.Join(err, os.ErrExist))
		}
		return nil
	})
	if _, err := os.Stat(filepath.Join(f.base, "done", token)); err != nil {
		f.t.Errorf("no marker refuses late submissions of pod %s: %v", pod.Name, err)
	}
}

// finished is nil where all jobs of a token have ended.
func (f *far) finished(token string) error {
	out, err := f.site.cluster.Command(f.ctx, "squeue", "--noheader", "--name="+token, "--format=%A").Output()
	if err != nil {
		return err
	}
	if left := strings.Fields(string(out)); len(left) > 0 {
		return fmt.Errorf("jobs %v have not ended", left)
	}
	return nil
}

// loseNode has SLURM take a node for lost.
func (s *site) loseNode(ctx context.Context, node string) error {
	if out, err := s.cluster.Command(ctx, "scontrol", "update", "NodeName="+node, "State=DOWN", "Reason=lost").CombinedOutput(); err != nil {
		return fmt.Errorf("take node %s for lost: %w: %s", node, err, out)
	}
	return nil
}
