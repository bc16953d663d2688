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

package serving

import "testing"

func FuzzParseAddress(f *testing.F) {
	for _, text := range []string{"127.0.0.1:4000", "[::1]:0", "unix:///run/x", "hpc=unix:///a=b", "0", "hpc=0", "=:1", "a=b=c:1"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		address, listen, err := ParseAddress(text)
		if err != nil || !listen {
			return
		}
		if again, _, err := ParseAddress(address.String()); err != nil || again != address {
			t.Fatalf("%q is read as %+v, and that as %+v, %v", text, address, again, err)
		}
	})
}
