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

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	dockerclient "github.com/moby/moby/client"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Where a ledger goes for good, so may the operator's traces on the engine: the markers of jobs that have been cancelled, which would
// stay for seven days, and the image of the infra containers.
const (
	ledgerLabel     = "remotejob.dev/ledger"
	infraRepository = "remotejob-podrunner:"
)

// note remembers which of the images were there before.
func (e *engine) note(ctx context.Context) (err error) {
	e.imagesBefore, err = e.infraImages(ctx)
	return err
}

func (e *engine) infraImages(ctx context.Context) ([]string, error) {
	images, err := e.ImageList(ctx, dockerclient.ImageListOptions{})
	if err != nil {
		return nil, fmt.Errorf("list images: %w", err)
	}
	var names []string
	for i := range images.Items {
		for _, name := range images.Items[i].RepoTags {
			if strings.HasPrefix(name, infraRepository) {
				names = append(names, name)
			}
		}
	}
	return names, nil
}

// removeTraces removes what this ledger's jobs left on the engine, and the images that were not there before. The manager has ended.
func (s *stack) removeTraces(ctx context.Context) error {
	var namespace corev1.Namespace
	if err := s.client.Get(ctx, client.ObjectKey{Name: metav1.NamespaceSystem}, &namespace); err != nil {
		return err
	}
	return s.site.removeTraces(ctx, string(namespace.UID))
}

func (e *engine) removeTraces(ctx context.Context, ledger string) error {
	ours := make(dockerclient.Filters).Add("label", ledgerLabel+"="+ledger)
	var errs []error
	containers, err := e.ContainerList(ctx, dockerclient.ContainerListOptions{All: true, Filters: ours})
	errs = append(errs, err)
	for i := range containers.Items {
		_, err := e.ContainerRemove(ctx, containers.Items[i].ID, dockerclient.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
		errs = append(errs, err)
	}
	volumes, err := e.VolumeList(ctx, dockerclient.VolumeListOptions{Filters: ours})
	errs = append(errs, err)
	for i := range volumes.Items {
		_, err := e.VolumeRemove(ctx, volumes.Items[i].Name, dockerclient.VolumeRemoveOptions{})
		errs = append(errs, err)
	}
	now, err := e.infraImages(ctx)
	errs = append(errs, err)
	for _, name := range append(now, demoImage) {
		if !slices.Contains(e.imagesBefore, name) {
			_, err := e.ImageRemove(ctx, name, dockerclient.ImageRemoveOptions{})
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
