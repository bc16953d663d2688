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

// Package sshd brings up a real OpenSSH server on the loopback interface, with keys and a port of its own.
package sshd

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/remotejob-dev/remotejob-operator/test/harness/ports"
	"github.com/remotejob-dev/remotejob-operator/test/harness/process"
)

const (
	startTimeout = time.Minute
	stopGrace    = 5 * time.Second
	pollEvery    = 20 * time.Millisecond
	program      = "/usr/sbin/sshd"
)

// Server is an sshd that runs.
type Server struct {
	// Address is host:port.
	Address string
	// User may log in.
	User string
	// PrivateKey lets User in, in PEM. Signer is the same.
	PrivateKey []byte
	Signer     ed25519.PrivateKey
	// HostKey is the server's.
	HostKey ssh.PublicKey

	dir     string
	process *process.Process
}

// Options say how the server is to be.
type Options struct {
	// Dir takes its files.
	Dir string
	// User may log in; the default is the user that the process runs as, which is the only one that it can be without root.
	User string
	// MaxSessions bounds the sessions of one connection; 10 where it is 0, as sshd has it.
	MaxSessions int
	// Env is what commands find in their environment, as NAME=VALUE.
	Env []string
}

// Missing says what the machine lacks to run a server, empty for nothing.
func Missing() []string {
	if _, err := os.Stat(program); err != nil {
		return []string{"openssh-server"}
	}
	return nil
}

// Start brings a server up, and returns when it listens.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.User == "" {
		u, err := user.Current()
		if err != nil {
			return nil, err
		}
		o.User = u.Username
	}
	if o.MaxSessions == 0 {
		o.MaxSessions = 10
	}
	s := &Server{User: o.User, dir: o.Dir}
	if err := s.makeKeys(); err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		if err := s.configure(o); err != nil {
			return nil, err
		}
		err := s.Launch(ctx)
		if err == nil {
			return s, nil
		}
		if !errors.Is(err, errTaken) || try == maxTries {
			return nil, err
		}
	}
}

// maxTries bounds how many ports are tried, each of which was free a moment before.
const maxTries = 5

// errTaken says that another program has got the port meanwhile.
var errTaken = errors.New("the port is taken")

// makeKeys writes the server's key, and the one that lets its user in.
func (s *Server) makeKeys() error {
	hostKey, hostSigner, err := newKey()
	if err != nil {
		return err
	}
	if s.HostKey, err = publicOf(hostSigner); err != nil {
		return err
	}
	if s.PrivateKey, s.Signer, err = newKey(); err != nil {
		return err
	}
	public, err := publicOf(s.Signer)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(s.file("host_key"), hostKey, 0o600),
		os.WriteFile(s.file("authorized_keys"), ssh.MarshalAuthorizedKey(public), 0o644),
	)
}

// configure gives the server an address, and what it is to do there.
func (s *Server) configure(o Options) error {
	if os.Getuid() == 0 {
		// The directory that sshd confines its unprivileged part to is made by its service.
		if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
			return err
		}
	}
	var err error
	if s.Address, err = ports.Address(); err != nil {
		return err
	}
	host, port, _ := net.SplitHostPort(s.Address)
	env := ""
	for _, variable := range o.Env {
		env += " " + strconv.Quote(variable)
	}
	if env != "" {
		env = "SetEnv" + env + "\n" // the first line of that name counts alone
	}
	conf := fmt.Sprintf(`ListenAddress %s
Port %s
HostKey %s
AuthorizedKeysFile %s
PidFile none
UsePAM %s
PrintMotd no
PrintLastLog no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
MaxSessions %d
MaxStartups 100
AllowTcpForwarding yes
AllowStreamLocalForwarding yes
%s`, host, port, s.file("host_key"), s.file("authorized_keys"), pam(), o.MaxSessions, env)
	return os.WriteFile(s.file("sshd_config"), []byte(conf), 0o600)
}

// pam is used where it can be: without it sshd lets nobody in who has no password.
func pam() string {
	if os.Getuid() == 0 {
		return "yes"
	}
	return "no"
}

func (s *Server) file(name string) string { return filepath.Join(s.dir, name) }

func newKey() ([]byte, ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	block, err := ssh.MarshalPrivateKey(key, "")
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(block), key, nil
}

func publicOf(key ed25519.PrivateKey) (ssh.PublicKey, error) {
	return ssh.NewPublicKey(key.Public())
}

// Launch starts the server again after Stop, and returns when it listens. It goes by the server's own word: whoever answers at the address
// may be another.
func (s *Server) Launch(ctx context.Context) error {
	log, err := os.OpenFile(s.file("log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	before := len(s.Log())
	cmd := exec.Command(program, "-D", "-e", "-f", s.file("sshd_config"))
	cmd.Stdout, cmd.Stderr = log, log
	if s.process, err = process.Start(cmd); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		said := s.Log()[before:]
		if strings.Contains(said, "Server listening on ") {
			return nil
		}
		select {
		case <-s.process.Done():
			return s.endedEarly(s.Log()[before:])
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("waited for sshd to listen: %w: %s", ctx.Err(), said), s.Stop(context.WithoutCancel(ctx)))
		case <-tick.C:
		}
	}
}

func (s *Server) endedEarly(said string) error {
	if strings.Contains(said, "Address already in use") {
		return fmt.Errorf("%w: %s", errTaken, said)
	}
	return errors.Join(fmt.Errorf("sshd ended before it listened: %s", said), s.process.Err())
}

// KnownHosts are the lines by which its key is known, under its own address and others.
func (s *Server) KnownHosts(addresses ...string) []byte {
	var lines strings.Builder
	for _, address := range append([]string{s.Address}, addresses...) {
		lines.WriteString(knownhosts.Line([]string{address}, s.HostKey) + "\n")
	}
	return []byte(lines.String())
}

// Log is what the server has said.
func (s *Server) Log() string {
	said, _ := os.ReadFile(s.file("log"))
	return string(said)
}

// Stop ends the server that listens; connections that there are stay.
func (s *Server) Stop(ctx context.Context) error {
	if s.process == nil {
		return nil
	}
	return s.process.Stop(ctx, stopGrace)
}
