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

package gate_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"

	"github.com/remotejob-dev/remotejob-operator/internal/pluginapi"
	"github.com/remotejob-dev/remotejob-operator/internal/pluginapi/gate"
	"github.com/remotejob-dev/remotejob-operator/internal/serving"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/certs"
)

const (
	first  = "0123456789abcdef-first"
	second = "0123456789abcdef-second"
)

// call is a call as the gate gets to see it.
func call(path string, change ...func(*http.Request)) *http.Request {
	method := http.MethodPost
	if path != "/create" && path != "/delete" {
		method = http.MethodGet
	}
	r := httptest.NewRequest(method, path, http.NoBody)
	r.RemoteAddr = "10.0.0.1:4444"
	for _, f := range change {
		f(r)
	}
	return r
}

func from(host string) func(*http.Request) {
	return func(r *http.Request) { r.RemoteAddr = net.JoinHostPort(host, "4444") }
}

func with(header string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Authorization", header) }
}

// denied is the code of an answer, 0 for a call that is let in.
func denied(t *testing.T, err error) int {
	t.Helper()
	if err == nil {
		return 0
	}
	var d *pluginapi.Denied
	if !errors.As(err, &d) || d.Reason == "" || len(d.Message) < 10 {
		t.Fatalf("%v is no answer in words", err)
	}
	if strings.Contains(d.Message, first) || strings.Contains(d.Message, second) {
		t.Errorf("the answer repeats a token: %s", d.Message)
	}
	return d.Code
}

func tokens(t *testing.T, path string) *serving.File[gate.Tokens] {
	t.Helper()
	file, err := serving.NewFile(path, logr.Discard(), gate.ParseTokens)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func TestACallerHasToShowOneOfTheTokensOfTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	certs.Write(t, path, []byte("# of last month\n"+first+"\n\n  "+second+"  \n"))
	g := gate.New(gate.Options{Tokens: tokens(t, path), Rate: 1000, Burst: 1000})
	for header, want := range map[string]int{
		"Bearer " + first: 0, "bearer " + second: 0, "Bearer  " + second + " ": 0,
		"": 401, "Bearer": 401, "Bearer ": 401, first: 401, "Basic " + first: 401, "Bearer " + first[:len(first)-1]: 401, "Bearer " + first + "x": 401,
		"Bearer #": 401, "Bearer " + strings.ToUpper(first): 401, "Bearer # of last month": 401,
	} {
		if got := denied(t, g.Admit(call("/create", with(header)))); got != want {
			t.Errorf("%q: %d", header, got)
		}
		// The machine itself is no exception: only a socket has a mode.
		if got := denied(t, g.Admit(call("/create", with(header), from("127.0.0.1")))); got != want {
			t.Errorf("%q from loopback: %d", header, got)
		}
	}
	for _, path := range []string{"/health", "/healthz", "/readyz"} {
		if err := g.Admit(call(path)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, path := range []string{"/create", "/delete", "/status", "/getLogs", "/system-info", "/openapi.json", "/", "/health/", "//health", "/healthz/../create"} {
		if got := denied(t, g.Admit(call("/", func(r *http.Request) { r.URL.Path = path }))); got != 401 {
			t.Errorf("%s: %d", path, got)
		}
	}

	certs.Write(t, path, []byte(second+"\n"))
	harness.Eventually(t, 5*time.Second, "the first token is withdrawn", func() error {
		if got := denied(t, g.Admit(call("/create", with("Bearer "+first), from("10.0.0.9")))); got != 401 {
			return fmt.Errorf("it is answered %d", got)
		}
		return nil
	})
	if err := g.Admit(call("/create", with("Bearer "+second))); err != nil {
		t.Errorf("the second: %v", err)
	}
	// A file that was emptied on purpose lets nobody in.
	certs.Write(t, path, []byte("\n"))
	harness.Eventually(t, 5*time.Second, "all tokens are withdrawn", func() error {
		if got := denied(t, g.Admit(call("/create", with("Bearer "+second), from("10.0.0.8")))); got != 401 {
			return fmt.Errorf("it is answered %d", got)
		}
		return nil
	})
}

func TestATokenThatIsNoneIsRefusedWhenTheFileIsRead(t *testing.T) {
	for _, content := range []string{"short", "one-token-and another-one-in-a-line", first + "\ntoo short"} {
		if got, err := gate.ParseTokens([]byte(content)); err == nil || strings.Contains(err.Error(), "short") {
			t.Errorf("%q: %v, %v", content, got, err)
		}
	}
}

func TestWithoutCredentialsInTheSettingsNobodyIsAsked(t *testing.T) {
	g := gate.New(gate.Options{})
	for _, path := range []string{"/create", "/status"} {
		if err := g.Admit(call(path)); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// connection is what a handshake leaves in a call.
func connection(t *testing.T, pair certs.Pair) func(*http.Request) {
	leaf, err := x509.ParseCertificate(pair.TLS(t).Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	return func(r *http.Request) { r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}} }
}

func TestACallerMayShowACertificateInstead(t *testing.T) {
	known, other := certs.NewAuthority(t, "known"), certs.NewAuthority(t, "other")
	dir := t.TempDir()
	path := filepath.Join(dir, "ca.crt")
	certs.Write(t, path, known.PEM)
	authorities, err := serving.NewFile(path, logr.Discard(), serving.ParseCertificates)
	if err != nil {
		t.Fatal(err)
	}
	certs.Write(t, filepath.Join(dir, "tokens"), []byte(first))
	mine := connection(t, known.Client("vk1"))
	expired := connection(t, known.Client("vk1", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) }))
	server := connection(t, known.Server("vk1"))
	for name, c := range map[string]struct {
		opts   gate.Options
		change []func(*http.Request)
		want   int
	}{
		"one of the authority":               {gate.Options{}, []func(*http.Request){mine}, 0},
		"none":                               {gate.Options{}, nil, 401},
		"one of another authority":           {gate.Options{}, []func(*http.Request){connection(t, other.Client("vk1"))}, 401},
		"one that has expired":               {gate.Options{}, []func(*http.Request){expired}, 401},
		"a server's":                         {gate.Options{}, []func(*http.Request){server}, 401},
		"one of a name that may call":        {gate.Options{ClientNames: []string{"vk0", "vk1"}}, []func(*http.Request){mine}, 0},
		"one of a name that may not":         {gate.Options{ClientNames: []string{"vk0"}}, []func(*http.Request){mine}, 403},
		"none, and a token":                  {gate.Options{Tokens: tokens(t, filepath.Join(dir, "tokens"))}, []func(*http.Request){with("Bearer " + first)}, 0},
		"none, and a token that is not":      {gate.Options{Tokens: tokens(t, filepath.Join(dir, "tokens"))}, []func(*http.Request){with("Bearer " + second)}, 401},
		"one of another name, and the token": {gate.Options{ClientNames: []string{"vk0"}, Tokens: tokens(t, filepath.Join(dir, "tokens"))}, []func(*http.Request){mine, with("Bearer " + first)}, 0},
	} {
		c.opts.ClientCAs = authorities
		g := gate.New(c.opts)
		for range 2 { // the second time it is known
			if got := denied(t, g.Admit(call("/create", c.change...))); got != c.want {
				t.Errorf("%s: %d, want %d", name, got, c.want)
			}
		}
	}

	// A connection that was made before the authority was withdrawn is worth nothing after it.
	g := gate.New(gate.Options{ClientCAs: authorities})
	if err := g.Admit(call("/create", mine)); err != nil {
		t.Fatal(err)
	}
	certs.Write(t, path, other.PEM)
	harness.Eventually(t, 5*time.Second, "the authority is withdrawn", func() error {
		if got := denied(t, g.Admit(call("/create", mine, from("10.0.0.7")))); got != 401 {
			return fmt.Errorf("it is answered %d", got)
		}
		return nil
	})
}

func TestWhoGuessesIsSlowedDownAndNobodyElseIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "tokens")
	certs.Write(t, path, []byte(first))
	g := gate.New(gate.Options{Tokens: tokens(t, path), Rate: 1000, Burst: 1000})
	codes := map[int]int{}
	for i := range 1000 {
		codes[denied(t, g.Admit(call("/create", with(fmt.Sprintf("Bearer 0123456789abcdef-%d", i)))))]++
	}
	if codes[401] < 100 || codes[429] < 500 || codes[401]+codes[429] != 1000 {
		t.Errorf("the answers are %v", codes)
	}
	if err := g.Admit(call("/create", with("Bearer "+first))); err != nil {
		t.Errorf("a good token from the machine that guesses: %v", err)
	}
	if got := denied(t, g.Admit(call("/create", from("10.0.0.2")))); got != 401 {
		t.Errorf("another machine is answered %d", got)
	}
	for range 1000 {
		if err := g.Admit(call("/healthz", from("127.0.0.1"))); err != nil {
			t.Fatalf("a probe of this machine: %v", err)
		}
	}
}

func TestWhoCallsTooOftenWaitsAndOnlyThenIsRefused(t *testing.T) {
	g := gate.New(gate.Options{Rate: 20, Burst: 5})
	begun := time.Now()
	for range 25 {
		if err := g.Admit(call("/status")); err != nil {
			t.Fatalf("one call after another is refused: %v", err)
		}
	}
	if took := time.Since(begun); took < 900*time.Millisecond {
		t.Errorf("25 calls at 20 a second took %s", took)
	}
	if err := g.Admit(call("/status", from("10.0.0.2"))); err != nil || time.Since(begun) > 30*time.Second {
		t.Errorf("another client: %v", err)
	}

	// Many at once have to wait longer than may be: those are told when to come again. What interLink never sends again waits longer.
	answers := make(chan error, 200)
	slow := gate.New(gate.Options{Rate: 1, Burst: 1})
	for range cap(answers) {
		go func() { answers <- slow.Admit(call("/status")) }()
	}
	refused := 0
	for range cap(answers) {
		err := <-answers
		var d *pluginapi.Denied
		if errors.As(err, &d) && d.Code == 429 && d.RetryAfter > 0 {
			refused++
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if refused < cap(answers)/2 || refused == cap(answers) {
		t.Errorf("%d of %d calls at once are refused, at one a second", refused, cap(answers))
	}
}

func TestCallersOnThisMachineMayDoMore(t *testing.T) {
	g := gate.New(gate.Options{Rate: 100, Burst: 100})
	for name, change := range map[string]func(*http.Request){
		"loopback": from("127.0.0.1"), "loopback of IPv6": from("::1"),
	} {
		begun := time.Now()
		for range 900 {
			if err := g.Admit(call("/status", change)); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		if took := time.Since(begun); took > 5*time.Second { // 8 s at the rate of others
			t.Errorf("%s: 900 calls took %s", name, took)
		}
	}
}
