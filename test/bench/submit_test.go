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

package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/controlplane"
	"github.com/remotejob-dev/remotejob-operator/test/harness/slurm"
)

const (
	submissions = 200
	clients     = 8
)

// BenchmarkSubmission measures how soon pods are in SLURM's queue, from 8 clients at once, against what the parts could do by themselves:
// a plain parallel sbatch loop, and the API server's bare rate for as many writes as a job needs. budget is the share of
// 1 / (1/S + W/A) that is reached, of which the design wants 0.8.
func BenchmarkSubmission(b *testing.B) {
	s := newSubmitting(b)
	for b.Loop() {
		s.each(b, 2*clients, s.submit) // to warm up
		before := s.api.Writes()
		s.each(b, 4*clients, s.submit)
		writes := float64(s.api.Writes()-before) / (4 * clients)

		plain := s.each(b, submissions, s.sbatch)
		bare := s.each(b, 4*submissions, s.write)
		ours := s.each(b, submissions, s.submit)
		b.ReportMetric(ours, "pods/s")
		b.ReportMetric(plain, "sbatch/s")
		b.ReportMetric(bare, "writes/s")
		b.ReportMetric(writes, "writes/pod")
		b.ReportMetric(ours*(1/plain+writes/bare), "budget")
	}
}

// submitting is a manager whose RemoteBackend is a SLURM on this machine. Its jobs are held: what is measured is how they get there.
type submitting struct {
	cluster *slurm.Cluster
	api     *harness.APIProxy
	ledger  *harness.Ledger
	manager *harness.Manager
}

func newSubmitting(b *testing.B) *submitting {
	b.Helper()
	ctx := b.Context()
	dir, err := os.MkdirTemp("", "rj-bench-slurm-") //nolint:usetesting // the names of sockets in there must be short
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(dir) })
	base := filepath.Join(dir, "base")
	if err := errors.Join(os.Chmod(dir, 0o755), os.Mkdir(base, 0o700)); err != nil { // SLURM's daemons pass it
		b.Fatal(err)
	}
	s := &submitting{}
	if s.cluster, err = slurm.Start(ctx, slurm.Options{Dir: filepath.Join(dir, "cluster")}); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.cluster.Stop(context.Background()) })
	plane, err := controlplane.Start(ctx, controlplane.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = plane.Stop(context.Background()) })
	if s.ledger, err = harness.NewLedger(ctx, plane.Config); err != nil {
		b.Fatal(err)
	}
	if s.api, err = harness.NewAPIProxy(plane.Config); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.api.Close)
	memory := resource.MustParse("64Mi")
	name := s.ledger.MakeBackend(ctx, b, "bench", "", func(rb *v1alpha1.RemoteBackend) {
		rb.Spec = v1alpha1.RemoteBackendSpec{Type: v1alpha1.BackendSlurm, Slurm: &v1alpha1.SlurmBackend{
			Connection: v1alpha1.SlurmConnection{Local: &v1alpha1.LocalConnection{}}, BaseDirectory: base, PollInterval: &metav1.Duration{Duration: 2 * time.Second},
			Runtime: v1alpha1.SlurmRuntime{Type: "None"}, Defaults: v1alpha1.SlurmDefaults{Memory: &memory}, AllowedFlags: []string{"--hold"},
		}}
	}).Name
	binaries, err := harness.Build("bench")
	if err != nil {
		b.Fatal(err)
	}
	s.manager = harness.StartManager(b, harness.ManagerOptions{Binaries: binaries, Config: s.api.Config, DefaultBackend: name, Env: s.cluster.Env()})
	harness.Eventually(b, time.Minute, "the backend is ready", func() error { return s.ledger.BackendReady(ctx, name, metav1.ConditionTrue) })
	return s
}

// each does something n times, by as many at once as there are clients, and returns how many times a second.
func (s *submitting) each(b *testing.B, n int, do func(ctx context.Context, b *testing.B) error) float64 {
	b.Helper()
	next := make(chan struct{})
	var wg sync.WaitGroup
	begin := time.Now()
	for range clients {
		wg.Go(func() {
			for range next {
				if err := do(b.Context(), b); err != nil {
					b.Error(err)
				}
			}
		})
	}
	for range n {
		next <- struct{}{}
	}
	close(next)
	wg.Wait()
	return float64(n) / time.Since(begin).Seconds()
}

// submit sends a pod, and has the job's id when it is in the queue.
func (s *submitting) submit(ctx context.Context, b *testing.B) error {
	b.Helper()
	pod := harness.NewPod("submitted", "", harness.Shell("c", "exit 0"))
	pod.Annotations = map[string]string{"slurm-job.vk.io/flags": "--hold"}
	created, answer, err := s.manager.Create(ctx, harness.Request(pod).Body(b))
	if err != nil || answer.Code != http.StatusOK {
		return fmt.Errorf("/create: %w, %d %s", err, answer.Code, answer.Body)
	}
	if _, err := strconv.Atoi(created.PodJID); err != nil {
		return fmt.Errorf("the job is not in the queue yet when /create answers: %s", answer.Body)
	}
	return nil
}

// sbatch submits a job that does nothing.
func (s *submitting) sbatch(ctx context.Context, _ *testing.B) error {
	cmd := s.cluster.Command(ctx, "sbatch", "--hold", "--parsable", "--chdir=/", "--output=/dev/null", "--mem=64M", "--wrap=exit 0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("sbatch: %w: %s", err, out)
	}
	return nil
}

// write is one small write, such as a job's are.
func (s *submitting) write(ctx context.Context, _ *testing.B) error {
	return s.ledger.Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "bare-", Namespace: "default"}, Data: map[string][]byte{"payload": make([]byte, 1<<10)},
	})
}
