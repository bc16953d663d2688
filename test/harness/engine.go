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
	"bytes"
	"context"
	"fmt"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/moby/moby/api/pkg/stdcopy"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/events"
	"github.com/moby/moby/client"
)

// Events counts the starts of containers, and waits for their ends, as the engine tells of them.
type Events struct {
	mu     sync.Mutex
	cancel context.CancelFunc
	starts map[string]int
	died   map[string][]chan time.Time
}

func newEvents() *Events {
	return &Events{cancel: func() {}, starts: map[string]int{}, died: map[string][]chan time.Time{}}
}

// attach goes on with the events of an engine that was started, or started again.
func (e *Events) attach(c *client.Client) {
	ctx, cancel := context.WithCancel(context.Background())
	e.mu.Lock()
	e.cancel()
	e.cancel = cancel
	e.mu.Unlock()
	stream := c.Events(ctx, client.EventsListOptions{Filters: client.Filters{}.Add("type", "container").Add("event", "start", "die")})
	go func() {
		for {
			select {
			case m := <-stream.Messages:
				e.add(m)
			case err := <-stream.Err:
				_ = err // the stream has ended, for whatever reason
				return
			}
		}
	}()
}

func (e *Events) add(m events.Message) {
	e.mu.Lock()
	defer e.mu.Unlock()
	name := m.Actor.Attributes["name"]
	switch m.Action {
	case events.ActionStart:
		e.starts[name]++
	case events.ActionDie:
		for _, c := range e.died[name] {
			c <- time.Unix(0, m.TimeNano)
		}
		delete(e.died, name)
	}
}

func (e *Events) close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.cancel()
}

// Starts tells how often each container whose name begins with the token was started, by name. It leaves those out that only keep a pod's
// files mounted after the engine was restarted.
func (e *Events) Starts(token string) map[string]int {
	e.mu.Lock()
	defer e.mu.Unlock()
	starts := map[string]int{}
	for name, n := range e.starts {
		if strings.HasPrefix(name, token) && !strings.HasPrefix(name, token+"_g") {
			starts[name] = n
		}
	}
	return starts
}

// Died returns a channel that gets the time of the next end of the container with the given name.
func (e *Events) Died(name string) <-chan time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := make(chan time.Time, 1)
	e.died[name] = append(e.died[name], c)
	return c
}

// StartedOnce returns an error unless, of the job with the token, exactly the given containers were started, each once and none again
// under another number, and its infra container once.
func (e *Events) StartedOnce(token string, containers ...string) error {
	want := map[string]int{token: 1}
	for _, c := range containers {
		want[token+"-"+c+"-0"] = 1
	}
	got := e.Starts(token)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		return fmt.Errorf("containers were started %v, want %v", got, want)
	}
	return nil
}

// Containers lists the containers whose names begin with the token, whatever their state.
func Containers(ctx context.Context, c *client.Client, token string) ([]container.Summary, error) {
	list, err := c.ContainerList(ctx, client.ContainerListOptions{All: true, Filters: client.Filters{}.Add("name", "^/"+token)})
	if err != nil {
		return nil, err
	}
	return list.Items, nil
}

// Left lists what the engine holds whose name contains the token: containers, and volumes but the marker of a cancelled job.
func Left(ctx context.Context, c *client.Client, token string) ([]string, error) {
	var left []string
	containers, err := c.ContainerList(ctx, client.ContainerListOptions{All: true})
	if err != nil {
		return nil, err
	}
	for _, item := range containers.Items {
		if strings.Contains(strings.Join(item.Names, " "), token) {
			left = append(left, "container "+strings.Join(item.Names, " ")+" "+string(item.State))
		}
	}
	volumes, err := c.VolumeList(ctx, client.VolumeListOptions{})
	if err != nil {
		return nil, err
	}
	for _, v := range volumes.Items {
		if strings.Contains(v.Name, token) && v.Name != token+"_done" {
			left = append(left, "volume "+v.Name)
		}
	}
	sort.Strings(left)
	return left, nil
}

// RemoveJob removes everything of a job from an engine by hand, as somebody does who knows nothing of its owner.
func RemoveJob(ctx context.Context, c *client.Client, token string) error {
	containers, err := Containers(ctx, c, token)
	if err != nil {
		return err
	}
	for _, item := range containers {
		if _, err := c.ContainerRemove(ctx, item.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true}); err != nil {
			return err
		}
	}
	return nil
}

// Exec runs a command in a container of an engine, as somebody on the machine would, and returns an error unless it ends well.
func Exec(ctx context.Context, c *client.Client, name string, argv ...string) error {
	created, err := c.ExecCreate(ctx, name, client.ExecCreateOptions{Cmd: argv})
	if err != nil {
		return fmt.Errorf("exec in %s: %w", name, err)
	}
	if _, err := c.ExecStart(ctx, created.ID, client.ExecStartOptions{Detach: true}); err != nil {
		return fmt.Errorf("exec in %s: %w", name, err)
	}
	for {
		state, err := c.ExecInspect(ctx, created.ID, client.ExecInspectOptions{})
		switch {
		case err != nil:
			return fmt.Errorf("exec in %s: %w", name, err)
		case state.Running:
			time.Sleep(pollInterval)
		case state.ExitCode != 0:
			return fmt.Errorf("exec %q in %s ended with code %d", argv, name, state.ExitCode)
		default:
			return nil
		}
	}
}

// Output is what a container of an engine wrote, read without the product.
func Output(ctx context.Context, c *client.Client, name string) (string, error) {
	stream, err := c.ContainerLogs(ctx, name, client.ContainerLogsOptions{ShowStdout: true, ShowStderr: true})
	if err != nil {
		return "", err
	}
	defer func() { _ = stream.Close() }()
	var out bytes.Buffer
	_, err = stdcopy.StdCopy(&out, &out, stream)
	return out.String(), err
}
