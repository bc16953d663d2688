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

package controller

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

// secretNames are the Secrets that a RemoteBackend's spec names.
func secretNames(spec *v1alpha1.RemoteBackendSpec) []string {
	var names []string
	add := func(ref *corev1.LocalObjectReference) {
		if ref != nil && ref.Name != "" {
			names = append(names, ref.Name)
		}
	}
	ssh := func(s *v1alpha1.SSHConnection) {
		if s != nil {
			add(s.IdentitySecretRef)
			add(s.KnownHostsSecretRef)
		}
	}
	if spec.Docker != nil {
		add(spec.Docker.TLSSecretRef)
		ssh(spec.Docker.SSH)
	}
	if spec.Slurm != nil {
		ssh(spec.Slurm.Connection.SSH)
	}
	return names
}

// ingredientsOf is a digest of all that a connection is made from. What else a spec says (policy, bounds, the virtual node) takes effect
// without a new connection.
func ingredientsOf(rb *v1alpha1.RemoteBackend, secrets map[string]*corev1.Secret) (string, error) {
	content := map[string]map[string][]byte{}
	for name, secret := range secrets {
		content[name] = secret.Data
	}
	all, err := json.Marshal(struct {
		Type    v1alpha1.BackendType
		Docker  *v1alpha1.DockerBackend
		Slurm   *v1alpha1.SlurmBackend
		Secrets map[string]map[string][]byte
	}{rb.Spec.Type, rb.Spec.Docker, rb.Spec.Slurm, content})
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(all)
	return hex.EncodeToString(sum[:]), nil
}
