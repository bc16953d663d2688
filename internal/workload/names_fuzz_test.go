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

package workload

import (
	"path"
	"strings"
	"testing"

	"github.com/distribution/reference"
)

// FuzzImageNames finds the names by which a policy knows an image. One that leads out of a directory is known by where it leads to, and
// one that a registry could give out is known by its whole name.
func FuzzImageNames(f *testing.F) {
	for _, image := range []string{"busybox", "docker://busybox:1", "/cvmfs/x/../y.sif", "oras://reg.example/a", "file://../x", "docker:///x", "UPPER", "", "a/../b", "reg.example:5000/a@sha256:" + strings.Repeat("0", 64)} {
		f.Add(image)
	}
	f.Fuzz(func(t *testing.T, image string) {
		names := imageNames(image)
		for _, name := range names {
			if path.IsAbs(name) && path.Clean(name) != name {
				t.Fatalf("%q is known as %q", image, name)
			}
		}
		rest := strings.TrimPrefix(image, "docker://")
		if named, err := reference.ParseNormalizedNamed(rest); err == nil && !path.IsAbs(image) {
			if len(names) == 0 || names[0] != named.String() {
				t.Fatalf("%q is known as %q, not as %s", image, names, named)
			}
		}
	})
}
