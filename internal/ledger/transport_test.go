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

package ledger_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
)

// fault is what happens to a request instead of, or after, being sent. It returns false to let the request pass.
type fault func(r *http.Request, send func() (*http.Response, error)) (*http.Response, bool, error)

// wire is the way to the API server, with faults on it and a count of what went through.
type wire struct {
	next  http.RoundTripper
	mu    sync.Mutex
	fault fault
	calls atomic.Int32
}

func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	w.calls.Add(1)
	w.mu.Lock()
	f := w.fault
	w.mu.Unlock()
	if f != nil {
		if response, done, err := f(r, func() (*http.Response, error) { return w.next.RoundTrip(r) }); done {
			return response, err
		}
	}
	return w.next.RoundTrip(r)
}

func (w *wire) set(f fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = f
}

// wired returns a client whose calls go over a wire.
func wired(t *testing.T) (client.Client, *wire) {
	t.Helper()
	w := &wire{}
	over := rest.CopyConfig(config)
	over.WrapTransport = func(next http.RoundTripper) http.RoundTripper {
		w.next = next
		return w
	}
	c, err := client.New(over, client.Options{Scheme: scheme, Mapper: ledger.RESTMapper()})
	if err != nil {
		t.Fatal(err)
	}
	return c, w
}

// times lets a fault happen the first n times.
func times(n int32, f fault) fault {
	var count atomic.Int32
	return func(r *http.Request, send func() (*http.Response, error)) (*http.Response, bool, error) {
		if count.Add(1) > n {
			return nil, false, nil
		}
		return f(r, send)
	}
}

// on lets a fault happen to requests with this method only.
func on(method string, f fault) fault {
	return func(r *http.Request, send func() (*http.Response, error)) (*http.Response, bool, error) {
		if r.Method != method {
			return nil, false, nil
		}
		return f(r, send)
	}
}

var errRefused = errors.New("dial tcp 127.0.0.1:6443: connect: connection refused")

func refusedConnection(*http.Request, func() (*http.Response, error)) (*http.Response, bool, error) {
	return nil, true, errRefused
}

// lostAnswer lets the request take effect and loses the answer.
func lostAnswer(_ *http.Request, send func() (*http.Response, error)) (*http.Response, bool, error) {
	response, err := send()
	if err == nil {
		_, _ = io.Copy(io.Discard, response.Body)
		_ = response.Body.Close()
	}
	return nil, true, io.ErrUnexpectedEOF
}

// answer is an answer made up on the way.
func answer(code int, contentType, body string) fault {
	return func(r *http.Request, _ func() (*http.Response, error)) (*http.Response, bool, error) {
		return &http.Response{
			StatusCode: code, Status: http.StatusText(code), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
			Header: http.Header{"Content-Type": {contentType}}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
		}, true, nil
	}
}

// silence takes the request and does not answer until the caller gives up.
func silence(r *http.Request, _ func() (*http.Response, error)) (*http.Response, bool, error) {
	<-r.Context().Done()
	return nil, true, context.Cause(r.Context())
}
