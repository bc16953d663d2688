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
	"context"
	"fmt"
	"io"
	"os"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/slurm/mux"
)

// runMux serves commands to the operator over one session of its connection to a login node, until that ends.
func runMux(_ []string, stdout, stderr io.Writer) int {
	if err := mux.Serve(context.Background(), os.Stdin, stdout); err != nil {
		fmt.Fprintln(stderr, "podrunner mux:", err)
		return 1
	}
	return 0
}
