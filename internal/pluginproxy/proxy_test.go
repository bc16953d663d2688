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

package pluginproxy_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/remotejob-dev/remotejob-operator/internal/pluginproxy"
	"github.com/remotejob-dev/remotejob-operator/internal/serving"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/certs"
)

// operator stands for the manager's endpoint: a server whose calls a test answers.
type operator struct {
	t         *testing.T
	authority *certs.Authority
	address   string
	server    *http.Server
	handler   http.Handler
	pair      certs.Pair
}

func newOperator(t *testing.T, handler http.HandlerFunc) *operator {
	t.Helper()
	address, err := harness.FreeAddress()
	if err != nil {
		t.Fatal(err)
	}
	o := &operator{t: t, authority: certs.NewAuthority(t, "operator"), address: address, handler: handler}
	o.pair = o.authority.Server("operator")
	t.Cleanup(o.stop)
	return o
}

func (o *operator) start() {
	o.t.Helper()
	listener, err := net.Listen("tcp", o.address)
	if err != nil {
		o.t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{o.pair.TLS(o.t)}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	o.server = &http.Server{Handler: o.handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = o.server.Serve(tls.NewListener(listener, config)) }()
}

func (o *operator) stop() {
	if o.server != nil {
		_ = o.server.Close()
	}
}

// proxy starts a proxy before the operator and returns who speaks to it as interLink does.
func (o *operator) proxy(change func(*pluginproxy.Upstream)) *harness.InterLink {
	o.t.Helper()
	dir := o.t.TempDir()
	up := pluginproxy.Upstream{URL: "https://" + o.address, CAFile: filepath.Join(dir, "ca.crt"), TokenFile: filepath.Join(dir, "token")}
	certs.Write(o.t, up.CAFile, o.authority.PEM)
	certs.Write(o.t, up.TokenFile, []byte("# the newest first\ntoken-1\ntoken-0\n"))
	if change != nil {
		change(&up)
	}
	socket := "unix://" + filepath.Join(dir, "s")
	address, _, err := serving.ParseAddress(socket)
	if err != nil {
		o.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- pluginproxy.Run(ctx, pluginproxy.Options{Addresses: []serving.Address{address}, MaxBodyBytes: 1 << 20, MaxConnections: 100, Upstream: up, Log: logr.Discard()})
	}()
	o.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			o.t.Error(err)
		}
	})
	harness.Eventually(o.t, 10*time.Second, "the proxy listens", func() error {
		connection, err := net.Dial("unix", strings.TrimPrefix(socket, "unix://"))
		if err == nil {
			_ = connection.Close()
		}
		return err
	})
	return harness.NewInterLink(socket)
}

func TestACallIsPassedOnWithItsBodyItsSessionAndTheProxysOwnToken(t *testing.T) {
	o := newOperator(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("InterLink-Http-Session", r.Header.Get("InterLink-Http-Session"))
		w.Header().Set("X-Own", "kept")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %s %q", r.Method, r.URL, r.Header.Get("Authorization"), body)
	})
	o.start()
	caller := o.proxy(nil)
	for _, c := range []struct{ method, path, body string }{
		{http.MethodPost, "/create", `{"pod": {}}`}, {http.MethodGet, "/status", `[{"metadata": {}}]`}, {http.MethodGet, "/status?pod_uid=a", ""}, {http.MethodPost, "/delete", "x"},
	} {
		got, err := caller.Do(t.Context(), c.method, c.path, []byte(c.body), "Authorization", "Bearer of-the-caller")
		want := fmt.Sprintf("%s %s Bearer token-1 %q", c.method, c.path, c.body)
		if err != nil || got.Code != http.StatusTeapot || string(got.Body) != want {
			t.Errorf("%v: %d %s, want %s", err, got.Code, got.Body, want)
		}
		if sessions := got.Header.Values("InterLink-Http-Session"); len(sessions) != 1 || sessions[0] != caller.Session || got.Header.Get("X-Own") != "kept" {
			t.Errorf("the headers are %v", got.Header)
		}
	}
}

func TestALogIsPassedOnAsItComes(t *testing.T) {
	next, left := make(chan string), make(chan struct{})
	o := newOperator(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		for {
			select {
			case line := <-next:
				_, _ = io.WriteString(w, line)
				_ = http.NewResponseController(w).Flush()
			case <-r.Context().Done():
				close(left)
				return
			}
		}
	})
	o.start()
	caller := o.proxy(nil)
	ctx, leave := context.WithCancel(t.Context())
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, caller.Base+"/getLogs", strings.NewReader(`{"Opts": {"Follow": true}}`))
	if err != nil {
		t.Fatal(err)
	}
	response, err := caller.HTTP.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	lines := bufio.NewReader(response.Body)
	for _, line := range []string{"one\n", "two\n"} {
		next <- line // nothing more comes before this line has been read
		if got, err := lines.ReadString('\n'); err != nil || got != line {
			t.Fatalf("%q, %v", got, err)
		}
	}
	leave()
	<-left // who follows a log and leaves is not followed for ever
}

func TestWhileTheOperatorIsAwayQuestionsAreRefusedInWordsAndCreateWaits(t *testing.T) {
	var creates atomic.Int64
	o := newOperator(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/create" && creates.Add(1) == 1 {
			// The answer is lost; the operator takes a pod twice as it does once.
			connection, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_ = connection.Close()
			}
			return
		}
		_, _ = w.Write(body)
	})
	caller := o.proxy(nil)
	got, err := caller.Do(t.Context(), http.MethodGet, "/status", []byte("[]"))
	if err != nil || got.Code != http.StatusBadGateway || !strings.Contains(string(got.Body), "the operator at "+o.address+" can't be reached now") || strings.Contains(string(got.Body), "\n") {
		t.Errorf("%v, %d %s", err, got.Code, got.Body)
	}
	if got.Header.Get("InterLink-Http-Session") != caller.Session {
		t.Errorf("the session of a refusal is %q", got.Header.Get("InterLink-Http-Session"))
	}
	answered := make(chan harness.Answer, 1)
	go func() {
		got, err := caller.Do(t.Context(), http.MethodPost, "/create", []byte("a pod"))
		if err != nil {
			t.Error(err)
		}
		answered <- got
	}()
	select {
	case got := <-answered:
		t.Fatalf("a /create does not wait: %d %s", got.Code, got.Body)
	case <-time.After(3 * time.Second):
	}
	o.start()
	if got := <-answered; got.Code != http.StatusOK || string(got.Body) != "a pod" || creates.Load() != 2 {
		t.Errorf("%d %s, after %d calls", got.Code, got.Body, creates.Load())
	}
}

func TestTheProxyTakesUpANewTokenAndANewAuthority(t *testing.T) {
	var dir string
	o := newOperator(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Header.Get("Authorization")) })
	o.start()
	caller := o.proxy(func(up *pluginproxy.Upstream) { dir = filepath.Dir(up.CAFile) })
	asks := func(want string) error {
		got, err := caller.Do(t.Context(), http.MethodGet, "/status", nil)
		if err != nil || string(got.Body) != want {
			return errors.Join(err, fmt.Errorf("%d %s", got.Code, got.Body))
		}
		return nil
	}
	if err := asks("Bearer token-1"); err != nil {
		t.Fatal(err)
	}
	certs.Write(t, filepath.Join(dir, "token"), []byte("token-2"))
	harness.Eventually(t, 10*time.Second, "the new token is shown", func() error { return asks("Bearer token-2") })

	o.stop()
	o.authority = certs.NewAuthority(t, "next")
	o.pair = o.authority.Server("operator")
	o.start()
	got, err := caller.Do(t.Context(), http.MethodGet, "/status", nil)
	if err != nil || got.Code != http.StatusBadGateway || !strings.Contains(string(got.Body), "certificate") {
		t.Errorf("an operator whose certificate is somebody else's: %v, %d %s", err, got.Code, got.Body)
	}
	certs.Write(t, filepath.Join(dir, "ca.crt"), o.authority.PEM)
	harness.Eventually(t, 10*time.Second, "the new authority holds", func() error { return asks("Bearer token-2") })
}

func TestTheProxyShowsAClientCertificate(t *testing.T) {
	clients := certs.NewAuthority(t, "clients")
	o := newOperator(t, func(w http.ResponseWriter, r *http.Request) {
		name := "nobody"
		if len(r.TLS.PeerCertificates) > 0 {
			name = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		_, _ = io.WriteString(w, name+r.Header.Get("Authorization"))
	})
	o.start()
	caller := o.proxy(func(up *pluginproxy.Upstream) {
		up.TokenFile = ""
		up.CertFile, up.KeyFile = clients.Client("vk1").Files(t, filepath.Dir(up.CAFile), "client")
	})
	if got, err := caller.Do(t.Context(), http.MethodGet, "/status", nil); err != nil || string(got.Body) != "vk1" {
		t.Errorf("%v, %d %s", err, got.Code, got.Body)
	}
}

func TestABodyBeyondItsBoundIsNotPassedOn(t *testing.T) {
	o := newOperator(t, func(http.ResponseWriter, *http.Request) { t.Error("it is passed on") })
	o.start()
	got, err := o.proxy(nil).Do(t.Context(), http.MethodPost, "/create", make([]byte, 1<<20+1))
	if err != nil || got.Code != http.StatusRequestEntityTooLarge || !strings.Contains(string(got.Body), "larger than") {
		t.Errorf("%v, %d %s", err, got.Code, got.Body)
	}
}

func TestAProxyThatCouldNotWorkDoesNotStart(t *testing.T) {
	dir := t.TempDir()
	token, empty := filepath.Join(dir, "token"), filepath.Join(dir, "empty")
	certs.Write(t, token, []byte("token-1"))
	certs.Write(t, empty, []byte("# none\n"))
	for name, c := range map[string]struct {
		up    pluginproxy.Upstream
		words string
	}{
		"plain HTTP":         {pluginproxy.Upstream{URL: "http://10.0.0.1:4000", TokenFile: token}, "https://"},
		"no address":         {pluginproxy.Upstream{TokenFile: token}, "https://"},
		"a path":             {pluginproxy.Upstream{URL: "https://10.0.0.1:4000/x", TokenFile: token}, "https://"},
		"nothing to show":    {pluginproxy.Upstream{URL: "https://10.0.0.1:4000"}, "--upstream-token-file"},
		"no token":           {pluginproxy.Upstream{URL: "https://10.0.0.1:4000", TokenFile: empty}, "holds none"},
		"half a certificate": {pluginproxy.Upstream{URL: "https://10.0.0.1:4000", CertFile: token}, "go together"},
	} {
		err := pluginproxy.Run(t.Context(), pluginproxy.Options{Upstream: c.up, Log: logr.Discard()})
		if err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
