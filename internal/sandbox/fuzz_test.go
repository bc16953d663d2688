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

package sandbox

import (
	"strings"
	"testing"
)

// FuzzDNS puts what a pod says of its DNS into any file. Again changes nothing, and nothing but DNS is in it afterwards.
func FuzzDNS(f *testing.F) {
	f.Add("nameserver 10.0.0.1\nsearch a b\noptions ndots:5 rotate\n", false)
	f.Add("# a comment\ndomain .\nnameserver\nsearch . x\r\noptions ndots:1\noptions ndots:2", true)
	f.Fuzz(func(t *testing.T, file string, replace bool) {
		dns := DNS{Replace: replace, Nameservers: []string{"10.9.9.9"}, Searches: []string{"example.org"}, Options: []string{"ndots:2", "edns0"}}
		got := dns.Apply(file)
		if again := dns.Apply(got); again != got {
			t.Fatalf("%q becomes %q and then %q", file, got, again)
		}
		for line := range strings.Lines(got) {
			word, rest, _ := strings.Cut(line, " ")
			if (word != "nameserver" && word != "search" && word != "options") || strings.TrimSpace(rest) == "" {
				t.Fatalf("%q holds the line %q", got, line)
			}
		}
	})
}
