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
	"encoding/binary"
	"errors"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/distribution/reference"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// message is a message of a log as the engine sends it.
func message(stream byte, text string) []byte {
	out := make([]byte, 8, 8+len(text))
	out[0] = stream
	binary.BigEndian.PutUint32(out[4:], uint32(len(text)))
	return append(out, text...)
}

// FuzzLogFrames reads what may come from an engine. It is the same however it comes in pieces, and where the last lines begin is found
// among the times that are in it.
func FuzzLogFrames(f *testing.F) {
	const at = "2026-11-22T21:35:27.000000000Z "
	f.Add(slices.Concat(message(1, at+"one\n"), message(2, at+"two\n"), message(1, at+"three")), int64(1))
	f.Add(slices.Concat(message(1, at+strings.Repeat("x", 16<<10)), message(1, at+"end\n"), message(3, "the disk is full")), int64(2))
	f.Add([]byte{1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, int64(1))
	f.Add([]byte{9, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0}, int64(3))
	f.Fuzz(func(t *testing.T, log []byte, lines int64) {
		for _, timestamps := range []bool{false, true} {
			whole, wholeErr := io.ReadAll(&lineReader{frames: frameReader{bytes.NewReader(log)}, timestamps: timestamps})
			pieces, piecesErr := io.ReadAll(iotest.OneByteReader(&lineReader{frames: frameReader{iotest.OneByteReader(bytes.NewReader(log))}, timestamps: timestamps}))
			if !bytes.Equal(whole, pieces) || (wholeErr == nil) != (piecesErr == nil) {
				t.Fatalf("it is %q (%v), and in pieces %q (%v)", whole, wholeErr, pieces, piecesErr)
			}
			if len(whole) > 2*len(log) {
				t.Fatalf("%d bytes became %d", len(log), len(whole))
			}
		}
		if lines < 1 || lines > 1<<50 {
			return
		}
		for _, ask := range []int64{lines + 1, 1 << 52} {
			start, found, err := findTail(frameReader{bytes.NewReader(log)}, lines, ask)
			if err == nil && found && start != "" && !bytes.Contains(log, []byte(start)) {
				t.Fatalf("the last %d lines begin at %q, which is not in the log", lines, start)
			}
		}
	})
}

// engineNames is what the engine takes for the name of a container or volume.
var engineNames = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

func FuzzNames(f *testing.F) {
	f.Add("main", int32(0), "main-0", int32(1))
	f.Add("a", int32(11), "a-1", int32(1))
	f.Add("a-1", int32(1), "a", int32(1))
	f.Fuzz(func(t *testing.T, a string, n int32, b string, m int32) {
		if len(validation.IsDNS1123Label(a)) > 0 || len(validation.IsDNS1123Label(b)) > 0 || n < 0 || m < 0 {
			return // such containers do not come here
		}
		const token = "rj-0123456789abcdef"
		others := []string{infraName(token), holderName(token, int(n)+1), helperName(token), asideName(token, strings.Repeat("0", 64))}
		volumes := []string{filesVolume(token, int(n)), messagesVolume(token), markerVolume(token)}
		one, two := containerName(token, a, n), containerName(token, b, m)
		if (one == two) != (a == b && n == m) {
			t.Fatalf("%s %d and %s %d are called %s and %s", a, n, b, m, one, two)
		}
		if slices.Contains(others, one) || slices.Contains(volumes, emptyDirVolume(token, a)) || (a != b && emptyDirVolume(token, a) == emptyDirVolume(token, b)) {
			t.Fatalf("%s or %s is the name of something else too", one, emptyDirVolume(token, a))
		}
		for _, name := range append(append(others, volumes...), one, emptyDirVolume(token, a)) {
			if !engineNames.MatchString(name) {
				t.Fatalf("%q is no name for the engine", name)
			}
		}
		if name := messageName(a, n); name != path.Base(name) || name == ".complete" || (messageName(b, m) == name) != (a == b && n == m) {
			t.Fatalf("the messages of %s %d go to %q", a, n, name)
		}
	})
}

func FuzzCleanSubPath(f *testing.F) {
	for _, sub := range []string{"", ".", "a/b", "../a", "a/../../b", "/a", "a//b/", "..a/b..", "./a/.", "a\x00b"} {
		f.Add(sub)
	}
	f.Fuzz(func(t *testing.T, sub string) {
		clean, err := cleanSubPath(sub)
		if err != nil {
			return
		}
		if joined := path.Join("/volume", clean); joined != "/volume" && !strings.HasPrefix(joined, "/volume/") {
			t.Fatalf("%q leads to %q", sub, joined)
		}
		if again, err := cleanSubPath(clean); err != nil || again != clean {
			t.Fatalf("%q becomes %q and then %q, %v", sub, clean, again, err)
		}
	})
}

// FuzzFiles makes the archive of a volume's files, out of paths as workload lets them through.
func FuzzFiles(f *testing.F) {
	f.Add("a", "b/c", "b", int32(0o644), int64(0), []byte("x"))
	f.Add("b/c", "b/c/d", "../x", int32(0o400), int64(1000), []byte(nil))
	f.Fuzz(func(t *testing.T, one, two, sub string, mode int32, group int64, data []byte) {
		pod := &corev1.Pod{}
		pod.Spec.Volumes = []corev1.Volume{{Name: "v"}}
		pod.Spec.Containers = []corev1.Container{{VolumeMounts: []corev1.VolumeMount{{Name: "v", MountPath: "/v", SubPath: sub}}}}
		if group &= 1<<31 - 1; group > 0 {
			pod.Spec.SecurityContext = &corev1.PodSecurityContext{FSGroup: &group}
		}
		var files []workload.File
		for _, p := range []string{one, two} {
			if p == "" || path.IsAbs(p) || path.Clean(p) != p || p == "." || slices.Contains(strings.Split(p, "/"), "..") || strings.ContainsRune(p, 0) {
				return
			}
			files = append(files, workload.File{Path: p, Mode: mode & 0o777, Data: data})
		}
		w := &workload.Workload{Pod: pod, Files: map[string]workload.FileVolume{"v": {Files: files}}}
		entries := filesEntries(w)
		archive, err := tarOf(entries)
		if err != nil {
			return // a name that no archive can hold
		}
		root := strings.TrimPrefix(infraFiles, "/") + "/v"
		made := map[string]bool{".": true, path.Dir(root): true}
		r := tar.NewReader(bytes.NewReader(archive))
		for i := 0; ; i++ {
			header, err := r.Next()
			if errors.Is(err, io.EOF) {
				if i != len(entries) {
					t.Fatalf("%d entries of %d are in the archive", i, len(entries))
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			name := path.Clean(header.Name)
			if name == filesMarker {
				continue
			}
			if name != root && !strings.HasPrefix(name, root+"/") {
				t.Fatalf("%q is outside of %s", header.Name, root)
			}
			if !made[path.Dir(name)] {
				t.Fatalf("%q comes before its directory", header.Name)
			}
			if header.Typeflag == tar.TypeDir {
				made[name] = true
			}
			content, err := io.ReadAll(r)
			if err != nil || (header.Typeflag == tar.TypeReg && !bytes.Equal(content, data)) {
				t.Fatalf("%q holds %q, %v", header.Name, content, err)
			}
		}
	})
}

func FuzzImageReference(f *testing.F) {
	for _, image := range []string{"busybox", "docker://busybox:latest", "docker://docker://x", "/images/x.sif", "./x", "oras://x", "reg.example:5000/a/b@sha256:" + strings.Repeat("0", 64), "UPPER", ""} {
		f.Add(image)
	}
	f.Fuzz(func(t *testing.T, image string) {
		name, err := imageReference(image)
		if err != nil {
			return
		}
		if strings.Contains(name, "://") || strings.HasPrefix(name, "/") || strings.ContainsAny(name, " \n\x00") {
			t.Fatalf("%q becomes %q", image, name)
		}
		if _, err := reference.ParseNormalizedNamed(name); err != nil {
			t.Fatalf("%q becomes %q: %v", image, name, err)
		}
		if again, err := imageReference(name); err != nil || again != name {
			t.Fatalf("%q becomes %q and then %q, %v", image, name, again, err)
		}
	})
}

// FuzzRegistryAuths reads pull Secrets, which any pod may bring.
func FuzzRegistryAuths(f *testing.F) {
	f.Add("reg.example/a/b:1", []byte(`{"auths":{"reg.example":{"auth":"dTpw"},"https://*.example/v1/":{"username":"u","password":"p"}}}`), true)
	f.Add("busybox", []byte(`{"https://index.docker.io/v1/":{"auth":"dTpw"}}`), false)
	f.Add(strings.Repeat("a", 60)+".example/x", []byte(`{"auths":{"`+strings.Repeat("*a", 25)+`b.example":{}}}`), true)
	f.Fuzz(func(t *testing.T, image string, secret []byte, current bool) {
		key := ".dockercfg"
		if current {
			key = ".dockerconfigjson"
		}
		auths := registryAuths(image, []workload.FileData{{key: secret}, {}, nil})
		if len(auths) == 0 || (len(auths) > 1 && slices.Contains(auths, "")) {
			t.Fatalf("%q", auths)
		}
	})
}
