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

package pluginapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"

	"github.com/remotejob-dev/remotejob-operator/internal/serving"
)

const (
	// headerTimeout is how long the head of a request may take to arrive.
	headerTimeout = 10 * time.Second
	// idleTimeout keeps interLink's connections from one of its rounds to the next.
	idleTimeout = 3 * time.Minute
	// shutdownTimeout is how long calls that are under way may take when the server stops. Those that wait for a backend's word, and
	// logs that are followed, end at once.
	shutdownTimeout = 15 * time.Second
)

// Server listens at all addresses of the endpoint. It is a Runnable of controller-runtime that every replica runs.
type Server struct {
	listeners []net.Listener
	servers   []*http.Server
	tls       *serving.TLS
	stop      context.CancelFunc
	log       logr.Logger
}

// Listening says where a Server listens, and what it lets come near.
type Listening struct {
	Addresses []serving.Address
	// TLS of TCP addresses; nil for none. Unix sockets have none.
	TLS *serving.TLS
	// Socket is who may use unix sockets.
	Socket serving.Socket
	// MaxConnections bounds the connections that are open at each address, 0 for any number.
	MaxConnections int
}

// NewServer listens at the addresses; Start answers.
func NewServer(opts Options, where Listening) (*Server, error) {
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{stop: stop, tls: where.TLS, log: opts.Log}
	for _, address := range where.Addresses {
		listener, err := where.listen(address)
		if err != nil {
			s.close()
			return nil, fmt.Errorf("listen at %s: %w", address, err)
		}
		s.listeners = append(s.listeners, listener)
		s.servers = append(s.servers, &http.Server{
			Handler:           NewHandler(opts, address.Backend),
			ReadHeaderTimeout: headerTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    64 << 10,
			Protocols:         serving.HTTP1(),
			BaseContext:       func(net.Listener) context.Context { return ctx },
		})
	}
	return s, nil
}

func (w *Listening) listen(address serving.Address) (net.Listener, error) {
	listener, err := serving.Listen(address, w.Socket)
	if err != nil {
		return nil, err
	}
	listener = serving.Bound(listener, w.MaxConnections)
	if w.TLS != nil && address.Network != "unix" {
		listener = tls.NewListener(listener, w.TLS.Config())
	}
	return listener, nil
}

// Addresses returns where the server listens.
func (s *Server) Addresses() []net.Addr {
	out := make([]net.Addr, 0, len(s.listeners))
	for _, listener := range s.listeners {
		out = append(out, listener.Addr())
	}
	return out
}

// NeedLeaderElection tells that every replica answers.
func (s *Server) NeedLeaderElection() bool { return false }

// Start answers until the context ends, and then lets calls that are under way come to their end.
func (s *Server) Start(ctx context.Context) error {
	defer s.close()
	failed := make(chan error, len(s.servers)+1)
	if s.tls != nil {
		go func() {
			if err := s.tls.Run(ctx); err != nil {
				failed <- fmt.Errorf("follow the certificate: %w", err)
			}
		}()
	}
	for i, server := range s.servers {
		s.log.Info("the plugin endpoint listens", "address", s.listeners[i].Addr().String())
		go func() { failed <- server.Serve(s.listeners[i]) }()
	}
	select {
	case err := <-failed:
		return fmt.Errorf("serve the plugin endpoint: %w", err)
	case <-ctx.Done():
	}
	s.stop()
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	var errs []error
	for _, server := range s.servers {
		errs = append(errs, server.Shutdown(finish))
	}
	return errors.Join(errs...)
}

func (s *Server) close() {
	s.stop()
	for _, server := range s.servers {
		_ = server.Close()
	}
	for _, listener := range s.listeners {
		_ = listener.Close()
	}
}
