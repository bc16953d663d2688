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
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/moby/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/process"
)

const (
	defaultEngine = "unix:///var/run/docker.sock"
	engineStart   = time.Minute
	engineGrace   = 30 * time.Second
)

// engine is the machine's Docker engine.
type engine struct {
	*client.Client
	host string
	// imagesBefore are the images of infra containers that were there before this began.
	imagesBefore []string
}

// demoImage is the name of the demo's image in the engine.
const demoImage = "remotejob-demo:1"

func (e *engine) spec() v1alpha1.RemoteBackendSpec {
	return v1alpha1.RemoteBackendSpec{Type: v1alpha1.BackendDocker, Docker: &v1alpha1.DockerBackend{Host: e.host}}
}

func (e *engine) load(ctx context.Context) (string, error) {
	say("loading the image %s into the Docker engine, made of this machine's busybox", demoImage)
	image, err := harness.BusyboxImage()
	if err != nil {
		return "", err
	}
	return demoImage, image.Load(ctx, e.Client, demoImage)
}

// manager changes nothing: who may reach the engine may run the manager.
func (e *engine) manager(*exec.Cmd, ...string) error { return nil }

// findEngine returns the engine that answers at DOCKER_HOST, or at the usual socket. Where none answers there and this is root, it
// starts one, and ends it when the rest is done.
func findEngine(ctx context.Context, files string, c *cleanup) (*engine, error) {
	host := os.Getenv("DOCKER_HOST")
	if host == "" {
		host = defaultEngine
	}
	cli, err := client.New(client.WithHost(host))
	if err != nil {
		return nil, fmt.Errorf("DOCKER_HOST=%s: %w", host, err)
	}
	c.add(func(context.Context) error { return cli.Close() })
	e := &engine{Client: cli, host: host}
	if err = e.answers(ctx); err == nil {
		return e, nil
	}
	if host != defaultEngine || os.Geteuid() != 0 {
		return nil, fmt.Errorf("no Docker engine answers at %s (%w): start it, or run this as root, which starts one for as long as it takes", host, err)
	}
	if err := e.start(ctx, filepath.Join(files, "dockerd.log"), c); err != nil {
		return nil, err
	}
	return e, nil
}

func (e *engine) answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := e.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
	return err
}

func (e *engine) start(ctx context.Context, logFile string, c *cleanup) error {
	program, err := exec.LookPath("dockerd")
	if err != nil {
		return fmt.Errorf("no Docker engine answers at %s, and there is no dockerd to start: %w", e.host, err)
	}
	say("starting a Docker engine, since none answers (its log is %s)", logFile)
	log, err := os.Create(logFile)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program)
	cmd.Stdout, cmd.Stderr = log, log
	dockerd, err := process.Start(cmd)
	if err != nil {
		return err
	}
	c.add(func(ctx context.Context) error {
		say("stopping the Docker engine that this started")
		return dockerd.Stop(ctx, engineGrace)
	})

	ctx, cancel := context.WithTimeout(ctx, engineStart)
	defer cancel()
	for tick := time.NewTicker(200 * time.Millisecond); ; {
		if err = e.answers(ctx); err == nil {
			tick.Stop()
			return nil
		}
		select {
		case <-tick.C:
			continue
		case <-dockerd.Done():
			err = errors.New("it ended")
		case <-ctx.Done():
		}
		tick.Stop()
		return fmt.Errorf("start a Docker engine: %w; its last words: %s", err, lastLines(logFile, 5))
	}
}

// lastLines of a file, for error messages.
func lastLines(file string, n int) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// withEngine runs a command while a Docker engine answers.
func withEngine(ctx context.Context, files string, argv []string) (err error) {
	var c cleanup
	defer func() { err = errors.Join(err, c.run(engineGrace+10*time.Second)) }()
	if _, err := findEngine(ctx, files, &c); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// The command stays in this process' group, where a Ctrl-C reaches it by itself; what comes to this process alone is passed on.
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	return cmd.Run()
}
