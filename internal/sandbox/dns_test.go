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

import "testing"

func TestDNSOfAPod(t *testing.T) {
	const machine = "# made by hand\nnameserver 10.0.0.1\nsearch old.example\nsearch example.com .\noptions ndots:1 edns0\n"
	tests := []struct {
		name, file string
		dns        DNS
		want       string
	}{
		{name: "what the pod says comes after the machine's own", file: machine,
			dns:  DNS{Nameservers: []string{"1.1.1.1"}, Searches: []string{"pod.example"}, Options: []string{"rotate"}},
			want: "nameserver 10.0.0.1\nnameserver 1.1.1.1\nsearch example.com pod.example\noptions ndots:1 edns0 rotate\n"},
		{name: "an option takes the place of one of its name", file: machine, dns: DNS{Options: []string{"ndots:5"}},
			want: "nameserver 10.0.0.1\nsearch example.com\noptions edns0 ndots:5\n"},
		{name: "with replace nothing of the machine's is kept", file: machine, dns: DNS{Replace: true, Nameservers: []string{"9.9.9.9"}},
			want: "nameserver 9.9.9.9\n"},
		{name: "three nameservers are all that a resolver looks at", file: machine, dns: DNS{Nameservers: []string{"1.1.1.1", "10.0.0.1", "2.2.2.2", "3.3.3.3"}},
			want: "nameserver 10.0.0.1\nnameserver 1.1.1.1\nnameserver 2.2.2.2\nsearch example.com\noptions ndots:1 edns0\n"},
		{name: "an empty file", dns: DNS{}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := test.dns.Apply(test.file)
			if got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
			if again := test.dns.Apply(got); again != got {
				t.Errorf("applied twice it is %q, once %q", again, got)
			}
		})
	}
}
