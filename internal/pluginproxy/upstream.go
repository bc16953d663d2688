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

package pluginproxy

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"

	"github.com/remotejob-dev/remotejob-operator/internal/serving"
)

const (
	// dialTimeout is for a connection to an address that nobody answers at: that of a pod that has just gone, until its Service forgets it.
	dialTimeout      = 2 * time.Second
	handshakeTimeout = 5 * time.Second
	// outlastCreate is how long a call is tried again that interLink never makes again, and that the operator takes twice as it does once;
	// interLink waits two minutes. outlastOther is how long others are: an operator may be exchanged meanwhile, and a connection that got
	// nowhere is followed by another one.
	outlastCreate = 100 * time.Second
	outlastOther  = dialTimeout + time.Second
	retryFirst    = 100 * time.Millisecond
	retryMost     = 2 * time.Second
)

var errNoToken = errors.New("the file of the token holds none")

// Upstream says how to reach the operator.
type Upstream struct {
	// URL is https://host:port.
	URL string
	// CAFile are the authorities of its certificate; empty for the system's. ServerName is what the certificate is to say, by default the host.
	CAFile, ServerName string
	// TokenFile holds a bearer token; CertFile and KeyFile are a client certificate.
	TokenFile, CertFile, KeyFile string
}

// upstream is the operator.
type upstream struct {
	base    *url.URL
	token   *serving.File[string]
	watcher *certwatcher.CertWatcher
	// transport changes with the file of authorities; where there is no such file it stays.
	transport  *serving.File[*http.Transport]
	unchanging *http.Transport
}

func newUpstream(o Upstream, log logr.Logger) (*upstream, error) {
	base, err := url.Parse(o.URL)
	if err != nil || base.Scheme != "https" || base.Host == "" || strings.Trim(base.Path, "/") != "" {
		return nil, fmt.Errorf("--upstream: %q is no https://host:port", o.URL)
	}
	up := &upstream{base: base}
	if o.TokenFile == "" && o.CertFile == "" {
		return nil, errors.New("the operator wants to know who calls: give --upstream-token-file, or --upstream-cert-file and --upstream-key-file")
	}
	if (o.CertFile == "") != (o.KeyFile == "") {
		return nil, errors.New("--upstream-cert-file and --upstream-key-file go together")
	}
	if o.TokenFile != "" {
		if up.token, err = serving.NewFile(o.TokenFile, log, firstToken); err != nil {
			return nil, err
		}
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: o.ServerName}
	if o.CertFile != "" {
		if up.watcher, err = certwatcher.New(o.CertFile, o.KeyFile); err != nil {
			return nil, fmt.Errorf("read the client certificate: %w", err)
		}
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return up.watcher.GetCertificate(nil) }
	}
	if o.CAFile == "" {
		up.unchanging = newTransport(config)
		return up, nil
	}
	up.transport, err = serving.NewFile(o.CAFile, log, func(content []byte) (*http.Transport, error) {
		roots, err := serving.ParseCertificates(content)
		if err != nil {
			return nil, err
		}
		return newTransport(withRoots(config, roots)), nil
	})
	return up, err
}

func withRoots(config *tls.Config, roots *x509.CertPool) *tls.Config {
	config = config.Clone()
	config.RootCAs = roots
	return config
}

func newTransport(config *tls.Config) *http.Transport {
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:     config,
		TLSHandshakeTimeout: handshakeTimeout,
		MaxIdleConnsPerHost: 64,
		// Less than what the operator keeps them for, so that it is seldom the one to close them.
		IdleConnTimeout:    time.Minute,
		DisableCompression: true,
		Protocols:          serving.HTTP1(),
	}
}

// firstToken reads the first token of a file; lines that begin with # say nothing.
func firstToken(content []byte) (string, error) {
	for line := range strings.Lines(string(content)) {
		if token := strings.TrimSpace(line); token != "" && !strings.HasPrefix(token, "#") {
			return token, nil
		}
	}
	return "", errNoToken
}

// RoundTrip makes a call, and makes it again while there is no answer, for as long as that may help.
func (u *upstream) RoundTrip(r *http.Request) (*http.Response, error) {
	lasts := outlastOther
	if r.URL.Path == "/create" || r.URL.Path == "/delete" {
		lasts = outlastCreate
	}
	pause := retryFirst
	for deadline := time.Now().Add(lasts); ; pause = min(2*pause, retryMost) {
		response, err := u.once(r)
		if err == nil || time.Now().Add(pause).After(deadline) || !wait(r.Context(), pause) {
			return response, err
		}
	}
}

func (u *upstream) once(r *http.Request) (*http.Response, error) {
	again := r.Clone(r.Context())
	if r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		again.Body = body
	}
	if u.token != nil {
		again.Header.Set("Authorization", "Bearer "+u.token.Get())
	}
	transport := u.unchanging
	if u.transport != nil {
		transport = u.transport.Get()
	}
	return transport.RoundTrip(again)
}

// wait returns false when the caller has gone.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
