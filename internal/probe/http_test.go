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

package probe

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

func TestHTTPProbe(t *testing.T) {
	var redirects atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("/code/{code}", func(w http.ResponseWriter, r *http.Request) {
		var code int
		_, _ = fmt.Sscan(r.PathValue("code"), &code)
		w.WriteHeader(code)
		if code != http.StatusNoContent && code != http.StatusNotModified {
			_, _ = io.WriteString(w, "s3cret in a body")
		}
	})
	mux.HandleFunc("/to-ok", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/code/200", http.StatusFound) })
	mux.HandleFunc("/to-500", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/code/500", http.StatusFound) })
	mux.HandleFunc("/loop", func(w http.ResponseWriter, r *http.Request) {
		redirects.Add(1)
		http.Redirect(w, r, "/loop", http.StatusFound)
	})
	mux.HandleFunc("/elsewhere", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://elsewhere.invalid/", http.StatusFound)
	})
	mux.HandleFunc("/silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/stalls", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "a part")
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	plain := httptest.NewServer(mux)
	defer plain.Close()
	encrypted := httptest.NewUnstartedServer(mux)
	encrypted.Config.ErrorLog = log.New(io.Discard, "", 0)
	encrypted.EnableHTTP2 = true
	encrypted.StartTLS()
	defer encrypted.Close()
	h2c := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 {
			w.WriteHeader(http.StatusHTTPVersionNotSupported)
		}
	}))
	h2c.Config.Protocols = new(http.Protocols)
	h2c.Config.Protocols.SetUnencryptedHTTP2(true)
	h2c.Config.Protocols.SetHTTP1(true)
	h2c.Start()
	defer h2c.Close()

	// "Any code greater than or equal to 200 and less than 400 indicates success. Any other code indicates failure."
	tests := []struct {
		name    string
		url     string
		h2c     bool
		timeout time.Duration
		want    podlifecycle.Result
		message string
	}{
		{name: "200", url: plain.URL + "/code/200", want: yes},
		{name: "204", url: plain.URL + "/code/204", want: yes},
		{name: "304", url: plain.URL + "/code/304", want: yes, message: "Probe terminated redirects"},
		{name: "399", url: plain.URL + "/code/399", want: yes, message: "Probe terminated redirects"},
		{name: "400", url: plain.URL + "/code/400", want: no, message: "HTTP probe failed with statuscode: 400"},
		{name: "503", url: plain.URL + "/code/503", want: no, message: "HTTP probe failed with statuscode: 503"},
		{name: "a redirect is followed", url: plain.URL + "/to-ok", want: yes},
		{name: "to where it fails", url: plain.URL + "/to-500", want: no, message: "HTTP probe failed with statuscode: 500"},
		{name: "ten times at most", url: plain.URL + "/loop", want: no, message: "stopped after 10 redirects"},
		{name: "never to another host, and counts as a success then", url: plain.URL + "/elsewhere", want: yes, message: "Probe terminated redirects"},
		{name: "a certificate that nobody signed", url: encrypted.URL + "/code/200", want: yes},
		{name: "HTTP to a server of HTTPS", url: strings.Replace(encrypted.URL, "https", "http", 1) + "/code/200", want: no, message: "statuscode: 400"},
		{name: "HTTPS to a server of HTTP", url: strings.Replace(plain.URL, "http", "https", 1) + "/code/200", want: no, message: "server gave HTTP response to HTTPS client"},
		{name: "HTTP/2 without TLS", url: h2c.URL, h2c: true, want: yes},
		{name: "HTTP/1.1 where HTTP/2 is not asked for", url: h2c.URL, want: no, message: "505"},
		{name: "no answer in time", url: plain.URL + "/silent", timeout: 50 * time.Millisecond, want: no, message: "context deadline exceeded"},
		{name: "a body that does not end in time does not count", url: plain.URL + "/stalls", timeout: 2 * time.Second, want: void, message: "context deadline exceeded"},
		{name: "no more than the begin of a body is read", url: plain.URL + "/endless", want: yes},
		{name: "nobody there", url: "http://" + unused(t), want: no, message: "connection refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.timeout == 0 {
				tt.timeout = 20 * time.Second // never reached
			}
			r := Request{Timeout: tt.timeout, HTTP: &HTTPRequest{URL: tt.url, H2C: tt.h2c}}
			wantAnswer(t, r.Do(t.Context()), tt.want, tt.message)
		})
	}
	if n := redirects.Load(); n != 10 {
		t.Errorf("a loop of redirects was asked %d times, want 10", n)
	}
}

func TestHTTPProbeSendsWhatWasAskedForAndNoMore(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // of this process, not of the pod
	t.Setenv("http_proxy", "http://127.0.0.1:1")
	var got *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r }))
	defer server.Close()
	r := Request{HTTP: &HTTPRequest{URL: server.URL + "/a%2Fb?q=%20#part", Header: http.Header{
		"User-Agent": {""}, "Host": {"shop.example"}, "X-A": {"1", "2"}}}}
	wantAnswer(t, r.Do(t.Context()), yes, "")
	if got.Method != http.MethodGet || got.RequestURI != "/a%2Fb?q=%20" || got.Host != "shop.example" {
		t.Errorf("got %s %s of %s", got.Method, got.RequestURI, got.Host)
	}
	if fmt.Sprint(got.Header) != fmt.Sprint(http.Header{"X-A": {"1", "2"}, "Connection": {"close"}}) {
		t.Errorf("got header %v", got.Header)
	}
}

func TestHTTPHook(t *testing.T) {
	var header http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header = r.Header
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer server.Close()
	hook := func(url string) *Request {
		return &Request{HTTP: &HTTPRequest{URL: url, Hook: true, Header: http.Header{"Authorization": {"Bearer s3cret"}}}}
	}
	t.Run("any status will do", func(t *testing.T) {
		wantAnswer(t, hook(server.URL).Do(t.Context()), yes, "")
		if header.Get("Authorization") == "" {
			t.Error("the header was not sent")
		}
	})
	t.Run("HTTPS falls back to HTTP, without credentials", func(t *testing.T) {
		header = nil
		wantAnswer(t, hook(strings.Replace(server.URL, "http", "https", 1)).Do(t.Context()), yes, "")
		if header == nil || header.Get("Authorization") != "" {
			t.Errorf("got header %v", header)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		a := hook("http://" + unused(t)).Do(t.Context())
		wantAnswer(t, a, no, "connection refused")
		if strings.Contains(a.Message, "s3cret") {
			t.Errorf("the answer tells a header: %s", a.Message)
		}
	})
}

func TestTCPProbe(t *testing.T) {
	l := listen(t)
	r := Request{Timeout: 20 * time.Second, TCP: &TCPRequest{Address: l.Addr().String()}}
	wantAnswer(t, r.Do(t.Context()), yes, "")
	r.TCP.Address = unused(t)
	wantAnswer(t, r.Do(t.Context()), no, "connection refused")
}

func wantAnswer(t *testing.T, got Answer, want podlifecycle.Result, message string) {
	t.Helper()
	if got.Result != want || !strings.Contains(got.Message, message) || message == "" && got.Message != "" {
		t.Errorf("got %q (%s), want %q (%s)", got.Result, got.Message, want, message)
	}
	if strings.Contains(got.Message, "s3cret") {
		t.Errorf("the answer tells what may be secret: %s", got.Message)
	}
}

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// unused returns an address of loopback that nobody listens on any more.
func unused(t *testing.T) string {
	t.Helper()
	l := listen(t)
	_ = l.Close()
	return l.Addr().String()
}
