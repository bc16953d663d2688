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
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/certs"
)

// reachable is an address of this machine that is not loopback, so that others could reach what listens there.
func reachable(t *testing.T) string {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if network, ok := a.(*net.IPNet); ok && !network.IP.IsLoopback() && network.IP.To4() != nil {
			return network.IP.String()
		}
	}
	return "0.0.0.0" // a machine without a network: all its addresses are refused alike
}

// ends starts a manager that should end by itself, and returns its words.
func ends(t *testing.T, args ...string) string {
	t.Helper()
	dir := t.TempDir()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := harness.WriteKubeconfig(shared.plane.Config, kubeconfig); err != nil {
		t.Fatal(err)
	}
	argv := append([]string{shared.binaries.Manager, "--metrics-bind-address=0", "--health-probe-bind-address=0"}, args...)
	p, err := harness.Start("manager", filepath.Join(dir, "log"), []string{"KUBECONFIG=" + kubeconfig}, argv...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Stop(context.Background(), time.Second) })
	if err := p.Await(longTime); err != nil {
		t.Errorf("with %v: %v\n%s", args, err, p.Tail(5))
	} else if p.Err() == nil {
		t.Errorf("with %v it ends without an error", args)
	}
	return p.Tail(10)
}

func TestTheManagerDoesNotListenForEverybody(t *testing.T) {
	t.Parallel()
	pair := certs.NewAuthority(t, "a").Server("s")
	certFile, keyFile := pair.Files(t, t.TempDir(), "s")
	host := reachable(t)
	for name, args := range map[string][]string{
		"nothing":            {"--plugin-bind-address=" + host + ":0"},
		"all addresses":      {"--plugin-bind-address=:0"},
		"TLS alone":          {"--plugin-bind-address=" + host + ":0", "--plugin-tls-cert-file=" + certFile, "--plugin-tls-key-file=" + keyFile},
		"one address of two": {"--plugin-bind-address=127.0.0.1:0", "--plugin-bind-address=two=" + host + ":0"},
	} {
		if words := ends(t, args...); !strings.Contains(words, "asks nobody who they are") {
			t.Errorf("%s: %s", name, words)
		}
	}
	for name, args := range map[string][]string{
		"no such file":                    {"--plugin-token-file=/no/such/file"},
		"client certificates, and no TLS": {"--plugin-client-ca-file=" + certFile},
		"a certificate without a key":     {"--plugin-tls-cert-file=" + certFile},
		"a key that is another's":         {"--plugin-tls-cert-file=" + certFile, "--plugin-tls-key-file=" + certFile},
		"a mode that is none":             {"--plugin-socket-mode=rw"},
	} {
		if words := ends(t, append(args, "--plugin-bind-address=127.0.0.1:0")...); !strings.Contains(words, "the manager ends") {
			t.Errorf("%s: %s", name, words)
		}
	}
	s := ends(t, "proxy") // the flags before it are the manager's, and so it is no subcommand
	if !strings.Contains(s, "unexpected argument") {
		t.Errorf("an argument: %s", s)
	}
}

// secured is a manager behind TLS and tokens, and a proxy beside interLink.
type secured struct {
	*side
	// direct speaks to the manager itself, and shows nothing.
	direct *harness.InterLink
	// tokens and proxyToken are the files, authority who signed the certificate.
	tokens, proxyToken string
	authority          *certs.Authority
}

const (
	goodToken = "e2e-token-that-is-long-enough"
	nextToken = "e2e-token-that-comes-after-it"
)

func startSecured(t *testing.T) *secured {
	t.Helper()
	w := newWorld(t)
	dir := t.TempDir()
	s := &secured{tokens: filepath.Join(dir, "tokens"), proxyToken: filepath.Join(dir, "token"), authority: certs.NewAuthority(t, "endpoint")}
	certFile, keyFile := s.authority.Server("endpoint").Files(t, dir, "endpoint")
	caFile := filepath.Join(dir, "ca.crt")
	certs.Write(t, caFile, s.authority.PEM)
	certs.Write(t, s.tokens, []byte(goodToken+"\n"))
	certs.Write(t, s.proxyToken, []byte(goodToken+"\n"))

	m, err := harness.NewManager(dir, harness.ManagerOptions{
		Binaries: shared.binaries, Config: w.plane.Config,
		Args: []string{"--plugin-tls-cert-file=" + certFile, "--plugin-tls-key-file=" + keyFile, "--plugin-client-ca-file=" + caFile, "--plugin-token-file=" + s.tokens},
	})
	if err != nil {
		t.Fatal(err)
	}
	s.direct = harness.NewInterLink(m.Address)
	s.direct.Base = "https://" + m.Address
	s.direct.HTTP.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.authority.Pool(), MinVersion: tls.VersionTLS12}}
	socket := "unix://" + filepath.Join(dir, "interlink.sock")
	m.InterLink = harness.NewInterLink(socket)
	if err := m.Start(); err != nil {
		t.Fatal(err)
	}
	proxy, err := harness.Start("proxy", filepath.Join(dir, "proxy.log"), nil, shared.binaries.Manager, "proxy",
		"--plugin-bind-address="+socket, "--plugin-socket-mode=0600", "--upstream=https://"+m.Address, "--upstream-ca-file="+caFile, "--upstream-token-file="+s.proxyToken)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = proxy.Stop(context.Background(), 20*time.Second)
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the proxy's last words:\n%s\nthe manager's:\n%s", proxy.Tail(20), m.Tail(60))
		}
	})
	if err := m.WaitReady(); err != nil {
		t.Fatal(err)
	}
	s.side = &side{t: t, ctx: harness.Context(t), manager: m, ledger: w.ledger, engine: shared.engine}
	return s
}

// TestInterLinkReachesAManagerElsewhereThroughTheProxy has a pod's whole life pass through it.
func TestInterLinkReachesAManagerElsewhereThroughTheProxy(t *testing.T) {
	t.Parallel()
	s := startSecured(t)
	backend := s.ledger.NewBackend(s.ctx, t, "secured", shared.engine.Host)
	ping, answer, err := s.manager.Ping(s.ctx)
	if err != nil || ping.Status != "ok" || answer.Header.Get("InterLink-Http-Session") != s.manager.Session {
		t.Errorf("the ping: %v, %d %s %v", err, answer.Code, answer.Body, answer.Header)
	}
	pod := harness.NewPod("proxied", backend.Name, harness.Shell("c", "echo first; while [ ! -e /go ]; do sleep 0.05; done; echo last; exit 4"))
	s.run(pod)
	s.running(pod, "c")
	response, err := s.manager.OpenLogs(s.ctx, pod, "c", harness.LogOpts{Follow: true})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	log := bufio.NewReader(response.Body)
	if line, err := log.ReadString('\n'); err != nil || line != "first\n" {
		t.Errorf("the log begins %q, %v", line, err)
	}
	s.touch(pod, "c", "/go")
	if line, err := log.ReadString('\n'); err != nil || line != "last\n" {
		t.Errorf("the log goes on %q, %v", line, err)
	}
	s.exits(s.ended(pod, longTime), map[string]int32{"c": 4})
	s.gone(pod, longTime)
	refused := harness.NewPod("proxied-refused", backend.Name, harness.Shell("c", "true"))
	refused.Spec.HostNetwork = true
	if _, answer, err := s.manager.Create(s.ctx, harness.Request(refused).Body(t)); err != nil || answer.Code != http.StatusUnprocessableEntity || !strings.Contains(string(answer.Body), "allowHostNetwork") {
		t.Errorf("a refusal: %v, %d %s", err, answer.Code, answer.Body)
	}

	// The manager is exchanged: a pod that comes meanwhile is not failed for it.
	if err := s.manager.Stop(longTime); err != nil {
		t.Fatal(err)
	}
	if _, answer, err := s.manager.Ping(s.ctx); err != nil || answer.Code != http.StatusBadGateway || !strings.Contains(string(answer.Body), "can't be reached now") {
		t.Errorf("the ping while the manager is away: %v, %d %s", err, answer.Code, answer.Body)
	}
	meanwhile := harness.NewPod("meanwhile", backend.Name, harness.Shell("c", "exit 8"))
	s.deleteAfterwards(meanwhile)
	created := make(chan harness.Answer, 1)
	go func() {
		_, answer, err := s.manager.Create(s.ctx, harness.Request(meanwhile).Body(t))
		if err != nil {
			t.Error(err)
		}
		created <- answer
	}()
	if err := s.manager.Start(); err != nil {
		t.Fatal(err)
	}
	if answer := <-created; answer.Code != http.StatusOK {
		t.Errorf("the pod that came meanwhile: %d %s", answer.Code, answer.Body)
	}
	harness.Eventually(t, longTime, "the manager is ready", s.manager.Ready)
	s.exits(s.ended(meanwhile, longTime), map[string]int32{"c": 8})
}

// TestAtAnAddressWithTokensNobodyGetsAnythingWithoutOne tries all calls in all wrong ways.
func TestAtAnAddressWithTokensNobodyGetsAnythingWithoutOne(t *testing.T) {
	t.Parallel()
	s := startSecured(t)
	stranger := certs.NewAuthority(t, "stranger").Client("vk1")
	for name, header := range map[string]string{"nothing": "", "a wrong token": "Bearer " + nextToken, "a part of the token": "Bearer " + goodToken[:20], "another scheme": "Basic " + goodToken} {
		for path, method := range map[string]string{"/create": http.MethodPost, "/delete": http.MethodPost, "/status": http.MethodGet, "/getLogs": http.MethodGet, "/system-info": http.MethodGet} {
			answer, err := s.direct.Do(s.ctx, method, path, harness.Recorded(t, "create-rich"), "Authorization", header)
			if err != nil || answer.Code != http.StatusUnauthorized || answer.Header.Get("WWW-Authenticate") == "" || strings.Contains(string(answer.Body), goodToken) {
				t.Errorf("%s to %s: %v, %d %s", name, path, err, answer.Code, answer.Body)
			}
		}
	}
	if answer, err := s.direct.Do(s.ctx, http.MethodGet, "/healthz", nil); err != nil || answer.Code != http.StatusOK {
		t.Errorf("a probe: %v, %d %s", err, answer.Code, answer.Body)
	}
	if answer, err := s.direct.Do(s.ctx, http.MethodGet, "/status", []byte("[]"), "Authorization", "Bearer "+goodToken); err != nil || answer.Code != http.StatusOK {
		t.Errorf("with the token: %v, %d %s", err, answer.Code, answer.Body)
	}
	plain := harness.NewInterLink(strings.TrimPrefix(s.direct.Base, "https://"))
	if answer, err := plain.Do(s.ctx, http.MethodGet, "/status", []byte("[]"), "Authorization", "Bearer "+goodToken); err == nil && answer.Code == http.StatusOK {
		t.Errorf("plain HTTP is answered: %s", answer.Body)
	}
	shows := func(pair certs.Pair) *harness.InterLink {
		i := *s.direct
		certificate := pair.TLS(t)
		i.HTTP = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
			RootCAs: s.authority.Pool(), MinVersion: tls.VersionTLS12,
			GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &certificate, nil },
		}}}
		return &i
	}
	if answer, err := shows(s.authority.Client("vk1")).Do(s.ctx, http.MethodGet, "/status", []byte("[]")); err != nil || answer.Code != http.StatusOK {
		t.Errorf("with a client certificate: %v, %d %s", err, answer.Code, answer.Body)
	}
	if answer, err := shows(stranger).Do(s.ctx, http.MethodGet, "/status", []byte("[]")); err == nil && answer.Code == http.StatusOK {
		t.Errorf("with a certificate of somebody else's authority: %s", answer.Body)
	}

	// A token is exchanged: first the manager knows both, then the proxy shows the new one, then the old one is worth nothing.
	works := func(token string, want int) func() error {
		return func() error {
			answer, err := s.direct.Do(s.ctx, http.MethodGet, "/status", []byte("[]"), "Authorization", "Bearer "+token)
			if err != nil || answer.Code != want {
				return fmt.Errorf("%w, %d", err, answer.Code)
			}
			return nil
		}
	}
	certs.Write(t, s.tokens, []byte(nextToken+"\n"+goodToken+"\n"))
	harness.Eventually(t, longTime, "the next token is known", works(nextToken, http.StatusOK))
	certs.Write(t, s.proxyToken, []byte(nextToken+"\n"))
	certs.Write(t, s.tokens, []byte(nextToken+"\n"))
	harness.Eventually(t, longTime, "the old token is worth nothing", works(goodToken, http.StatusUnauthorized))
	harness.Eventually(t, longTime, "the proxy shows the next one", func() error {
		_, answer, err := s.manager.Ping(s.ctx)
		if err != nil || answer.Code != http.StatusOK {
			return fmt.Errorf("%w, %d %s", err, answer.Code, answer.Body)
		}
		return nil
	})
	if log, err := os.ReadFile(s.manager.Log); err != nil || strings.Contains(string(log), goodToken) || strings.Contains(string(log), nextToken) {
		t.Errorf("a token is in the log (or it can't be read: %v)", err)
	}
}
