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
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Target is what a probe or hook asks for, with nothing left to look up: one of its fields is set.
type Target struct {
	// Exec is a command to run in the container.
	Exec []string
	// Network is a question to ask from inside the pod's network.
	Network *Request
	// Sleep is a time to let pass.
	Sleep *time.Duration
}

// Resolve says what a probe asks for. podIP stands in where it names no host, as on a kubelet; it is the loopback address where the pod
// has none of its own. Variables in commands have been expanded before, as far as a kubelet does that. A port that can't be resolved is an error each time the probe is due, which then does not count: so the kubelet.
func Resolve(p *corev1.Probe, c *corev1.Container, podIP string) (Target, error) {
	timeout := TimingOf(p).Timeout
	switch {
	case p.Exec != nil:
		return Target{Exec: p.Exec.Command}, nil
	case p.HTTPGet != nil:
		get, err := resolveHTTP(p.HTTPGet, c, podIP, "kube-probe/"+KubeVersion)
		if err != nil {
			return Target{}, err
		}
		return Target{Network: &Request{Timeout: timeout, HTTP: get}}, nil
	case p.TCPSocket != nil:
		port, err := resolvePort(p.TCPSocket.Port, c)
		if err != nil {
			return Target{}, err
		}
		return Target{Network: &Request{Timeout: timeout, TCP: &TCPRequest{Address: address(p.TCPSocket.Host, podIP, port)}}}, nil
	case p.GRPC != nil:
		get := &GRPCRequest{Address: address("", podIP, int(p.GRPC.Port))}
		if p.GRPC.Service != nil {
			get.Service = *p.GRPC.Service
		}
		get.TLS = p.GRPC.Mode != nil && *p.GRPC.Mode == corev1.GRPCProbeModeTLS
		return Target{Network: &Request{Timeout: timeout, GRPC: get}}, nil
	}
	return Target{}, fmt.Errorf("the probe names none of exec, httpGet, tcpSocket and grpc")
}

// ResolveHook says what a hook asks for.
func ResolveHook(h *corev1.LifecycleHandler, c *corev1.Container, podIP string) (Target, error) {
	switch {
	case h.Exec != nil:
		return Target{Exec: h.Exec.Command}, nil
	case h.HTTPGet != nil:
		get, err := resolveHTTP(h.HTTPGet, c, podIP, "kube-lifecycle/"+KubeVersion)
		if err != nil {
			return Target{}, err
		}
		get.Hook, get.H2C = true, false
		return Target{Network: &Request{HTTP: get}}, nil
	case h.Sleep != nil:
		d := time.Duration(max(h.Sleep.Seconds, 0)) * time.Second
		return Target{Sleep: &d}, nil
	case h.TCPSocket != nil:
		return Target{}, fmt.Errorf("tcpSocket is not supported in hooks")
	}
	return Target{}, fmt.Errorf("the hook names none of exec, httpGet and sleep")
}

func resolveHTTP(get *corev1.HTTPGetAction, c *corev1.Container, podIP, userAgent string) (*HTTPRequest, error) {
	port, err := resolvePort(get.Port, c)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(get.Path)
	if err != nil {
		u = &url.URL{Path: get.Path} // it has been accepted: it is sent as it is
	}
	u.Scheme = strings.ToLower(string(get.Scheme))
	if u.Scheme == "" {
		u.Scheme = "http"
	}
	u.Host = address(get.Host, podIP, port)

	header := http.Header{}
	for _, h := range get.HTTPHeaders {
		header.Add(h.Name, h.Value)
	}
	if _, ok := header["User-Agent"]; !ok {
		header.Set("User-Agent", userAgent)
	}
	if _, ok := header["Accept"]; !ok {
		header.Set("Accept", "*/*")
	} else if header.Get("Accept") == "" {
		header.Del("Accept") // given, but empty: none is sent
	}
	return &HTTPRequest{
		URL:    u.String(),
		Header: header,
		H2C:    get.Protocol != nil && *get.Protocol == corev1.HTTPProtocolHTTP2,
	}, nil
}

func resolvePort(port intstr.IntOrString, c *corev1.Container) (int, error) {
	n := port.IntValue()
	if port.Type == intstr.String {
		found := false
		for _, p := range c.Ports {
			if p.Name == port.StrVal {
				n, found = int(p.ContainerPort), true
				break
			}
		}
		if !found {
			return 0, fmt.Errorf("container %q has no port named %q", c.Name, port.StrVal)
		}
	}
	if n < 1 || n > 65535 {
		return 0, fmt.Errorf("%d is not a port number", n)
	}
	return n, nil
}

func address(host, podIP string, port int) string {
	switch {
	case host != "":
	case podIP != "":
		host = podIP
	default:
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, strconv.Itoa(port))
}
