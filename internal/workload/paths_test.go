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
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFilePaths(t *testing.T) {
	long := strings.Repeat("n", 255)
	for p, want := range map[string]string{
		"a": "a", "a/b": "a/b", "a//b": "a/b", "./a": "a", "a/./b": "a/b", ".hidden": ".hidden", "a/..b": "a/..b", "a b": "a b", "ü": "ü",
		"a..": "a..", long: long, "a/" + long: "a/" + long,
	} {
		if got, problem := cleanFilePath(p); got != want || problem != "" {
			t.Errorf("%q is %q (%s), want %q", p, got, problem, want)
		}
	}
	for _, p := range []string{
		"", "/", "/a", ".", "./", "a/", "..", "../a", "..a", "./..a", "./../a", "a/..", "a/../b", "a/../../b", "a\x00b", long + "n", strings.Repeat("a/", 2048) + "a",
	} {
		if got, problem := cleanFilePath(p); problem == "" {
			t.Errorf("%q is taken for %q", p, got)
		}
	}
}

func TestSubPathShowsAFileOrADirectory(t *testing.T) {
	v := FileVolume{Files: []File{{Path: "a"}, {Path: "d/e"}, {Path: "d/f/g"}, {Path: "da"}}}
	for sub, want := range map[string]struct {
		paths      []string
		isFile, ok bool
	}{
		"a":       {[]string{"a"}, true, true},
		"./a":     {[]string{"a"}, true, true},
		"d":       {[]string{"e", "f/g"}, false, true},
		"d/":      {[]string{"e", "f/g"}, false, true},
		"d//f":    {[]string{"g"}, false, true},
		"d/f/g":   {[]string{"g"}, true, true},
		".":       {[]string{"a", "d/e", "d/f/g", "da"}, false, true},
		"none":    {nil, false, false},
		"a/b":     {nil, false, false},
		"":        {nil, false, false},
		"/a":      {nil, false, false},
		"../a":    {nil, false, false},
		"d/../a":  {nil, false, false},
		"a\x00":   {nil, false, false},
		"d/f/g/h": {nil, false, false},
	} {
		files, isFile, ok := SubPath(v, sub)
		var paths []string
		for _, file := range files {
			paths = append(paths, file.Path)
		}
		if !slices.Equal(paths, want.paths) || isFile != want.isFile || ok != want.ok {
			t.Errorf("%q shows %q, a file: %v, ok: %v", sub, paths, isFile, ok)
		}
	}
	if v.Files[1].Path != "d/e" {
		t.Error("the volume itself changed")
	}
}

func FuzzFilePath(f *testing.F) {
	for _, seed := range []string{"a", "../a", "a/../b", "/a", "a//b", ".", "..", "a\x00", "..a", "./..a", strings.Repeat("a/", 100)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, p string) {
		clean, problem := cleanFilePath(p)
		if problem != "" {
			return
		}
		stays(t, p, clean)
		if again, problem := cleanFilePath(clean); again != clean || problem != "" {
			t.Fatalf("%q is clean and becomes %q (%s)", clean, again, problem)
		}
	})
}

// stays fails unless a path names something inside of the directory that it is joined to, and not the directory itself.
func stays(t *testing.T, from, clean string) {
	t.Helper()
	const root = string(os.PathSeparator) + "volume"
	joined := filepath.Join(root, clean)
	if !strings.HasPrefix(joined, root+"/") || !filepath.IsLocal(clean) || joined != root+"/"+clean || strings.ContainsRune(clean, 0) {
		t.Fatalf("%q becomes %q, which is %q in a volume", from, clean, joined)
	}
}

func FuzzSubPath(f *testing.F) {
	for _, seed := range []string{"a", "../a", "a/../b", "/a", "d//f", ".", "..", "d", "d/f/g"} {
		f.Add(seed, "d/f/g", "a")
	}
	f.Fuzz(func(t *testing.T, sub, one, two string) {
		set := &fileSet{volume: "v"}
		for _, p := range []string{one, two} {
			if set.add("at", p, nil, nil, nil) != nil {
				return
			}
		}
		v, err := set.done("at")
		if err != nil {
			return
		}
		files, isFile, ok := SubPath(v, sub)
		if !ok {
			if len(files) > 0 {
				t.Fatal("it shows files and is not ok")
			}
			return
		}
		if !isFile && filepath.Clean(sub) != "." && !filepath.IsLocal(sub) {
			t.Fatalf("%q leads out of the volume", sub)
		}
		if isFile && len(files) != 1 {
			t.Fatalf("%q is one file and shows %d", sub, len(files))
		}
		for _, file := range files {
			stays(t, sub, file.Path)
		}
	})
}
