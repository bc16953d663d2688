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

package harness_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/remotejob-dev/remotejob-operator/test/harness"
	"github.com/remotejob-dev/remotejob-operator/test/harness/controlplane"
)

func runContainer(ctx context.Context, t *testing.T, d *harness.Dockerd, name string, argv ...string) {
	t.Helper()
	_, err := d.Client.ContainerCreate(ctx, client.ContainerCreateOptions{Name: name, Config: &container.Config{Image: "busybox:1.36", Cmd: argv}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Client.ContainerStart(ctx, name, client.ContainerStartOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestAnEngineRunsPullsAndOutlivesItsDaemon(t *testing.T) {
	ctx := harness.Context(t)
	image, err := harness.BusyboxImage()
	if err != nil {
		t.Fatal(err)
	}
	d, err := harness.StartDockerd(ctx, image, "--live-restore")
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()

	pull, err := d.Client.ImagePull(ctx, "nginx:latest", client.ImagePullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if words, err := io.ReadAll(pull); err != nil || strings.Contains(string(words), `"error"`) {
		t.Fatalf("pull: %v %s", err, words)
	}
	if d.Registry.Asked("library/nginx:latest") == 0 {
		t.Error("the registry was not asked")
	}

	runContainer(ctx, t, d, "rj-long", "sleep", "1000")
	died := d.Events().Died("rj-short")
	runContainer(ctx, t, d, "rj-short", "echo", "hi")
	select {
	case at := <-died:
		if time.Since(at) > time.Minute {
			t.Errorf("it died at %v", at)
		}
	case <-ctx.Done():
		t.Fatal("no word of its end")
	}
	if out, err := harness.Output(ctx, d.Client, "rj-short"); err != nil || out != "hi\n" {
		t.Errorf("its output: %v %q", err, out)
	}
	if err := harness.Exec(ctx, d.Client, "rj-long", "test", "-e", "/bin/busybox"); err != nil {
		t.Error(err)
	}
	if err := harness.Exec(ctx, d.Client, "rj-long", "test", "-e", "/none"); err == nil {
		t.Error("a command that fails is taken for one that does not")
	}

	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(ctx, "--live-restore"); err != nil {
		t.Fatal(err)
	}
	list, err := harness.Containers(ctx, d.Client, "rj-long")
	if err != nil || len(list) != 1 || list[0].State != "running" {
		t.Errorf("after a restart with live-restore: %v %v", err, list)
	}
	runContainer(ctx, t, d, "rj-late", "true")
	harness.Eventually(t, time.Minute, "events after the restart", func() error {
		if starts := d.Events().Starts("rj-"); len(starts) != 3 {
			return errors.New("too few starts are counted")
		}
		return nil
	})
	if err := d.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(ctx); err != nil {
		t.Fatal(err)
	}
	list, err = harness.Containers(ctx, d.Client, "rj-long")
	if err != nil || len(list) != 1 || list[0].State == "running" {
		t.Errorf("after a restart without live-restore: %v %v", err, list)
	}
}

func TestTheProxyCountsRequestsAndHoldsWatchesBack(t *testing.T) {
	ctx := harness.Context(t)
	plane, err := controlplane.Start(ctx, controlplane.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := plane.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	proxy, err := harness.NewAPIProxy(plane.Config)
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	through, err := kubernetes.NewForConfig(proxy.Config)
	if err != nil {
		t.Fatal(err)
	}
	watch, err := through.CoreV1().ConfigMaps("default").Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	if n := proxy.Requests(); n != 1 {
		t.Errorf("one watch is %d requests", n)
	}
	release := proxy.HoldWatches()
	if _, err := through.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "a"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	select {
	case event := <-watch.ResultChan():
		t.Errorf("a watch that is held back got %v", event.Type)
	case <-time.After(500 * time.Millisecond):
	}
	release()
	select {
	case event := <-watch.ResultChan():
		if event.Type != "ADDED" {
			t.Errorf("the event is %v", event.Type)
		}
	case <-ctx.Done():
		t.Error("no event after the release")
	}
}
