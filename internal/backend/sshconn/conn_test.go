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
	"encoding/pem"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/crypto/ssh/knownhosts"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/test/harness/skip"
	"github.com/remotejob-dev/remotejob-operator/test/harness/sshd"
)

const patience = 20 * time.Second

func server(t *testing.T) *sshd.Server {
	t.Helper()
	if missing := sshd.Missing(); len(missing) > 0 {
		skip.Lacking(t, "this machine lacks Debian's packages %q", missing)
	}
	s, err := sshd.Start(t.Context(), sshd.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(context.Background()); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(s.Log())
		}
	})
	return s
}

func options(s *sshd.Server) Options {
	return Options{Address: s.Address, User: s.User, PrivateKey: s.PrivateKey, KnownHosts: s.KnownHosts()}
}

func open(t *testing.T, o Options) *Conn {
	t.Helper()
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// says runs a command and returns its output.
func says(c *Conn, command string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	client, err := c.Client(ctx)
	if err != nil {
		return "", err
	}
	session, err := client.NewSession()
	if err != nil {
		return "", err
	}
	defer func() { _ = session.Close() }()
	out, err := session.Output(command)
	return string(out), err
}

func TestOneConnectionServesAll(t *testing.T) {
	s := server(t)
	c := open(t, options(s))
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if out, err := says(c, "echo x"); err != nil || out != "x\n" {
				t.Errorf("got %q, %v", out, err)
			}
		})
	}
	all.Wait()
	if n := strings.Count(s.Log(), "Accepted publickey"); n != 1 {
		t.Errorf("there were %d logins", n)
	}
}

func TestHostKeysAreChecked(t *testing.T) {
	s, other := server(t), server(t)
	unknown := options(s)
	unknown.KnownHosts = other.KnownHosts()
	wrong := options(s)
	wrong.KnownHosts = []byte(knownhosts.Line([]string{s.Address}, other.HostKey))
	revoked := options(s)
	revoked.KnownHosts = []byte("@revoked " + knownhosts.Line([]string{s.Address}, s.HostKey))
	for want, o := range map[string]Options{
		"is not in known_hosts; it is ssh-ed25519 SHA256:": unknown, "is not the one in known_hosts: somebody may stand in between": wrong, "is revoked in known_hosts": revoked,
	} {
		if _, err := says(open(t, o), "echo x"); !backend.IsUnavailable(err) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	if n := strings.Count(s.Log(), "Accepted publickey"); n != 0 {
		t.Errorf("a host that is not known was given %d logins", n)
	}
}

func TestAKeyOfAnotherTypeDoesNotHideTheKnownOne(t *testing.T) {
	s := server(t)
	o := options(s)
	// An entry for the same host in another form of its name, and a comment.
	o.KnownHosts = append([]byte("# ours\n"), append(s.KnownHosts("other.example"), []byte("\n")...)...)
	if out, err := says(open(t, o), "echo x"); err != nil || out != "x\n" {
		t.Errorf("got %q, %v", out, err)
	}
	if got := mustHosts(t, s.KnownHosts()).algorithms(s.Address); len(got) != 1 || got[0] != ssh.KeyAlgoED25519 {
		t.Errorf("the algorithms for a host with one key are %q", got)
	}
	if got := mustHosts(t, s.KnownHosts()).algorithms("elsewhere:22"); got != nil {
		t.Errorf("those for a host without one are %q", got)
	}
}

func mustHosts(t *testing.T, lines []byte) hosts {
	t.Helper()
	h, err := loadHosts(lines)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestThroughAJumpHost(t *testing.T) {
	s, jump := server(t), server(t)
	line, err := sshd.NewProxy(jump.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	o := options(s)
	o.ProxyJump = jump.User + "@" + line.Address()
	o.KnownHosts = append(s.KnownHosts(), jump.KnownHosts(line.Address())...)
	if _, err := says(open(t, o), "echo x"); err == nil || !strings.Contains(err.Error(), "the jump host: ") {
		t.Errorf("a key that the jump host does not take: %v", err)
	}
	o.PrivateKey, s = jump.PrivateKey, jump // a server that takes the key at both ends
	o.Address = jump.Address
	c := open(t, o)
	if out, err := says(c, "echo x"); err != nil || out != "x\n" {
		t.Fatalf("got %q, %v", out, err)
	}
	if n := strings.Count(s.Log(), "Accepted publickey"); n != 2 {
		t.Errorf("there were %d logins", n)
	}
	line.Cut()
	eventually(t, "it to come back", func() bool { _, err := says(c, "echo x"); return err == nil })
}

func TestTheAgentIsAsked(t *testing.T) {
	s := server(t)
	keys := agent.NewKeyring()
	if err := keys.Add(agent.AddedKey{PrivateKey: s.Signer}); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "agent")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _ = agent.ServeAgent(keys, conn) }()
		}
	}()
	o := options(s)
	o.PrivateKey = nil
	t.Setenv(agentSocket, "")
	if _, err := New(o); err == nil || !strings.Contains(err.Error(), "neither a private key nor an agent") {
		t.Errorf("without either: %v", err)
	}
	t.Setenv(agentSocket, socket)
	if out, err := says(open(t, o), "echo x"); err != nil || out != "x\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestAfterAFailurePausesGrow(t *testing.T) {
	s := server(t)
	line, err := sshd.NewProxy(s.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	line.Refuse(true)
	o := options(s)
	o.Address, o.KnownHosts = line.Address(), s.KnownHosts(line.Address())
	c := open(t, o)
	_, err = says(c, "echo x")
	if !backend.IsUnavailable(err) {
		t.Fatalf("got %v", err)
	}
	// Each pause is longer than the one before: even a machine that stalls falls into one of them.
	eventually(t, "a call to be refused without a try", func() bool {
		_, err := says(c, "echo x")
		if !backend.IsUnavailable(err) {
			t.Fatalf("got %v", err)
		}
		return strings.Contains(err.Error(), "it is tried again in")
	})
	line.Refuse(false)
	eventually(t, "it to come back", func() bool { _, err := says(c, "echo x"); return err == nil })
}

func TestDialReachesASocketOfTheFarSide(t *testing.T) {
	s := server(t)
	socket := filepath.Join(t.TempDir(), "engine")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		if conn, err := l.Accept(); err == nil {
			_, _ = io.WriteString(conn, "hello")
			_ = conn.Close()
		}
	}()
	conn, err := open(t, options(s)).Dial(t.Context(), "unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	if said, err := io.ReadAll(conn); err != nil || string(said) != "hello" {
		t.Errorf("got %q, %v", said, err)
	}
}

func TestWhatCantBeIsSaidAtOnce(t *testing.T) {
	s := server(t)
	if _, err := os.Stat(systemHosts); err == nil {
		t.Logf("%s counts where a RemoteBackend names no host keys, so what happens without any is not tried", systemHosts)
	}
	for want, change := range map[string]func(o *Options){
		"read the private key":  func(o *Options) { o.PrivateKey = []byte("no key") },
		"read known_hosts":      func(o *Options) { o.KnownHosts = []byte("a b c\n") },
		"is not user@host:port": func(o *Options) { o.ProxyJump = "user@" },
		"no host key is known":  func(o *Options) { o.KnownHosts = nil },
		"key has a passphrase":  func(o *Options) { o.PrivateKey = locked(t, s) },
	} {
		t.Setenv("HOME", t.TempDir())
		o := options(s)
		change(&o)
		if _, err := os.Stat(systemHosts); err == nil && o.KnownHosts == nil {
			continue
		}
		if _, err := New(o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	c := open(t, options(s))
	_ = c.Close()
	if _, err := says(c, "echo x"); !backend.IsUnavailable(err) || !strings.Contains(err.Error(), "is closed") {
		t.Errorf("after Close: %v", err)
	}
}

func TestAddresses(t *testing.T) {
	for address, want := range map[string]string{"host": "host:22", "host:2222": "host:2222", "::1": "[::1]:22", "[::1]": "[::1]:22", "[::1]:5": "[::1]:5", "10.0.0.1": "10.0.0.1:22"} {
		if got := withPort(address); got != want {
			t.Errorf("%s is %s, want %s", address, got, want)
		}
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !holds(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", patience, what)
		}
	}
}

// locked is the server's key behind a passphrase.
func locked(t *testing.T, s *sshd.Server) []byte {
	t.Helper()
	block, err := ssh.MarshalPrivateKeyWithPassphrase(s.Signer, "", []byte("open"))
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(block)
}
