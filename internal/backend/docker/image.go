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
	"fmt"
	"strings"
	"sync"

	"github.com/containerd/errdefs"
	"github.com/distribution/reference"
	"github.com/moby/moby/client"
)

// imageFacts are what is known of an image that the engine holds.
type imageFacts struct {
	// reference is the name that containers are made with, id the engine's name for its content.
	reference, id string
	// user is what the image says that its containers run as.
	user string
}

// imageReference is an image's name as the engine wants it. Other schemes than docker://, and files, belong to other runtimes.
func imageReference(image string) (string, error) {
	name := strings.TrimPrefix(image, "docker://")
	switch {
	case strings.HasPrefix(name, "/"), strings.HasPrefix(name, "./"):
		return "", fmt.Errorf("the image %s is a file, and Docker runs images from registries only", image)
	case strings.Contains(name, "://"):
		return "", fmt.Errorf("the image %s has a scheme that Docker does not know", image)
	}
	if _, err := reference.ParseNormalizedNamed(name); err != nil {
		return "", fmt.Errorf("the image %q has no valid name: %w", image, err)
	}
	return name, nil
}

// localImage looks an image up on the engine; ok is false where it is not there.
func (b *Backend) localImage(ctx context.Context, ref string) (facts imageFacts, ok bool, err error) {
	image, err := b.engine.ImageInspect(ctx, ref)
	if errdefs.IsNotFound(err) {
		return imageFacts{}, false, nil
	}
	if err != nil {
		return imageFacts{}, false, engineError("look for the image "+ref, err)
	}
	facts = imageFacts{reference: ref, id: image.ID}
	if image.Config != nil {
		facts.user = image.Config.User
	}
	b.images.put(image.ID, statusImageID(image))
	return facts, true, nil
}

// statusImageID is an image's ID as it stands in a container's status: by its registry's digest where it has one.
func statusImageID(image client.ImageInspectResult) string {
	if len(image.RepoDigests) > 0 {
		return "docker-pullable://" + image.RepoDigests[0]
	}
	return "docker://" + image.ID
}

// imageCache holds the image IDs of statuses by the engine's own IDs.
type imageCache struct {
	mu  sync.Mutex
	ids map[string]string
}

// maxCachedImages bounds the cache; past it, it begins anew.
const maxCachedImages = 1000

func (c *imageCache) put(id, status string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ids == nil || len(c.ids) >= maxCachedImages {
		c.ids = map[string]string{}
	}
	c.ids[id] = status
}

func (c *imageCache) get(id string) (string, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	status, ok := c.ids[id]
	return status, ok
}

// imageID is the image ID of the status of a container that was made from the image.
func (b *Backend) imageID(ctx context.Context, id string) string {
	if status, ok := b.images.get(id); ok {
		return status
	}
	if _, ok, err := b.localImage(ctx, id); ok && err == nil {
		if status, ok := b.images.get(id); ok {
			return status
		}
	}
	return "docker://" + id
}
