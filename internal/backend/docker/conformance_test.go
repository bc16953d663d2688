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

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/backendtest"
)

func TestPodsBehaveAsOnAKubelet(t *testing.T) {
	w := newWorld()
	hostDir := t.TempDir()
	claim := "claim-" + randomID()
	volume := "backendtest_" + claim
	engine := w.connect(t).engine
	if _, err := engine.VolumeCreate(t.Context(), client.VolumeCreateOptions{Name: volume}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = engine.VolumeRemove(context.Background(), volume, client.VolumeRemoveOptions{}) })
	backendtest.Run(t, backendtest.Suite{
		Connect: func(t *testing.T) backend.Backend {
			b, err := New(Options{Host: testHost(), Ledger: w.ledger, Backend: w.backend, Podrunner: podrunner})
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
		Ledger:          w.ledger,
		Backend:         w.backend,
		Image:           testImage,
		EntrypointImage: entrypointImage,
		ServerImage:     serverImage,
		Registry:        startRegistry(t, engine),
		KillSandbox: func(t *testing.T, token string) {
			if _, err := engine.ContainerKill(t.Context(), infraName(token), client.ContainerKillOptions{Signal: "SIGKILL"}); err != nil {
				t.Error(err)
			}
		},
		HostDir: hostDir,
		Claim:   claim,
		Policy:  v1alpha1.BackendPolicy{AllowPrivileged: true, AllowHostNetwork: true, AllowedHostPaths: []string{hostDir}},
	})
}
