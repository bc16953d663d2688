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

package serving

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// Address is where a server listens.
type Address struct {
	// Backend is the RemoteBackend that a ping at this address answers for, and that pods which name none go to; empty for the default.
	Backend string
	// Network is tcp or unix, Address host:port or a path.
	Network, Address string
}

// ParseAddress reads host:port or unix:///path, either after BACKEND=. It returns false for "0", which means not to listen.
func ParseAddress(s string) (address Address, listen bool, err error) {
	flag := s
	if backend, rest, ok := strings.Cut(s, "="); ok && !strings.ContainsAny(backend, ":/") {
		if len(validation.IsDNS1123Subdomain(backend)) > 0 {
			return Address{}, false, fmt.Errorf("%q: %q is no name of a RemoteBackend", flag, backend)
		}
		address.Backend, s = backend, rest
	}
	if s == "0" {
		return Address{}, false, nil
	}
	if path, ok := strings.CutPrefix(s, "unix://"); ok {
		if !strings.HasPrefix(path, "/") || strings.HasSuffix(path, "/") {
			return Address{}, false, fmt.Errorf("%q: a socket's path is absolute, as in unix:///run/remotejob.sock", flag)
		}
		address.Network, address.Address = "unix", path
		return address, true, nil
	}
	_, port, err := net.SplitHostPort(s)
	if _, invalid := strconv.ParseUint(port, 10, 16); err != nil || invalid != nil || strings.Contains(s, "/") {
		return Address{}, false, fmt.Errorf("%q is neither host:port nor unix:///path", flag)
	}
	address.Network, address.Address = "tcp", s
	return address, true, nil
}

// Local tells whether only processes of this machine can reach the address.
func (a Address) Local() bool {
	if a.Network == "unix" {
		return true
	}
	host, _, err := net.SplitHostPort(a.Address)
	if err != nil {
		return false
	}
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// String is the address as it is written in a flag.
func (a Address) String() string {
	s := a.Address
	if a.Network == "unix" {
		s = "unix://" + s
	}
	if a.Backend != "" {
		s = a.Backend + "=" + s
	}
	return s
}
