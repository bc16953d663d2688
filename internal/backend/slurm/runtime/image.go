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

package runtime

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// FullName is an image's name as the runtime is to look for it: the root that the pod gives goes before it, and the backend's prefix
// before a name that has neither a scheme nor is a path.
func FullName(image, root, prefix string) string {
	full := root + image
	if hasScheme(full) || strings.HasPrefix(full, "/") || strings.HasPrefix(full, "./") {
		return full
	}
	return prefix + full
}

// schemes that image names may have.
var schemes = []string{"docker", "docker-daemon", "docker-archive", "oci", "oci-archive", "library", "oras", "shub", "http", "https", "file", "dir"}

func hasScheme(name string) bool {
	scheme, _ := splitScheme(name)
	return scheme != ""
}

// splitScheme takes a scheme off a name: "docker://a" and "oci-archive:a" have one, "host:5000/a" and "a:tag" have none.
func splitScheme(name string) (scheme, rest string) {
	for _, s := range schemes {
		if rest, ok := strings.CutPrefix(name, s+"://"); ok {
			return s, rest
		}
		if rest, ok := strings.CutPrefix(name, s+":"); ok && strings.Contains(s, "-") {
			return s, rest
		}
	}
	return "", name
}

// registryName is an image's full name in a registry, as Docker completes it: its host, "library" and the tag where they are left out.
func registryName(name string) string {
	rest, digest, pinned := strings.Cut(name, "@")
	host, path, ok := strings.Cut(rest, "/")
	if !ok || !strings.ContainsAny(host, ".:") && host != "localhost" {
		path = rest
		host = "docker.io"
		if !strings.Contains(path, "/") {
			path = "library/" + path
		}
	}
	full := host + "/" + path
	if pinned {
		return full + "@" + digest
	}
	if last := path[strings.LastIndexByte(path, '/')+1:]; !strings.Contains(last, ":") {
		full += ":latest"
	}
	return full
}

// registryHost is the registry that a full name is in.
func registryHost(full string) string {
	host, _, _ := strings.Cut(full, "/")
	return host
}

// dockerAuth is one entry of Docker's config files.
type dockerAuth struct {
	Auth          string `json:"auth,omitempty"`
	Username      string `json:"username,omitempty"`
	Password      string `json:"password,omitempty"`
	IdentityToken string `json:"identitytoken,omitempty"`
}

// CredentialsOf makes of the pull secrets of a pod as few of Docker's config files as it takes: such a file has one entry for a registry,
// and where secrets have several, a kubelet tries them all, in their order.
func CredentialsOf(secrets []workload.FileData) []Credentials {
	var files []map[string]dockerAuth
	for _, secret := range secrets {
		auths := map[string]dockerAuth{}
		var config struct {
			Auths map[string]dockerAuth `json:"auths"`
		}
		if data, ok := secret[".dockerconfigjson"]; ok && json.Unmarshal(data, &config) == nil {
			auths = config.Auths
		} else if data, ok := secret[".dockercfg"]; ok && json.Unmarshal(data, &auths) != nil {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(auths)) {
			registry := registryOf(name)
			free := slices.IndexFunc(files, func(file map[string]dockerAuth) bool { _, taken := file[registry]; return !taken })
			if free < 0 {
				free = len(files)
				files = append(files, map[string]dockerAuth{})
			}
			files[free][registry] = auths[name]
		}
	}
	var out []Credentials
	for _, auths := range files {
		if data, err := json.Marshal(map[string]any{"auths": auths}); err == nil {
			out = append(out, data)
		}
	}
	return out
}

// each pulls with one set of credentials after another until one will do. The error is the last one's.
func each(sets []Credentials, pull func(Credentials) error) error {
	if len(sets) == 0 {
		return pull(nil)
	}
	var err error
	for _, credentials := range sets {
		var refused *ImageError
		if err = pull(credentials); err == nil || !errors.As(err, &refused) {
			return err
		}
	}
	return err
}

// registryOf is a registry's name without what Docker's config files may write around it.
func registryOf(name string) string {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "https://"), "http://")
	name = strings.TrimSuffix(name, "/")
	switch name {
	case "index.docker.io/v1", "index.docker.io", "registry-1.docker.io":
		return "docker.io"
	}
	return strings.TrimSuffix(strings.TrimSuffix(name, "/v1"), "/v2")
}

// login is the user and the password for a registry, empty where there is none.
func (c Credentials) login(registry string) (user, password string) {
	var config struct {
		Auths map[string]dockerAuth `json:"auths"`
	}
	if json.Unmarshal(c, &config) != nil {
		return "", ""
	}
	auth := config.Auths[registry]
	if auth.Username != "" || auth.Password != "" {
		return auth.Username, auth.Password
	}
	decoded, err := base64.StdEncoding.DecodeString(auth.Auth)
	if err != nil {
		return "", ""
	}
	user, password, _ = strings.Cut(string(decoded), ":")
	return user, password
}
