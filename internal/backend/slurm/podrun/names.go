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

package podrun

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/runtime"
	"github.com/remotejob-dev/remotejob-operator/internal/sandbox"
)

// makeNames gives the pod its names, and writes the files by which its containers resolve others. They are made once and are the same for
// all containers. Of the runtimes only Podman gives a pod a resolv.conf of its own; elsewhere the node's holds.
func (r *runner) makeNames() error {
	name, domain, err := sandbox.Hostnames(r.pod)
	if err != nil {
		return err
	}
	r.hostname = name
	shared := r.sharedPod()
	text, err := readIfThere("/etc/hosts")
	if err != nil {
		return err
	}
	full := name
	if short, _, isFull := strings.Cut(name, "."); isFull {
		full += "\t" + short
	} else if domain != "" {
		full = name + "." + domain + "\t" + name
	} else if short, _, ok := strings.Cut(name, "."); ok && isTrue(r.pod.Spec.SetHostnameAsFQDN) && r.pod.Spec.HostnameOverride == nil {
		full = name + "\t" + short
	}
	hosts := endLine(text) + "127.0.0.1\t" + full + "\n"
	for _, host := range shared.Hosts {
		hosts += host.IP + "\t" + strings.Join(host.Names, "\t") + "\n"
	}
	r.hosts = filepath.Join(r.scratch, "hosts")
	if err := jobdir.WriteFile(r.hosts, []byte(hosts), 0o644); err != nil {
		return err
	}
	if r.spec.Runtime.Type != runtime.Podman {
		return nil
	}
	if text, err = readIfThere("/etc/resolv.conf"); err != nil {
		return err
	}
	dns := sandbox.DNS{
		Replace: r.pod.Spec.DNSPolicy == corev1.DNSNone, Nameservers: shared.DNSServers, Searches: shared.DNSSearches, Options: shared.DNSOptions,
	}
	r.resolv = filepath.Join(r.scratch, "resolv.conf")
	return jobdir.WriteFile(r.resolv, []byte(dns.Apply(text)), 0o644)
}

func readIfThere(name string) (string, error) {
	text, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("read what the node resolves names by: %w", err)
	}
	return string(text), nil
}

func endLine(text string) string {
	if text != "" && !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	return text
}
