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

package pluginapi_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/remotejob-dev/remotejob-operator/internal/pluginapi"
	"github.com/remotejob-dev/remotejob-operator/internal/serving"
	"github.com/remotejob-dev/remotejob-operator/test/harness/certs"
)

// gateOf answers all calls alike.
type gateOf func(r *http.Request) error

func (g gateOf) Admit(r *http.Request) error { return g(r) }

func TestACallThatIsNotLetInIsAnsweredInWordsAndReachesNothing(t *testing.T) {
	for _, d := range []pluginapi.Denied{
		{Code: http.StatusUnauthorized, Reason: "Unauthorized", Message: "callers have to show who they are here"},
		{Code: http.StatusForbidden, Reason: "NotAllowed", Message: "this client is not one of those that may call"},
		{Code: http.StatusTooManyRequests, Reason: "TooManyRequests", Message: "this client makes more calls than it may", RetryAfter: 1500 * time.Millisecond},
	} {
		// The ledger is nil: a call that reached it would panic, and be answered 500.
		e := serve(t, pluginapi.Options{Gate: gateOf(func(*http.Request) error { return &d })}, "")
		for _, path := range []string{"/create", "/delete", "/status", "/getLogs", "/system-info", "/nowhere"} {
			got := e.call(http.MethodPost, path, recorded(t, "create-rich"), pluginapi.SessionHeader, "Session#1")
			e.wantRefusal(got, d.Message)
			if got.code != d.Code || got.header.Get(pluginapi.SessionHeader) != "Session#1" {
				t.Errorf("%s: %d %v", path, got.code, got.header)
			}
			if asks := got.header.Get("WWW-Authenticate") != ""; asks != (d.Code == http.StatusUnauthorized) {
				t.Errorf("%s: %d with WWW-Authenticate %q", path, got.code, got.header.Get("WWW-Authenticate"))
			}
			if after := got.header.Get("Retry-After"); (after == "2") != (d.RetryAfter > 0) {
				t.Errorf("%s: %d with Retry-After %q", path, got.code, after)
			}
		}
		got := e.call(http.MethodGet, "/status", "[]", "Accept", "application/json")
		var answer struct {
			Error struct{ Reason, Message string }
		}
		if err := json.Unmarshal([]byte(got.text), &answer); err != nil || answer.Error.Reason != d.Reason || answer.Error.Message != d.Message {
			t.Errorf("as JSON: %s, %v", got.text, err)
		}
	}
}

// listening starts a server of its own and returns its address.
func listening(t *testing.T, opts pluginapi.Options, where pluginapi.Listening) string {
	t.Helper()
	opts.Log = logr.Discard()
	where.Addresses = []serving.Address{address(t, "127.0.0.1:0")}
	server, err := pluginapi.NewServer(opts, where)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- server.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return server.Addresses()[0].String()
}

func TestWhoSaysNothingIsHungUpOn(t *testing.T) {
	t.Parallel()
	pair := certs.NewAuthority(t, "a").Server("s")
	certFile, keyFile := pair.Files(t, t.TempDir(), "s")
	certificate, err := serving.NewTLS(certFile, keyFile, nil)
	if err != nil {
		t.Fatal(err)
	}
	plain, encrypted := listening(t, pluginapi.Options{}, pluginapi.Listening{}), listening(t, pluginapi.Options{}, pluginapi.Listening{TLS: certificate})
	hungUp := make(chan string, 3)
	for name, c := range map[string]struct{ address, says string }{
		"who sends nothing":                 {plain, ""},
		"who sends a head that never ends":  {plain, "POST /create HTTP/1.1\r\nHost: x\r\nX-Slow: "},
		"who begins TLS and does not go on": {encrypted, "\x16\x03\x01"},
	} {
		go func() {
			connection, err := net.Dial("tcp", c.address)
			if err != nil {
				hungUp <- name + ": " + err.Error()
				return
			}
			defer func() { _ = connection.Close() }()
			_, _ = io.WriteString(connection, c.says)
			_ = connection.SetReadDeadline(time.Now().Add(30 * time.Second))
			// An answer such as 408 may come first.
			if _, err := io.Copy(io.Discard, connection); err != nil {
				hungUp <- name + ": " + err.Error()
				return
			}
			hungUp <- ""
		}()
	}
	for range 3 {
		if problem := <-hungUp; problem != "" && !strings.Contains(problem, "reset") {
			t.Errorf("%s", problem)
		}
	}
}

func TestThereIsNoHTTP2(t *testing.T) {
	pair := certs.NewAuthority(t, "a")
	certFile, keyFile := pair.Server("s").Files(t, t.TempDir(), "s")
	certificate, err := serving.NewTLS(certFile, keyFile, nil)
	if err != nil {
		t.Fatal(err)
	}
	encrypted := listening(t, pluginapi.Options{}, pluginapi.Listening{TLS: certificate})
	connection, err := tls.Dial("tcp", encrypted, &tls.Config{RootCAs: pair.Pool(), NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	if got := connection.ConnectionState().NegotiatedProtocol; got != "http/1.1" {
		t.Errorf("over TLS they agree on %q", got)
	}

	plain, err := net.Dial("tcp", listening(t, pluginapi.Options{}, pluginapi.Listening{}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = plain.Close() }()
	_, _ = io.WriteString(plain, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	_ = plain.SetReadDeadline(time.Now().Add(20 * time.Second))
	line, err := bufio.NewReader(plain).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "HTTP/1.1 4") && !strings.HasPrefix(line, "HTTP/1.1 5") {
		t.Errorf("HTTP/2 without TLS is answered %q", line)
	}
}

func TestACertificateIsShownAtTheAddressesThatHaveTLS(t *testing.T) {
	authority := certs.NewAuthority(t, "a")
	certFile, keyFile := authority.Server("s").Files(t, t.TempDir(), "s")
	certificate, err := serving.NewTLS(certFile, keyFile, nil)
	if err != nil {
		t.Fatal(err)
	}
	where := listening(t, pluginapi.Options{}, pluginapi.Listening{TLS: certificate})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12}}}
	response, err := client.Get("https://" + where + "/health")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("over TLS: %s", response.Status)
	}
	if response, err := http.Get("http://" + where + "/health"); err == nil {
		_ = response.Body.Close()
		if response.StatusCode == http.StatusOK {
			t.Error("plain HTTP is answered at an address that has TLS")
		}
	}
}
