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
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// EngineProxy stands between a manager and its Docker engine, counts requests, and can refuse some.
type EngineProxy struct {
	// Host is its address for RemoteBackends.
	Host string

	server   *http.Server
	requests atomic.Int64
	refuse   atomic.Pointer[func(*http.Request) string]
}

// NewEngineProxy starts a proxy that listens on a socket in dir.
func NewEngineProxy(dir, engine string) (*EngineProxy, error) {
	socket := filepath.Join(dir, "counted.sock")
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	p := &EngineProxy{Host: "unix://" + socket}
	reverse := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: "engine"}) },
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", strings.TrimPrefix(engine, "unix://"))
		}},
		FlushInterval: -1,
	}
	p.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.requests.Add(1)
		if refuse := p.refuse.Load(); refuse != nil {
			if words := (*refuse)(r); words != "" {
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(http.StatusInternalServerError)
				_ = json.NewEncoder(w).Encode(map[string]string{"message": words})
				return
			}
		}
		reverse.ServeHTTP(w, r)
	})}
	go func() { _ = p.server.Serve(l) }()
	return p, nil
}

// Requests counts the requests that were begun so far.
func (p *EngineProxy) Requests() int64 { return p.requests.Load() }

// Refuse has a function say with which words a request fails, with none if it does not. It is called by many goroutines at once.
func (p *EngineProxy) Refuse(refuse func(*http.Request) string) { p.refuse.Store(&refuse) }

// Close ends the proxy and all that goes through it.
func (p *EngineProxy) Close() { _ = p.server.Close() }
