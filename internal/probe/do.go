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
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

const (
	// maxBody is how much of a body is read; the rest is nobody's business.
	maxBody      = 10 << 10
	maxRedirects = 10
)

// Do asks the question from where it is called.
func (r *Request) Do(ctx context.Context) Answer {
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, r.Timeout)
		defer cancel()
	}
	switch {
	case r.HTTP != nil && r.HTTP.Hook:
		return r.HTTP.doHook(ctx)
	case r.HTTP != nil:
		return r.HTTP.do(ctx)
	case r.TCP != nil:
		return r.TCP.do(ctx)
	case r.GRPC != nil:
		return r.GRPC.do(ctx)
	}
	return unknown("the request names none of http, tcp and grpc")
}

// dialer keeps closed connections from lingering for a minute each: a probe a second would pile them up in a small network namespace.
// One second rather than none lets data that is under way still arrive.
func dialer() *net.Dialer {
	return &net.Dialer{Control: func(_, _ string, c syscall.RawConn) error {
		return c.Control(func(fd uintptr) {
			_ = syscall.SetsockoptLinger(int(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1, Linger: 1})
		})
	}}
}

func (t *TCPRequest) do(ctx context.Context) Answer {
	conn, err := dialer().DialContext(ctx, "tcp", t.Address)
	if err != nil {
		return failure("%v", err)
	}
	_ = conn.Close()
	return success()
}

func (h *HTTPRequest) client() *http.Client {
	transport := &http.Transport{
		DialContext:       dialer().DialContext,
		DisableKeepAlives: true,
		// A probe says nothing that its author did not ask for, so no Accept-Encoding.
		DisableCompression: true,
		// Certificates of pods are rarely for an address; the kubelet does not look at them either.
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // as documented for probes
		ForceAttemptHTTP2: true,
	}
	if h.H2C {
		transport.Protocols = new(http.Protocols)
		transport.Protocols.SetUnencryptedHTTP2(true)
	}
	return &http.Client{Transport: transport, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		if next.URL.Hostname() != via[0].URL.Hostname() {
			return http.ErrUseLastResponse // another host's answer says nothing about this container
		}
		if len(via) >= maxRedirects {
			return errors.New("stopped after 10 redirects")
		}
		return nil
	}}
}

func (h *HTTPRequest) request(ctx context.Context) (*http.Request, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, h.URL, nil)
	if err != nil {
		return nil, err
	}
	req.Header = h.Header.Clone()
	if req.Header == nil {
		req.Header = http.Header{}
	}
	req.Host = req.Header.Get("Host") // empty: the URL's
	return req, nil
}

// do asks as a probe: 200 to 399 is a success. The words of a failure hold the status and never the body, which may tell too much.
func (h *HTTPRequest) do(ctx context.Context) Answer {
	req, err := h.request(ctx)
	if err != nil {
		return unknown("%v", err)
	}
	client := h.client()
	defer client.CloseIdleConnections()
	resp, err := client.Do(req)
	if err != nil {
		return failure("%v", err)
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody)); err != nil {
		// The kubelet throws such a probe away, so an endless stream for an answer never restarts its container.
		return unknown("read the answer's body: %v", err)
	}
	switch {
	case resp.StatusCode < 200 || resp.StatusCode >= 400:
		return failure("HTTP probe failed with statuscode: %d", resp.StatusCode)
	case resp.StatusCode >= 300:
		return Answer{Result: podlifecycle.Success, Message: "Probe terminated redirects"}
	}
	return success()
}

// doHook asks as a lifecycle hook: whatever answers is right, the kubelet does not look at the status.
func (h *HTTPRequest) doHook(ctx context.Context) Answer {
	req, err := h.request(ctx)
	if err != nil {
		return unknown("%v", err)
	}
	client := h.client()
	defer client.CloseIdleConnections()
	err = deliver(client, req)
	if err != nil && strings.Contains(err.Error(), "server gave HTTP response to HTTPS client") {
		plain := req.Clone(ctx)
		plain.URL.Scheme = "http"
		plain.Header.Del("Authorization") // meant for an encrypted connection
		err = deliver(client, plain)
	}
	if err != nil {
		return failure("%v", err)
	}
	return success()
}

func deliver(client *http.Client, req *http.Request) error {
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxBody))
	return nil
}
