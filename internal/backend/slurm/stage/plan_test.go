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

package stage

import (
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"strings"
	"testing"
)

// fakeTree has directories (nil), files ("") and links (their targets) by path.
type fakeTree map[string]*string

func ptr(s string) *string { return &s }

func (t fakeTree) kind(name string) (fs.FileMode, error) {
	to, ok := t[name]
	switch {
	case !ok:
		return 0, fs.ErrNotExist
	case to == nil:
		return fs.ModeDir, nil
	case *to == "":
		return 0, nil
	}
	return fs.ModeSymlink, nil
}

func (t fakeTree) entries(name string) ([]string, error) {
	if _, ok := t[name]; !ok {
		return nil, fs.ErrNotExist
	}
	var names []string
	for p := range t {
		if p != "/" && path.Dir(p) == name {
			names = append(names, path.Base(p))
		}
	}
	return names, nil
}

func (t fakeTree) link(name string) (string, error) { return *t[name], nil }

func (t fakeTree) resolve(name string) (string, error) {
	for range 10 {
		to, ok := t[name]
		switch {
		case !ok:
			return "", fs.ErrNotExist
		case to == nil || *to == "":
			return name, nil
		}
		name = path.Join(path.Dir(name), *to)
		if path.IsAbs(*to) {
			name = *to
		}
	}
	return "", fmt.Errorf("too many links")
}

func host() fakeTree {
	return fakeTree{"/": nil, "/bin": ptr("usr/bin"), "/usr": nil, "/usr/bin": nil, "/etc": nil, "/etc/hosts": ptr(""), "/etc/passwd": ptr(""),
		"/dev": nil, "/dev/null": ptr(""), "/run": nil, "/var": nil, "/var/run": ptr("/run"), "/data": nil, "/broken": ptr("/nowhere")}
}

func TestATreeIsShownWithAPlaceForEveryMount(t *testing.T) {
	dir, file := func(p string) Mount { return Mount{Source: "/s", Target: p} }, func(p string) Mount { return Mount{Source: "/s", Target: p, File: true} }
	for name, c := range map[string]struct {
		mounts  []Mount
		steps   string
		targets string
	}{
		"nothing to mount":                {nil, "", ""},
		"places that are there":           {[]Mount{dir("/data"), file("/etc/hosts")}, "", "/data /etc/hosts"},
		"a place through a link":          {[]Mount{dir("/var/run")}, "", "/run"},
		"a missing one in the root":       {[]Mount{dir("/x")}, "link:/bin=usr/bin link:/broken=/nowhere show:/data show:/dev show:/etc show:/run show:/usr show:/var dir:/x", "/x"},
		"a missing file in a directory":   {[]Mount{file("/dev/log")}, "link:/bin=usr/bin link:/broken=/nowhere show:/data show:/etc show:/run show:/usr show:/var dir:/dev show-file:/dev/null file:/dev/log", "/dev/log"},
		"a missing one behind a link":     {[]Mount{dir("/var/run/y")}, "link:/bin=usr/bin link:/broken=/nowhere show:/data show:/dev show:/etc show:/usr show:/var dir:/run dir:/run/y", "/run/y"},
		"a deep one":                      {[]Mount{dir("/a/b/c")}, "link:/bin=usr/bin link:/broken=/nowhere show:/data show:/dev show:/etc show:/run show:/usr show:/var dir:/a dir:/a/b dir:/a/b/c", "/a/b/c"},
		"one inside another":              {[]Mount{dir("/data/in"), dir("/data")}, "", "/data /data/in"},
		"one inside a missing one":        {[]Mount{file("/x/f"), dir("/x")}, "link:/bin=usr/bin link:/broken=/nowhere show:/data show:/dev show:/etc show:/run show:/usr show:/var dir:/x", "/x /x/f"},
		"one on the root of all the rest": {[]Mount{dir("/data/")}, "", "/data"},
	} {
		t.Run(name, func(t *testing.T) {
			steps, mounts, err := plan(host(), c.mounts)
			if err != nil {
				t.Fatal(err)
			}
			var got, targets []string
			for _, s := range steps {
				line := string(s.kind) + ":" + s.path
				if s.link != "" {
					line += "=" + s.link
				}
				got = append(got, line)
			}
			for _, m := range mounts {
				targets = append(targets, m.Target)
			}
			if strings.Join(got, " ") != c.steps || strings.Join(targets, " ") != c.targets {
				t.Errorf("got  %s\nwant %s\ntargets %v", strings.Join(got, " "), c.steps, targets)
			}
		})
	}
}

func TestPlacesThatCantBeAreRefused(t *testing.T) {
	for name, m := range map[string]Mount{
		"a directory on a file":     {Target: "/etc/hosts"},
		"a file on a directory":     {Target: "/data", File: true},
		"below a file":              {Target: "/etc/hosts/x"},
		"through a link to nowhere": {Target: "/broken/x"},
	} {
		if steps, _, err := plan(host(), []Mount{m}); err == nil {
			t.Errorf("%s: got %v", name, steps)
		}
	}
}

func TestOuterMountsComeFirst(t *testing.T) {
	got := Sorted([]Mount{{Target: "/a/b/c"}, {Target: "/a"}, {Target: "/"}, {Target: "/a/b/"}})
	if want := []Mount{{Target: "/"}, {Target: "/a"}, {Target: "/a/b"}, {Target: "/a/b/c"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v", got)
	}
}
