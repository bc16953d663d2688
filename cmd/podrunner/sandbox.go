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

package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/remotejob-dev/remotejob-operator/internal/sandbox"
)

// runUsage prints how many bytes of the disk each directory takes.
func runUsage(dirs []string, stdout, stderr io.Writer) int {
	for _, dir := range dirs {
		bytes, err := sandbox.Usage(dir)
		if err != nil {
			fmt.Fprintln(stderr, "podrunner:", err)
			return 1
		}
		fmt.Fprintln(stdout, bytes)
	}
	return 0
}

// runDNS puts what the pod says of its DNS, as JSON, into the resolv.conf that its containers share.
func runDNS(args []string, _, stderr io.Writer) int {
	const file = "/etc/resolv.conf"
	var dns sandbox.DNS
	if len(args) != 1 || json.Unmarshal([]byte(args[0]), &dns) != nil {
		fmt.Fprintln(stderr, "usage: podrunner dns JSON")
		return exitUsage
	}
	text, err := os.ReadFile(file)
	if err == nil {
		// In place, since the file is mounted as such.
		err = os.WriteFile(file, []byte(dns.Apply(string(text))), 0o644) //nolint:gosec // everybody resolves names
	}
	if err != nil {
		fmt.Fprintln(stderr, "podrunner:", err)
		return 1
	}
	return 0
}
