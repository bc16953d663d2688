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

// Testserver is what the suite's pods run where a probe or a hook needs somebody to answer: HTTP on port 8080, HTTPS on 8443, and gRPC's
// health service on 9090. It writes a line for each request.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	failed := make(chan error, 3)
	web := &http.Server{Addr: ":8080", Handler: http.HandlerFunc(answer), ReadHeaderTimeout: time.Minute}
	secure := &http.Server{
		Addr: ":8443", Handler: http.HandlerFunc(answer), ReadHeaderTimeout: time.Minute,
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
	}
	go func() { failed <- web.ListenAndServe() }()
	go func() { failed <- secure.ListenAndServeTLS("", "") }()
	go func() { failed <- serveHealth(ctx) }()
	fmt.Println("up")
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
		fmt.Println("got TERM")
		return nil
	}
}

// answer is 200, but for /fail, and for /header without the header X-Ask: please.
func answer(w http.ResponseWriter, r *http.Request) {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	fmt.Printf("%s %s %s %s\n", r.Method, scheme, r.URL.RequestURI(), r.UserAgent())
	if r.URL.Path == "/fail" || r.URL.Path == "/header" && r.Header.Get("X-Ask") != "please" {
		w.WriteHeader(http.StatusInternalServerError)
	}
}

// serveHealth serves the services "" and good, and one that is not well, bad.
func serveHealth(ctx context.Context) error {
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", ":9090")
	if err != nil {
		return err
	}
	service := health.NewServer()
	service.SetServingStatus("good", grpc_health_v1.HealthCheckResponse_SERVING)
	service.SetServingStatus("bad", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	server := grpc.NewServer()
	grpc_health_v1.RegisterHealthServer(server, service)
	return server.Serve(listener)
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
