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

// Package controlplane runs an etcd and a kube-apiserver on loopback: for tests, and for developers.
package controlplane

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/remotejob-dev/remotejob-operator/test/harness/ports"
)

// Issuer is the issuer of the ServiceAccount tokens that the API server hands out. It does not depend on the port, so that tokens
// outlive a restart.
const Issuer = "https://kubernetes.default.svc.cluster.local"

// How long a part may take to stop before it is killed. An API server with open watches takes its time.
const (
	apiServerGrace = 10 * time.Second
	etcdGrace      = 10 * time.Second
)

// Options say where a control plane lives.
type Options struct {
	// Dir holds its certificates, data and logs; only the owner can read them. It is made if need be, and used by one control plane at
	// a time. Empty for a temporary directory, which Stop removes.
	Dir string
	// Binaries is the directory of etcd, kube-apiserver and kubectl; empty for bin/k8s below the root of the module that the working
	// directory is in.
	Binaries string
	// KeepData keeps the data, and the keys by which tokens are signed, from one Start to the next. Without it Start begins anew and
	// Stop removes them; logs stay in a Dir that was given.
	KeepData bool
	// Fsync makes etcd write through to the disk, as it should where data are worth something. Tests are faster without it.
	Fsync bool
	// Kubeconfig is the file that gets an administrator's access; empty for Dir/kubeconfig.
	Kubeconfig string
	// APIServerFlags are added to the API server's.
	APIServerFlags []string
	// Nodes is set where the control plane gets nodes, and controllers beside it.
	Nodes *Nodes

	temporary bool
}

// Nodes is what nodes need of a control plane.
type Nodes struct {
	// Address is one of this machine's at which nodes and their pods reach the API server. It listens there in the place of loopback.
	Address net.IP
	// Services is the range of the Services' addresses.
	Services netip.Prefix
}

// ControlPlane is an etcd and a kube-apiserver that run.
type ControlPlane struct {
	// Config is an administrator's access. It stays right when the parts are stopped and started.
	Config *rest.Config
	// Kubeconfig is a file with the same access.
	Kubeconfig string
	// Dir holds certificates, data and logs.
	Dir string

	options Options
	ca      *authority
	unlock  func()
	etcd    *part
	api     *part
}

// Start brings a control plane up, and returns when it answers and has its first namespaces. It ends with this process at the latest.
func Start(ctx context.Context, opts Options) (_ *ControlPlane, err error) {
	if opts.Binaries == "" {
		if opts.Binaries, err = DefaultBinaries(); err != nil {
			return nil, err
		}
	}
	if err := prepareDir(&opts); err != nil {
		return nil, err
	}
	cp := &ControlPlane{Dir: opts.Dir, Kubeconfig: opts.Kubeconfig, options: opts}
	if cp.unlock, err = lock(opts.Dir); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, cp.Stop(context.WithoutCancel(ctx)))
		}
	}()

	if !opts.KeepData {
		if err := cp.removeData(); err != nil {
			return nil, err
		}
	}
	if cp.ca, err = loadAuthority(filepath.Join(opts.Dir, "pki")); err != nil {
		return nil, fmt.Errorf("make certificates: %w", err)
	}
	// A port that is free when it is looked for may be taken a moment later; then another one is tried.
	for attempt := 0; ; attempt++ {
		err = cp.startBoth(ctx)
		if err == nil {
			return cp, nil
		}
		if attempt == 2 || ctx.Err() != nil || !errors.Is(err, errPortTaken) {
			return nil, err
		}
		if err := cp.stopBoth(ctx); err != nil {
			return nil, err
		}
	}
}

func prepareDir(opts *Options) error {
	if opts.Dir == "" {
		dir, err := os.MkdirTemp("", "controlplane-")
		if err != nil {
			return err
		}
		opts.Dir, opts.temporary = dir, true
	}
	dir, err := filepath.Abs(opts.Dir)
	if err != nil {
		return err
	}
	opts.Dir = dir
	if opts.Kubeconfig == "" {
		opts.Kubeconfig = filepath.Join(dir, "kubeconfig")
	}
	return os.MkdirAll(dir, 0o700)
}

func (cp *ControlPlane) startBoth(ctx context.Context) error {
	// A part that is stopped for a while is to find its port free again.
	var found [3]int
	var err error
	for i := range found {
		if found[i], err = ports.Free(); err != nil {
			return err
		}
	}
	if cp.etcd, err = cp.etcdPart(found[0], found[1]); err != nil {
		return err
	}
	if err := cp.etcd.start(ctx); err != nil {
		return err
	}
	if cp.api, err = cp.apiServerPart(found[2]); err != nil {
		return err
	}
	if err := cp.api.start(ctx); err != nil {
		return err
	}
	if cp.Config, err = cp.ConfigFor("admin", "system:masters"); err != nil {
		return err
	}
	if err := cp.writeKubeconfig(); err != nil {
		return err
	}
	return waitForNamespaces(ctx, cp.Config)
}

// Stop ends both parts and, unless the data are kept, removes them.
func (cp *ControlPlane) Stop(ctx context.Context) error {
	err := cp.stopBoth(ctx)
	switch {
	case cp.options.temporary:
		err = errors.Join(err, os.RemoveAll(cp.Dir))
	case !cp.options.KeepData:
		err = errors.Join(err, cp.removeData())
	}
	if cp.unlock != nil {
		cp.unlock()
	}
	return err
}

func (cp *ControlPlane) removeData() error {
	return errors.Join(os.RemoveAll(cp.data()), os.RemoveAll(filepath.Join(cp.Dir, "pki")))
}

func (cp *ControlPlane) stopBoth(ctx context.Context) error {
	return errors.Join(cp.StopAPIServer(ctx), cp.StopEtcd(ctx))
}

// StopAPIServer ends the API server alone.
func (cp *ControlPlane) StopAPIServer(ctx context.Context) error {
	return cp.api.stop(ctx, apiServerGrace)
}

// StartAPIServer starts the API server again, on the port that it had, and returns when it answers.
func (cp *ControlPlane) StartAPIServer(ctx context.Context) error {
	return cp.api.start(ctx)
}

// StopEtcd ends etcd alone.
func (cp *ControlPlane) StopEtcd(ctx context.Context) error {
	return cp.etcd.stop(ctx, etcdGrace)
}

// StartEtcd starts etcd again, on the ports that it had, and returns when it answers.
func (cp *ControlPlane) StartEtcd(ctx context.Context) error {
	return cp.etcd.start(ctx)
}

// Done is closed when one of the parts has ended by itself or was stopped. It is of use while nobody stops parts on purpose.
func (cp *ControlPlane) Done() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		select {
		case <-cp.api.process.Done():
		case <-cp.etcd.process.Done():
		}
	}()
	return done
}

// ConfigFor returns the access of a user, who need not exist anywhere else.
func (cp *ControlPlane) ConfigFor(user string, groups ...string) (*rest.Config, error) {
	cert, key, err := cp.ca.clientPair(user, groups)
	if err != nil {
		return nil, err
	}
	return &rest.Config{
		Host:            cp.api.url(),
		TLSClientConfig: rest.TLSClientConfig{CAData: cp.ca.certPEM, CertData: cert, KeyData: key},
		// The limits of a client are for the API server's good; here they would only slow tests down.
		QPS: -1,
	}, nil
}

// TokenKeyFile is the key that signs ServiceAccount tokens, for controllers that sign some, too.
func (cp *ControlPlane) TokenKeyFile() (string, error) { return cp.ca.tokenKeyFile() }

// Kubectl returns the command that runs kubectl as an administrator.
func (cp *ControlPlane) Kubectl(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(cp.options.Binaries, "kubectl"), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+cp.Kubeconfig, "KUBECACHEDIR="+filepath.Join(cp.Dir, "kubectl-cache"))
	return cmd
}

func (cp *ControlPlane) writeKubeconfig() error {
	const name = "remotejob"
	cfg := clientcmdapi.NewConfig()
	cfg.Clusters[name] = &clientcmdapi.Cluster{Server: cp.Config.Host, CertificateAuthorityData: cp.Config.CAData}
	cfg.AuthInfos[name] = &clientcmdapi.AuthInfo{ClientCertificateData: cp.Config.CertData, ClientKeyData: cp.Config.KeyData}
	cfg.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name}
	cfg.CurrentContext = name
	return clientcmd.WriteToFile(*cfg, cp.Kubeconfig)
}
