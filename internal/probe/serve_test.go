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
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

func TestMainAnswersOneRequest(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "s3cret" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	line := func(r Request) string {
		b, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		return string(b) + "\n"
	}
	good := line(Request{ID: 7, Timeout: 20 * time.Second, HTTP: &HTTPRequest{URL: server.URL, Header: http.Header{"Authorization": {"s3cret"}}}})
	bad := line(Request{ID: 8, HTTP: &HTTPRequest{URL: server.URL}})
	tests := []struct {
		name, in string
		code     int
		want     map[uint64]podlifecycle.Result
		message  string
	}{
		{name: "a success", in: good, code: 0, want: map[uint64]podlifecycle.Result{7: yes}},
		{name: "without the newline", in: strings.TrimSpace(good), code: 0, want: map[uint64]podlifecycle.Result{7: yes}},
		{name: "a failure", in: bad, code: 1, want: map[uint64]podlifecycle.Result{8: no}, message: "statuscode: 401"},
		{name: "both", in: good + "\n" + bad, code: 1, want: map[uint64]podlifecycle.Result{7: yes, 8: no}},
		{name: "nothing", in: "", code: 0, want: map[uint64]podlifecycle.Result{}},
		{name: "nonsense", in: "{\n", code: 2, want: map[uint64]podlifecycle.Result{0: void}, message: "read the request"},
		{name: "nonsense does not stop what follows", in: "nope\n" + good, code: 2, want: map[uint64]podlifecycle.Result{0: void, 7: yes}},
		{name: "a request without a question", in: `{"id":9}`, code: 2, want: map[uint64]podlifecycle.Result{9: void}, message: "must name one of"},
		{name: "a field that is not known", in: `{"id":9,"udp":{}}`, code: 2, want: map[uint64]podlifecycle.Result{9: void}, message: "unknown field"},
		{name: "a line without end", in: strings.Repeat("x", maxRequest+1), code: 2, want: map[uint64]podlifecycle.Result{0: void}, message: "too long"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			if code := Main(t.Context(), strings.NewReader(tt.in), &out); code != tt.code {
				t.Errorf("exit code %d, want %d", code, tt.code)
			}
			if strings.Contains(out.String(), "s3cret") {
				t.Errorf("an answer tells a header: %s", out.String())
			}
			if !strings.Contains(out.String(), tt.message) {
				t.Errorf("got %s, want %q in it", out.String(), tt.message)
			}
			got := map[uint64]podlifecycle.Result{}
			for decoder := json.NewDecoder(&out); ; {
				var a Answer
				if err := decoder.Decode(&a); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Fatal(err)
				}
				got[a.ID] = a.Result
			}
			if len(got) != len(tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			for id, want := range tt.want {
				if got[id] != want {
					t.Errorf("request %d: got %q, want %q", id, got[id], want)
				}
			}
		})
	}
}

// session connects a Session to Main, as a command in a container is connected.
func session(t *testing.T) (s *Session, ended <-chan int) {
	t.Helper()
	near, far := net.Pipe()
	code := make(chan int, 1)
	go func() {
		c := Main(context.Background(), far, far)
		_ = far.Close()
		code <- c
	}()
	s = NewSession(near)
	t.Cleanup(s.Close)
	return s, code
}

func TestSessionJoinsAnswersToQuestions(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-release
		}
		if r.URL.Path == "/bad" {
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	defer server.Close()
	s, ended := session(t)
	ask := func(path string) Answer {
		a, err := s.Ask(t.Context(), Request{HTTP: &HTTPRequest{URL: server.URL + path}})
		if err != nil {
			t.Error(err)
		}
		return a
	}
	slow := make(chan Answer)
	go func() { slow <- ask("/slow") }()
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() { wantAnswer(t, ask("/good"), yes, "") })
		all.Go(func() { wantAnswer(t, ask("/bad"), no, "statuscode: 418") })
	}
	all.Wait() // while the slow one goes on
	close(release)
	wantAnswer(t, <-slow, yes, "")

	s.Close()
	<-ended
	if _, err := s.Ask(t.Context(), Request{TCP: &TCPRequest{Address: "127.0.0.1:1"}}); !errors.Is(err, ErrSessionEnded) {
		t.Errorf("got %v from a session that has ended", err)
	}
}

func TestSessionCallsBackWhatNobodyWaitsFor(t *testing.T) {
	asked, gone := make(chan struct{}), make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
		close(gone)
	}))
	defer server.Close()
	s, _ := session(t)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	if _, err := s.Ask(ctx, Request{HTTP: &HTTPRequest{URL: server.URL}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-gone // the server saw the connection close
}

func TestSessionEndsWithItsConnection(t *testing.T) {
	near, far := net.Pipe()
	s := NewSession(near)
	go func() {
		_, _ = far.Read(make([]byte, 1024))
		_ = far.Close()
	}()
	if _, err := s.Ask(t.Context(), Request{TCP: &TCPRequest{Address: "127.0.0.1:1"}}); !errors.Is(err, ErrSessionEnded) {
		t.Errorf("got %v", err)
	}
	<-s.Done()
}

func TestSessionRefusesWhatItsOtherEndWould(t *testing.T) {
	s, _ := session(t)
	for _, r := range []Request{{}, {HTTP: &HTTPRequest{URL: "http://127.0.0.1:1", Header: http.Header{"A": {strings.Repeat("x", maxRequest)}}}}} {
		if _, err := s.Ask(t.Context(), r); err == nil || errors.Is(err, ErrSessionEnded) {
			t.Errorf("got %v", err)
		}
	}
}

func TestMainEndsWhenNobodyAsksAnyMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		stdin, write := io.Pipe()
		defer func() { _ = stdin.Close() }() // lets the reader go
		go func() {
			time.Sleep(idleLimit - time.Second)
			_, _ = io.WriteString(write, `{"id":1,"cancel":true}`+"\n")
		}()
		if code := Main(t.Context(), stdin, io.Discard); code != 0 {
			t.Errorf("exit code %d", code)
		}
		if took, want := time.Since(begun), 2*idleLimit-time.Second; took != want {
			t.Errorf("it ended after %s, want %s", took, want)
		}
	})
}

func TestMainEndsWhenNobodyReadsItsAnswers(t *testing.T) {
	stdin, write := io.Pipe()
	defer func() { _ = stdin.Close() }()
	_, stdout := io.Pipe()
	_ = stdout.Close() // its writes fail
	ended := make(chan int)
	go func() { ended <- Main(t.Context(), stdin, stdout) }()
	_, _ = io.WriteString(write, "{}\n")
	<-ended
}

func FuzzDecodeRequest(f *testing.F) {
	f.Add([]byte(`{"id":1,"timeout":1000000000,"http":{"url":"http://127.0.0.1:80/","header":{"Accept":["*/*"]}}}`))
	f.Add([]byte(`{"id":2,"tcp":{"address":"[::1]:80"}}`))
	f.Add([]byte(`{"id":3,"grpc":{"address":"127.0.0.1:80","service":"x","tls":true}}`))
	f.Add([]byte(`{"id":4,"cancel":true}`))
	f.Add([]byte(`{"http":{"url":"file:///etc/passwd"}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		r, err := decodeRequest(line)
		if err != nil {
			return
		}
		// What is taken for a request can be sent on, and is then the same.
		again, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		second, err := decodeRequest(again)
		if err != nil {
			t.Fatalf("%s: %v", again, err)
		}
		third, err := json.Marshal(second)
		if err != nil || !bytes.Equal(again, third) {
			t.Fatalf("%s became %s (%v)", again, third, err)
		}
		if !r.Cancel && r.HTTP == nil && r.TCP == nil && r.GRPC == nil {
			t.Fatal("a request that asks for nothing was taken")
		}
		if r.HTTP != nil && !r.Cancel && !strings.HasPrefix(strings.ToLower(r.HTTP.URL), "http") {
			t.Fatalf("took %q for an URL", r.HTTP.URL)
		}
	})
}
