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

package controlplane_test

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/remotejob-dev/remotejob-operator/test/harness/controlplane"
	"github.com/remotejob-dev/remotejob-operator/test/harness/process"
)

// helperVariable has this test program start a control plane in the directory that it names, print what it runs, and wait to be killed.
const helperVariable = "CONTROLPLANE_TEST_HELPER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(helperVariable); dir != "" {
		runHelper(dir)
		return
	}
	os.Exit(m.Run())
}

func TestAnAPIServerThatWasStoppedComesBackWithItsDataOnItsPort(t *testing.T) {
	ctx := t.Context()
	cp := start(t, controlplane.Options{})
	client := clientFor(t, cp.Config)
	makeConfigMap(t, client, "kept")

	if err := cp.StopAPIServer(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().ConfigMaps("default").Get(ctx, "kept", metav1.GetOptions{}); err == nil {
		t.Fatal("the API server answered after it was stopped")
	}
	if err := cp.StartAPIServer(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().ConfigMaps("default").Get(ctx, "kept", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestDataAreKeptFromOneStartToTheNextWhenAskedFor(t *testing.T) {
	opts := controlplane.Options{Dir: t.TempDir(), KeepData: true}
	first := start(t, opts)
	makeConfigMap(t, clientFor(t, first.Config), "kept")
	if _, err := controlplane.Start(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "another control plane") {
		t.Fatalf("a second control plane on the same directory: %v", err)
	}
	if err := first.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}

	second := start(t, opts)
	if _, err := clientFor(t, second.Config).CoreV1().ConfigMaps("default").Get(t.Context(), "kept", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := second.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}

	opts.KeepData = false
	third := start(t, opts)
	_, err := clientFor(t, third.Config).CoreV1().ConfigMaps("default").Get(t.Context(), "kept", metav1.GetOptions{})
	if !apierrors.IsNotFound(err) {
		t.Fatalf("without KeepData the data are still there: %v", err)
	}
}

func TestABackupBringsBackWhatWasThereAndNothingElse(t *testing.T) {
	ctx := t.Context()
	cp := start(t, controlplane.Options{})
	client := clientFor(t, cp.Config)
	makeConfigMap(t, client, "before")
	backup := filepath.Join(t.TempDir(), "backup")
	if err := cp.BackUp(ctx, backup); err != nil {
		t.Fatal(err)
	}
	// The API server may have lost its connections, and answers when it has made new ones.
	deadline := time.Now().Add(time.Minute)
	for client.CoreV1().ConfigMaps("default").Delete(ctx, "before", metav1.DeleteOptions{}) != nil {
		if time.Now().After(deadline) {
			t.Fatal("nothing can be deleted after the backup")
		}
	}
	makeConfigMap(t, client, "after")
	if err := cp.Restore(ctx, backup); err != nil {
		t.Fatal(err)
	}
	if _, err := client.CoreV1().ConfigMaps("default").Get(ctx, "before", metav1.GetOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := client.CoreV1().ConfigMaps("default").Get(ctx, "after", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("what was made after the backup is there: %v", err)
	}
}

func TestUsersHaveTheRightsThatRBACGivesThem(t *testing.T) {
	cp := start(t, controlplane.Options{})
	cfg, err := cp.ConfigFor("somebody", "some-group")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := clientFor(t, cfg).CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{}); !apierrors.IsForbidden(err) {
		t.Fatalf("somebody could list Secrets: %v", err)
	}
}

func TestThePartsEndWithTheProcessThatStartedThem(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperVariable+"="+t.TempDir())
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	helper, err := process.Start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	if err := helper.Kill(); err != nil {
		t.Fatal(err)
	}
	for _, field := range strings.Fields(line) {
		pid, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		waitGone(t, pid)
	}
}

func runHelper(dir string) {
	cp, err := controlplane.Start(context.Background(), controlplane.Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	printPids(controlplane.Pids(cp))
	select {}
}

func printPids(pids []int) {
	var words []string
	for _, pid := range pids {
		words = append(words, strconv.Itoa(pid))
	}
	_, _ = os.Stdout.WriteString(strings.Join(words, " ") + "\n")
}

func start(t *testing.T, opts controlplane.Options) *controlplane.ControlPlane {
	t.Helper()
	cp, err := controlplane.Start(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cp.Stop(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return cp
}

func clientFor(t *testing.T, cfg *rest.Config) kubernetes.Interface {
	t.Helper()
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func makeConfigMap(t *testing.T, client kubernetes.Interface, name string) {
	t.Helper()
	cm := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: name}}
	if _, err := client.CoreV1().ConfigMaps("default").Create(t.Context(), cm, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

// waitGone waits until no process has the id, or only one that has ended and waits for whoever adopted it.
func waitGone(t *testing.T, pid int) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !gone(pid) {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("process %d outlived its parent", pid)
		}
	}
}

func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err != nil || strings.Contains(string(stat), ") Z ")
}
