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
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/go-logr/logr"
)

const (
	// headerTimeout is how long the head of a request may take to arrive.
	headerTimeout = 10 * time.Second
	// idleTimeout keeps interLink's connections from one of its rounds to the next.
	idleTimeout = 3 * time.Minute
	// shutdownTimeout is how long calls that are under way may take when the server stops. Those that wait for a backend's word, and
	// logs that are followed, end at once.
	shutdownTimeout = 15 * time.Second
	// socketMode lets the group of the process in.
	socketMode = 0o660
	// socketProbe is how long a socket that is there already may take to answer.
	socketProbe = time.Second
)

// Server listens at all addresses of the endpoint. It is a Runnable of controller-runtime that every replica runs.
type Server struct {
	listeners []net.Listener
	servers   []*http.Server
	stop      context.CancelFunc
	log       logr.Logger
}

// NewServer listens at the addresses; Start answers. Addresses that other machines can reach are refused unless allowRemote is set:
// callers are not asked who they are.
func NewServer(opts Options, addresses []Address, allowRemote bool) (*Server, error) {
	ctx, stop := context.WithCancel(context.Background())
	s := &Server{stop: stop, log: opts.Log}
	for _, address := range addresses {
		if !address.local() && !allowRemote {
			s.close()
			return nil, fmt.Errorf("the plugin endpoint does not listen at %s: other machines could reach it, and it asks nobody who they are; use a loopback address or unix:///path", address)
		}
		listener, err := listen(address)
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
			BaseContext:       func(net.Listener) context.Context { return ctx },
		})
	}
	return s, nil
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
	failed := make(chan error, len(s.servers))
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

// listen opens an address. A socket that nobody answers at any more is replaced.
func listen(address Address) (net.Listener, error) {
	if address.Network != "unix" {
		return net.Listen(address.Network, address.Address)
	}
	path := address.Address
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode()&os.ModeSocket == 0:
		return nil, errors.New("there is something at this path that is not a socket")
	default:
		if connection, err := net.DialTimeout("unix", path, socketProbe); err == nil {
			_ = connection.Close()
			return nil, errors.New("another process answers at this socket")
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("remove the stale socket: %w", err)
		}
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, socketMode); err != nil {
		_ = listener.Close()
		return nil, err
	}
	return listener, nil
}
