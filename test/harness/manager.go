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

package harness

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/remotejob-dev/remotejob-operator/test/harness/ports"
)

// ManagerOptions say how a manager is run.
type ManagerOptions struct {
	Binaries Binaries
	// Config reaches the API server.
	Config *rest.Config
	// DefaultBackend is where pods go that name none.
	DefaultBackend string
	// Args and Env are added.
	Args, Env []string
	// KeepAlive starts it again, with the same arguments, whenever it was killed.
	KeepAlive bool
	// Supervised starts it again when it has ended by itself, as a Deployment does. One that was killed stays so.
	Supervised bool
}

// Manager is a manager that runs as a process of its own.
type Manager struct {
	// InterLink speaks to its endpoint.
	*InterLink
	// Address of the endpoint, Log the file with the manager's words.
	Address, Log string

	keepAlive, supervised bool
	argv, env             []string

	mu      sync.Mutex
	process *Process
	killed  int
	ended   int
	closed  bool
	// err is set when it ended though nobody ended it.
	err error
}

// NewManager prepares a manager that keeps its files in dir, and does not start it.
func NewManager(dir string, o ManagerOptions) (*Manager, error) {
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := WriteKubeconfig(o.Config, kubeconfig); err != nil {
		return nil, err
	}
	address, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	m := &Manager{keepAlive: o.KeepAlive, supervised: o.Supervised, Address: address, InterLink: NewInterLink(address), Log: filepath.Join(dir, "manager.log")}
	m.argv = append([]string{
		o.Binaries.Manager, "--plugin-bind-address=" + address, "--default-backend=" + o.DefaultBackend, "--podrunner=" + o.Binaries.Podrunner,
		"--metrics-bind-address=0", "--health-probe-bind-address=0",
	}, o.Args...)
	m.env = append([]string{"KUBECONFIG=" + kubeconfig}, o.Env...)
	return m, nil
}

// StartManager starts a manager for one test and waits until it is ready. It ends with the test, and its words are shown when the test
// fails.
func StartManager(t testing.TB, o ManagerOptions) *Manager {
	t.Helper()
	m, err := NewManager(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the manager's last words:\n%s", m.Tail(150))
		}
	})
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	if err := m.WaitReady(); err != nil {
		t.Fatal(err)
	}
	return m
}

// Start starts it, without waiting for anything.
func (m *Manager) Start() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.startLocked()
}

func (m *Manager) startLocked() error {
	p, err := Start("manager", m.Log, m.env, m.argv...)
	if err != nil {
		return err
	}
	m.process = p
	go m.watch(p)
	return nil
}

func (m *Manager) watch(p *Process) {
	<-p.Done()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.process != p {
		return
	}
	if !p.Killed() && m.supervised {
		m.ended++
		m.err = m.startLocked()
		return
	}
	if !p.Killed() {
		m.err = fmt.Errorf("the manager ended by itself: %s", fmt.Sprint(p.Err()))
		return
	}
	m.killed++
	if m.keepAlive {
		m.err = m.startLocked()
	}
}

// WaitReady waits until its endpoint says that it is ready.
func (m *Manager) WaitReady() error {
	if err := Poll(pollLong, m.Ready); err != nil {
		return fmt.Errorf("the manager is not ready: %w\n%s", err, m.Tail(30))
	}
	return nil
}

// Ready returns an error unless the endpoint says that it is ready.
func (m *Manager) Ready() error {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	answer, err := m.Do(ctx, http.MethodGet, "/readyz", nil)
	if err != nil {
		return err
	}
	if answer.Code != http.StatusOK {
		return fmt.Errorf("/readyz: %d %s", answer.Code, answer.Body)
	}
	return nil
}

// Kill ends it by SIGKILL. With KeepAlive it is started again at once.
func (m *Manager) Kill() {
	m.mu.Lock()
	p := m.process
	m.mu.Unlock()
	_ = p.Kill()
}

// Stop ends it by SIGTERM, and it stays ended.
func (m *Manager) Stop(within time.Duration) error {
	m.mu.Lock()
	p := m.process
	m.process = nil
	m.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	if err := p.Stop(ctx, within); err != nil {
		return err
	}
	if p.Killed() {
		return fmt.Errorf("the manager did not end within %s of SIGTERM", within)
	}
	return nil
}

// Kills tells how often it was killed so far.
func (m *Manager) Kills() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.killed
}

// Ended tells how it ended though nobody had it end; nil while all is well.
func (m *Manager) Ended() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// Ends tells how often it has ended by itself so far, where it is supervised.
func (m *Manager) Ends() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ended
}

// Signal sends a signal to it.
func (m *Manager) Signal(s syscall.Signal) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.process.Signal(s)
}

// Pid of its process.
func (m *Manager) Pid() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.process.Pid()
}

// Close ends it for good, and tells if it ended before without having been asked to.
func (m *Manager) Close() error {
	m.mu.Lock()
	m.closed = true
	p, err := m.process, m.err
	m.mu.Unlock()
	if p != nil {
		_ = p.Stop(context.Background(), 10*time.Second)
	}
	return err
}

// Said tells whether its log holds the words.
func (m *Manager) Said(words string) bool {
	data, err := os.ReadFile(m.Log)
	return err == nil && strings.Contains(string(data), words)
}

// Lines returns the lines of its log that hold the words.
func (m *Manager) Lines(words string) string {
	data, err := os.ReadFile(m.Log)
	if err != nil {
		return err.Error()
	}
	var lines []string
	for line := range strings.Lines(string(data)) {
		if strings.Contains(line, words) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
}

// Tail returns the last lines of its log.
func (m *Manager) Tail(lines int) string { return (&Process{Log: m.Log}).Tail(lines) }

// FreeAddress is an address on loopback that nobody listens on.
func FreeAddress() (string, error) { return ports.Address() }

// WriteKubeconfig writes what a program needs to reach the API server as cfg does.
func WriteKubeconfig(cfg *rest.Config, path string) error {
	if cfg.ExecProvider != nil || cfg.AuthProvider != nil {
		return errors.New("only certificates and tokens can be written into a kubeconfig")
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["c"] = &clientcmdapi.Cluster{
		Server: cfg.Host, CertificateAuthorityData: cfg.CAData, CertificateAuthority: cfg.CAFile, InsecureSkipTLSVerify: cfg.Insecure,
	}
	config.AuthInfos["u"] = &clientcmdapi.AuthInfo{
		ClientCertificateData: cfg.CertData, ClientCertificate: cfg.CertFile, ClientKeyData: cfg.KeyData, ClientKey: cfg.KeyFile,
		Token: cfg.BearerToken, TokenFile: cfg.BearerTokenFile,
	}
	config.Contexts["x"] = &clientcmdapi.Context{Cluster: "c", AuthInfo: "u"}
	config.CurrentContext = "x"
	return clientcmd.WriteToFile(*config, path)
}
