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
	"net"
	"net/netip"
	"sync"

	"golang.org/x/net/netutil"
)

// Bound lets at most so many connections be open at a time, 0 for any number; further ones wait. One other machine gets half of them: what
// it opens beyond that is closed at once, so that it can't keep everybody else out.
func Bound(listener net.Listener, most int) net.Listener {
	if most <= 0 {
		return listener
	}
	if _, tcp := listener.Addr().(*net.TCPAddr); tcp {
		listener = &fair{Listener: listener, most: max(most/2, 1), open: map[netip.Addr]int{}}
	}
	return netutil.LimitListener(listener, most)
}

// fair bounds the connections of each other machine.
type fair struct {
	net.Listener
	most int

	mu   sync.Mutex
	open map[netip.Addr]int
}

// Accept returns the next connection of a machine that has not too many.
func (f *fair) Accept() (net.Conn, error) {
	for {
		connection, err := f.Listener.Accept()
		if err != nil {
			return nil, err
		}
		host, remote := Host(connection.RemoteAddr())
		if !remote {
			return connection, nil
		}
		if !f.enter(host) {
			_ = connection.Close()
			continue
		}
		return &counted{Conn: connection, leave: sync.OnceFunc(func() { f.left(host) })}, nil
	}
}

func (f *fair) enter(host netip.Addr) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open[host] >= f.most {
		return false
	}
	f.open[host]++
	return true
}

func (f *fair) left(host netip.Addr) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.open[host]--; f.open[host] <= 0 {
		delete(f.open, host)
	}
}

type counted struct {
	net.Conn
	leave func()
}

// Close closes the connection and makes room for another.
func (c *counted) Close() error {
	c.leave()
	return c.Conn.Close()
}

// Host returns the machine at the other end, and whether it is another one than this.
func Host(address net.Addr) (host netip.Addr, remote bool) {
	tcp, ok := address.(*net.TCPAddr)
	if !ok {
		return netip.Addr{}, false
	}
	host = tcp.AddrPort().Addr().Unmap().WithZone("")
	return host, host.IsValid() && !host.IsLoopback()
}
