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
	"io"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
)

// watched are the events that may matter to a job. Those of execs are left out, since probes make many.
var watched = []string{
	string(events.ActionCreate), string(events.ActionStart), string(events.ActionDie), string(events.ActionOOM), string(events.ActionDestroy),
	string(events.ActionPause), string(events.ActionUnPause),
}

// Watch tells of changes as the engine, or what runs here in the background, tells of them.
func (b *Backend) Watch(ctx context.Context, changed func(token string)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer b.jobs.watch(changed)()
	stream := b.engine.Events(ctx, client.EventsListOptions{
		Filters: b.filters("").Add("type", string(events.ContainerEventType)).Add("event", watched...),
	})
	for {
		select {
		case m := <-stream.Messages:
			if token := m.Actor.Attributes[labelToken]; token != "" && b.ours(m.Actor.Attributes) {
				changed(token)
			}
		case err := <-stream.Err:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err == nil {
				err = io.ErrUnexpectedEOF
			}
			return backend.Unavailable("follow the engine's events: %w", err)
		case <-b.jobs.closed:
			return backend.Unavailable("follow the engine's events: the connection has been closed")
		}
	}
}
