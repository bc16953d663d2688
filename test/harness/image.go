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

package harness

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/moby/moby/client"
)

// Image is a small image that is made on the spot, since no registry can be assumed: the distribution's static busybox with its applets.
type Image struct {
	// Config and Layer are its two blobs; Manifest names them.
	Config, Layer, Manifest []byte
}

// nginx stands for the web server of the plugin guide's example: it runs in the foreground until it is told to end.
const nginx = "#!/bin/sh\ntrap 'exit 0' TERM\nwhile :; do sleep 1 & wait $!; done\n"

// BusyboxImage makes the image from the static busybox of this machine.
func BusyboxImage() (*Image, error) {
	const busybox = "/bin/busybox"
	binary, err := os.ReadFile(busybox)
	if err != nil {
		return nil, fmt.Errorf("the test image is made of a static busybox (apt-get install busybox-static): %w", err)
	}
	if f, err := elf.NewFile(bytes.NewReader(binary)); err != nil || len(f.Progs) == 0 {
		return nil, fmt.Errorf("%s is no ELF program: %s", busybox, fmt.Sprint(err))
	} else if libs, _ := f.ImportedLibraries(); len(libs) > 0 {
		return nil, fmt.Errorf("%s is not static (apt-get install busybox-static)", busybox)
	}
	applets, err := exec.Command(busybox, "--list").Output()
	if err != nil {
		return nil, fmt.Errorf("list the applets of busybox: %w", err)
	}
	layer, err := layerOf(binary, strings.Fields(string(applets)))
	if err != nil {
		return nil, err
	}
	return newImage(layer, map[string]any{"Cmd": []string{"sh"}})
}

// WithEntrypoint is the same image with an entrypoint and its arguments.
func (i *Image) WithEntrypoint(entrypoint, arguments []string) (*Image, error) {
	return newImage(i.Layer, map[string]any{"Entrypoint": entrypoint, "Cmd": arguments})
}

// With is the same image with one more program in it.
func (i *Image) With(name string, program []byte) (*Image, error) {
	var buf bytes.Buffer
	// An archive ends with two blocks of zeros; what comes before them can be gone on with.
	buf.Write(bytes.TrimRight(i.Layer, "\x00"))
	for buf.Len()%512 != 0 {
		buf.WriteByte(0)
	}
	tw := tar.NewWriter(&buf)
	header := &tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o755, Size: int64(len(program)), ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
	if err := tw.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := tw.Write(program); err != nil {
		return nil, err
	}
	if err := tw.Close(); err != nil {
		return nil, err
	}
	return newImage(buf.Bytes(), map[string]any{"Cmd": []string{"sh"}})
}

// Variant is the same image with another identity, which an engine that holds the one still has to pull.
func (i *Image) Variant() *Image {
	variant, err := newImage(i.Layer, map[string]any{"Cmd": []string{"sh"}, "Labels": map[string]string{"variant": "true"}})
	if err != nil {
		panic(err) // the first one could be made
	}
	return variant
}

// newImage makes an image whose containers run as the given settings say.
func newImage(layer []byte, settings map[string]any) (*Image, error) {
	settings["Env"] = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	config, err := json.Marshal(map[string]any{
		"architecture": runtime.GOARCH, "os": "linux", "created": time.Unix(0, 0).UTC(),
		"config": settings,
		"rootfs": map[string]any{"type": "layers", "diff_ids": []string{digest(layer)}},
	})
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal(map[string]any{
		"schemaVersion": 2, "mediaType": mediaManifest,
		"config": map[string]any{"mediaType": "application/vnd.docker.container.image.v1+json", "size": len(config), "digest": digest(config)},
		"layers": []any{map[string]any{"mediaType": "application/vnd.docker.image.rootfs.diff.tar", "size": len(layer), "digest": digest(layer)}},
	})
	if err != nil {
		return nil, err
	}
	return &Image{Config: config, Layer: layer, Manifest: manifest}, nil
}

func layerOf(busybox []byte, applets []string) ([]byte, error) {
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	var failed error
	add := func(h *tar.Header, data []byte) {
		h.Size, h.ModTime, h.Format = int64(len(data)), time.Unix(0, 0), tar.FormatPAX
		if err := tw.WriteHeader(h); err != nil {
			failed = err
		}
		if _, err := tw.Write(data); err != nil {
			failed = err
		}
	}
	for _, dir := range []string{"bin/", "etc/", "root/", "usr/", "usr/sbin/"} {
		add(&tar.Header{Typeflag: tar.TypeDir, Name: dir, Mode: 0o755}, nil)
	}
	add(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}, nil)
	add(&tar.Header{Typeflag: tar.TypeReg, Name: "etc/passwd", Mode: 0o644}, []byte("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n"))
	add(&tar.Header{Typeflag: tar.TypeReg, Name: "etc/group", Mode: 0o644}, []byte("root:x:0:\nuser:x:1000:\n"))
	add(&tar.Header{Typeflag: tar.TypeReg, Name: "usr/sbin/nginx", Mode: 0o755}, []byte(nginx))
	add(&tar.Header{Typeflag: tar.TypeReg, Name: "bin/busybox", Mode: 0o755}, busybox)
	for _, applet := range applets {
		if name := path.Base(applet); name != "busybox" {
			add(&tar.Header{Typeflag: tar.TypeSymlink, Name: "bin/" + name, Linkname: "busybox", Mode: 0o777}, nil)
		}
	}
	if err := tw.Close(); err != nil {
		return nil, err
	}
	return buf.Bytes(), failed
}

func digest(blob []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(blob)) }

// Archive is the image as docker load and podman load take it, under the given names.
func (i *Image) Archive(names ...string) ([]byte, error) {
	manifest, err := json.Marshal([]map[string]any{{"Config": "config.json", "RepoTags": names, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	tw := tar.NewWriter(&buf)
	for _, f := range []struct {
		name string
		data []byte
	}{{"config.json", i.Config}, {"layer.tar", i.Layer}, {"manifest.json", manifest}} {
		if err := tw.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: f.name, Mode: 0o644, Size: int64(len(f.data))}); err != nil {
			return nil, err
		}
		if _, err := tw.Write(f.data); err != nil {
			return nil, err
		}
	}
	err = tw.Close()
	return buf.Bytes(), err
}

// Load puts the image into an engine under the given names.
func (i *Image) Load(ctx context.Context, engine *client.Client, names ...string) error {
	archive, err := i.Archive(names...)
	if err != nil {
		return err
	}
	answer, err := engine.ImageLoad(ctx, bytes.NewReader(archive), client.ImageLoadWithQuiet(true))
	if err != nil {
		return fmt.Errorf("load the test image: %w", err)
	}
	defer func() { _ = answer.Close() }()
	words, err := io.ReadAll(answer)
	if err != nil {
		return fmt.Errorf("load the test image: %w", err)
	}
	if bytes.Contains(words, []byte(`"error"`)) {
		return fmt.Errorf("load the test image: %s", words)
	}
	return nil
}

// Unpack writes the image's files into a directory, which must not be there, for runtimes that take a directory for an image.
func (i *Image) Unpack(dir string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return fmt.Errorf("unpack the test image: %w", err)
	}
	unpack := exec.Command("tar", "--extract", "--no-same-owner", "--directory="+dir)
	unpack.Stdin = bytes.NewReader(i.Layer)
	if out, err := unpack.CombinedOutput(); err != nil {
		return fmt.Errorf("unpack the test image: %w: %s", err, out)
	}
	// The files that runtimes bind from the machine must be there.
	for _, name := range []string{"etc/hosts", "etc/resolv.conf"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			return fmt.Errorf("unpack the test image: %w", err)
		}
	}
	return nil
}
