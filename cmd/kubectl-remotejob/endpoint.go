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
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/pflag"
)

// endpointVariable says where the manager's endpoint is where no flag does.
const endpointVariable = "REMOTEJOB_ENDPOINT"

// endpoint says where the manager's plugin endpoint is, and how to be let in.
type endpoint struct {
	address, serverName                   string
	tokenFile, caFile, certFile, certsKey string
}

func (e *endpoint) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&e.address, "endpoint", os.Getenv(endpointVariable),
		"The manager's plugin endpoint: http://host:port, https://host:port or unix:///path; by default what "+endpointVariable+" says.")
	flags.StringVar(&e.tokenFile, "endpoint-token-file", "", "A file with the bearer token that the endpoint asks for.")
	flags.StringVar(&e.caFile, "endpoint-ca-file", "", "A file with the authorities that may have signed the endpoint's certificate; by default the system's.")
	flags.StringVar(&e.serverName, "endpoint-server-name", "", "The name in the endpoint's certificate, where it is not that in the address: behind a port-forward.")
	flags.StringVar(&e.certFile, "endpoint-cert-file", "", "A file with the certificate to show to the endpoint.")
	flags.StringVar(&e.certsKey, "endpoint-key-file", "", "A file with that certificate's key.")
}

// endpointClient makes calls to the endpoint.
type endpointClient struct {
	base, token string
	http        http.Client
}

func (e *endpoint) client() (*endpointClient, error) {
	if e.address == "" {
		return nil, errors.New("logs are read through the manager: say where its endpoint is by --endpoint or " + endpointVariable + " (kubectl remotejob logs --help)")
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment}
	out := &endpointClient{base: strings.TrimSuffix(e.address, "/"), http: http.Client{Transport: transport}}
	switch path, socket := strings.CutPrefix(e.address, "unix://"); {
	case socket:
		out.base = "http://unix"
		transport.Proxy = nil
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
	case !strings.Contains(e.address, "://"):
		out.base = "http://" + out.base
	}
	if e.tokenFile != "" {
		token, err := os.ReadFile(e.tokenFile)
		if err != nil {
			return nil, fmt.Errorf("read the token: %w", err)
		}
		out.token = strings.TrimSpace(string(token))
	}
	var err error
	transport.TLSClientConfig, err = e.tls()
	return out, err
}

func (e *endpoint) tls() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: e.serverName}
	if e.caFile != "" {
		pem, err := os.ReadFile(e.caFile)
		if err != nil {
			return nil, fmt.Errorf("read the authorities: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s has no certificate in it", e.caFile)
		}
	}
	if e.certFile != "" || e.certsKey != "" {
		pair, err := tls.LoadX509KeyPair(e.certFile, e.certsKey)
		if err != nil {
			return nil, fmt.Errorf("read the certificate and its key: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config, nil
}

func (e *endpointClient) post(ctx context.Context, path string, body any) (*http.Response, error) {
	data, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.base+path, bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("--endpoint: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	if e.token != "" {
		request.Header.Set("Authorization", "Bearer "+e.token)
	}
	response, err := e.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("reach the manager's endpoint: %w", err)
	}
	return response, nil
}
