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

package slurm

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/remote"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/sshconn"
)

// keyKnownHosts is the key of a Secret with known_hosts.
const keyKnownHosts = "known_hosts"

// connect makes what runs commands where sbatch is. It does not reach for that machine yet.
func connect(c v1alpha1.SlurmConnection, secrets map[string]map[string][]byte) (remote.Runner, error) {
	if c.SSH == nil {
		return remote.NewLocal(remote.LocalOptions{})
	}
	opts := sshconn.Options{Address: c.SSH.Address, User: c.SSH.User, ProxyJump: c.SSH.ProxyJump}
	var err error
	if ref := c.SSH.IdentitySecretRef; ref != nil {
		if opts.PrivateKey, err = secretValue(secrets, ref.Name, corev1.SSHAuthPrivateKey); err != nil {
			return nil, err
		}
	}
	if ref := c.SSH.KnownHostsSecretRef; ref != nil {
		if opts.KnownHosts, err = secretValue(secrets, ref.Name, keyKnownHosts); err != nil {
			return nil, err
		}
	}
	return remote.NewSSH(opts)
}

func secretValue(secrets map[string]map[string][]byte, name, key string) ([]byte, error) {
	value := secrets[name][key]
	if len(value) == 0 {
		return nil, fmt.Errorf("the Secret %s has no %s", name, key)
	}
	return value, nil
}
