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
	"strings"
	"testing"
	"time"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/backend/backendtest"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

// mappedUser is whose subordinate users the engine gives to containers.
const mappedUser = "daemon"

// On an engine with userns-remap, whose root in a container is nobody of note on the machine, what has to do with owners is tried anew.
func TestPodsBehaveOnAnEngineThatMapsUsers(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	image, err := harness.BusyboxImage()
	if err != nil {
		t.Fatal(err)
	}
	engine, err := harness.StartDockerd(ctx, image, "--userns-remap="+mappedUser)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Close)
	if err := image.Load(ctx, engine.Client, testImage); err != nil {
		t.Fatal(err)
	}
	w := newWorld()
	backendtest.Run(t, backendtest.Suite{
		Connect: func(t *testing.T) backend.Backend {
			b, err := New(Options{Host: engine.Host, Ledger: w.ledger, Backend: w.backend, Podrunner: podrunner})
			if err != nil {
				t.Fatal(err)
			}
			return b
		},
		Ledger: w.ledger, Backend: w.backend, Image: testImage,
		Only: func(name string) bool {
			for _, part := range []string{"content and modes", "fsGroup", "runAsUser", "can be written by any user", "mode that it asks for", "in memory",
				"user that its item names", "termination message comes from", "readiness probe by exec", "named port inside", "preStop runs", "sizeLimit is evicted"} {
				if strings.Contains(name, part) {
					return true
				}
			}
			return false
		},
	})
}
