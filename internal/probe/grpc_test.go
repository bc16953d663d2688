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
	"net/http/httptest"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/metadata"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// TestGRPCProbe follows KEP-2727: SERVING is a success, everything else a failure.
func TestGRPCProbe(t *testing.T) {
	healthy := health.NewServer()
	healthy.SetServingStatus("up", grpc_health_v1.HealthCheckResponse_SERVING)
	healthy.SetServingStatus("down", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	plain := serveGRPC(t, healthy)
	encrypted := serveGRPC(t, healthy, grpc.Creds(credentials.NewTLS(&tls.Config{Certificates: certificate(t)})))
	mute := serveGRPC(t, nil)
	hanging := serveGRPC(t, hangs{})
	silent := listen(t).Addr().String() // accepts, and never says a word

	// What is to come before the time is over has longer than what is not to come at all.
	const long, short, inTime = 20 * time.Second, 100 * time.Millisecond, 2 * time.Second
	tests := []struct {
		name    string
		request GRPCRequest
		timeout time.Duration
		want    podlifecycle.Result
		message string
	}{
		{"the server as a whole", GRPCRequest{Address: plain}, long, yes, ""},
		{"a service of it", GRPCRequest{Address: plain, Service: "up"}, long, yes, ""},
		{"a service that does not serve", GRPCRequest{Address: plain, Service: "down"}, long, no, `service unhealthy (responded with "NOT_SERVING")`},
		{"a service that is not there", GRPCRequest{Address: plain, Service: "none"}, long, no, "error: health rpc probe failed"},
		{"a server without the health service", GRPCRequest{Address: mute}, long, no, "does not implement the grpc health protocol"},
		{"a certificate that nobody signed", GRPCRequest{Address: encrypted, TLS: true}, long, yes, ""},
		{"a server that wants TLS", GRPCRequest{Address: encrypted}, short, no, "timeout: failed to connect service"},
		{"a server that does not speak TLS", GRPCRequest{Address: plain, TLS: true}, short, no, "timeout: failed to connect service"},
		{"no answer in time", GRPCRequest{Address: hanging}, inTime, no, "timeout: health rpc did not complete in time"},
		{"no gRPC", GRPCRequest{Address: silent}, short, no, "timeout: failed to connect service"},
		{"nobody there", GRPCRequest{Address: unused(t)}, inTime, no, "connection refused"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := Request{Timeout: tt.timeout, GRPC: &tt.request}
			wantAnswer(t, r.Do(t.Context()), tt.want, tt.message)
		})
	}
}

// hangs answers no check.
type hangs struct {
	grpc_health_v1.UnimplementedHealthServer
}

func (hangs) Check(ctx context.Context, _ *grpc_health_v1.HealthCheckRequest) (*grpc_health_v1.HealthCheckResponse, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestGRPCProbeSaysThatItIsOne(t *testing.T) {
	var agent []string
	address := serveGRPC(t, health.NewServer(), grpc.UnaryInterceptor(
		func(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			agent = metadata.ValueFromIncomingContext(ctx, "user-agent")
			return next(ctx, req)
		}))
	r := Request{GRPC: &GRPCRequest{Address: address}}
	wantAnswer(t, r.Do(t.Context()), yes, "")
	if len(agent) != 1 || agent[0][:len("kube-probe/"+KubeVersion)] != "kube-probe/"+KubeVersion {
		t.Errorf("got user agent %q", agent)
	}
}

func serveGRPC(t *testing.T, service grpc_health_v1.HealthServer, options ...grpc.ServerOption) string {
	t.Helper()
	server := grpc.NewServer(options...)
	if service != nil {
		grpc_health_v1.RegisterHealthServer(server, service)
	}
	l := listen(t)
	go func() { _ = server.Serve(l) }()
	t.Cleanup(server.Stop)
	return l.Addr().String()
}

func certificate(t *testing.T) []tls.Certificate {
	t.Helper()
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return s.TLS.Certificates
}
