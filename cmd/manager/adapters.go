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
	"io/fs"
	"runtime"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/docker"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm"
	"github.com/remotejob-dev/remotejob-operator/internal/controller"
	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/metrics"
	"github.com/remotejob-dev/remotejob-operator/internal/pluginapi"
	"github.com/remotejob-dev/remotejob-operator/internal/program"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// backends shows the RemoteBackends, from the cache, and the live backends to the ledger and the endpoint.
type backends struct {
	cache       client.Reader
	registry    *backend.Registry
	health      *ledgerHealth
	defaultName string
}

var (
	_ ledger.Backends     = (*backends)(nil)
	_ pluginapi.Nodes     = (*backends)(nil)
	_ pluginapi.LogSource = (*backends)(nil)
)

func (b *backends) get(ctx context.Context, name string) (*v1alpha1.RemoteBackend, bool) {
	rb := &v1alpha1.RemoteBackend{}
	if name == "" || b.cache.Get(ctx, client.ObjectKey{Name: name}, rb) != nil {
		return nil, false
	}
	return rb, true
}

// Backend returns what the ledger needs to know of a RemoteBackend.
func (b *backends) Backend(name string) (ledger.Backend, bool) {
	rb, ok := b.get(context.Background(), name)
	if !ok {
		return ledger.Backend{}, false
	}
	out := ledger.Backend{UID: rb.UID, Policy: rb.Spec.Policy, Deleting: rb.DeletionTimestamp != nil}
	if live, ok := b.registry.Get(name); ok && live.UID == rb.UID {
		out.Abilities = live.Abilities()
	} else {
		out.Abilities = abilitiesOf(&rb.Spec)
	}
	return out, true
}

// abilitiesOf are those of a backend that was never reached yet.
func abilitiesOf(spec *v1alpha1.RemoteBackendSpec) workload.Abilities {
	if spec.Slurm != nil {
		return slurm.Abilities(spec.Slurm.Runtime.Type)
	}
	return workload.DockerAbilities()
}

// Node returns what a virtual node has.
func (b *backends) Node(ctx context.Context, name string) pluginapi.Node {
	if name == "" {
		name = b.defaultName
	}
	rb, ok := b.get(ctx, name)
	if !ok {
		return pluginapi.Node{}
	}
	node := pluginapi.Node{Taints: rb.Spec.VirtualNode.Taints}
	live, ok := b.registry.Get(name)
	if !ok || !live.Ready || len(live.Resources) == 0 || b.health.away.Load() {
		return node
	}
	node.Capacity = live.Resources.DeepCopy()
	node.Capacity[corev1.ResourcePods] = podsOf(rb)
	return node
}

// podsOf is how many pods a virtual node takes. The API server fills in the field.
func podsOf(rb *v1alpha1.RemoteBackend) resource.Quantity {
	if rb.Spec.VirtualNode.Pods != nil {
		return *rb.Spec.VirtualNode.Pods
	}
	return resource.MustParse("1000")
}

// Logs streams what a container wrote.
func (b *backends) Logs(ctx context.Context, job pluginapi.LogJob, opts corev1.PodLogOptions) (io.ReadCloser, error) {
	live, ok := b.registry.Get(job.Backend)
	switch {
	case !ok:
		return nil, fmt.Errorf("RemoteBackend %s has not been reached yet", job.Backend)
	case !live.Ready:
		return nil, fmt.Errorf("RemoteBackend %s is not ready: %s", job.Backend, live.NotReady)
	}
	stream, err := live.Logs(ctx, backend.JobRef{Token: job.Token, JobID: job.JobID}, opts.Container, opts)
	if backend.IsNotFound(err) {
		return nil, ledger.Errorf(ledger.NotFound, ledger.ReasonNotFound, "%v", err)
	}
	return stream, err
}

// connector makes backends of RemoteBackends.
type connector struct {
	ledgerID string
	// podrunnerPath is where the program is that Docker's infra containers are made of, and SLURM's jobs run; the ones for other
	// architectures are beside it, with the architecture behind their name.
	podrunnerPath string
	metrics       *metrics.Metrics

	mu        sync.Mutex
	podrunner map[string]*program.Program
}

// connect is a controller.ConnectFunc.
func (c *connector) connect(_ context.Context, rb *v1alpha1.RemoteBackend, secrets map[string]*corev1.Secret) (backend.Backend, error) {
	podrunner, err := c.podrunners()
	if err != nil {
		return nil, err
	}
	switch {
	case rb.Spec.Docker != nil:
		return c.docker(rb, secrets, podrunner[runtime.GOARCH])
	case rb.Spec.Slurm != nil:
		opts := slurm.Options{Spec: *rb.Spec.Slurm, Secrets: map[string]map[string][]byte{}, Ledger: c.ledgerID, Backend: rb.UID, Podrunner: podrunner,
			Adopted: func() { c.metrics.Adopted(rb.Name) }}
		for name, secret := range secrets {
			opts.Secrets[name] = secret.Data
		}
		return slurm.New(opts)
	}
	return nil, fmt.Errorf("%w: this release has no backends of type %s", controller.ErrNotSupported, rb.Spec.Type)
}

func (c *connector) docker(rb *v1alpha1.RemoteBackend, secrets map[string]*corev1.Secret, podrunner *program.Program) (backend.Backend, error) {
	spec := rb.Spec.Docker
	opts := docker.Options{
		Host: spec.Host, Network: spec.Network, GPUs: spec.GPUs, Ledger: c.ledgerID, Backend: rb.UID, Podrunner: podrunner,
		Log:     ctrl.Log.WithName("docker").WithValues("RemoteBackend", rb.Name),
		Adopted: func() { c.metrics.Adopted(rb.Name) },
	}
	if spec.TLSSecretRef != nil {
		data := secrets[spec.TLSSecretRef.Name].Data
		opts.TLS = &docker.TLS{CA: data["ca.crt"], Certificate: data[corev1.TLSCertKey], Key: data[corev1.TLSPrivateKeyKey]}
	}
	if s := spec.SSH; s != nil {
		opts.SSH = &docker.SSH{Address: s.Address, User: s.User, ProxyJump: s.ProxyJump}
		if s.IdentitySecretRef != nil {
			opts.SSH.PrivateKey = secrets[s.IdentitySecretRef.Name].Data[corev1.SSHAuthPrivateKey]
		}
		if s.KnownHostsSecretRef != nil {
			opts.SSH.KnownHosts = secrets[s.KnownHostsSecretRef.Name].Data["known_hosts"]
		}
	}
	return docker.New(opts)
}

// architectures are those that podrunner is built for.
var architectures = []string{"amd64", "arm64"}

// podrunners are the programs by architecture. That for the manager's own must be there.
func (c *connector) podrunners() (map[string]*program.Program, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.podrunner != nil {
		return c.podrunner, nil
	}
	own, err := program.Open(c.podrunnerPath)
	if err != nil {
		return nil, fmt.Errorf("the podrunner program (--podrunner): %w", err)
	}
	found := map[string]*program.Program{runtime.GOARCH: own}
	for _, arch := range architectures {
		if arch == runtime.GOARCH {
			continue
		}
		other, err := program.Open(c.podrunnerPath + "-" + arch)
		if err == nil {
			found[arch] = other
		} else if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("the podrunner program for %s: %w", arch, err)
		}
	}
	c.podrunner = found
	return found, nil
}
