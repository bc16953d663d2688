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
)

// Bounds of a file's path, as a kubelet has them.
const (
	maxPathLength = 4096
	maxNameLength = 255
)

// cleanFilePath is the path of a file in a volume, clean; and what is wrong with it where it is no such path.
func cleanFilePath(p string) (clean, problem string) {
	switch {
	case p == "":
		return "", "must not be empty"
	case path.IsAbs(p):
		return "", "must be a relative path"
	case len(p) > maxPathLength:
		return "", "must be no longer than 4096 bytes"
	case strings.ContainsRune(p, 0):
		return "", "must not contain a NUL byte"
	case strings.HasPrefix(p, ".."):
		return "", "must not start with '..'"
	case strings.HasSuffix(p, "/"):
		return "", "must name a file, not a directory"
	}
	for _, name := range strings.Split(p, "/") {
		if name == ".." {
			return "", "must not contain '..'"
		}
		if len(name) > maxNameLength {
			return "", "must not contain a name that is longer than 255 bytes"
		}
	}
	clean = path.Clean(p)
	if clean == "." {
		return "", "must name a file"
	}
	if strings.HasPrefix(clean, "..") {
		return "", "must not start with '..'"
	}
	return clean, ""
}

// cleanSubPath is the clean form of a subPath, and false where it leads out of the volume or is none.
func cleanSubPath(sub string) (string, bool) {
	return path.Clean(sub), sub != "" && subPathProblem(sub) == ""
}

// subPathProblem is what is wrong with a subPath; nothing for a good one.
func subPathProblem(sub string) string {
	switch {
	case path.IsAbs(sub):
		return "must be a relative path"
	case strings.ContainsRune(sub, 0):
		return "must not contain a NUL byte"
	case len(sub) > maxPathLength:
		return "must be no longer than 4096 bytes"
	}
	for _, name := range strings.Split(sub, "/") {
		if name == ".." {
			return "must not contain '..'"
		}
	}
	return ""
}

// SubPath is what a mount with a subPath shows of a volume: a directory's files, with their paths below it, or one file, whose path is
// then its name. It is not ok where the subPath leads out of the volume or names nothing in it.
func SubPath(v FileVolume, sub string) (files []File, isFile, ok bool) {
	clean, ok := cleanSubPath(sub)
	if !ok {
		return nil, false, false
	}
	if clean == "." {
		return v.Files, false, true
	}
	for _, file := range v.Files {
		if file.Path == clean {
			file.Path = path.Base(clean)
			return []File{file}, true, true
		}
		if rest, below := strings.CutPrefix(file.Path, clean+"/"); below {
			file.Path = rest
			files = append(files, file)
		}
	}
	return files, false, len(files) > 0
}
