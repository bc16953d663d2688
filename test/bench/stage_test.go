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
	"fmt"
	"os"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/controlplane"
)

const (
	backendName = "bench"
	// leaseName is the lease by which managers elect a leader.
	leaseName = "manager.remotejob.dev"
)

// prepare fills a ledger and starts a manager that reads it. The manager is a replica that does not lead, since a lease that nobody renews
// is held by somebody else: it answers from its cache as every replica does, and leaves the jobs, which no machine could run, alone.
func prepare() (*stage, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	dir, err := os.MkdirTemp("", "rj-bench-")
	if err != nil {
		return nil, err
	}
	later(func() { _ = os.RemoveAll(dir) })
	binaries, err := harness.Build("bench")
	if err != nil {
		return nil, err
	}
	image, err := harness.BusyboxImage()
	if err != nil {
		return nil, err
	}
	docker, err := harness.StartDockerd(ctx, image)
	if err != nil {
		return nil, err
	}
	later(docker.Close)
	plane, err := controlplane.Start(ctx, controlplane.Options{})
	if err != nil {
		return nil, err
	}
	later(func() { _ = plane.Stop(context.Background()) })
	records, err := harness.NewLedger(ctx, plane.Config)
	if err != nil {
		return nil, err
	}

	st := &stage{}
	if st.api, err = harness.NewAPIProxy(plane.Config); err != nil {
		return nil, err
	}
	later(st.api.Close)
	if st.engine, err = harness.NewEngineProxy(dir, docker.Host); err != nil {
		return nil, err
	}
	later(st.engine.Close)
	if err := records.Create(ctx, &v1alpha1.RemoteBackend{
		ObjectMeta: metav1.ObjectMeta{Name: backendName},
		Spec:       v1alpha1.RemoteBackendSpec{Type: v1alpha1.BackendDocker, Docker: &v1alpha1.DockerBackend{Host: st.engine.Host}},
	}); err != nil {
		return nil, err
	}
	if err := holdLease(ctx, records); err != nil {
		return nil, err
	}
	if st.pods, err = fill(ctx, records); err != nil {
		return nil, err
	}

	if st.manager, err = harness.NewManager(dir, harness.ManagerOptions{
		Binaries: binaries, Config: st.api.Config, DefaultBackend: backendName, Args: []string{"--leader-elect", "--leader-election-namespace=default"},
	}); err != nil {
		return nil, err
	}
	if err := st.manager.Start(); err != nil {
		return nil, err
	}
	later(func() { _ = st.manager.Close() })
	if err := st.manager.WaitReady(); err != nil {
		return nil, err
	}
	if err := st.startBare(dir); err != nil {
		return nil, err
	}
	return st, nil
}

func later(end func()) { atTheEnd = append(atTheEnd, end) }

// holdLease takes the managers' lease for a day.
func holdLease(ctx context.Context, records *harness.Ledger) error {
	now, holder, seconds := metav1.NowMicro(), "bench", int32(24*60*60)
	return records.Create(ctx, &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: leaseName},
		Spec:       coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: &seconds, AcquireTime: &now, RenewTime: &now},
	})
}

// fill writes the RemoteJobs, as the endpoint and the reconciler do, with the status of a pod that runs.
func fill(ctx context.Context, records *harness.Ledger) ([]*corev1.Pod, error) {
	pods := make([]*corev1.Pod, jobs)
	for i := range pods {
		pods[i] = harness.NewPod(fmt.Sprintf("pod-%d", i), backendName, harness.Shell("main", "sleep 1000"), harness.Shell("sidecar", "sleep 1000"))
	}
	next := make(chan *corev1.Pod)
	failed := make(chan error, 1)
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for pod := range next {
				if err := record(ctx, records, pod); err != nil {
					select {
					case failed <- err:
					default:
					}
				}
			}
		})
	}
	for _, pod := range pods {
		next <- pod
	}
	close(next)
	wg.Wait()
	select {
	case err := <-failed:
		return nil, fmt.Errorf("fill the ledger: %w", err)
	default:
		return pods, nil
	}
}

func record(ctx context.Context, records *harness.Ledger, pod *corev1.Pod) error {
	job := &v1alpha1.RemoteJob{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: pod.Namespace, Name: pod.Name,
			Labels:     map[string]string{"remotejob.dev/pod-uid": string(pod.UID), "remotejob.dev/backend": backendName},
			Finalizers: []string{"remotejob.dev/cancel"},
		},
		Spec: v1alpha1.RemoteJobSpec{
			BackendName: backendName,
			PodRef:      &v1alpha1.PodReference{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID},
			Template:    corev1.PodTemplateSpec{Spec: pod.Spec},
		},
	}
	if err := records.Create(ctx, job); err != nil {
		return err
	}
	start := metav1.NewTime(time.Now())
	before := job.DeepCopy()
	job.Status = v1alpha1.RemoteJobStatus{
		Phase: v1alpha1.PhaseRunning, JobID: string(pod.UID), NodeName: "machine", Ready: "2/2", StartTime: &start, Attempts: 1,
	}
	for _, c := range pod.Spec.Containers {
		job.Status.ContainerStatuses = append(job.Status.ContainerStatuses, corev1.ContainerStatus{
			Name: c.Name, Image: c.Image, Ready: true, ContainerID: "docker://" + string(pod.UID) + c.Name,
			State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: start}},
		})
	}
	return records.Status().Patch(ctx, job, client.MergeFrom(before))
}

// startBare starts the bare handler, in a process of its own.
func (st *stage) startBare(dir string) error {
	address, err := harness.FreeAddress()
	if err != nil {
		return err
	}
	bare, err := harness.Start("bare handler", dir+"/bare.log", []string{bareEnv + "=" + address}, os.Args[0])
	if err != nil {
		return err
	}
	later(func() { _ = bare.Kill() })
	st.bare = harness.NewInterLink(address)
	return harness.Poll(time.Minute, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		_, err := st.bare.Do(ctx, "GET", "/", nil)
		return err
	})
}
