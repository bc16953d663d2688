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
	"flag"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/agent"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/jobdir"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/podrun"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/stage"
)

func runRun(args []string, _, stderr io.Writer) int {
	flags := flag.NewFlagSet("podrunner run", flag.ContinueOnError)
	flags.SetOutput(stderr)
	dir := flags.String("dir", "", "the job's directory")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	if *dir == "" || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "usage: podrunner run --dir DIR")
		return exitUsage
	}
	keepFilesToOneself()
	self, err := ownProgram()
	if err != nil {
		fmt.Fprintf(stderr, "podrunner: %v\n", err)
		return podrun.ExitBroken
	}
	return podrun.Run(podrun.Options{Dir: jobdir.Dir(*dir), Env: os.Environ(), Self: self, Log: stderr})
}

func runRank(args []string, _, stderr io.Writer) int {
	flags := flag.NewFlagSet("podrunner rank", flag.ContinueOnError)
	flags.SetOutput(stderr)
	dir := flags.String("dir", "", "the job's directory")
	container := flags.String("container", "", "the container's name")
	if err := flags.Parse(args); err != nil {
		return exitUsage
	}
	if *dir == "" || *container == "" || flags.NArg() > 0 {
		fmt.Fprintln(stderr, "usage: podrunner rank --dir DIR --container NAME")
		return exitUsage
	}
	self, err := ownProgram()
	if err != nil {
		fmt.Fprintf(stderr, "podrunner: %v\n", err)
		return podrun.ExitBroken
	}
	return podrun.Rank(podrun.Options{Dir: jobdir.Dir(*dir), Env: os.Environ(), Self: self, Log: stderr}, *container)
}

// keepFilesToOneself keeps what the batch script left open (a copy of this program that has no name any more) from what is started here.
func keepFilesToOneself() {
	const mostOfAShell = 10
	for fd := 3; fd < mostOfAShell; fd++ {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
			_, _ = unix.FcntlInt(uintptr(fd), unix.F_SETFD, flags|unix.FD_CLOEXEC)
		}
	}
}

// ownProgram is the file that this program is. One that was removed after it began (a copy on the node that nothing is to remain of) can
// still be reached by the process.
func ownProgram() (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(self); err != nil {
		return fmt.Sprintf("/proc/%d/exe", os.Getpid()), nil //nolint:nilerr // the way around it
	}
	return self, nil
}

func runAgent(args []string, _, stderr io.Writer) int {
	// The token is for those who look for what a job left behind.
	if len(args) != 2 || !strings.HasPrefix(args[0], "--token=") {
		fmt.Fprintln(stderr, "usage: podrunner agent --token=TOKEN SOCKET")
		return exitUsage
	}
	return agent.Main(args[1], stderr)
}

func runGuard(_ []string, _, _ io.Writer) int { return podrun.Guard() }

func runStage(_ []string, _, stderr io.Writer) int {
	return stage.Main(stderr)
}
