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
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/faultpoint"
	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
	"github.com/remotejob-dev/remotejob-operator/internal/probe"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// The reasons for which a container could not be made, in the kubelet's words.
const (
	reasonCreateContainerConfigError = "CreateContainerConfigError"
	reasonCreateContainerError       = "CreateContainerError"
)

// trouble is why a container could not be made, and when to try again.
type trouble struct {
	podlifecycle.Waiting
	retry time.Time
}

// troubleRetry is how long to wait before a container that could not be made is tried again.
const troubleRetry = 5 * time.Second

// waiting says which containers wait, and why.
func (j *job) waiting() map[string]podlifecycle.Waiting {
	j.mu.Lock()
	defer j.mu.Unlock()
	waiting := map[string]podlifecycle.Waiting{}
	for name, t := range j.troubles {
		waiting[name] = t.Waiting
	}
	return waiting
}

// trouble is why a container waits, and zero where it does not. It is driven again in time.
func (j *job) trouble(name string) trouble {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := j.troubles[name]
	j.wakeAt(t.retry)
	return t
}

// fail notes why a container could not be made. It is tried again after a while.
func (j *job) fail(name, reason string, err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	t := trouble{podlifecycle.Waiting{Reason: reason, Message: err.Error()}, time.Now().Add(troubleRetry)}
	j.troubles[name] = t
	j.wakeAt(t.retry)
}

// wakeAt has the job driven again at a time; zero for never. The caller holds the job's lock.
func (j *job) wakeAt(at time.Time) {
	j.wake = earliest(j.wake, at)
}

// earliest is the first of two times; zero is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// startContainer makes the n-th run of a container if it is not there, and starts it if it has not been started. again is set when there
// is something new to see.
func (b *Backend) startContainer(ctx context.Context, j *job, w *workload.Workload, v *view, name string, n int32) (again bool, err error) {
	c := containerOf(w.Pod, name)
	if c == nil || v.infra == nil {
		return false, nil
	}
	before := j.trouble(name)
	if time.Now().Before(before.retry) {
		return false, nil
	}
	id := ""
	if r := v.run(name, n); r != nil {
		if r.State.Status != container.StateCreated {
			return false, nil
		}
		id = r.ID
	}
	if id == "" {
		var ready bool
		if id, ready, err = b.makeContainer(ctx, j, w, v, c, n); err != nil || !ready {
			return id != "" || j.trouble(name).Waiting != before.Waiting, err
		}
	}
	return b.launch(ctx, j, w, v, name, n, id)
}

// makeContainer makes the n-th run of a container. It is ready to be started when ready. Where it is not, there is nothing to see on the
// engine and the reason is in the job's memory; or it has an ID, and has been started by somebody else.
func (b *Backend) makeContainer(ctx context.Context, j *job, w *workload.Workload, v *view, c *corev1.Container, n int32) (id string, ready bool, err error) {
	m, err := b.learnMachine(ctx)
	if err != nil {
		return "", false, err
	}
	image, ok, err := b.ensureImage(ctx, j, w, c)
	if err != nil || !ok {
		return "", false, err
	}
	at, err := b.prepare(ctx, j, w, v)
	if waiting, ok := errors.AsType[*waits](err); ok {
		j.fail(c.Name, waiting.Reason, err)
		return "", false, nil
	}
	if err != nil {
		return "", false, err
	}
	if err := b.prepareRun(ctx, w, v, c, n); err != nil {
		return "", false, err
	}
	s, err := containerSpec(w, c, n, image, v.infra.ID, at, m)
	if err != nil {
		j.fail(c.Name, reasonCreateContainerConfigError, err)
		return "", false, nil
	}
	id, err = b.create(ctx, s)
	switch {
	case errdefs.IsConflict(err):
		found, err := b.inspectMade(ctx, s.name)
		if err != nil {
			return "", false, err
		}
		if err := b.mustBelong(found, w.Token, roleContainer); err != nil {
			return "", false, err
		}
		// Another manager may have started it as well: the engine would start one again that has ended.
		return found.ID, found.State.Status == container.StateCreated && !isOwnFailure(found.State.Error, v.inhabited()), nil
	case err != nil && isEngineAway(err):
		return "", false, engineError("make a container", err)
	case err != nil:
		// The engine's word about what it was asked for. What it may have lost is looked for again.
		j.unprepare()
		j.fail(c.Name, reasonCreateContainerError, err)
		return "", false, nil
	}
	faultpoint.Hit(faultpoint.DockerAfterContainer)
	return id, true, nil
}

// prepareRun makes what one run of a container needs of the pod's volumes, beside what prepare made.
func (b *Backend) prepareRun(ctx context.Context, w *workload.Workload, v *view, c *corev1.Container, n int32) error {
	var entries []tarEntry
	if n > 0 {
		entries = append(entries, messageEntry(c.Name, n))
	}
	for _, vm := range c.VolumeMounts {
		sub, err := cleanSubPath(vm.SubPath)
		if err != nil || sub == "" {
			continue
		}
		e := emptyDirOf(w.Pod, vm.Name)
		if e == nil {
			continue
		}
		dirs, err := b.missingDirs(ctx, v.infra.ID, path.Join(infraVolumes, vm.Name), sub)
		if err != nil {
			return err
		}
		for _, dir := range dirs {
			entry := tarEntry{name: strings.TrimPrefix(dir, "/") + "/", mode: emptyDirMode(w.Pod, e), dir: true}
			if group := fsGroup(w.Pod); group != nil {
				entry.gid = int(*group)
			}
			entries = append(entries, entry)
		}
	}
	if len(entries) == 0 {
		return nil
	}
	return b.upload(ctx, v.infra.ID, entries)
}

// missingDirs are the directories that are not there on the way from root down to sub.
func (b *Backend) missingDirs(ctx context.Context, infraID, root, sub string) ([]string, error) {
	var missing []string
	for dir := path.Join(root, sub); dir != root; dir = path.Dir(dir) {
		there, err := b.exists(ctx, infraID, dir)
		if err != nil {
			return nil, err
		}
		if there {
			break
		}
		missing = append(missing, dir)
	}
	slices.Reverse(missing)
	return missing, nil
}

// exists tells whether a container has a file.
func (b *Backend) exists(ctx context.Context, id, file string) (bool, error) {
	_, err := b.engine.ContainerStatPath(ctx, id, client.ContainerStatPathOptions{Path: file})
	if errdefs.IsNotFound(err) {
		return false, nil
	}
	return err == nil, engineError("look for a file of the pod", err)
}

// upload puts files into a container, below its root.
func (b *Backend) upload(ctx context.Context, id string, entries []tarEntry) error {
	archive, err := tarOf(entries)
	if err != nil {
		return fmt.Errorf("pack the pod's files: %w", err)
	}
	_, err = b.engine.CopyToContainer(ctx, id, client.CopyToContainerOptions{DestinationPath: "/", Content: bytes.NewReader(archive)})
	return engineError("fill the pod's volumes", err)
}

// launch starts a container that has been made and not been started. One that the engine can't start keeps the engine's words; one that
// could not be started for want of something else is removed, as if it had never been made.
func (b *Backend) launch(ctx context.Context, j *job, w *workload.Workload, v *view, name string, n int32, id string) (again bool, err error) {
	if err := b.undoIfCancelled(ctx, w.Token, id); err != nil {
		return false, err
	}
	_, err = b.engine.ContainerStart(ctx, id, client.ContainerStartOptions{})
	if err == nil {
		faultpoint.Hit(faultpoint.DockerAfterContainerStart)
		j.started(name)
		j.mu.Lock()
		j.runByID(probe.Key{Token: w.Token, Container: name, N: n}, id).notes = &notes{} // nobody else has done anything to it
		j.mu.Unlock()
		return true, nil
	}
	if isEngineAway(err) {
		return false, engineError("start a container", err)
	}
	words := err
	seen, err := b.inspect(ctx, id)
	if err != nil {
		return false, err
	}
	switch {
	case seen.State.Status != container.StateCreated || isOwnFailure(seen.State.Error, v.inhabited()):
		j.started(name)
		return true, nil
	case isHollowSandbox(seen.State.Error):
		return true, b.replaceInfra(ctx, j, w, v.infra, id)
	}
	j.unprepare()
	j.fail(name, reasonCreateContainerError, words)
	if err := b.removeIdle(ctx, id); err != nil && !errdefs.IsConflict(err) {
		return false, err
	}
	return true, nil
}

// started forgets what held a container up.
func (j *job) started(name string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.troubles, name)
	if p := j.pulls[name]; p != nil && !p.running {
		delete(j.pulls, name)
	}
}

// containerOf is a container of the pod by name, nil where there is none.
func containerOf(pod *corev1.Pod, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}

func emptyDirOf(pod *corev1.Pod, volume string) *corev1.EmptyDirVolumeSource {
	for i := range pod.Spec.Volumes {
		if pod.Spec.Volumes[i].Name == volume {
			return pod.Spec.Volumes[i].EmptyDir
		}
	}
	return nil
}
