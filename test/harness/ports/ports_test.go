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

package ports

import (
	"net"
	"strconv"
	"testing"
)

func TestNoPortIsGivenTwiceAndNoneThatIsInUse(t *testing.T) {
	seen := map[int]bool{}
	for range 300 {
		port, err := Free()
		if err != nil {
			t.Fatal(err)
		}
		if seen[port] {
			t.Fatalf("port %d was given twice", port)
		}
		seen[port] = true
		l, err := net.Listen("tcp", "127.0.0.1:"+strconv.Itoa(port))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
	}
}

func TestPortsAreNotThoseThatTheKernelGivesAway(t *testing.T) {
	for kernel, want := range map[string][2]int{
		"32768\t60999\n": {11000, 32767},
		"49152\t65535\n": {11000, 32767},
		"20000\t60999\n": {11000, 19999},
		"1024\t60999\n":  {61000, 65535},
		"1024\t5000\n":   {11000, 65535},
		"1024\t65535\n":  {11000, 32767},
		"":               {11000, 32767},
	} {
		if from, to := between(kernel); from != want[0] || to != want[1] {
			t.Errorf("%q: from %d to %d", kernel, from, to)
		}
	}
}
