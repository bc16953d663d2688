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

package sshconn

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
)

// dial makes one attempt, for all who wait for it.
func (c *Conn) dial() {
	ctx, cancel := context.WithTimeout(c.ctx, dialTimeout)
	defer cancel()
	client, err := c.connect(ctx)

	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.dialing)
	c.dialing = nil
	if err == nil && c.ctx.Err() != nil {
		_ = client.Close()
		err = c.ctx.Err()
	}
	if err != nil {
		c.failures++
		c.failed = fmt.Errorf("connect to %s: %w", c.target.address, err)
		c.retryAt = time.Now().Add(min(firstPause<<min(c.failures-1, 10), longestPause))
		return
	}
	c.client, c.failures, c.failed = client, 0, nil
	go c.watch(client)
}

// connect reaches the target, through the jump host where there is one.
func (c *Conn) connect(ctx context.Context) (*ssh.Client, error) {
	var dialer net.Dialer
	if c.jump == nil {
		conn, err := dialer.DialContext(ctx, "tcp", c.target.address)
		if err != nil {
			return nil, err
		}
		return c.target.handshake(ctx, conn)
	}
	conn, err := dialer.DialContext(ctx, "tcp", c.jump.address)
	if err != nil {
		return nil, fmt.Errorf("the jump host: %w", err)
	}
	jump, err := c.jump.handshake(ctx, conn)
	if err != nil {
		return nil, fmt.Errorf("the jump host: %w", err)
	}
	through, err := jump.DialContext(ctx, "tcp", c.target.address)
	if err != nil {
		_ = jump.Close()
		return nil, fmt.Errorf("through the jump host: %w", err)
	}
	client, err := c.target.handshake(ctx, through)
	if err != nil {
		_ = jump.Close()
		return nil, err
	}
	go func() {
		_ = client.Wait()
		_ = jump.Close()
	}()
	return client, nil
}

// handshake speaks SSH on a connection, which it closes where that fails or takes too long.
func (h hop) handshake(ctx context.Context, conn net.Conn) (*ssh.Client, error) {
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	made, channels, requests, err := ssh.NewClientConn(conn, h.address, h.config)
	if err != nil {
		_ = conn.Close()
		if ctx.Err() != nil {
			return nil, errors.Join(err, ctx.Err())
		}
		return nil, err
	}
	return ssh.NewClient(made, channels, requests), nil
}

// watch asks for signs of life until the connection is lost, and forgets it then.
func (c *Conn) watch(client *ssh.Client) {
	ended := make(chan struct{})
	go func() {
		_ = client.Wait()
		close(ended)
	}()
	tick := time.NewTicker(c.keepAlive)
	defer tick.Stop()
	for alive := true; alive; {
		select {
		case <-ended:
			alive = false
		case <-tick.C:
			alive = c.answers(client)
		}
	}
	_ = client.Close()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.client == client {
		c.client = nil
	}
}

// answers tells whether the far side gives a sign of life in time. Any answer will do, a refusal too.
func (c *Conn) answers(client *ssh.Client) bool {
	answer := make(chan error, 1)
	go func() {
		_, _, err := client.SendRequest("keepalive@openssh.com", true, nil)
		answer <- err
	}()
	timeout := time.NewTimer(c.keepAlive)
	defer timeout.Stop()
	select {
	case err := <-answer:
		return err == nil
	case <-timeout.C:
		return false
	}
}
