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
	"maps"
	"path"
	"slices"
	"strings"
)

// maxEntries bounds how many entries of a directory are shown one by one.
const maxEntries = 4000

// tree is what a plan needs to know of the files below a directory.
type tree interface {
	// kind of a file, its last link not followed; fs.ErrNotExist where there is none.
	kind(name string) (fs.FileMode, error)
	// entries of a directory.
	entries(name string) ([]string, error)
	// resolve follows every link of a path that exists.
	resolve(name string) (string, error)
	// link is where a symbolic link leads.
	link(name string) (string, error)
}

// stepKind is one way to make something in the new tree.
type stepKind string

const (
	makeDir  stepKind = "dir"
	makeFile stepKind = "file"
	makeLink stepKind = "link"
	// showDir and showFile show the original at the same place.
	showDir  stepKind = "show"
	showFile stepKind = "show-file"
)

// step makes one thing in the new tree.
type step struct {
	kind stepKind
	path string
	link string
}

// spot is a place that a mount needs and the tree does not have, or a directory on the way to one.
type spot struct {
	file     bool
	children map[string]*spot
}

// plan says how to show a tree so that every mount has its place, and the mounts with their targets resolved. Without any step the tree
// has all places as it is. Directories in which something is missing are made anew, with each of their entries shown in them.
func plan(t tree, mounts []Mount) ([]step, []Mount, error) {
	root := &spot{children: map[string]*spot{}}
	mounts = Sorted(mounts)
	for i := range mounts {
		m := &mounts[i]
		target, missing, err := place(t, m)
		if err != nil {
			return nil, nil, err
		}
		// What lies in a place that was mounted before is that mount's to have.
		m.Target = target
		if missing && !covered(mounts[:i], target) {
			root.add(target, m.File)
		}
	}
	if len(root.children) == 0 {
		return nil, mounts, nil
	}
	var steps []step
	err := compose(t, root, "/", &steps)
	return steps, mounts, err
}

// place is a mount's target with the links of what exists of it followed, and whether it is missing.
func place(t tree, m *Mount) (target string, missing bool, err error) {
	rest := ""
	for at := m.Target; ; at = path.Dir(at) {
		_, err := t.kind(at)
		if isMissing(err) && at != "/" {
			rest = path.Join(path.Base(at), rest)
			continue
		}
		if err != nil {
			return "", false, fmt.Errorf("look for %s: %w", m.Target, err)
		}
		followed, err := t.resolve(at)
		if isMissing(err) {
			return "", false, fmt.Errorf("mount at %s: %s is a link that leads nowhere", m.Target, at)
		}
		if err != nil {
			return "", false, fmt.Errorf("look for %s: %w", m.Target, err)
		}
		kind, err := t.kind(followed)
		if err != nil {
			return "", false, fmt.Errorf("look for %s: %w", m.Target, err)
		}
		switch {
		case rest != "" && !kind.IsDir():
			return "", false, fmt.Errorf("mount at %s: %s is no directory", m.Target, at)
		case rest == "" && m.File == kind.IsDir():
			return "", false, fmt.Errorf("mount at %s: a directory does not go onto a file, nor a file onto a directory", m.Target)
		}
		return path.Join(followed, rest), rest != "", nil
	}
}

func covered(before []Mount, target string) bool {
	return slices.ContainsFunc(before, func(m Mount) bool {
		if m.Source == "" {
			return false // only a place, which covers nothing
		}
		return m.Target == target || strings.HasPrefix(target, strings.TrimSuffix(m.Target, "/")+"/")
	})
}

func (s *spot) add(target string, file bool) {
	for _, name := range strings.Split(strings.Trim(target, "/"), "/") {
		next := s.children[name]
		if next == nil {
			next = &spot{children: map[string]*spot{}}
			s.children[name] = next
		}
		s = next
	}
	s.file = file
}

// compose makes a directory anew: what is missing in it, and what it has.
func compose(t tree, s *spot, at string, steps *[]step) error {
	names, err := t.entries(at)
	if err != nil && !isMissing(err) {
		return fmt.Errorf("list %s, in which a mount has no place yet: %w", at, err)
	}
	if len(names) > maxEntries {
		return fmt.Errorf("%s has %d entries, too many to show one by one beside a mount that has no place in it yet", at, len(names))
	}
	slices.Sort(names)
	for _, name := range names {
		if s.children[name] != nil {
			continue
		}
		p := path.Join(at, name)
		kind, err := t.kind(p)
		switch {
		case isMissing(err):
		case err != nil:
			return fmt.Errorf("look at %s: %w", p, err)
		case kind&fs.ModeSymlink != 0:
			to, err := t.link(p)
			if err != nil {
				return fmt.Errorf("follow %s: %w", p, err)
			}
			*steps = append(*steps, step{makeLink, p, to})
		case kind.IsDir():
			*steps = append(*steps, step{kind: showDir, path: p})
		default:
			*steps = append(*steps, step{kind: showFile, path: p})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.children)) {
		child, p := s.children[name], path.Join(at, name)
		if child.file && len(child.children) == 0 {
			*steps = append(*steps, step{kind: makeFile, path: p})
			continue
		}
		*steps = append(*steps, step{kind: makeDir, path: p})
		if len(child.children) == 0 {
			continue
		}
		if err := compose(t, child, p, steps); err != nil {
			return err
		}
	}
	return nil
}
