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
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/connectivity"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"
)

// do asks the health service. Whatever goes wrong is a failure, as with grpc_health_probe, which this kind of probe took over from.
func (g *GRPCRequest) do(ctx context.Context) Answer {
	creds := insecure.NewCredentials()
	if g.TLS {
		creds = credentials.NewTLS(&tls.Config{InsecureSkipVerify: true}) //nolint:gosec // as documented for probes
	}
	// passthrough keeps the name as it is: no lookup by gRPC, no proxy of this process's environment.
	conn, err := grpc.NewClient("passthrough:///"+g.Address,
		grpc.WithTransportCredentials(creds),
		grpc.WithUserAgent("kube-probe/"+KubeVersion),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return dialer().DialContext(ctx, "tcp", addr)
		}),
		grpc.WithNoProxy(),
		grpc.WithDisableServiceConfig(),
	)
	if err != nil {
		return failure("error: %v", err)
	}
	defer func() { _ = conn.Close() }()

	// A server that comes up within the timeout is soon enough.
	resp, err := grpc_health_v1.NewHealthClient(conn).Check(ctx, &grpc_health_v1.HealthCheckRequest{Service: g.Service}, grpc.WaitForReady(true))
	if err != nil {
		switch stat := status.Convert(err); stat.Code() {
		case codes.Unimplemented:
			return failure("error: this server does not implement the grpc health protocol (grpc.health.v1.Health): %s", stat.Message())
		case codes.DeadlineExceeded:
			if conn.GetState() != connectivity.Ready {
				return failure("timeout: failed to connect service %q: %s", g.Address, stat.Message())
			}
			return failure("timeout: health rpc did not complete in time")
		}
		return failure("error: health rpc probe failed: %v", err)
	}
	if s := resp.GetStatus(); s != grpc_health_v1.HealthCheckResponse_SERVING {
		return failure("service unhealthy (responded with %q)", s.String())
	}
	return success()
}
