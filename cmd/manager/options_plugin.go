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

package main

import (
	"errors"
	"flag"
	"net/http"
	"strings"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"

	"github.com/remotejob-dev/remotejob-operator/internal/pluginapi"
	"github.com/remotejob-dev/remotejob-operator/internal/pluginapi/gate"
	"github.com/remotejob-dev/remotejob-operator/internal/serving"
)

const defaultPluginAddress = "127.0.0.1:4000"

// What one client may do unless flags say otherwise. A virtual node with 10,000 pods makes 2,000 calls a second.
const (
	defaultConnections = 2048
	defaultRate        = 2000
	defaultBurst       = 4000
)

// insecureBind is the flag that lifts what the endpoint wants before others can reach it.
const insecureBind = "--insecure-plugin-bind"

// listenOptions are the flags about where interLink calls, the manager or its proxy.
type listenOptions struct {
	addresses      addressList
	insecure       bool
	maxBodyBytes   int64
	maxConnections int
	socketMode     string
	socket         serving.Socket
}

func (o *listenOptions) addFlags(fs *flag.FlagSet, ofBackends string) {
	fs.Var(&o.addresses, "plugin-bind-address",
		"Where the plugin endpoint listens: host:port or unix:///path, 0 for off. May be given several times"+ofBackends+". (default "+defaultPluginAddress+")")
	fs.BoolVar(&o.insecure, "insecure-plugin-bind", false,
		"Let the plugin endpoint listen at addresses that other machines can reach, though it asks nobody who they are.")
	fs.Int64Var(&o.maxBodyBytes, "max-body-bytes", pluginapi.DefaultMaxBodyBytes, "The largest body that the plugin endpoint takes.")
	fs.IntVar(&o.maxConnections, "plugin-max-connections", defaultConnections,
		"How many connections may be open at each address, of which another machine gets half; 0 for any number.")
	fs.StringVar(&o.socketMode, "plugin-socket-mode", "0660", "The mode of unix sockets.")
	fs.StringVar(&o.socket.Group, "plugin-socket-group", "", "The group of unix sockets, a name or a number; the manager's own by default.")
}

func (o *listenOptions) complete() (err error) {
	if len(o.addresses.set) == 0 && !o.addresses.given {
		if err := o.addresses.Set(defaultPluginAddress); err != nil {
			return err
		}
	}
	if o.maxBodyBytes <= 0 {
		return errors.New("--max-body-bytes must be positive")
	}
	if o.maxConnections < 0 {
		return errors.New("--plugin-max-connections must not be negative")
	}
	o.socket.Mode, err = serving.ParseSocketMode(o.socketMode)
	return err
}

// pluginOptions are the flags of the manager's endpoint.
type pluginOptions struct {
	listenOptions
	certFile, keyFile string
	tlsSecret         string
	tlsNames          string
	clientCAFile      string
	clientNames       string
	tokenFile         string
	tokenReview       bool
	tokenAudiences    string
	clientRate        float64
	clientBurst       int
}

func (o *pluginOptions) addFlags(fs *flag.FlagSet) {
	o.listenOptions.addFlags(fs, ", also as BACKEND=ADDRESS: a ping there answers for that RemoteBackend, and pods that name none go to it")
	fs.StringVar(&o.certFile, "plugin-tls-cert-file", "", "The certificate of the plugin endpoint, for TLS at its TCP addresses. It is read again when it changes, as are the files below.")
	fs.StringVar(&o.keyFile, "plugin-tls-key-file", "", "The key of that certificate.")
	fs.StringVar(&o.tlsSecret, "plugin-tls-secret", "", "Or a Secret of the manager's namespace with that certificate, as tls.crt and tls.key. "+
		"Where there is none, one is made, with the authority that signed it as ca.crt. It is read again every minute.")
	fs.StringVar(&o.tlsNames, "plugin-tls-names", "", "The host names for which a certificate is made, with commas between them.")
	fs.StringVar(&o.clientCAFile, "plugin-client-ca-file", "", "The authorities of client certificates, by which callers may show who they are.")
	fs.StringVar(&o.clientNames, "plugin-client-names", "", "The common names of the client certificates that are let in, with commas between them; all by default.")
	fs.StringVar(&o.tokenFile, "plugin-token-file", "", "Bearer tokens, one a line, by which callers may show who they are.")
	fs.BoolVar(&o.tokenReview, "plugin-token-review", false,
		"Let callers show who they are by a bearer token that the API server knows (TokenReview) and lets call the path (SubjectAccessReview).")
	fs.StringVar(&o.tokenAudiences, "plugin-token-audiences", "", "What those tokens must be for, with commas between them; the API server's own audience by default.")
	fs.Float64Var(&o.clientRate, "plugin-client-qps", defaultRate, "How many calls a second one client may make in the long run; ten times as many on this machine. 0 for any number.")
	fs.IntVar(&o.clientBurst, "plugin-client-burst", defaultBurst, "How many it may make at once.")
}

func (o *pluginOptions) complete() error {
	if err := o.listenOptions.complete(); err != nil {
		return err
	}
	switch {
	case (o.certFile == "") != (o.keyFile == ""):
		return errors.New("--plugin-tls-cert-file and --plugin-tls-key-file go together")
	case o.tlsSecret != "" && o.certFile != "":
		return errors.New("--plugin-tls-secret and --plugin-tls-cert-file exclude each other")
	case o.tlsNames != "" && o.tlsSecret == "":
		return errors.New("--plugin-tls-names needs --plugin-tls-secret")
	case o.clientCAFile != "" && !o.hasTLS():
		return errors.New("--plugin-client-ca-file needs --plugin-tls-cert-file or --plugin-tls-secret: client certificates are a part of TLS")
	case o.clientNames != "" && o.clientCAFile == "":
		return errors.New("--plugin-client-names needs --plugin-client-ca-file")
	case o.tokenAudiences != "" && !o.tokenReview:
		return errors.New("--plugin-token-audiences needs --plugin-token-review")
	case o.clientRate < 0 || o.clientBurst < 0:
		return errors.New("--plugin-client-qps and --plugin-client-burst must not be negative")
	}
	if o.insecure {
		return nil
	}
	return serving.Protection{TLS: o.hasTLS(), Asks: o.clientCAFile != "" || o.tokenFile != "" || o.tokenReview}.Check(
		o.addresses.set, "--plugin-client-ca-file, --plugin-token-file or --plugin-token-review", insecureBind)
}

func (o *pluginOptions) hasTLS() bool { return o.certFile != "" || o.tlsSecret != "" }

// guard makes what stands between callers and the endpoint.
func (o *pluginOptions) guard(config *rest.Config, client *http.Client, held *heldCertificate, log logr.Logger) (*gate.Gate, *serving.TLS, error) {
	opts := gate.Options{ClientNames: list(o.clientNames), Rate: o.clientRate, Burst: o.clientBurst}
	var err error
	if o.clientCAFile != "" {
		if opts.ClientCAs, err = serving.NewFile(o.clientCAFile, log, serving.ParseCertificates); err != nil {
			return nil, nil, err
		}
	}
	if o.tokenFile != "" {
		if opts.Tokens, err = serving.NewFile(o.tokenFile, log, gate.ParseTokens); err != nil {
			return nil, nil, err
		}
	}
	if o.tokenReview {
		if opts.Reviewer, err = gate.NewReviewer(config, client, list(o.tokenAudiences)); err != nil {
			return nil, nil, err
		}
	}
	if opts.Asks() && !o.hasTLS() {
		log.Info("tokens come over connections that are not encrypted: whoever can listen in can use them; give the endpoint a certificate by --plugin-tls-cert-file")
	}
	var certificate *serving.TLS
	switch {
	case held != nil:
		certificate = serving.NewTLSWith(held, opts.ClientCAs)
	case o.certFile != "":
		if certificate, err = serving.NewTLS(o.certFile, o.keyFile, opts.ClientCAs); err != nil {
			return nil, nil, err
		}
	}
	return gate.New(opts), certificate, nil
}

// list splits a flag at its commas.
func list(text string) []string {
	var out []string
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

// addressList is a flag that may be given several times.
type addressList struct {
	set   []serving.Address
	given bool
}

func (l *addressList) String() string {
	words := make([]string, 0, len(l.set))
	for _, address := range l.set {
		words = append(words, address.String())
	}
	return strings.Join(words, ",")
}

// Set adds one address.
func (l *addressList) Set(s string) error {
	address, listen, err := serving.ParseAddress(s)
	if err != nil {
		return err
	}
	l.given = true
	if listen {
		l.set = append(l.set, address)
	}
	return nil
}
