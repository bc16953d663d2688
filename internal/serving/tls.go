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

package serving

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"

	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

// TLS is a server's certificate and whose clients' it knows.
type TLS struct {
	config *tls.Config
	follow func(context.Context) error
}

// NewTLS reads a certificate and its key; both are read again when the files change. Where there are client authorities, a client that shows
// a certificate must have it from one of them; whether it has to show one is not decided here.
func NewTLS(certFile, keyFile string, clientCAs *File[*x509.CertPool]) (*TLS, error) {
	watcher, err := certwatcher.New(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("read the certificate %s and its key %s: %w", certFile, keyFile, err)
	}
	return NewTLSWith(watcher, clientCAs), nil
}

// Certificate is one that may change.
type Certificate interface {
	// GetCertificate returns it as it is now.
	GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// Start follows its changes until the context ends.
	Start(context.Context) error
}

// NewTLSWith is NewTLS with a certificate that comes from elsewhere.
func NewTLSWith(certificate Certificate, clientCAs *File[*x509.CertPool]) *TLS {
	config := &tls.Config{
		MinVersion:     tls.VersionTLS12,
		GetCertificate: certificate.GetCertificate,
		// HTTP/2 can be made to work hard by clients that reset their streams.
		NextProtos: []string{"http/1.1"},
		// A resumed session would bring a client's certificate back that has been withdrawn meanwhile.
		SessionTicketsDisabled: true,
	}
	if clientCAs != nil {
		base := config.Clone()
		config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
			now := base.Clone()
			now.ClientAuth, now.ClientCAs = tls.VerifyClientCertIfGiven, clientCAs.Get()
			return now, nil
		}
	}
	return &TLS{config: config, follow: certificate.Start}
}

// Config is the configuration of a server's connections. It is not to be changed.
func (t *TLS) Config() *tls.Config { return t.config }

// Run follows the certificate's changes until the context ends.
func (t *TLS) Run(ctx context.Context) error { return t.follow(ctx) }

// HTTP1 are the protocols of servers here: HTTP/1 alone.
func HTTP1() *http.Protocols {
	protocols := &http.Protocols{}
	protocols.SetHTTP1(true)
	return protocols
}
