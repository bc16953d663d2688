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

package inside

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/probe"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
)

const image = "remotejob-test-inside:latest"

var (
	engine    *client.Client
	podrunner []byte
)

func TestMain(m *testing.M) {
	code, err := setUp(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func setUp(m *testing.M) (int, error) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "inside")
	if err != nil {
		return 0, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "podrunner"), "github.com/remotejob-dev/remotejob-operator/cmd/podrunner")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("%w: %s", err, out)
	}
	if podrunner, err = os.ReadFile(filepath.Join(dir, "podrunner")); err != nil {
		return 0, err
	}
	if engine, err = client.New(client.FromEnv); err != nil {
		return 0, err
	}
	busybox, err := harness.BusyboxImage()
	if err != nil {
		return 0, err
	}
	if err := busybox.Load(ctx, engine, image); err != nil {
		return 0, err
	}
	defer func() { _, _ = engine.ImageRemove(ctx, image, client.ImageRemoveOptions{}) }()
	return m.Run(), nil
}

// start runs a container until the test ends, with podrunner in it.
func start(t *testing.T, command ...string) (id string) {
	t.Helper()
	ctx := t.Context()
	made, err := engine.ContainerCreate(ctx, client.ContainerCreateOptions{
		Config: &container.Config{Image: image, Cmd: command}, HostConfig: &container.HostConfig{Init: new(true)},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = engine.ContainerRemove(context.Background(), made.ID, client.ContainerRemoveOptions{Force: true, RemoveVolumes: true})
	})
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "podrunner", Mode: 0o755, Size: int64(len(podrunner))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(podrunner); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.CopyToContainer(ctx, made.ID, client.CopyToContainerOptions{DestinationPath: "/", Content: &archive}); err != nil {
		t.Fatal(err)
	}
	if _, err := engine.ContainerStart(ctx, made.ID, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
	return made.ID
}

// processes are the commands that run in a container.
func processes(t *testing.T, id string) []string {
	t.Helper()
	top, err := engine.ContainerTop(t.Context(), id, client.ContainerTopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, p := range top.Processes {
		all = append(all, p[len(p)-1])
	}
	return all
}

func running(t *testing.T, id, command string) int {
	t.Helper()
	n := 0
	for _, p := range processes(t, id) {
		if strings.HasPrefix(p, command) {
			n++
		}
	}
	return n
}

// killer is a command that kills those that begin with the given words.
func killer(words string) []string {
	return []string{"sh", "-c", `for d in /proc/[0-9]*; do tr '\0' ' ' <$d/cmdline | grep -q "^$0" && kill -9 ${d#/proc/}; done; true`, words}
}

// eventually polls for what takes the engine a while.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not in time: %s", what)
		}
	}
}

func TestExec(t *testing.T) {
	id := start(t, "sleep", "600")
	const long = 30 * time.Second
	tests := []struct {
		name    string
		command []string
		timeout time.Duration
		want    probe.ExecResult
		err     string
	}{
		{name: "a success", command: []string{"true"}, timeout: long},
		{name: "a failure, both streams", command: []string{"sh", "-c", "echo out; echo err >&2; exit 7"}, timeout: long,
			want: probe.ExecResult{ExitCode: 7, Output: "out\nerr\n"}},
		{name: "arguments as they are", command: []string{"printf", "%s|", "a b", `"$HOME"`, "", "ü\n"}, timeout: long,
			want: probe.ExecResult{Output: "a b|\"$HOME\"||ü\n|"}},
		{name: "a signal", command: []string{"sh", "-c", "kill -9 $$"}, timeout: long, want: probe.ExecResult{ExitCode: 137}},
		{name: "an exit code that shells give to what they can't find", command: []string{"sh", "-c", "nosuch 2>/dev/null"}, timeout: long,
			want: probe.ExecResult{ExitCode: 127}},
		{name: "no limit", command: []string{"true"}},
		{name: "no such command", command: []string{"nosuch"}, timeout: long, err: "executable file not found"},
		{name: "not a command", command: []string{"/etc"}, timeout: long, err: "permission denied"},
		{name: "output closed before the end", command: []string{"sh", "-c", "exec >&- 2>&-; sleep 0.2; exit 3"}, timeout: long,
			want: probe.ExecResult{ExitCode: 3}},
		{name: "output held open after the end", command: []string{"sh", "-c", "sleep 601 & exit 4"}, timeout: long,
			want: probe.ExecResult{ExitCode: 4}},
		{name: "too late", command: []string{"sh", "-c", "echo begun; exec sleep 602"}, timeout: time.Second,
			want: probe.ExecResult{TimedOut: true, Output: "begun\n"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			begun := time.Now()
			got, err := NewContainer(engine, id, nil).Exec(t.Context(), tt.command, tt.timeout)
			if took := time.Since(begun); took > long {
				t.Errorf("it took %s", took)
			}
			// The two streams come in any order.
			if strings.Contains(got.Output, "err\nout") {
				got.Output = "out\nerr\n"
			}
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got %v (%+v), want %q", err, got, tt.err)
				}
				return
			}
			if err != nil || got != tt.want {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
		})
	}
}

func TestExecKeepsTheBeginOfLongOutput(t *testing.T) {
	id := start(t, "sleep", "600")
	got, err := NewContainer(engine, id, nil).Exec(t.Context(), []string{"sh", "-c", "yes | head -c 1000000"}, 30*time.Second)
	if err != nil || got.ExitCode != 0 || len(got.Output) != maxOutput {
		t.Errorf("got %d bytes, exit code %d, %v", len(got.Output), got.ExitCode, err)
	}
}

func TestALateCommandIsNotRunTwice(t *testing.T) {
	id := start(t, "sleep", "600")
	c := NewContainer(engine, id, nil)
	hang := []string{"sleep", "603"}
	for range 3 {
		got, err := c.Exec(t.Context(), hang, time.Second)
		if err != nil || !got.TimedOut {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	if n := running(t, id, "sleep 603"); n != 1 {
		t.Errorf("it runs %d times: %q", n, processes(t, id))
	}
	if got, err := c.Exec(t.Context(), []string{"true"}, 30*time.Second); err != nil || got.TimedOut {
		t.Errorf("another command: %+v, %v", got, err)
	}
	if _, err := c.Exec(t.Context(), killer("sleep 603"), 30*time.Second); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the command is run again", func() bool {
		_, err := c.Exec(t.Context(), hang, time.Second)
		return err == nil && running(t, id, "sleep 603") == 1
	})
}

// An engine knows nothing of the commands that it ran before it was restarted.
func TestACommandThatTheEngineForgotIsNotLate(t *testing.T) {
	c := NewContainer(engine, start(t, "sleep", "600"), nil)
	c.late["true"] = strings.Repeat("0", 64)
	for range 2 {
		if got, err := c.Exec(t.Context(), []string{"true"}, time.Minute); err != nil || got.TimedOut {
			t.Errorf("got %+v, %v", got, err)
		}
	}
}

func TestExecEndsWithItsCaller(t *testing.T) {
	id := start(t, "sleep", "600")
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		eventually(t, "the command runs", func() bool { return running(t, id, "sleep 604") == 1 })
	}()
	if _, err := NewContainer(engine, id, nil).Exec(ctx, []string{"sleep", "604"}, 0); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestExecSaysWhatStandsInItsWay(t *testing.T) {
	id := start(t, "true")
	eventually(t, "the container has ended", func() bool {
		state, err := engine.ContainerInspect(t.Context(), id, client.ContainerInspectOptions{})
		return err == nil && !state.Container.State.Running
	})
	for name, target := range map[string]string{"a container that has ended": id, "one that is not there": "rj-nosuch"} {
		if _, err := NewContainer(engine, target, nil).Exec(t.Context(), []string{"true"}, time.Second); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestNetwork(t *testing.T) {
	id := start(t, "sh", "-c", "mkdir /www; echo hello > /www/index.html; exec httpd -f -p 8080 -h /www")
	n := NewNetwork(engine, id, []string{"/podrunner", "probe"})
	defer n.Close()
	c := NewContainer(engine, id, n)
	get := func(path string) probe.Request {
		return probe.Request{Timeout: 20 * time.Second, HTTP: &probe.HTTPRequest{URL: "http://127.0.0.1:8080" + path, Header: http.Header{"X-Token": {"s3cret"}}}}
	}
	result := func(r probe.Request) podlifecycle.Result {
		t.Helper()
		a, err := c.Ask(t.Context(), r)
		if err != nil {
			t.Fatal(err)
		}
		return a.Result
	}
	eventually(t, "the server is up", func() bool { return result(get("/")) == podlifecycle.Success })
	if got := result(get("/none")); got != podlifecycle.Failure {
		t.Errorf("a page that is not there: %q", got)
	}
	if got := result(probe.Request{TCP: &probe.TCPRequest{Address: "127.0.0.1:8080"}}); got != podlifecycle.Success {
		t.Errorf("TCP: %q", got)
	}
	if got := result(probe.Request{TCP: &probe.TCPRequest{Address: "127.0.0.1:8081"}}); got != podlifecycle.Failure {
		t.Errorf("TCP to nobody: %q", got)
	}
	if n := running(t, id, "/podrunner probe"); n != 1 {
		t.Errorf("%d commands for all questions: %q", n, processes(t, id))
	}
	if all := processes(t, id); slices.ContainsFunc(all, func(p string) bool { return strings.Contains(p, "s3cret") }) {
		t.Errorf("a header stands in an argument list: %q", all)
	}

	// A command that goes away is made again.
	if _, err := c.Exec(t.Context(), killer("/podrunner probe"), 30*time.Second); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is gone", func() bool { return running(t, id, "/podrunner probe") == 0 })
	if got := result(get("/")); got != podlifecycle.Success {
		t.Errorf("after that: %q", got)
	}

	n.Close()
	eventually(t, "it goes with its connection", func() bool { return running(t, id, "/podrunner probe") == 0 })
	if _, err := c.Ask(t.Context(), get("/")); !errors.Is(err, probe.ErrSessionEnded) {
		t.Errorf("after the end: %v", err)
	}
}

func TestNetworkSaysWhatStandsInItsWay(t *testing.T) {
	id := start(t, "sleep", "600")
	for want, n := range map[string]*Network{
		"No such container":         NewNetwork(engine, "rj-nosuch", []string{"/podrunner", "probe"}),
		"no such file or directory": NewNetwork(engine, id, []string{"/nosuch"}),
		"out of order":              NewNetwork(engine, id, []string{"sh", "-c", "read x; echo out of order >&2"}),
	} {
		t.Run(want, func(t *testing.T) {
			defer n.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			a, err := n.Ask(ctx, probe.Request{TCP: &probe.TCPRequest{Address: "127.0.0.1:1"}})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("got %+v, %v, want %q", a, err, want)
			}
		})
	}
}
