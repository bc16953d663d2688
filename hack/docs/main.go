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

// Command docs writes what is generated in docs/: tables of a pod's fields and of the two kinds. It keeps all that stands between them.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: docs CRDS OUT: reads the CRDs in one directory and writes docs/*.md below the other; run it in the repository's root")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
		os.Exit(1)
	}
}

// run writes anew the generated parts of all files in docs/ that have any.
func run(crds, out string) error {
	generated, err := tables(crds)
	if err != nil {
		return err
	}
	files, err := filepath.Glob("docs/*.md")
	if err != nil {
		return err
	}
	used := map[string]bool{}
	for _, file := range files {
		before, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		after, names, err := replaceRegions(string(before), generated)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if len(names) == 0 {
			continue
		}
		for _, name := range names {
			used[name] = true
		}
		if err := write(filepath.Join(out, file), after); err != nil {
			return err
		}
	}
	for name := range generated {
		if !used[name] {
			return errors.New("no file in docs/ has a place for the table " + name)
		}
	}
	return nil
}

// tables are all that is generated, by name.
func tables(crds string) (map[string]string, error) {
	out := map[string]string{"pod-fields": podFields(), "policy-fields": policyFields(), "backends": backendKinds()}
	for _, kind := range []string{"remotejobs", "remotebackends"} {
		table, err := kindFields(filepath.Join(crds, "remotejob.dev_"+kind+".yaml"))
		if err != nil {
			return nil, err
		}
		out[kind] = table
	}
	return out, nil
}

func write(file, content string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(content), 0o644)
}
