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

// Package sandbox holds what podrunner does inside of a pod's sandbox, from where the pod's network settings and volumes can be reached,
// whoever's they are.
package sandbox

import (
	"slices"
	"strings"
)

// DNS is what a pod says of its resolv.conf.
type DNS struct {
	// Replace is set where nothing of the machine's is kept.
	Replace bool `json:"replace,omitempty"`
	// Nameservers, Searches and Options (as name or name:value) come after the machine's own; an option takes the place of one of its name.
	Nameservers []string `json:"nameservers,omitempty"`
	Searches    []string `json:"searches,omitempty"`
	Options     []string `json:"options,omitempty"`
}

// Bounds of a resolv.conf, as the kubelet has them.
const (
	maxNameservers = 3
	maxSearches    = 32
)

// Apply is a resolv.conf with what the pod says of it. To apply it again changes nothing.
func (d DNS) Apply(file string) string {
	var nameservers, searches, options []string
	if !d.Replace {
		nameservers, searches, options = parseResolvConf(file)
	}
	nameservers = union(nameservers, d.Nameservers, maxNameservers)
	searches = union(searches, d.Searches, maxSearches)
	for _, option := range d.Options {
		options = slices.DeleteFunc(options, func(other string) bool { return optionName(other) == optionName(option) })
		options = append(options, option)
	}
	var out strings.Builder
	for _, server := range nameservers {
		out.WriteString("nameserver " + server + "\n")
	}
	if len(searches) > 0 {
		out.WriteString("search " + strings.Join(searches, " ") + "\n")
	}
	if len(options) > 0 {
		out.WriteString("options " + strings.Join(options, " ") + "\n")
	}
	return out.String()
}

// parseResolvConf reads what counts of a resolv.conf: of several search lines the last one.
func parseResolvConf(file string) (nameservers, searches, options []string) {
	for line := range strings.Lines(file) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			nameservers = append(nameservers, fields[1])
		case "search", "domain":
			searches = slices.DeleteFunc(slices.Clone(fields[1:]), func(s string) bool { return s == "." })
		case "options":
			options = append(options, fields[1:]...)
		}
	}
	return nameservers, searches, options
}

func union(first, more []string, most int) []string {
	var all []string
	for _, s := range slices.Concat(first, more) {
		if !slices.Contains(all, s) {
			all = append(all, s)
		}
	}
	return all[:min(len(all), most)]
}

func optionName(option string) string {
	name, _, _ := strings.Cut(option, ":")
	return name
}
