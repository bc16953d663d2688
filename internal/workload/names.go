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

package workload

import (
	"fmt"
	"net/netip"
	"path"
	"reflect"
	"strings"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// index is the path of an element of a list.
func index(at string, i int) string { return fmt.Sprintf("%s[%d]", at, i) }

func checkLabelName(_ *checker, at string, v reflect.Value) *Refusal {
	return invalid(at, v.String(), validation.IsDNS1123Label(v.String()))
}

func checkSubdomainName(_ *checker, at string, v reflect.Value) *Refusal {
	return invalid(at, v.String(), validation.IsDNS1123Subdomain(v.String()))
}

// invalid refuses a value by the first of the problems that it has, if any.
func invalid(at, value string, problems []string) *Refusal {
	if len(problems) == 0 {
		return nil
	}
	return refuse(at, ReasonInvalid, "%q: %s", value, problems[0])
}

func checkHostnameOverride(c *checker, at string, name string) *Refusal {
	switch {
	case len(name) > 64:
		return refuse(at, ReasonInvalid, "it must be no longer than 64 characters")
	case c.pod.Spec.HostNetwork:
		return refuse(at, ReasonInvalid, "it can't be set in a pod with hostNetwork")
	case isTrue(c.pod.Spec.SetHostnameAsFQDN):
		return refuse(at, ReasonInvalid, "it can't be set together with setHostnameAsFQDN")
	}
	return invalid(at, name, validation.IsDNS1123Subdomain(name))
}

func checkHostAliases(_ *checker, at string, aliases []corev1.HostAlias) *Refusal {
	for i, alias := range aliases {
		if _, err := netip.ParseAddr(alias.IP); err != nil {
			return refuse(index(at, i)+".ip", ReasonInvalid, "%q is no IP address", alias.IP)
		}
		for j, name := range alias.Hostnames {
			if refusal := invalid(index(index(at, i)+".hostnames", j), name, validation.IsDNS1123Subdomain(name)); refusal != nil {
				return refusal
			}
		}
	}
	return nil
}

func checkDNSConfig(_ *checker, at string, config corev1.PodDNSConfig) *Refusal {
	for i, server := range config.Nameservers {
		if _, err := netip.ParseAddr(server); err != nil {
			return refuse(index(at+".nameservers", i), ReasonInvalid, "%q is no IP address", server)
		}
	}
	for i, search := range config.Searches {
		name := strings.TrimSuffix(search, ".")
		if name == "" {
			continue
		}
		// Names with underscores are common in searches, and the API server takes them.
		if refusal := invalid(index(at+".searches", i), search, validation.IsDNS1123Subdomain(strings.ReplaceAll(name, "_", "x"))); refusal != nil {
			return refusal
		}
	}
	for i, option := range config.Options {
		if option.Name == "" || strings.ContainsAny(option.Name, " \t\n") {
			return refuse(index(at+".options", i)+".name", ReasonInvalid, "%q is no name of an option", option.Name)
		}
	}
	return nil
}

// imageNames are the names by which a policy may know an image: as it is written, without the scheme docker://, and, for one of a
// registry, its short and its long form. A path is cleaned, so that it can't lead out of an allowed directory.
func imageNames(image string) []string {
	if path.IsAbs(image) {
		return []string{path.Clean(image)}
	}
	scheme, rest, ok := strings.Cut(image, "://")
	if ok && scheme != "docker" {
		if strings.Contains(rest, "..") {
			return nil
		}
		return []string{image}
	}
	if !ok {
		rest = image
	}
	named, err := reference.ParseNormalizedNamed(rest)
	if err != nil {
		return nil
	}
	return []string{named.String(), reference.FamiliarString(named), image, rest}
}
