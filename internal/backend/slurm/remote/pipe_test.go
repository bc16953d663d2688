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

package remote

import (
	"bytes"
	"os"
	"os/exec"
	"testing"
)

// TestWhatWasUnpackedGoesThoughNobodyHearsTheScript has the line cut after the archive has arrived and before the script says what came of it.
func TestWhatWasUnpackedGoesThoughNobodyHearsTheScript(t *testing.T) {
	var archive bytes.Buffer
	tar := newTarWriter(&archive)
	if err := tar.File("file", 0o600, []byte("content")); err != nil {
		t.Fatal(err)
	}
	if err := tar.seal(); err != nil {
		t.Fatal(err)
	}
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	_ = reader.Close()
	parent := t.TempDir()
	script := exec.Command("sh", "-c", unpack+"[ -f \"$new/file\" ] && : >\"$1/arrived\"; printf 'said\\n'; printf 'said\\n'; exit 0", "unpack", newUpload(parent), seal, parent)
	script.Stdin, script.Stdout = &archive, writer
	_ = script.Run()
	_ = writer.Close()
	entries, err := os.ReadDir(parent)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != "arrived" {
		t.Errorf("there is %v", entries)
	}
}
