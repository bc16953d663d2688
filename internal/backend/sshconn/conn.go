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

// Package sshconn keeps one SSH connection to a machine: host keys are checked, a jump host is passed, a connection that is lost is
// noticed and made again, with growing pauses while that fails.
package sshconn

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
)

const (
	// dialTimeout bounds one attempt to connect, jump host and all.
	dialTimeout = 20 * time.Second
	// keepAlive is how often the far side is asked for a sign of life, and how long it may take to give one.
	keepAlive = 15 * time.Second
	// firstPause doubles with each attempt that fails, up to longestPause.
	firstPause   = time.Second
	longestPause = 30 * time.Second
)

// Options say whereto and as whom.
type Options struct {
	// Address is host or host:port.
	Address string
	User    string
	// PrivateKey in PEM; without it the agent is asked.
	PrivateKey []byte
	// KnownHosts are the lines of a known_hosts file; without them those of the user that the process runs as, and the machine's, count.
	KnownHosts []byte
	// ProxyJump is a host to go through, as user@host:port; the user is Options.User where it names none.
	ProxyJump string
	// KeepAlive is how often the far side is asked for a sign of life; 15 s where it is 0.
	KeepAlive time.Duration
}

// Conn is a connection that is made when it is needed. Its methods may be called from many goroutines.
type Conn struct {
	target    hop
	jump      *hop
	keepAlive time.Duration

	ctx  context.Context
	stop context.CancelFunc

	mu     sync.Mutex
	client *ssh.Client
	// dialing is closed when the attempt that is under way has ended.
	dialing chan struct{}
	// failures in a row, the last one's error, and when to try again.
	failures int
	failed   error
	retryAt  time.Time
}

// hop is one machine on the way.
type hop struct {
	address string
	config  *ssh.ClientConfig
	close   func()
}

// New checks the options. It does not connect.
func New(o Options) (*Conn, error) {
	hosts, err := loadHosts(o.KnownHosts)
	if err != nil {
		return nil, err
	}
	auth, closeAgent, err := authentication(o.PrivateKey)
	if err != nil {
		return nil, err
	}
	c := &Conn{keepAlive: o.KeepAlive}
	if c.keepAlive <= 0 {
		c.keepAlive = keepAlive
	}
	hopTo := func(user, address string) hop {
		address = withPort(address)
		return hop{address: address, close: closeAgent, config: &ssh.ClientConfig{
			User: user, Auth: auth, HostKeyCallback: hosts.check, HostKeyAlgorithms: hosts.algorithms(address), Timeout: dialTimeout,
		}}
	}
	c.target = hopTo(o.User, o.Address)
	if o.ProxyJump != "" {
		user, address := o.User, o.ProxyJump
		if before, after, ok := cutLast(o.ProxyJump, '@'); ok {
			user, address = before, after
		}
		if user == "" || address == "" {
			return nil, fmt.Errorf("ssh: the jump host %q is not user@host:port", o.ProxyJump)
		}
		jump := hopTo(user, address)
		c.jump = &jump
	}
	c.ctx, c.stop = context.WithCancel(context.Background())
	return c, nil
}

// Client returns the connection, which is made if there is none. An error is backend.Unavailable.
func (c *Conn) Client(ctx context.Context) (*ssh.Client, error) {
	for {
		client, dialing, err := c.current()
		if client != nil || err != nil {
			return client, err
		}
		select {
		case <-ctx.Done():
			return nil, backend.Unavailable("connect to %s: %w", c.target.address, context.Cause(ctx))
		case <-dialing:
		}
		c.mu.Lock()
		client, failed := c.client, c.failed
		c.mu.Unlock()
		if client == nil && failed != nil {
			return nil, backend.Unavailable("%w", failed)
		}
	}
}

// current is the connection that there is; or what is closed when an attempt has ended, one that is begun here where none is under way; or
// why there can't be one now.
func (c *Conn) current() (client *ssh.Client, dialing chan struct{}, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ctx.Err() != nil:
		return nil, nil, backend.Unavailable("ssh: the connection to %s is closed", c.target.address)
	case c.client != nil:
		return c.client, nil, nil
	case c.dialing == nil && time.Now().Before(c.retryAt):
		return nil, nil, backend.Unavailable("%w (it is tried again in %s)", c.failed, time.Until(c.retryAt).Round(time.Second))
	case c.dialing == nil:
		c.dialing = make(chan struct{})
		go c.dial()
	}
	return nil, c.dialing, nil
}

// Dial connects to an address as the far side sees it, such as ("unix", "/var/run/docker.sock").
func (c *Conn) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	client, err := c.Client(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := client.DialContext(ctx, network, address)
	if err != nil {
		return nil, backend.Unavailable("connect to %s through %s: %w", address, c.target.address, err)
	}
	return conn, nil
}

// Address is the far side's.
func (c *Conn) Address() string { return c.target.address }

// Close ends the connection for good.
func (c *Conn) Close() error {
	c.mu.Lock()
	c.stop()
	client, dialing := c.client, c.dialing
	c.client = nil
	c.mu.Unlock()
	if client != nil {
		_ = client.Close()
	}
	if dialing != nil {
		<-dialing
	}
	c.target.close()
	return nil
}
