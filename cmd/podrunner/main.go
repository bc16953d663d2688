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

// Podrunner is the part of the operator that runs beside a pod's containers. It is static and needs nothing but a kernel.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/remotejob-dev/remotejob-operator/internal/version"
)

// command is one of podrunner's commands. It returns the exit status.
type command struct {
	name, summary string
	run           func(args []string, stdout, stderr io.Writer) int
}

// exitUsage is the exit status of a call that makes no sense.
const exitUsage = 2

func commands() []command {
	return []command{
		{"pause", "hold a pod's namespaces until SIGTERM, and reap what dies in them", runPause},
		{"probe", "ask over the network what stdin says, a line of JSON each, and answer on stdout", runProbe},
		{"usage", "print how many bytes of the disk directories take", runUsage},
		{"dns", "put the pod's DNS settings, as JSON, into its resolv.conf", runDNS},
		{"run", "run the pod of a job's directory inside of a batch job", runRun},
		{"logs", "print a container's log from a job's directory", runLogs},
		{"sweep", "say what is new of the jobs that stdin names, a line of JSON each", runSweep},
		{"agent", "run a container's command inside of it (used by run)", runAgent},
		{"guard", "clean up should podrunner be killed (used by run)", runGuard},
		{"rank", "run one rank of a container on this node (used by run)", runRank},
		{"stage", "set the scene for a container (used by run)", runStage},
		{"mux", "run the commands that stdin asks for side by side, and end them with it", runMux},
		{"version", "print the version", runVersion},
	}
}

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

func run(args []string, stdout, stderr io.Writer) int {
	if len(args) > 0 {
		for _, c := range commands() {
			if c.name == args[0] {
				return c.run(args[1:], stdout, stderr)
			}
		}
		fmt.Fprintf(stderr, "podrunner: unknown command %q\n", args[0])
	}
	fmt.Fprintln(stderr, "usage: podrunner COMMAND")
	for _, c := range commands() {
		fmt.Fprintf(stderr, "  %-7s  %s\n", c.name, c.summary)
	}
	return exitUsage
}

func runVersion(_ []string, stdout, _ io.Writer) int {
	fmt.Fprintln(stdout, version.Get())
	return 0
}
