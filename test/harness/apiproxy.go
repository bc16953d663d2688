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
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
)

// APIProxy stands between a manager and its API server: it counts requests, disturbs them, and can hold the watches back, so that what
// the manager has seen lags behind what is.
type APIProxy struct {
	// Config reaches the API server through the proxy.
	Config *rest.Config

	server           *http.Server
	requests, writes atomic.Int64

	mu      sync.Mutex
	held    chan struct{}
	disturb func(*http.Request) Disturbance
}

// Disturbance is what becomes of one request.
type Disturbance int

// The disturbances.
const (
	// Undisturbed requests get their answer.
	Undisturbed Disturbance = iota
	// Conflict answers 409 in the API server's place.
	Conflict
	// TooMany answers 429 in the API server's place, and asks for a second of patience.
	TooMany
	// LostAnswer has the request take effect, and ends the connection in place of the answer.
	LostAnswer
	// NoAnswer ends the connection, and the request goes nowhere.
	NoAnswer
)

// NewAPIProxy starts a proxy.
func NewAPIProxy(cfg *rest.Config) (*APIProxy, error) {
	target, err := url.Parse(cfg.Host)
	if err != nil {
		return nil, err
	}
	transport, err := rest.TransportFor(cfg)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &APIProxy{Config: &rest.Config{Host: "http://" + l.Addr().String()}}
	reverse := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:     transport,
		FlushInterval: -1,
		// An API server that is away answers nothing.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:     log.New(io.Discard, "", 0),
		ModifyResponse: func(resp *http.Response) error {
			if resp.Request.Context().Value(lost{}) != nil {
				return errLost
			}
			path := resp.Request.URL.Path
			list := resp.Request.Method == http.MethodGet && (strings.HasSuffix(path, "/remotejobs") || strings.HasSuffix(path, "/remotebackends"))
			if list || resp.Request.URL.Query().Get("watch") != "" {
				resp.Body = &heldBody{ReadCloser: resp.Body, p: p, ctx: resp.Request.Context()}
			}
			return nil
		},
	}
	p.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Renewing a lease is the standing cost of a replica, and no call's.
		if !strings.Contains(r.URL.Path, "/leases/") {
			p.requests.Add(1)
			if r.Method != http.MethodGet {
				p.writes.Add(1)
			}
		}
		switch p.disturbance(r) {
		case Conflict:
			refuse(w, http.StatusConflict, metav1.StatusReasonConflict)
		case TooMany:
			w.Header().Set("Retry-After", "1")
			refuse(w, http.StatusTooManyRequests, metav1.StatusReasonTooManyRequests)
		case NoAnswer:
			panic(http.ErrAbortHandler)
		case LostAnswer:
			reverse.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), lost{}, true)))
		default:
			reverse.ServeHTTP(w, r)
		}
	})}
	go func() { _ = p.server.Serve(l) }()
	return p, nil
}

// lost marks the context of a request whose answer is to be lost.
type lost struct{}

var errLost = errors.New("the answer is lost")

// refuse answers in the API server's place.
func refuse(w http.ResponseWriter, code int32, reason metav1.StatusReason) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(int(code))
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusFailure,
		Code: code, Reason: reason, Message: "disturbed by a test",
	})
}

// Disturb has a function say what becomes of each request; nil for nothing. It is called by many goroutines at once.
func (p *APIProxy) Disturb(disturb func(*http.Request) Disturbance) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.disturb = disturb
}

func (p *APIProxy) disturbance(r *http.Request) Disturbance {
	p.mu.Lock()
	disturb := p.disturb
	p.mu.Unlock()
	if disturb == nil {
		return Undisturbed
	}
	return disturb(r)
}

// Requests counts the requests that were begun so far, without those for leases.
func (p *APIProxy) Requests() int64 { return p.requests.Load() }

// Writes counts those among them that change something.
func (p *APIProxy) Writes() int64 { return p.writes.Load() }

// HoldWatches lets no event of any watch, and no list of this project's resources, through until the returned function is called: a cache
// gets nothing new. Requests for single objects, and writes, pass.
func (p *APIProxy) HoldWatches() (release func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	held := make(chan struct{})
	p.held = held
	return sync.OnceFunc(func() {
		p.mu.Lock()
		p.held = nil
		p.mu.Unlock()
		close(held)
	})
}

// Cut lets nothing through until the returned function is called.
func (p *APIProxy) Cut() (mend func()) {
	release := p.HoldWatches()
	p.Disturb(func(*http.Request) Disturbance { return NoAnswer })
	return func() {
		p.Disturb(nil)
		release()
	}
}

// Close ends the proxy and all that goes through it.
func (p *APIProxy) Close() { _ = p.server.Close() }

type heldBody struct {
	io.ReadCloser
	p   *APIProxy
	ctx context.Context
}

// Read holds back what it has read, too: the event that a read waited for may come after the hold began.
func (b *heldBody) Read(buf []byte) (int, error) {
	n, err := b.ReadCloser.Read(buf)
	b.p.mu.Lock()
	held := b.p.held
	b.p.mu.Unlock()
	if held != nil {
		select {
		case <-held:
		case <-b.ctx.Done():
			return 0, b.ctx.Err()
		}
	}
	return n, err
}
