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

package sshd

import (
	"io"
	"net"
	"sync"
)

// Proxy stands between a client and a server, and takes the line away.
type Proxy struct {
	listener net.Listener
	target   string

	mu    sync.Mutex
	moved *sync.Cond
	conns map[net.Conn]bool
	// stalled: bytes are taken and not passed on. refused: new connections are closed at once.
	stalled, refused, closed bool
	// limit is how many bytes may still pass to the server before the line is cut; negative for any number.
	limit int
}

// NewProxy listens on the loopback interface and passes everything on to the target.
func NewProxy(target string) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p := &Proxy{listener: l, target: target, conns: map[net.Conn]bool{}, limit: -1}
	p.moved = sync.NewCond(&p.mu)
	go p.accept()
	return p, nil
}

// Address is where it listens.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

func (p *Proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.mu.Lock()
		refused := p.refused || p.closed
		p.mu.Unlock()
		if refused {
			_ = near.Close()
			continue
		}
		far, err := net.Dial("tcp", p.target)
		if err != nil {
			_ = near.Close()
			continue
		}
		p.mu.Lock()
		p.conns[near], p.conns[far] = true, true
		p.mu.Unlock()
		go p.pass(far, near, true)
		go p.pass(near, far, false)
	}
}

// pass copies until one side ends, and ends the other.
func (p *Proxy) pass(to, from net.Conn, counted bool) {
	defer p.drop(to, from)
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if !p.mayPass(n, counted) {
				return
			}
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// mayPass waits while the line is stalled, and returns false where it is cut.
func (p *Proxy) mayPass(n int, counted bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.stalled && !p.closed {
		p.moved.Wait()
	}
	if counted && p.limit >= 0 {
		if p.limit -= n; p.limit <= 0 {
			p.limit = -1
			for c := range p.conns {
				_ = c.Close()
			}
			return false
		}
	}
	return !p.closed
}

func (p *Proxy) drop(conns ...io.Closer) {
	for _, c := range conns {
		_ = c.Close()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		delete(p.conns, c.(net.Conn))
	}
}

// Cut ends all connections.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

// CutAfter ends all connections when so many more bytes have come from clients.
func (p *Proxy) CutAfter(bytes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limit = bytes
}

// Refuse has new connections end at once, or no longer.
func (p *Proxy) Refuse(refuse bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refused = refuse
}

// Stall passes nothing on, or goes on: to both sides the line looks alive.
func (p *Proxy) Stall(stall bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stalled = stall
	p.moved.Broadcast()
}

// Close ends it all.
func (p *Proxy) Close() error {
	p.mu.Lock()
	p.closed = true
	p.moved.Broadcast()
	p.mu.Unlock()
	p.Cut()
	return p.listener.Close()
}
