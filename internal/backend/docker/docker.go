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

// Package docker runs pods on a Docker engine. A pod is an infra container, which holds the network that its containers share, the
// containers themselves, and volumes; podlifecycle says what is to be done with them, and Drive does it.
//
// Whatever the engine holds of a job carries the job's token in its name and labels. Nothing else is remembered that matters: what is
// kept in memory (pulls, hooks, probes, stops under way) is made again from what the engine shows.
package docker

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/moby/moby/api/types/system"
	"github.com/moby/moby/client"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/probe"
	"github.com/remotejob-dev/remotejob-operator/internal/program"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// Options say which engine is meant and whose jobs run on it.
type Options struct {
	// Host is the engine's address, unix:///path, tcp://host:port or ssh://user@host:port/path.
	Host string
	// SSH are the settings of an ssh:// host, nil for the user's own key agent and known hosts.
	SSH *SSH
	// TLS is the client's identity for a tcp:// host, nil for none.
	TLS *TLS
	// Network is the engine's network that pods join. Empty means bridge.
	Network string
	// GPUs says which device requests a pod's GPU limits become: GPUsNone or GPUsNvidia. Empty means none.
	GPUs string
	// Ledger is the ID of the ledger, and Backend the UID of the RemoteBackend, that the jobs belong to.
	Ledger  string
	Backend types.UID
	// Log gets what the background finds worth saying; nothing is logged without it.
	Log logr.Logger
	// Adopted, where set, is called for each Submit that found its job on the engine.
	Adopted func()
	// Podrunner is the static podrunner binary for the engine's architecture. The infra containers are made of it.
	Podrunner *program.Program
}

// The values of Options.GPUs.
const (
	GPUsNone   = "None"
	GPUsNvidia = "Nvidia"
)

// TLS is a client's identity, in PEM.
type TLS struct {
	// CA holds the authorities that the engine's certificate must be signed by; empty for the system's.
	CA []byte
	// Certificate and Key are the client's own.
	Certificate, Key []byte
}

// SSH says how to log in to the engine's machine.
type SSH struct {
	// Address and User, where set, must be those of the host: they stand in both places.
	Address, User string
	// PrivateKey in PEM; without it the agent is asked.
	PrivateKey []byte
	// KnownHosts are the lines of a known_hosts file; without them those of the manager's user and machine count.
	KnownHosts []byte
	// ProxyJump is a host to go through, as user@host:port.
	ProxyJump string
}

// Backend is a Docker engine.
type Backend struct {
	opts Options
	line
	// infraImage is the name of the image that infra containers are made from; the digest of podrunner is in it.
	infraImage string
	images     imageCache
	jobs       tracker
	probes     *probe.Workers
	hooks      *probe.Hooks

	mu      sync.Mutex
	machine machine
}

var (
	_ backend.Backend = (*Backend)(nil)
	_ backend.Driver  = (*Backend)(nil)
	_ backend.Watcher = (*Backend)(nil)
	_ backend.Pruner  = (*Backend)(nil)
)

// machine is what is known of the engine's machine since the last Check.
type machine struct {
	known bool
	// cpus and memory (bytes) are the machine's own.
	cpus   int
	memory int64
	// subpath is set where the engine mounts a part of a volume safely (API 1.45).
	subpath bool
	// mapsUsers is set where the users of containers are others on the machine (userns-remap).
	mapsUsers bool
	// swap is set where the kernel can limit swap.
	swap bool
}

// New returns the backend of an engine. It does not connect yet.
func New(opts Options) (*Backend, error) {
	if opts.Podrunner == nil {
		return nil, errors.New("the podrunner binary is missing, and pods on Docker can't do without it")
	}
	if opts.Ledger == "" || opts.Backend == "" {
		return nil, errors.New("the ledger's ID and the RemoteBackend's UID are needed to tell whose jobs are whose")
	}
	if opts.Network == "" {
		opts.Network = "bridge"
	}
	way, err := connect(opts.Host, opts.TLS, opts.SSH)
	if err != nil {
		return nil, err
	}
	sum := opts.Podrunner.Sum()
	b := &Backend{opts: opts, line: way, infraImage: "remotejob-podrunner:" + hex.EncodeToString(sum[:6])}
	b.jobs.init()
	made := time.Now()
	b.probes = probe.NewWorkers(probe.WorkersOptions{Changed: b.jobs.changed, Log: opts.Log.WithName("probes"), Spread: func(period time.Duration) time.Duration {
		// The probes of all containers that run already must not come at once.
		if time.Since(made) > period {
			return 0
		}
		return mathrand.N(period) //nolint:gosec // it only spreads probes
	}})
	b.hooks = probe.NewHooks(b.jobs.changed)
	return b, nil
}

// Check asks the engine who it is.
func (b *Backend) Check(ctx context.Context) (backend.Info, error) {
	result, err := b.engine.Info(ctx, client.InfoOptions{})
	if err != nil {
		return backend.Info{}, engineError("ask the engine for its version", err)
	}
	info := result.Info
	if err := usable(&info); err != nil {
		return backend.Info{}, err
	}
	b.setMachine(machine{
		known: true, cpus: info.NCPU, memory: info.MemTotal, swap: info.SwapLimit, mapsUsers: hasSecurityOption(&info, "userns"),
		subpath: atLeastAPI(b.engine.ClientVersion(), 1, 45),
	})
	return backend.Info{Version: "docker " + info.ServerVersion, Identity: info.ID, NodeName: info.Name}, nil
}

// usable refuses engines that pods can't run on as they should.
func usable(info *system.Info) error {
	switch {
	case info.OSType != "linux":
		return fmt.Errorf("the engine runs %q containers, and pods need linux ones", info.OSType)
	case hasSecurityOption(info, "rootless"):
		return errors.New("the engine is a rootless one, on which pods have not been tried: use an engine that runs as root, with userns-remap if its containers shall not")
	}
	return nil
}

// hasSecurityOption tells whether an engine names an option, such as name=userns.
func hasSecurityOption(info *system.Info, name string) bool {
	for _, option := range info.SecurityOptions {
		if first, _, _ := strings.Cut(option, ","); first == "name="+name || option == name {
			return true
		}
	}
	return false
}

// Capacity is what the engine's machine has. Docker knows of no GPUs that it could count.
func (b *Backend) Capacity(ctx context.Context) (corev1.ResourceList, error) {
	if _, err := b.Check(ctx); err != nil {
		return nil, err
	}
	m := b.knownMachine()
	return corev1.ResourceList{
		corev1.ResourceCPU:    *resource.NewQuantity(int64(m.cpus), resource.DecimalSI),
		corev1.ResourceMemory: *resource.NewQuantity(m.memory, resource.BinarySI),
	}, nil
}

// Abilities says which fields of a pod a Docker engine can honour.
func (b *Backend) Abilities() workload.Abilities {
	a := workload.DockerAbilities()
	a.Features[workload.FeatureGPUs] = b.opts.GPUs == GPUsNvidia
	return a
}

// Close drops the connection and ends what is under way in the background. Containers go on.
func (b *Backend) Close() error {
	b.jobs.close()
	b.probes.Close()
	b.hooks.Close()
	return b.line.close()
}

func (b *Backend) setMachine(m machine) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.machine = m
}

func (b *Backend) knownMachine() machine {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.machine
}

// learnMachine is knownMachine after one Check at least.
func (b *Backend) learnMachine(ctx context.Context) (machine, error) {
	if m := b.knownMachine(); m.known {
		return m, nil
	}
	_, err := b.Check(ctx)
	return b.knownMachine(), err
}

// engineTimeout bounds calls that are made in the background, without a caller's deadline.
const engineTimeout = 30 * time.Second
