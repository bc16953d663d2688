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

package pluginproxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-logr/logr"

	"github.com/remotejob-dev/remotejob-operator/internal/serving"
)

const (
	headerTimeout   = 10 * time.Second
	idleTimeout     = 3 * time.Minute
	shutdownTimeout = 15 * time.Second
)

// Options say what a proxy stands between.
type Options struct {
	// Addresses that interLink calls.
	Addresses []serving.Address
	Socket    serving.Socket
	// MaxConnections bounds the connections that are open at each address, and MaxBodyBytes the body of a call.
	MaxConnections int
	MaxBodyBytes   int64
	Upstream       Upstream
	Log            logr.Logger
}

// Run passes calls on until the context ends, and then lets those that are under way come to their end.
func Run(ctx context.Context, opts Options) error {
	up, err := newUpstream(opts.Upstream, opts.Log)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	failed := make(chan error, len(opts.Addresses)+1)
	if up.watcher != nil {
		go func() {
			if err := up.watcher.Start(ctx); err != nil {
				failed <- fmt.Errorf("follow the client certificate: %w", err)
			}
		}()
	}
	servers, err := listen(opts, newHandler(up, opts.MaxBodyBytes, opts.Log), failed)
	defer func() {
		for _, server := range servers {
			_ = server.Close()
		}
	}()
	if err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	finish, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	var errs []error
	for _, server := range servers {
		// Logs that are followed do not end by themselves: they are cut off.
		if err := server.Shutdown(finish); !errors.Is(err, context.DeadlineExceeded) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// listen answers at all addresses; closing the servers closes their listeners. A server that ends says so in failed.
func listen(opts Options, handler http.Handler, failed chan<- error) ([]*http.Server, error) {
	var servers []*http.Server
	for _, address := range opts.Addresses {
		listener, err := serving.Listen(address, opts.Socket)
		if err != nil {
			return servers, fmt.Errorf("listen at %s: %w", address, err)
		}
		server := &http.Server{
			Handler: handler, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: 64 << 10, Protocols: serving.HTTP1(),
		}
		servers = append(servers, server)
		opts.Log.Info("the proxy listens", "address", listener.Addr().String(), "upstream", opts.Upstream.URL)
		go func() {
			failed <- fmt.Errorf("serve the proxy: %w", server.Serve(serving.Bound(listener, opts.MaxConnections)))
		}()
	}
	return servers, nil
}
