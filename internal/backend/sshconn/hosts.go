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
	"path/filepath"
	"slices"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

// systemHosts are the host keys that the machine knows.
const systemHosts = "/etc/ssh/ssh_known_hosts"

// hosts are the known host keys.
type hosts struct{ callback ssh.HostKeyCallback }

// loadHosts reads lines of known_hosts, or the files that ssh(1) reads.
func loadHosts(lines []byte) (hosts, error) {
	var files []string
	if len(lines) > 0 {
		// The library reads files alone.
		file, err := os.CreateTemp("", "known_hosts-")
		if err != nil {
			return hosts{}, fmt.Errorf("ssh: keep known_hosts: %w", err)
		}
		defer func() { _ = os.Remove(file.Name()) }()
		_, err = file.Write(lines)
		if err = errors.Join(err, file.Close()); err != nil {
			return hosts{}, fmt.Errorf("ssh: keep known_hosts: %w", err)
		}
		files = []string{file.Name()}
	} else {
		candidates := []string{systemHosts}
		if home, err := os.UserHomeDir(); err == nil {
			candidates = append(candidates, filepath.Join(home, ".ssh", "known_hosts"))
		}
		for _, name := range candidates {
			if _, err := os.Stat(name); err == nil {
				files = append(files, name)
			}
		}
		if len(files) == 0 {
			return hosts{}, fmt.Errorf("ssh: no host key is known: set knownHostsSecretRef; none of %q is there", candidates)
		}
	}
	callback, err := knownhosts.New(files...)
	if err != nil {
		return hosts{}, fmt.Errorf("ssh: read known_hosts: %w", err)
	}
	return hosts{callback}, nil
}

// check is the client's callback, with words for a person who has to judge.
func (h hosts) check(address string, remote net.Addr, key ssh.PublicKey) error {
	err := h.callback(address, remote, key)
	var unknown *knownhosts.KeyError
	var revoked *knownhosts.RevokedError
	switch {
	case errors.As(err, &revoked):
		return fmt.Errorf("the host key of %s, %s, is revoked in known_hosts", address, ssh.FingerprintSHA256(key))
	case errors.As(err, &unknown) && len(unknown.Want) == 0:
		return fmt.Errorf("the host key of %s is not in known_hosts; it is %s %s", address, key.Type(), ssh.FingerprintSHA256(key))
	case errors.As(err, &unknown):
		return fmt.Errorf("the host key of %s is not the one in known_hosts: somebody may stand in between; it is %s %s", address, key.Type(), ssh.FingerprintSHA256(key))
	}
	return err
}

// algorithms are those of the keys that are known for an address, so that the server shows one of these and not another of its own. It is
// empty, which means all, where none is known or an authority vouches for the host.
func (h hosts) algorithms(address string) []string {
	var unknown *knownhosts.KeyError
	if err := h.callback(address, &net.TCPAddr{IP: net.IPv4zero}, noKey{}); !errors.As(err, &unknown) {
		return nil
	}
	var list []string
	for _, known := range unknown.Want {
		names := []string{known.Key.Type()}
		if known.Key.Type() == ssh.KeyAlgoRSA {
			names = []string{ssh.KeyAlgoRSASHA512, ssh.KeyAlgoRSASHA256}
		}
		for _, name := range names {
			if !slices.Contains(list, name) {
				list = append(list, name)
			}
		}
	}
	return list
}

// noKey is a key that no host has.
type noKey struct{}

func (noKey) Type() string                        { return "none" }
func (noKey) Marshal() []byte                     { return []byte("none") }
func (noKey) Verify([]byte, *ssh.Signature) error { return errors.New("no key") }
