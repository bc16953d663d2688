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
	"testing"

	"github.com/moby/moby/client"

	"github.com/remotejob-dev/remotejob-operator/internal/backend/backendtest"
)

// startRegistry starts the suite's registry, and removes at the end what the engine has pulled from it.
func startRegistry(t *testing.T, engine *client.Client) backendtest.Registry {
	t.Helper()
	r := backendtest.ServeRegistry(t)
	t.Cleanup(func() {
		for _, image := range []string{r.Public, r.Digest, r.Late, r.Private, r.Stalled} {
			_, _ = engine.ImageRemove(context.Background(), image, client.ImageRemoveOptions{Force: true})
		}
	})
	return r
}
