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

package docker

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"net/url"
	"os"
	"os/user"
	"strings"
	"testing"

	"github.com/moby/moby/client"
	"golang.org/x/crypto/ssh"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/backendtest"
	"github.com/remotejob-dev/remotejob-operator/test/harness/skip"
	"github.com/remotejob-dev/remotejob-operator/test/harness/sshd"
)

// TestPodsBehaveTheSameOnAnEngineThatIsReachedBySSH runs the cases of the suite that use the engine's connection each in its own way: plain
// calls, streams of events and logs, execs with their hijacked connections, copies into a container.
func TestPodsBehaveTheSameOnAnEngineThatIsReachedBySSH(t *testing.T) {
	socket, isUnix := strings.CutPrefix(testHost(), "unix://")
	if missing := sshd.Missing(); len(missing) > 0 || !isUnix {
		skip.Lacking(t, "it takes an engine at a unix socket, not %s, and Debian's packages %q", testHost(), missing)
	}
	dir, err := os.MkdirTemp("", "docker-ssh-") //nolint:usetesting // sshd asks for a short path
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	server, err := sshd.Start(t.Context(), sshd.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Stop(context.Background()) })
	me, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld()
	host := (&url.URL{Scheme: "ssh", User: url.User(me.Username), Host: server.Address, Path: socket}).String()
	backendtest.Run(t, backendtest.Suite{
		Connect: func(t *testing.T) backend.Backend {
			b, err := New(Options{
				Host: host, SSH: &SSH{PrivateKey: server.PrivateKey, KnownHosts: server.KnownHosts()}, Ledger: w.ledger, Backend: w.backend, Podrunner: podrunner,
			})
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
		Ledger: w.ledger, Backend: w.backend, Image: testImage, EntrypointImage: entrypointImage, ServerImage: serverImage,
		Only: func(name string) bool {
			for _, part := range []string{"follow goes on", "byte for byte", "preStop runs", "both streams", "manager that is killed", "ConfigMap"} {
				if strings.Contains(name, part) {
					return true
				}
			}
			return false
		},
	})
}

func TestAnAddressBySSHIsHeldAgainstItsSettings(t *testing.T) {
	for host, c := range map[string]struct {
		login *SSH
		want  string
	}{
		"ssh://box":             {want: "ssh://user@host"},
		"ssh://user@":           {want: "ssh://user@host"},
		"ssh://user:secret@box": {want: "password"},
		"ssh://user@box":        {login: &SSH{Address: "other", User: "user"}, want: "docker.ssh is about user@other, and docker.host about user@box"},
		"ssh://user@box:22":     {login: &SSH{PrivateKey: []byte("no key")}, want: "key"},
		"spam://box":            {want: "no scheme"},
	} {
		_, err := connect(host, nil, c.login)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "secret@") {
			t.Errorf("%s: %v, want %q", host, err, c.want)
		}
	}
}

func TestAnEngineBySSHThatIsAwayIsUnavailable(t *testing.T) {
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		t.Fatal(err)
	}
	way, err := connect("ssh://user@127.0.0.1:1", nil, &SSH{PrivateKey: pem.EncodeToMemory(block), KnownHosts: []byte("\n")})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = way.close() }()
	if _, err := way.engine.Ping(t.Context(), client.PingOptions{}); !backend.IsUnavailable(engineError("ask the engine", err)) {
		t.Errorf("answered by %v", err)
	}
}
