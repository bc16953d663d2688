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

package program

import (
	"bytes"
	"crypto/sha256"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAProgramStaysTheSameThoughAnotherGetsItsName(t *testing.T) {
	name := filepath.Join(t.TempDir(), "podrunner")
	first := bytes.Repeat([]byte("first "), 100_000)
	write(t, name, first)
	p, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	write(t, name+".new", []byte("second"))
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
	if p.Size() != int64(len(first)) || p.Sum() != sha256.Sum256(first) {
		t.Errorf("it has %d bytes and the sum %x", p.Size(), p.Sum())
	}
	one, other := p.Reader(), p.Reader()
	if _, err := io.CopyN(io.Discard, one, 1000); err != nil {
		t.Fatal(err)
	}
	for rest, r := range map[int]io.Reader{len(first) - 1000: one, len(first): other} {
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, first[len(first)-rest:]) {
			t.Errorf("a reader gave %d bytes of %d, %v", len(got), rest, err)
		}
	}
}

func TestWhatIsNoProgramIsNotTaken(t *testing.T) {
	dir := t.TempDir()
	empty := filepath.Join(dir, "empty")
	write(t, empty, nil)
	for name, word := range map[string]string{filepath.Join(dir, "none"): "no such file", empty: "empty", dir: "directory"} {
		if _, err := Open(name); err == nil || !strings.Contains(err.Error(), word) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v, want a word of %q", name, err, word)
		}
	}
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
