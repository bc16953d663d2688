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
	"fmt"
	"strings"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/runtime"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// backendKinds is the table of what each backend can do: the one by which pods are refused.
func backendKinds() string {
	var b strings.Builder
	yes := func(is bool) string {
		if is {
			return "yes"
		}
		return "no"
	}
	row := func(first, docker string, cell func(kind string) string) {
		b.WriteString("| " + first + " | " + docker + " |")
		for _, kind := range runtime.Types {
			b.WriteString(" " + cell(kind) + " |")
		}
		b.WriteString("\n")
	}
	row("", "Docker", func(kind string) string { return "SLURM, " + kind })
	row("---", "---", func(string) string { return "---" })
	row("runs images", "yes", func(kind string) string { return yes(runtime.HasImages(kind)) })
	row("knows what an image runs by itself, so a container need not name a command", "yes", func(kind string) string { return yes(runtime.KnowsCommands(kind)) })
	row("gives each pod a network of its own", "yes", func(kind string) string { return yes(!runtime.SharesNodeNetwork(kind)) })
	docker := workload.DockerAbilities()
	for _, f := range workload.AllFeatures {
		row(fmt.Sprint(f), yes(docker.Has(f)), func(kind string) string { return yes(runtime.Features(kind)[f]) })
	}
	return b.String()
}
