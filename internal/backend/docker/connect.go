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
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/sshconn"
)

// idleConnections is how many connections to the engine are kept for the next call. Log followers and event streams have their own.
const idleConnections = 16

// line is the way to an engine.
type line struct {
	// engine keeps connections and uses them again. fresh makes one for each call, see ended.go.
	engine, fresh *client.Client
	// hangUp ends what the clients go through, if they go through anything.
	hangUp func() error
}

func (l line) close() error { return errors.Join(l.engine.Close(), l.fresh.Close(), l.hangUp()) }

// connect returns clients for the address. They talk to nobody yet; the API version is agreed upon with the first call.
func connect(host string, identity *TLS, login *SSH) (line, error) {
	l := line{hangUp: func() error { return nil }}
	scheme, address, ok := strings.Cut(host, "://")
	if !ok || address == "" {
		return l, fmt.Errorf("docker.host %q is not an address such as unix:///var/run/docker.sock", host)
	}
	// A transport has a TLS configuration after its first use in any case, so the client is told what to speak.
	options := []client.Opt{client.WithHost(host), client.WithScheme("http")}
	adapt := func(*http.Transport) {}
	switch scheme {
	case "unix":
	case "tcp":
		if identity != nil {
			config, err := identity.config()
			if err != nil {
				return l, err
			}
			adapt = func(t *http.Transport) { t.TLSClientConfig = config.Clone() }
			options = append(options, client.WithScheme("https"))
		}
	case "ssh":
		conn, socket, err := dialer(host, login)
		if err != nil {
			return l, err
		}
		l.hangUp = conn.Close
		// The client goes by the dialer for connections of a command's own only as long as nothing has given the transport a TLS configuration,
		// which HTTP/2 would.
		adapt = func(t *http.Transport) { t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{} }
		// The name stands in no request that anybody reads.
		options = []client.Opt{client.WithHost("http://docker"), client.WithScheme("http"), client.WithDialContext(func(ctx context.Context, _, _ string) (net.Conn, error) {
			c, err := conn.Dial(ctx, "unix", socket)
			if err != nil {
				return nil, &net.OpError{Op: "dial", Net: "ssh", Err: err} // what tells that the engine is away
			}
			return c, nil
		})}
	default:
		return l, fmt.Errorf("docker.host %q: there is no scheme %q; use unix://, tcp:// or ssh://", host, scheme)
	}
	through := func(t *http.Transport) (*client.Client, error) {
		adapt(t)
		return client.New(append([]client.Opt{client.WithHTTPClient(&http.Client{Transport: t})}, options...)...)
	}
	var err error
	if l.engine, err = through(&http.Transport{MaxIdleConns: idleConnections, MaxIdleConnsPerHost: idleConnections, IdleConnTimeout: time.Minute}); err == nil {
		l.fresh, err = through(&http.Transport{DisableKeepAlives: true})
	}
	if err != nil {
		return l, errors.Join(fmt.Errorf("docker.host %q: %w", host, err), l.hangUp())
	}
	return l, nil
}

// defaultSocket is where an engine listens on its machine.
const defaultSocket = "/var/run/docker.sock"

// dialer is a connection to the engine's machine, and the path of its socket there. It does not connect yet.
func dialer(host string, login *SSH) (conn *sshconn.Conn, socket string, err error) {
	at, err := url.Parse(host)
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("docker.host: %w", err)
	case at.User.Username() == "" || at.Hostname() == "":
		return nil, "", fmt.Errorf("docker.host %q is not an address such as ssh://user@host", host)
	}
	if _, isSet := at.User.Password(); isSet {
		return nil, "", errors.New("docker.host holds a password, which is readable there; let docker.ssh.identitySecretRef name a key")
	}
	if socket = at.Path; socket == "" || socket == "/" {
		socket = defaultSocket
	}
	if login != nil && (login.Address != "" && login.Address != at.Host || login.User != "" && login.User != at.User.Username()) {
		return nil, "", fmt.Errorf("docker.ssh is about %s@%s, and docker.host about %s@%s", login.User, login.Address, at.User.Username(), at.Host)
	}
	options := sshconn.Options{Address: at.Host, User: at.User.Username()}
	if login != nil {
		options.PrivateKey, options.KnownHosts, options.ProxyJump = login.PrivateKey, login.KnownHosts, login.ProxyJump
	}
	conn, err = sshconn.New(options)
	return conn, socket, err
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
