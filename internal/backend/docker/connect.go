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

package docker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
)

// idleConnections is how many connections to the engine are kept for the next call. Log followers and event streams have their own.
const idleConnections = 16

// connect returns a client for the address. It talks to nobody yet; the API version is agreed upon with the first call.
func connect(host string, identity *TLS) (*client.Client, error) {
	scheme, address, ok := strings.Cut(host, "://")
	if !ok || address == "" {
		return nil, fmt.Errorf("docker.host %q is not an address such as unix:///var/run/docker.sock", host)
	}
	transport := &http.Transport{MaxIdleConns: idleConnections, MaxIdleConnsPerHost: idleConnections, IdleConnTimeout: time.Minute}
	switch scheme {
	case "unix":
	case "tcp":
		if identity != nil {
			config, err := identity.config()
			if err != nil {
				return nil, err
			}
			transport.TLSClientConfig = config
		}
	case "ssh":
		return nil, fmt.Errorf("docker.host %q: engines are not reached by SSH yet; use unix:// or tcp://", host)
	default:
		return nil, fmt.Errorf("docker.host %q: there is no scheme %q; use unix:// or tcp://", host, scheme)
	}
	// A transport has a TLS configuration after its first use in any case, so the client is told what to speak.
	web := "http"
	if identity != nil {
		web = "https"
	}
	engine, err := client.New(client.WithHTTPClient(&http.Client{Transport: transport}), client.WithHost(host), client.WithScheme(web))
	if err != nil {
		return nil, fmt.Errorf("docker.host %q: %w", host, err)
	}
	return engine, nil
}

func (t *TLS) config() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if len(t.CA) > 0 {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(t.CA) {
			return nil, errors.New("docker.tlsSecretRef: ca.crt holds no certificate")
		}
	}
	if len(t.Certificate) > 0 || len(t.Key) > 0 {
		pair, err := tls.X509KeyPair(t.Certificate, t.Key)
		if err != nil {
			return nil, fmt.Errorf("docker.tlsSecretRef: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

// engineError says what could not be done. What the engine did not answer to, and its own failures, say nothing about the job.
func engineError(doing string, err error) error {
	switch {
	case err == nil:
		return nil
	case isEngineAway(err), errdefs.IsInternal(err):
		return backend.Unavailable("%s: %w", doing, err)
	default:
		return fmt.Errorf("%s: %w", doing, err)
	}
}

// isEngineAway tells whether there was no answer to a call, so that it is not known whether it has been done.
func isEngineAway(err error) bool {
	var netError net.Error
	return client.IsErrConnectionFailed(err) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errdefs.IsUnavailable(err) || errors.As(err, &netError)
}

// atLeastAPI tells whether a version of the engine's API, such as 1.41, is at least major.minor.
func atLeastAPI(version string, major, minor int) bool {
	first, second, _ := strings.Cut(version, ".")
	gotMajor, err1 := strconv.Atoi(first)
	gotMinor, err2 := strconv.Atoi(second)
	if err1 != nil || err2 != nil {
		return false
	}
	return gotMajor > major || gotMajor == major && gotMinor >= minor
}
