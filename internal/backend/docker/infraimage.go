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
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/client"

	"github.com/remotejob-dev/remotejob-operator/internal/faultpoint"
	"github.com/remotejob-dev/remotejob-operator/internal/program"
)

// Where things are in an infra container.
const (
	infraPodrunner = "/podrunner"
	// infraFiles is where the pod's files are, and infraMessages where its containers' termination messages are.
	infraFiles    = "/files"
	infraMessages = "/messages"
	// infraVolumes is the directory of the pod's emptyDir volumes.
	infraVolumes = "/volumes"
)

// ensureInfraImage loads the image of the infra containers if the engine does not have it.
func (b *Backend) ensureInfraImage(ctx context.Context) error {
	_, err := b.engine.ImageInspect(ctx, b.infraImage)
	if err == nil {
		return nil
	}
	if !errdefs.IsNotFound(err) {
		return engineError("look for the infra image", err)
	}
	if err := b.loadInfraImage(ctx); err != nil {
		return err
	}
	faultpoint.Hit(faultpoint.DockerAfterImage)
	return nil
}

func (b *Backend) loadInfraImage(ctx context.Context) error {
	info, err := b.engine.Info(ctx, client.InfoOptions{})
	if err != nil {
		return engineError("ask the engine for its architecture", err)
	}
	archive, err := imageArchive(b.infraImage, b.opts.Podrunner, goArch(info.Info.Architecture))
	if err != nil {
		return err
	}
	stream := archive.read()
	defer func() { _ = stream.Close() }()
	loaded, err := b.engine.ImageLoad(ctx, stream, client.ImageLoadWithQuiet(true))
	if err != nil {
		return engineError("load the infra image", err)
	}
	defer loaded.Close()
	// The engine answers 200 before it is done, so its stream has to be read to know how it went.
	return engineError("load the infra image", streamError(loaded))
}

// goArch is the name that images use for a machine's architecture as its kernel calls it.
func goArch(machine string) string {
	switch machine {
	case "x86_64":
		return "amd64"
	case "aarch64":
		return "arm64"
	default:
		return machine
	}
}

// streamError reads a stream of the engine's progress messages to its end, and returns the error in it, if there is one.
func streamError(stream io.Reader) error {
	decoder := json.NewDecoder(stream)
	for {
		var message struct {
			Error string `json:"error"`
		}
		switch err := decoder.Decode(&message); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		case message.Error != "":
			return fmt.Errorf("%s", message.Error)
		}
	}
}

// imageArchive is an image of one file in the format of "docker save", which every engine loads. The same input gives the same bytes, and
// with them the same image ID.
func imageArchive(name string, binary *program.Program, arch string) (archive, error) {
	layer := archive{
		{name: "files/", mode: 0o700, dir: true},
		{name: "messages/", mode: 0o700, dir: true},
		{name: "podrunner", mode: 0o755, size: binary.Size(), write: func(w io.Writer) error {
			_, err := io.Copy(w, binary.Reader())
			return err
		}},
		{name: "volumes/", mode: 0o700, dir: true},
	}
	layerSum := sha256.New()
	layerSize, err := io.Copy(layerSum, layer.read())
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(map[string]any{
		"architecture": arch,
		"os":           "linux",
		"config":       map[string]any{"Entrypoint": []string{infraPodrunner}, "WorkingDir": "/"},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{"sha256:" + hex.EncodeToString(layerSum.Sum(nil))}},
	})
	if err != nil {
		return nil, err
	}
	configSum := sha256.Sum256(config)
	configName := hex.EncodeToString(configSum[:]) + ".json"
	manifest, err := json.Marshal([]map[string]any{{"Config": configName, "RepoTags": []string{name}, "Layers": []string{"layer.tar"}}})
	if err != nil {
		return nil, err
	}
	return archive{
		{name: configName, mode: 0o644, data: config},
		{name: "layer.tar", mode: 0o644, size: layerSize, write: layer.writeTo},
		{name: "manifest.json", mode: 0o644, data: manifest},
	}, nil
}
