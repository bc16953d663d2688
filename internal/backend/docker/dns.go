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

package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/docker/inside"
	"github.com/remotejob-dev/remotejob-operator/internal/sandbox"
)

// dnsOf is what the pod says of its resolv.conf, nil where that is the machine's.
func dnsOf(pod *corev1.Pod) *sandbox.DNS {
	config := pod.Spec.DNSConfig
	if pod.Spec.DNSPolicy != corev1.DNSNone && config == nil {
		return nil
	}
	dns := &sandbox.DNS{Replace: pod.Spec.DNSPolicy == corev1.DNSNone}
	if config == nil {
		return dns
	}
	dns.Nameservers, dns.Searches = config.Nameservers, config.Searches
	for _, option := range config.Options {
		text := option.Name
		if option.Value != nil {
			text += ":" + *option.Value
		}
		dns.Options = append(dns.Options, text)
	}
	return dns
}

// prepareDNS puts the pod's DNS settings into the resolv.conf of the infra container, which its other containers share.
func (b *Backend) prepareDNS(ctx context.Context, pod *corev1.Pod, infraID string) error {
	dns := dnsOf(pod)
	if dns == nil {
		return nil
	}
	text, err := json.Marshal(dns)
	if err != nil {
		return fmt.Errorf("write down the pod's DNS settings: %w", err)
	}
	_, err = b.inInfra(ctx, infraID, "dns", string(text))
	return err
}

// inInfra runs a command of podrunner in an infra container, and returns what it wrote.
func (b *Backend) inInfra(ctx context.Context, infraID string, args ...string) (string, error) {
	result, err := inside.NewContainer(b.engine, infraID, nil).Exec(ctx, append([]string{infraPodrunner}, args...), engineTimeout)
	switch {
	case err != nil:
		return "", engineError("run podrunner "+args[0]+" in the pod's sandbox", err)
	case result.TimedOut:
		return "", fmt.Errorf("podrunner %s in the pod's sandbox did not end in %s", args[0], engineTimeout)
	case result.ExitCode != 0:
		return "", fmt.Errorf("podrunner %s in the pod's sandbox: %s", args[0], strings.TrimSpace(result.Output))
	}
	return result.Output, nil
}
