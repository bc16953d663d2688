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
	"strconv"
	"strings"
	"syscall"
	"time"

	kubernetes "github.com/remotejob-dev/remotejob-operator/test/harness/cluster"
)

// nodeFiles are those of the cluster that make cluster-up leaves running.
type nodeFiles struct {
	// lock is held while the cluster runs, and names the process that runs it and the one whose namespaces the node's are.
	lock string
	// kubeconfig is written when it is ready.
	kubeconfig string
	logs       string
}

func filesOfNode(files string) nodeFiles {
	dir := filepath.Join(files, "cluster")
	return nodeFiles{lock: filepath.Join(dir, "lock"), kubeconfig: filepath.Join(dir, "kubeconfig"), logs: filepath.Join(dir, "logs")}
}

const (
	clusterStarts = 10 * time.Minute
	clusterStops  = 2 * time.Minute
)

// runNode runs a cluster of one node until it is interrupted.
func runNode(ctx context.Context, files string) (err error) {
	f := filesOfNode(files)
	if err := os.MkdirAll(filepath.Dir(f.lock), 0o700); err != nil {
		return err
	}
	lock, err := os.OpenFile(f.lock, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return fmt.Errorf("there is a cluster already (make cluster-down ends it): %w", err)
	}
	if err := errors.Join(os.RemoveAll(f.kubeconfig), os.RemoveAll(f.logs)); err != nil {
		return err
	}
	say("starting a cluster of one node (its logs are in %s)", f.logs)
	c, err := kubernetes.Start(ctx, kubernetes.Options{Kubeconfig: f.kubeconfig + ".new", Logs: f.logs})
	if err != nil {
		return err
	}
	defer func() {
		say("stopping the cluster")
		ctx, cancel := context.WithTimeout(context.Background(), clusterStops)
		defer cancel()
		err = errors.Join(err, os.Remove(f.kubeconfig), c.Stop(ctx))
	}()
	if err := os.WriteFile(f.lock, fmt.Appendf(nil, "%d %d", os.Getpid(), c.Pid()), 0o600); err != nil {
		return err
	}
	// Its being there says that the cluster is ready.
	if err := os.Rename(f.kubeconfig+".new", f.kubeconfig); err != nil {
		return err
	}
	fmt.Printf(`
The cluster is reached with     export KUBECONFIG=%s
Images come to its node by      make cluster-load IMG=...
Pods reach this machine at      %s

`, f.kubeconfig, c.Host)

	for tick := time.NewTicker(time.Second); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return nil
		case <-c.Done():
			return errors.New("etcd or kube-apiserver ended by itself")
		case <-tick.C:
		}
		if err := c.Broken(); err != nil {
			return err
		}
	}
}

// nodeUp leaves a cluster running in the background.
func nodeUp(ctx context.Context, files string) error {
	f := filesOfNode(files)
	if pid, _, err := f.processes(); err == nil {
		say("a cluster runs already, as process %d; KUBECONFIG=%s", pid, f.kubeconfig)
		return nil
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(f.lock), 0o700); err != nil {
		return err
	}
	if err := os.RemoveAll(f.kubeconfig); err != nil {
		return err
	}
	path := filepath.Join(filepath.Dir(f.lock), "log")
	log, err := os.Create(path)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(self, "cluster")
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()

	ctx, cancel := context.WithTimeout(ctx, clusterStarts)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(f.kubeconfig); err == nil {
			break
		}
		select {
		case err := <-ended:
			return fmt.Errorf("the cluster ended: %w; its last words: %s", err, lastLines(path, 10))
		case <-ctx.Done():
			return errors.Join(ctx.Err(), cmd.Process.Signal(syscall.SIGTERM))
		case <-tick.C:
		}
	}
	text, err := os.ReadFile(path)
	fmt.Print(string(text))
	return err
}

// nodeDown ends it.
func nodeDown(ctx context.Context, files string) error {
	f := filesOfNode(files)
	pid, _, err := f.processes()
	if err != nil {
		say("no cluster runs")
		return nil
	}
	say("stopping the cluster")
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, clusterStops)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, _, err := f.processes(); err != nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the cluster, process %d, has not ended: %w", pid, ctx.Err())
		case <-tick.C:
		}
	}
}

// nodeLoad brings an image of this machine's engine to the node.
func nodeLoad(ctx context.Context, files, image string) (err error) {
	_, holder, err := filesOfNode(files).processes()
	if err != nil {
		return err
	}
	var c cleanup
	defer func() { err = errors.Join(err, c.run(engineGrace+10*time.Second)) }()
	engine, err := findEngine(ctx, files, &c)
	if err != nil {
		return err
	}
	archive, err := engine.ImageSave(ctx, []string{image})
	if err != nil {
		return fmt.Errorf("take image %s from the engine: %w", image, err)
	}
	defer func() { _ = archive.Close() }()
	say("loading %s into the node", image)
	return kubernetes.Import(ctx, holder, archive)
}

// processes returns that of the cluster that runs, and the one whose namespaces the node's are.
func (f nodeFiles) processes() (pid, holder int, err error) {
	lock, err := os.Open(f.lock)
	if err != nil {
		return 0, 0, errors.New("no cluster runs: start one with make cluster-up")
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err == nil {
		return 0, 0, errors.New("no cluster runs: start one with make cluster-up")
	}
	text, err := os.ReadFile(f.lock)
	if err != nil {
		return 0, 0, err
	}
	words := strings.Fields(string(text))
	if len(words) != 2 {
		return 0, 0, errors.New("the cluster is not ready")
	}
	if pid, err = strconv.Atoi(words[0]); err != nil {
		return 0, 0, err
	}
	holder, err = strconv.Atoi(words[1])
	return pid, holder, err
}
