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

// Package arch holds the project to its layers: imports point one way,
//
//	cmd → controller, pluginapi → ledger, backend → workload, podlifecycle → api
//
// so that a backend can be understood without the reconciler, the endpoint without any backend, and the rules of a pod's life without
// anything.
package arch

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/remotejob-dev/remotejob-operator/"

// mayImport says what the packages below a directory may import of the project. A package goes by the longest path that fits it; an
// ending in /... stands for a directory and all below.
var mayImport = map[string][]string{
	// What a template may hold is not decoded unchecked by anybody.
	"api/v1alpha1": {"internal/strictjson"},

	"internal/strictjson": {},
	"internal/program":    {},
	"internal/version":    {},
	"internal/shellwords": {},
	"internal/faultpoint": {},
	"internal/arch":       {},
	"internal/metrics":    {},
	"internal/tracing":    {},

	"internal/podlifecycle": {"api/v1alpha1"},
	"internal/workload":     {"api/v1alpha1", "internal/shellwords"},
	"internal/probe":        {"internal/podlifecycle"},
	"internal/sandbox":      {},

	"internal/backend":         {"api/v1alpha1", "internal/workload", "internal/podlifecycle"},
	"internal/backend/sshconn": {"internal/backend"},
	"internal/backend/grace":   {},
	// The suite is part of tests alone, and takes its images and its registry from what tests have.
	"internal/backend/backendtest": {"api/v1alpha1", "internal/backend", "internal/workload", "internal/podlifecycle", "test/harness"},
	"internal/backend/docker": {
		"api/v1alpha1", "internal/backend", "internal/backend/grace", "internal/backend/sshconn", "internal/backend/docker/...", "internal/workload",
		"internal/podlifecycle", "internal/probe", "internal/sandbox", "internal/faultpoint", "internal/program", "internal/version",
	},
	"internal/backend/slurm": {
		"api/v1alpha1", "internal/backend", "internal/backend/grace", "internal/backend/sshconn", "internal/backend/slurm/...", "internal/workload",
		"internal/podlifecycle", "internal/probe", "internal/sandbox", "internal/faultpoint", "internal/program", "internal/shellwords", "internal/tracing", "internal/version",
	},

	"internal/serving": {},

	"internal/ledger":         {"api/v1alpha1", "internal/workload", "internal/podlifecycle", "internal/faultpoint", "internal/metrics"},
	"internal/pluginapi":      {"api/v1alpha1", "internal/ledger", "internal/strictjson", "internal/workload", "internal/faultpoint", "internal/version", "internal/metrics", "internal/tracing", "internal/serving"},
	"internal/pluginapi/gate": {"internal/pluginapi", "internal/serving"},
	"internal/pluginproxy":    {"internal/serving"},
	"internal/controller": {
		"api/v1alpha1", "internal/ledger", "internal/backend", "internal/workload", "internal/podlifecycle", "internal/faultpoint", "internal/metrics",
		"internal/tracing",
	},

	"cmd/manager": {
		"api/v1alpha1", "internal/controller", "internal/pluginapi", "internal/pluginapi/gate", "internal/pluginproxy", "internal/serving", "internal/ledger",
		"internal/backend", "internal/backend/docker", "internal/backend/slurm", "internal/workload", "internal/podlifecycle", "internal/program",
		"internal/version", "internal/metrics", "internal/tracing",
	},
	"cmd/kubectl-remotejob": {"api/v1alpha1", "internal/version"},
	"cmd/podrunner":         {"internal/backend/slurm/...", "internal/podlifecycle", "internal/probe", "internal/sandbox", "internal/workload", "internal/version"},

	// Tests from outside see what users see, and the names that jobs and fault points go by.
	"test": {"api/v1alpha1", "internal/workload", "internal/faultpoint", "test/..."},
	"hack": {"api/v1alpha1", "test/..."},
	// Docs are written from the rules.
	"hack/docs": {"internal/workload", "internal/backend/slurm/runtime"},
}

// testsMayImport is allowed to the test files of every package, beside what its other files may import.
var testsMayImport = []string{"test/harness/...", "internal/backend/backendtest"}

// pure packages decide and do not act: nothing that does I/O is imported there.
var pure = []string{"internal/podlifecycle", "internal/workload"}

var doesIO = []string{"net", "net/http", "os", "os/exec", "os/signal", "syscall", "log", "k8s.io/client-go/...", "sigs.k8s.io/controller-runtime/..."}

type goPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func TestImportsPointOneWay(t *testing.T) {
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		rule, ok := ruleFor(path)
		if !ok {
			t.Errorf("%s has no place in the layers: give it one here", path)
			continue
		}
		for _, imported := range ours(p.Imports) {
			if !matches(imported, mayImport[rule]) {
				t.Errorf("%s must not import %s", path, imported)
			}
		}
		for _, imported := range ours(slices.Concat(p.TestImports, p.XTestImports)) {
			if imported != path && !matches(imported, mayImport[rule]) && !matches(imported, testsMayImport) {
				t.Errorf("the tests of %s must not import %s", path, imported)
			}
		}
	}
}

func TestWhatDecidesDoesNotAct(t *testing.T) {
	for _, p := range packages(t) {
		if !slices.Contains(pure, strings.TrimPrefix(p.ImportPath, module)) {
			continue
		}
		for _, imported := range p.Imports {
			if matches(imported, doesIO) {
				t.Errorf("%s must not import %s: it is to decide without looking around", p.ImportPath, imported)
			}
		}
	}
}

func TestRulesOfTheLayers(t *testing.T) {
	for _, forbidden := range []struct{ from, to string }{
		{"internal/pluginapi", "internal/backend"},
		{"internal/pluginapi", "internal/controller"},
		{"internal/ledger", "internal/backend"},
		{"internal/backend/docker", "internal/ledger"},
		{"internal/backend/docker", "internal/controller"},
		{"internal/backend/slurm", "internal/controller"},
		{"internal/backend/slurm/sbatch", "internal/pluginapi"},
		{"internal/controller", "internal/backend/docker"},
		{"internal/workload", "internal/backend"},
		{"api/v1alpha1", "internal/workload"},
	} {
		rule, ok := ruleFor(forbidden.from)
		if !ok || matches(forbidden.to, mayImport[rule]) {
			t.Errorf("the table lets %s import %s", forbidden.from, forbidden.to)
		}
	}
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", module+"...")
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v: %s", err, stderr.String())
	}
	var list []goPackage
	for decoder := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	if len(list) < len(mayImport)/2 {
		t.Fatalf("go list names only %d packages", len(list))
	}
	return list
}

// ours are the project's own among the imports, without the module's path.
func ours(imports []string) []string {
	var list []string
	for _, path := range imports {
		if own, ok := strings.CutPrefix(path, module); ok {
			list = append(list, own)
		}
	}
	return list
}

// ruleFor is the longest path in the table that a package lies at or below.
func ruleFor(path string) (string, bool) {
	for candidate := path; ; {
		if _, ok := mayImport[candidate]; ok {
			return candidate, true
		}
		slash := strings.LastIndexByte(candidate, '/')
		if slash < 0 {
			return "", false
		}
		candidate = candidate[:slash]
	}
}

func matches(path string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		if dir, ok := strings.CutSuffix(pattern, "/..."); ok {
			return path == dir || strings.HasPrefix(path, dir+"/")
		}
		return path == pattern
	})
}
