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
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	defaultNamespace = "remotejob-system"
	// inClusterNamespace is where a pod finds its own namespace.
	inClusterNamespace = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
)

// options are the manager's flags.
type options struct {
	leaderElect          bool
	leaderElectNamespace string
	metricsAddress       string
	metricsSecure        bool
	metricsCertDir       string
	probeAddress         string
	pprofAddress         string

	plugin          pluginOptions
	defaultBackend  string
	createWait      time.Duration
	ledgerNamespace string
	watchNamespaces string
	podrunner       string
	watchPods       bool
	otlpEndpoint    string
	unaskedAfter    time.Duration
	version         bool

	// namespace is the manager's own.
	namespace string
}

func (o *options) addFlags(fs *flag.FlagSet) {
	fs.BoolVar(&o.leaderElect, "leader-elect", false, "Elect a leader among the replicas: all answer, one acts. Needed as soon as there is more than one.")
	fs.StringVar(&o.leaderElectNamespace, "leader-election-namespace", "", "The namespace of the lease; the manager's own by default.")
	fs.StringVar(&o.metricsAddress, "metrics-bind-address", "0", "The address of the metrics, such as :8443; 0 for none.")
	fs.BoolVar(&o.metricsSecure, "metrics-secure", true, "Serve metrics over HTTPS, to those whom the API server knows and lets read them.")
	fs.StringVar(&o.metricsCertDir, "metrics-cert-path", "", "A directory with tls.crt and tls.key for the metrics; a certificate is made up by default.")
	fs.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", "The address of /healthz and /readyz; 0 for none.")

	fs.StringVar(&o.pprofAddress, "pprof-bind-address", "0", "The address of Go's profiles, below /debug/pprof/; 0 for none. It asks nobody who they are: keep it on loopback.")

	o.plugin.addFlags(fs)
	fs.StringVar(&o.defaultBackend, "default-backend", "", "The RemoteBackend of pods that name none.")
	fs.DurationVar(&o.createWait, "create-wait", 10*time.Second, "How long /create waits for the backend's word.")
	fs.StringVar(&o.ledgerNamespace, "ledger-namespace", "",
		"The namespace that keeps the pods of namespaces that this cluster lacks; without it those are refused. (default: each pod's own)")
	fs.StringVar(&o.otlpEndpoint, "otlp-endpoint", "", "The OpenTelemetry collector that takes traces, by OTLP over gRPC: http://host:port, or https. (default: none)")
	fs.BoolVar(&o.watchPods, "watch-pods", false,
		"Cancel jobs whose pods were in the ledger's own cluster and are gone though nobody said so. It takes the right to watch pods.")
	fs.DurationVar(&o.unaskedAfter, "unasked-after", time.Hour,
		"Report jobs of pods in other clusters that nobody has asked about for so long; 0 for never.")
	fs.StringVar(&o.watchNamespaces, "watch-namespaces", "",
		"The namespaces whose RemoteJobs are the manager's, with commas between them; --ledger-namespace is one of them. (default: all)")
	fs.StringVar(&o.podrunner, "podrunner", "", "The podrunner program, which Docker's infra containers are made of and SLURM's jobs run; by default beside this one. "+
		"Those for other architectures are beside it, as podrunner-arm64 and podrunner-amd64.")
	fs.BoolVar(&o.version, "version", false, "Print the version and end.")
}

// complete fills in what depends on where the manager runs, and checks what can be checked.
func (o *options) complete() error {
	if o.namespace = ownNamespace(); o.leaderElectNamespace == "" {
		o.leaderElectNamespace = o.namespace
	}
	if err := o.plugin.complete(); err != nil {
		return err
	}
	if o.createWait < 0 || o.unaskedAfter < 0 {
		return errors.New("--create-wait and --unasked-after must not be negative")
	}
	if o.podrunner == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find podrunner beside the manager: %w", err)
		}
		o.podrunner = filepath.Join(filepath.Dir(self), "podrunner")
	}
	return nil
}

// namespaces are those that RemoteJobs can be in; none means all.
func (o *options) namespaces() []string {
	namespaces := list(o.watchNamespaces)
	if len(namespaces) > 0 && o.ledgerNamespace != "" && !slices.Contains(namespaces, o.ledgerNamespace) {
		namespaces = append(namespaces, o.ledgerNamespace)
	}
	return namespaces
}

// ownNamespace is the namespace that the manager runs in, or would.
func ownNamespace() string {
	if namespace := os.Getenv("POD_NAMESPACE"); namespace != "" {
		return namespace
	}
	if content, err := os.ReadFile(inClusterNamespace); err == nil && len(content) > 0 {
		return strings.TrimSpace(string(content))
	}
	return defaultNamespace
}
