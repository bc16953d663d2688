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

// Package gate says who may call the endpoint, and how often.
package gate

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/pluginapi"
	"github.com/remotejob-dev/remotejob-operator/internal/serving"
)

// Options are what a Gate is made of. Where none of ClientCAs, Tokens and Reviewer is set, nobody is asked who they are.
type Options struct {
	// ClientCAs are the authorities of clients' certificates, and ClientNames, if there are any, the common names that are let in.
	ClientCAs   *serving.File[*x509.CertPool]
	ClientNames []string
	// Tokens are those of a file.
	Tokens *serving.File[Tokens]
	// Reviewer asks an API server about tokens.
	Reviewer *Reviewer
	// Rate is how many calls a second one client may make in the long run, and Burst at once; 0 for any number. Callers on this machine
	// may make ten times as many.
	Rate  float64
	Burst int
}

// Gate lets calls in or not.
type Gate struct {
	Options
	certificates *certificates
	calls, local *limits
	// strangers bounds what can be asked without being known, by machine.
	strangers *limits
}

// What a machine may ask a second without showing who it is: for health, or with a token that is none.
const (
	strangerRate  = 10
	strangerBurst = 100
)

// New returns a gate.
func New(opts Options) *Gate {
	g := &Gate{Options: opts, strangers: newLimits(strangerRate, strangerBurst)}
	if opts.Rate > 0 {
		burst := max(opts.Burst, 1)
		g.calls, g.local = newLimits(opts.Rate, burst), newLimits(10*opts.Rate, 10*burst)
	}
	if opts.ClientCAs != nil {
		g.certificates = newCertificates(opts.ClientCAs, opts.ClientNames)
	}
	return g
}

// Asks tells whether callers have to show who they are.
func (o *Options) Asks() bool { return o.ClientCAs != nil || o.Tokens != nil || o.Reviewer != nil }

// open are the paths that probes ask, who can show nothing. They say nothing about pods.
var open = []string{"/health", "/healthz", "/readyz"}

// Admit lets a call in, when its turn has come. An error says why not, and is a *pluginapi.Denied.
//
// A unix socket has a mode and a group: who can use it is let in.
func (g *Gate) Admit(r *http.Request) error {
	host, remote := peer(r)
	if overSocket(r) {
		return turn(r, g.local, "socket")
	}
	if slices.Contains(open, r.URL.Path) {
		if remote && !g.strangers.now(host) {
			return tooMany(time.Second)
		}
		return nil
	}
	name := "host " + host
	if g.Asks() {
		var err error
		if name, err = g.identify(r, host); err != nil {
			return err
		}
	}
	if remote {
		return turn(r, g.calls, name)
	}
	return turn(r, g.local, name)
}

// identify returns the name that the caller is known by.
func (g *Gate) identify(r *http.Request, host string) (string, error) {
	var problem error
	if g.certificates != nil && r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		name, err := g.certificates.check(r.TLS.PeerCertificates)
		if err == nil {
			return "certificate " + name, nil
		}
		problem = err
	}
	token, given := bearer(r)
	if given && g.Tokens != nil {
		if name, ok := g.Tokens.Get().find(token); ok {
			return name, nil
		}
	}
	if given && g.Reviewer != nil {
		return g.review(r, token, host)
	}
	if given && g.Tokens != nil {
		problem = unauthorized("the bearer token is not one that is known here")
	}
	if problem == nil {
		problem = unauthorized("callers have to show who they are here: " + g.wants())
	}
	if !g.strangers.now(host) {
		return "", tooMany(time.Second)
	}
	return "", problem
}

// review asks the API server. Only so many questions are asked for one machine about tokens that were not known before.
func (g *Gate) review(r *http.Request, token, host string) (string, error) {
	if !g.Reviewer.knows(token) && !g.strangers.now(host) {
		return "", tooMany(time.Second)
	}
	user, err := g.Reviewer.review(r, token)
	if err != nil {
		return "", err
	}
	return "user " + user, nil
}

// wants says what a caller could show.
func (g *Gate) wants() string {
	var ways []string
	if g.certificates != nil {
		ways = append(ways, "a client certificate")
	}
	if g.Tokens != nil || g.Reviewer != nil {
		ways = append(ways, "a bearer token")
	}
	return strings.Join(ways, " or ")
}

// bearer returns the token of a call.
func bearer(r *http.Request) (string, bool) {
	scheme, token, ok := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
	token = strings.TrimSpace(token)
	return token, ok && strings.EqualFold(scheme, "bearer") && token != ""
}

// peer is the machine that calls, and whether it is another one than this.
func peer(r *http.Request) (host string, remote bool) {
	tcp, err := net.ResolveTCPAddr("tcp", r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr, false
	}
	address, remote := serving.Host(tcp)
	return address.String(), remote
}

// overSocket tells whether a call came in at a unix socket.
func overSocket(r *http.Request) bool {
	address, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return ok && address.Network() == "unix"
}

func unauthorized(message string) error {
	return &pluginapi.Denied{Code: http.StatusUnauthorized, Reason: "Unauthorized", Message: message}
}

func forbidden(format string, args ...any) error {
	return &pluginapi.Denied{Code: http.StatusForbidden, Reason: "NotAllowed", Message: fmt.Sprintf(format, args...)}
}

func tooMany(after time.Duration) error {
	return &pluginapi.Denied{
		Code: http.StatusTooManyRequests, Reason: "TooManyRequests", RetryAfter: after,
		Message: "this client makes more calls than it may; the header Retry-After says when to try again",
	}
}

// persistent tells whether a call is one that interLink never makes again, so that it is better kept waiting than refused.
func persistent(r *http.Request) bool { return r.URL.Path == "/create" || r.URL.Path == "/delete" }

// patience is how long a call may be kept waiting. interLink waits two minutes for an answer.
func patience(r *http.Request) time.Duration {
	if persistent(r) {
		return time.Minute
	}
	return 5 * time.Second
}

// pause waits, and fails when the caller has gone.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
