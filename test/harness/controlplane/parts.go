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

package controlplane

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/remotejob-dev/remotejob-operator/test/harness/process"
)

const (
	startTimeout = 3 * time.Minute // on a machine that has much else to do
	pollEvery    = 50 * time.Millisecond
)

// errPortTaken says that a part ended because somebody else listens where it wanted to.
var errPortTaken = errors.New("the port is taken")

// part is etcd or the API server: a program that can be stopped and started with the same arguments.
type part struct {
	name    string
	program string
	args    []string
	host    string
	port    int
	health  string
	logFile string
	client  *http.Client
	process *process.Process
}

func (p *part) url() string { return "https://" + net.JoinHostPort(p.host, strconv.Itoa(p.port)) }

func (p *part) start(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	log, err := os.OpenFile(p.logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	from, err := log.Seek(0, 2)
	if err != nil {
		return err
	}
	cmd := exec.Command(p.program, p.args...)
	cmd.Stdout, cmd.Stderr = log, log
	if p.process, err = process.Start(cmd); err != nil {
		return err
	}
	err = wait.PollUntilContextCancel(ctx, pollEvery, true, func(ctx context.Context) (bool, error) {
		select {
		case <-p.process.Done():
			return false, p.whyItEnded(from)
		default:
			return p.healthy(ctx), nil
		}
	})
	if err != nil {
		return fmt.Errorf("start %s (its log is %s): %w", p.name, p.logFile, err)
	}
	return nil
}

func (p *part) healthy(ctx context.Context) bool {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url()+p.health, http.NoBody)
	if err != nil {
		return false
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// whyItEnded reads what the program wrote since from.
func (p *part) whyItEnded(from int64) error {
	text, err := os.ReadFile(p.logFile)
	if err != nil || int64(len(text)) < from {
		return fmt.Errorf("%s ended: %w", p.name, p.process.Err())
	}
	if strings.Contains(string(text[from:]), "address already in use") {
		return errPortTaken
	}
	lines := strings.Split(strings.TrimSpace(string(text[from:])), "\n")
	return fmt.Errorf("%s ended (%w); its last words: %s", p.name, p.process.Err(), lines[len(lines)-1])
}

func (p *part) stop(ctx context.Context, grace time.Duration) error {
	if p == nil || p.process == nil {
		return nil
	}
	p.client.CloseIdleConnections()
	return p.process.Stop(ctx, grace)
}

func (cp *ControlPlane) etcdPart(clientPort, peerPort int) (*part, error) {
	pki, err := cp.ca.serverFiles("etcd", true)
	if err != nil {
		return nil, err
	}
	p, err := cp.newPart("etcd", clientPort, "/health")
	if err != nil {
		return nil, err
	}
	peer := "https://127.0.0.1:" + strconv.Itoa(peerPort)
	p.args = []string{
		"--name=default",
		"--data-dir=" + cp.data(),
		"--listen-client-urls=" + p.url(), "--advertise-client-urls=" + p.url(),
		"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=default=" + peer,
		// Its data are Secrets among others: nobody on this machine may read them who could not read the directory.
		"--client-cert-auth", "--trusted-ca-file=" + pki.ca, "--cert-file=" + pki.cert, "--key-file=" + pki.key,
		"--peer-client-cert-auth", "--peer-trusted-ca-file=" + pki.ca, "--peer-cert-file=" + pki.cert, "--peer-key-file=" + pki.key,
		"--auto-compaction-mode=periodic", "--auto-compaction-retention=10m",
		"--log-level=warn",
	}
	if !cp.options.Fsync {
		p.args = append(p.args, "--unsafe-no-fsync")
	}
	return p, nil
}

func (cp *ControlPlane) apiServerPart(port int) (*part, error) {
	var others []net.IP
	if cp.options.Nodes != nil {
		// Pods know the API server by the first address of the range.
		others = append(others, cp.options.Nodes.Address, cp.options.Nodes.Services.Masked().Addr().Next().AsSlice())
	}
	pki, err := cp.ca.serverFiles("kube-apiserver", true, others...)
	if err != nil {
		return nil, err
	}
	signing, err := cp.ca.tokenKeyFile()
	if err != nil {
		return nil, err
	}
	p, err := cp.newPart("kube-apiserver", port, "/readyz")
	if err != nil {
		return nil, err
	}
	p.args = []string{
		"--etcd-servers=" + cp.etcd.url(), "--etcd-cafile=" + pki.ca, "--etcd-certfile=" + pki.cert, "--etcd-keyfile=" + pki.key,
		"--secure-port=" + strconv.Itoa(port),
		"--tls-cert-file=" + pki.cert, "--tls-private-key-file=" + pki.key, "--client-ca-file=" + pki.ca,
		"--anonymous-auth=false",
		"--service-account-issuer=" + Issuer,
		"--service-account-key-file=" + signing, "--service-account-signing-key-file=" + signing,
		"--allow-privileged=true", "--profiling=false",
	}
	if nodes := cp.options.Nodes; nodes != nil {
		p.host = nodes.Address.String()
		cert, key, err := cp.ca.clientFiles("kube-apiserver-kubelet", "system:masters")
		if err != nil {
			return nil, err
		}
		p.args = append(p.args, "--bind-address="+p.host, "--advertise-address="+p.host, "--service-cluster-ip-range="+nodes.Services.String(),
			"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction", "--kubelet-preferred-address-types=InternalIP", "--kubelet-client-certificate="+cert, "--kubelet-client-key="+key)
	} else {
		p.args = append(p.args, "--bind-address="+p.host, "--service-cluster-ip-range=10.0.0.0/24", "--endpoint-reconciler-type=none",
			"--authorization-mode=RBAC",
			// No controller makes the default ServiceAccounts here, without which this plugin lets no pod in.
			"--disable-admission-plugins=ServiceAccount")
	}
	p.args = append(p.args, cp.options.APIServerFlags...)
	return p, nil
}

func (cp *ControlPlane) newPart(name string, port int, health string) (*part, error) {
	cert, key, err := cp.ca.clientPair("health", []string{"system:masters"})
	if err != nil {
		return nil, err
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(cp.ca.cert)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}}
	return &part{
		name:    name,
		host:    "127.0.0.1",
		program: filepath.Join(cp.options.Binaries, name),
		port:    port,
		health:  health,
		logFile: filepath.Join(cp.Dir, name+".log"),
		client:  &http.Client{Transport: transport, Timeout: 5 * time.Second},
	}, nil
}

// waitForNamespaces returns when the namespaces exist that the API server makes by itself after it has become ready: the manager
// takes the ledger's ID from one of them, and tests work in another.
func waitForNamespaces(ctx context.Context, cfg *rest.Config) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	for _, name := range []string{metav1.NamespaceSystem, corev1.NamespaceDefault} {
		var last error
		err = wait.PollUntilContextCancel(ctx, pollEvery, true, func(ctx context.Context) (bool, error) {
			_, last = client.CoreV1().Namespaces().Get(ctx, name, metav1.GetOptions{})
			return last == nil, nil
		})
		if err != nil {
			return fmt.Errorf("wait for namespace %s: %w", name, errors.Join(err, last))
		}
	}
	return nil
}
