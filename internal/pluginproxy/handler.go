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

// Package pluginproxy stands beside interLink, which can send neither credentials nor TLS: plain HTTP comes in on loopback or a unix socket,
// and goes out over TLS with a token or a client certificate.
package pluginproxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-logr/logr"
)

const (
	// sessionHeader traces one call of interLink through all its parts.
	sessionHeader = "InterLink-Http-Session"
	// bodyTimeout is how long the body of a request may take to arrive.
	bodyTimeout = 30 * time.Second
)

// handler passes calls on to the operator.
type handler struct {
	upstream *upstream
	proxy    *httputil.ReverseProxy
	maxBody  int64
	log      logr.Logger
}

func newHandler(up *upstream, maxBody int64, log logr.Logger) http.Handler {
	h := &handler{upstream: up, maxBody: maxBody, log: log}
	h.proxy = &httputil.ReverseProxy{
		Rewrite:   h.rewrite,
		Transport: up,
		// A log that is followed is passed on line by line.
		FlushInterval: -1,
		ErrorHandler:  h.failed,
	}
	return h
}

// ServeHTTP passes a call on. Its body is taken whole first, so that it can be sent again.
func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if session := r.Header.Get(sessionHeader); session != "" {
		w.Header().Set(sessionHeader, session)
	}
	connection := http.NewResponseController(w)
	_ = connection.SetReadDeadline(time.Now().Add(bodyTimeout))
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, h.maxBody))
	_ = connection.SetReadDeadline(time.Time{})
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		answer(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than the %d bytes that are taken", h.maxBody))
		return
	case errors.Is(err, os.ErrDeadlineExceeded):
		answer(w, http.StatusRequestTimeout, fmt.Sprintf("the body did not arrive within %s", bodyTimeout))
		return
	case err != nil:
		answer(w, http.StatusBadRequest, "the body did not arrive whole")
		return
	}
	r.ContentLength, r.TransferEncoding = int64(len(body)), nil
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	// The answer says the session too, and it should not be there twice.
	w.Header().Del(sessionHeader)
	h.proxy.ServeHTTP(w, r)
}

func (h *handler) rewrite(p *httputil.ProxyRequest) {
	p.SetURL(h.upstream.base)
	p.Out.GetBody = p.In.GetBody
	// Who calls is the proxy, whatever the caller says.
	p.Out.Header.Del("Authorization")
}

// failed answers when the operator can't be reached.
func (h *handler) failed(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		return // the caller has gone
	}
	session := r.Header.Get(sessionHeader)
	if session != "" {
		w.Header().Set(sessionHeader, session)
	}
	h.log.Error(err, "the operator can't be reached", "call", r.Method+" "+r.URL.Path, "session", session)
	answer(w, http.StatusBadGateway, fmt.Sprintf("the operator at %s can't be reached now: %s", h.upstream.base.Host, cause(err)))
}

// answer is one plain sentence.
func answer(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = io.WriteString(w, strings.Join(strings.Fields(message), " "))
}

// cause is what stands at the bottom of an error.
func cause(err error) string {
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "it does not answer in time"
	}
	return err.Error()
}
