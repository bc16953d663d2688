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

package sandbox

import (
	"os"
	"path/filepath"
	"testing"
)

func TestUsageCountsWhatTheDiskHolds(t *testing.T) {
	dir := t.TempDir()
	empty, err := Usage(dir)
	if err != nil {
		t.Fatal(err)
	}
	deep := filepath.Join(dir, "deep")
	if err := os.Mkdir(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(deep, "file"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Link(filepath.Join(deep, "file"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(deep, "file"), 1<<30); err != nil { // a hole, which takes nothing
		t.Fatal(err)
	}
	got, err := Usage(dir)
	if err != nil || got < empty+1<<20 || got > empty+2<<20 {
		t.Errorf("a file of 1 MiB takes %d bytes more: %v", got-empty, err)
	}
	if _, err := Usage(filepath.Join(dir, "nowhere")); err != nil {
		t.Errorf("a directory that vanished: %v", err)
	}
}
