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
	"strconv"
	"time"

	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

// exitKilled is the exit code of a container that was ended by SIGKILL.
const exitKilled = 137

// lateOOM is how long the word may take that a container was ended for want of memory. An engine that hears of the end first does not put
// it into the container's state any more, and only tells of it in its events; on cgroup v1 it may never hear of it at all (both seen on 20.10).
const lateOOM = time.Second

// ranOutOfMemory tells whether a container that was killed, and not from here, ran out of the memory that it may have.
func (b *Backend) ranOutOfMemory(ctx context.Context, j *job, r *seenRun) (bool, error) {
	j.mu.Lock()
	s := j.stops[r.ID]
	killed := s != nil && s.killed
	j.mu.Unlock()
	if r.State.ExitCode != exitKilled || r.HostConfig.Memory == 0 || killed {
		return r.State.OOMKilled, nil
	}
	if r.State.OOMKilled {
		return true, nil
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream := b.engine.Events(ctx, client.EventsListOptions{
		Since:   unixTime(engineTime(r.Created)),
		Filters: make(client.Filters).Add("type", string(events.ContainerEventType)).Add("container", r.ID).Add("event", string(events.ActionOOM)),
	})
	// The engine gives the word the time of when it came to it, and a busy one comes to it late.
	until := time.NewTimer(lateOOM)
	defer until.Stop()
	select {
	case <-stream.Messages:
		return true, nil
	case <-until.C:
		return false, nil
	case err := <-stream.Err:
		return false, engineError("ask the engine why a container was killed", err)
	}
}

// unixTime is a time as the engine takes it.
func unixTime(t time.Time) string {
	return strconv.FormatInt(t.Unix(), 10) + "." + strconv.Itoa(1e9 + t.Nanosecond())[1:]
}
