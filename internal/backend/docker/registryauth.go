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
	"cmp"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"

	"github.com/distribution/reference"
	"github.com/moby/moby/api/pkg/authconfig"
	"github.com/moby/moby/api/types/registry"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// registryEntry is one registry's entry in a .dockerconfigjson.
type registryEntry struct {
	Username      string `json:"username"`
	Password      string `json:"password"`
	Auth          string `json:"auth"`
	IdentityToken string `json:"identitytoken"`
	RegistryToken string `json:"registrytoken"`
}

// registryAuths are what to pull an image with, in the order of the Secrets, the more specific entries of each first. Where none fits,
// it is one empty string: nothing.
func registryAuths(ref string, secrets []workload.FileData) []string {
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return []string{""}
	}
	var auths []string
	for _, secret := range secrets {
		for _, entry := range matching(named.Name(), entriesOf(secret)) {
			if auth, err := authconfig.Encode(entry); err == nil {
				auths = append(auths, auth)
			}
		}
	}
	if len(auths) == 0 {
		return []string{""}
	}
	return auths
}

// entriesOf reads a Secret of type kubernetes.io/dockerconfigjson or kubernetes.io/dockercfg. What can't be read is left out: the pull
// then fails with the registry's words, and nothing of the Secret is repeated.
func entriesOf(secret workload.FileData) map[string]registryEntry {
	var config struct {
		Auths map[string]registryEntry `json:"auths"`
	}
	if data, ok := secret[".dockerconfigjson"]; ok && json.Unmarshal(data, &config) == nil {
		return config.Auths
	}
	var old map[string]registryEntry
	if data, ok := secret[".dockercfg"]; ok && json.Unmarshal(data, &old) == nil {
		return old
	}
	return nil
}

// matching are the entries for an image, the longest match first. name is the image's full name, with its registry.
func matching(name string, entries map[string]registryEntry) []registry.AuthConfig {
	var keys []string
	for key := range entries {
		if keyMatches(normalKey(key), name) {
			keys = append(keys, key)
		}
	}
	sortByLength(keys)
	var found []registry.AuthConfig
	for _, key := range keys {
		e := entries[key]
		config := registry.AuthConfig{
			Username: e.Username, Password: e.Password, IdentityToken: e.IdentityToken, RegistryToken: e.RegistryToken,
			ServerAddress: strings.SplitN(normalKey(key), "/", 2)[0],
		}
		if decoded, err := base64.StdEncoding.DecodeString(e.Auth); err == nil && e.Auth != "" {
			if user, password, ok := strings.Cut(string(decoded), ":"); ok {
				config.Username, config.Password = user, strings.Trim(password, "\x00")
			}
		}
		found = append(found, config)
	}
	return found
}

// normalKey is an entry's key without scheme, version and the like, and with Docker Hub under the one name that image names have.
func normalKey(key string) string {
	if _, rest, ok := strings.Cut(key, "://"); ok {
		key = rest
	}
	key = strings.TrimSuffix(strings.TrimSuffix(strings.TrimSuffix(key, "/"), "/v1"), "/v2")
	if key == "index.docker.io" || key == "registry-1.docker.io" {
		return "docker.io"
	}
	return key
}

// keyMatches tells whether an entry is for an image: its host, of which each part may hold wildcards, and the beginning of its path.
func keyMatches(key, name string) bool {
	keyHost, keyPath, _ := strings.Cut(key, "/")
	host, path, _ := strings.Cut(name, "/")
	keyParts, parts := strings.Split(keyHost, "."), strings.Split(host, ".")
	if len(keyParts) != len(parts) {
		return false
	}
	for i := range parts {
		if !globMatches(keyParts[i], parts[i]) {
			return false
		}
	}
	return keyPath == "" || path == keyPath || strings.HasPrefix(path, keyPath+"/")
}

// globMatches tells whether text is what a pattern with asterisks stands for. Pods bring the patterns, so it must not take longer the more
// asterisks there are: what stands between two of them is taken where it comes first.
func globMatches(pattern, text string) bool {
	parts := strings.Split(pattern, "*")
	last := len(parts) - 1
	if last == 0 {
		return pattern == text
	}
	text, ok := strings.CutPrefix(text, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1:last] {
		if _, text, ok = strings.Cut(text, part); !ok {
			return false
		}
	}
	return strings.HasSuffix(text, parts[last])
}

func sortByLength(keys []string) {
	slices.SortFunc(keys, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b))
	})
}
