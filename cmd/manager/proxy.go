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
	"context"
	"errors"
	"flag"
	"fmt"

	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/remotejob-dev/remotejob-operator/internal/pluginproxy"
	"github.com/remotejob-dev/remotejob-operator/internal/serving"
)

// proxyOptions are the flags of manager proxy.
type proxyOptions struct {
	listenOptions
	upstream pluginproxy.Upstream
}

func (o *proxyOptions) addFlags(fs *flag.FlagSet) {
	o.listenOptions.addFlags(fs, "")
	fs.StringVar(&o.upstream.URL, "upstream", "", "Where the operator's endpoint is, as https://host:port.")
	fs.StringVar(&o.upstream.CAFile, "upstream-ca-file", "", "The authorities of its certificate; the system's by default. It is read again when it changes, as are the files below.")
	fs.StringVar(&o.upstream.ServerName, "upstream-server-name", "", "The name that its certificate is to say; the host of --upstream by default.")
	fs.StringVar(&o.upstream.TokenFile, "upstream-token-file", "", "A bearer token to show; of several lines the first.")
	fs.StringVar(&o.upstream.CertFile, "upstream-cert-file", "", "A client certificate to show.")
	fs.StringVar(&o.upstream.KeyFile, "upstream-key-file", "", "The key of that certificate.")
}

func (o *proxyOptions) complete() error {
	if err := o.listenOptions.complete(); err != nil {
		return err
	}
	if len(o.addresses.set) == 0 {
		return errors.New("--plugin-bind-address: a proxy that listens nowhere is none")
	}
	for _, address := range o.addresses.set {
		if address.Backend != "" {
			return fmt.Errorf("--plugin-bind-address=%s: the upstream's address has a RemoteBackend, the proxy's has none", address)
		}
	}
	if o.insecure {
		return nil
	}
	// What comes in is plain, whatever goes out.
	return serving.Protection{}.Check(o.addresses.set, "the manager itself", insecureBind)
}

// runProxy passes calls on to a manager elsewhere.
func runProxy(ctx context.Context, o *proxyOptions) error {
	if err := o.complete(); err != nil {
		return err
	}
	return pluginproxy.Run(ctx, pluginproxy.Options{
		Addresses: o.addresses.set, Socket: o.socket, MaxConnections: o.maxConnections, MaxBodyBytes: o.maxBodyBytes,
		Upstream: o.upstream, Log: ctrl.Log.WithName("proxy"),
	})
}
