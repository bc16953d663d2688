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

package docker

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/remotejob-dev/remotejob-operator/internal/program"
)

func TestTheInfraImageIsTheSameForTheSameProgram(t *testing.T) {
	content := bytes.Repeat([]byte("machine code "), 10_000)
	name := filepath.Join(t.TempDir(), "podrunner")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	binary, err := program.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	image := func() []byte {
		t.Helper()
		a, err := imageArchive("name:tag", binary, "arm64")
		if err != nil {
			t.Fatal(err)
		}
		bytes, err := io.ReadAll(a.read())
		if err != nil {
			t.Fatal(err)
		}
		return bytes
	}
	first := image()
	if !bytes.Equal(first, image()) {
		t.Error("it is not the same when it is made again")
	}

	files := untar(t, first)
	var manifest []struct {
		Config           string
		RepoTags, Layers []string
	}
	var config struct {
		Architecture string
		RootFS       struct {
			DiffIDs []string `json:"diff_ids"`
		}
	}
	if err := errors.Join(json.Unmarshal(files["manifest.json"], &manifest), json.Unmarshal(files[manifest[0].Config], &config)); err != nil {
		t.Fatal(err)
	}
	layer := files[manifest[0].Layers[0]]
	sum := sha256.Sum256(layer)
	if want := []string{"sha256:" + hex.EncodeToString(sum[:])}; !slices.Equal(config.RootFS.DiffIDs, want) || config.Architecture != "arm64" {
		t.Errorf("the configuration is of %s and has the layers %v, want %v", config.Architecture, config.RootFS.DiffIDs, want)
	}
	if got := untar(t, layer)["podrunner"]; !bytes.Equal(got, content) {
		t.Errorf("podrunner has %d bytes in it, want %d", len(got), len(content))
	}
	if got := slices.Sorted(maps.Keys(untar(t, layer))); !slices.Equal(got, []string{"files/", "messages/", "podrunner", "volumes/"}) {
		t.Errorf("it holds %v", got)
	}
}

func TestAnArchiveWhoseFileCannotBeReadIsNoArchive(t *testing.T) {
	broken := errors.New("the disk is broken")
	for name, write := range map[string]func(io.Writer) error{
		"an error":  func(io.Writer) error { return broken },
		"too short": func(w io.Writer) error { _, err := w.Write([]byte("half")); return err },
	} {
		stream := archive{{name: "a", size: 8, write: write}, {name: "b", data: []byte("more")}}.read()
		if _, err := io.ReadAll(stream); err == nil || name == "an error" && !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func untar(t *testing.T, data []byte) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err == nil {
			files[header.Name], err = io.ReadAll(r)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
