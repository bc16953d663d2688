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
	"errors"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
)

// below is the tree of the files below a directory, "" for the machine's root.
type below string

func (b below) at(name string) string { return filepath.Join(string(b), "/"+name) }

func (b below) kind(name string) (fs.FileMode, error) {
	info, err := os.Lstat(b.at(name))
	if err != nil {
		return 0, err
	}
	return info.Mode(), nil
}

func (b below) entries(name string) ([]string, error) {
	dir, err := os.Open(b.at(name))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Readdirnames(-1)
}

func (b below) link(name string) (string, error) { return os.Readlink(b.at(name)) }

// maxLinks is how many symbolic links are followed in one path.
const maxLinks = 40

// resolve follows links as they lead for a program whose root is the directory: an absolute one begins there, and none leads out of it.
func (b below) resolve(name string) (string, error) {
	done := "/"
	rest := strings.Split(strings.Trim(path.Clean(name), "/"), "/")
	for links := 0; len(rest) > 0; {
		next := rest[0]
		rest = rest[1:]
		switch next {
		case "", ".":
			continue
		case "..":
			done = path.Dir(done)
			continue
		}
		p := path.Join(done, next)
		kind, err := b.kind(p)
		if err != nil {
			return "", err
		}
		if kind&fs.ModeSymlink == 0 {
			done = p
			continue
		}
		if links++; links > maxLinks {
			return "", syscall.ELOOP
		}
		to, err := b.link(p)
		if err != nil {
			return "", err
		}
		if path.IsAbs(to) {
			done = "/"
		}
		rest = append(strings.Split(strings.Trim(to, "/"), "/"), rest...)
	}
	return done, nil
}

// Below is a path in a directory with all links followed as if the directory were the root: none leads out of it.
func Below(dir, name string) (string, error) {
	followed, err := below(dir).resolve(name)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, followed), nil
}

func isMissing(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR)
}
