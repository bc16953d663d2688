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
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

// agentSocket is the variable that names the agent's socket.
const agentSocket = "SSH_AUTH_SOCK"

// authentication is by the key, or by what the agent holds at the time.
func authentication(key []byte) (methods []ssh.AuthMethod, closeAgent func(), err error) {
	if len(key) > 0 {
		signer, err := ssh.ParsePrivateKey(key)
		var locked *ssh.PassphraseMissingError
		if errors.As(err, &locked) {
			return nil, nil, errors.New("ssh: the private key has a passphrase: give one without, or none and an agent that holds it")
		}
		if err != nil {
			return nil, nil, fmt.Errorf("ssh: read the private key: %w", err)
		}
		return []ssh.AuthMethod{ssh.PublicKeys(signer)}, func() {}, nil
	}
	socket := os.Getenv(agentSocket)
	if socket == "" {
		return nil, nil, fmt.Errorf("ssh: there is neither a private key nor an agent: set identitySecretRef, or %s in the manager's environment", agentSocket)
	}
	a := &agentClient{socket: socket}
	return []ssh.AuthMethod{ssh.PublicKeysCallback(a.signers)}, a.close, nil
}

// agentClient asks the agent, whose connection is made anew for each attempt to log in: its signers need it until the handshake is over.
type agentClient struct {
	socket string
	mu     sync.Mutex
	conn   net.Conn
}

func (a *agentClient) signers() ([]ssh.Signer, error) {
	conn, err := net.Dial("unix", a.socket)
	if err != nil {
		return nil, fmt.Errorf("ask the agent for keys: %w", err)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn != nil {
		_ = a.conn.Close()
	}
	a.conn = conn
	return agent.NewClient(conn).Signers()
}

func (a *agentClient) close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.conn != nil {
		_ = a.conn.Close()
		a.conn = nil
	}
}

// withPort adds SSH's port where an address has none.
func withPort(address string) string {
	if _, _, err := net.SplitHostPort(address); err == nil {
		return address
	}
	return net.JoinHostPort(strings.Trim(address, "[]"), "22")
}

func cutLast(s string, sep byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, sep); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}
