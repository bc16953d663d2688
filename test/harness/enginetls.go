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

package harness

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
)

// EngineTLS stands before a Docker engine's socket as an engine does that listens at a TCP address with TLS, and lets in whom the
// configuration lets in.
type EngineTLS struct {
	// Host is its address for RemoteBackends.
	Host string

	listener net.Listener
}

// NewEngineTLS listens at an address, whose port may be 0.
func NewEngineTLS(address, engine string, config *tls.Config) (*EngineTLS, error) {
	socket, ok := strings.CutPrefix(engine, "unix://")
	if !ok {
		return nil, errors.New("the engine is to listen at a unix socket")
	}
	l, err := tls.Listen("tcp", address, config)
	if err != nil {
		return nil, err
	}
	e := &EngineTLS{Host: "tcp://" + l.Addr().String(), listener: l}
	go func() {
		for {
			outside, err := l.Accept()
			if err != nil {
				return
			}
			go join(outside, socket)
		}
	}()
	return e, nil
}

// Close stops to listen.
func (e *EngineTLS) Close() { _ = e.listener.Close() }

// join passes on what comes from either side until both have ended. That one side has said all may be news to the other, which goes on.
func join(outside net.Conn, socket string) {
	defer func() { _ = outside.Close() }()
	engine, err := net.Dial("unix", socket)
	if err != nil {
		return
	}
	defer func() { _ = engine.Close() }()
	pass := func(to, from net.Conn, done chan<- struct{}) {
		_, _ = io.Copy(to, from)
		if half, ok := to.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
		close(done)
	}
	in, out := make(chan struct{}), make(chan struct{})
	go pass(engine, outside, in)
	go pass(outside, engine, out)
	<-in
	<-out
}
