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
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/remotejob-dev/remotejob-operator/internal/podlifecycle"
)

// storageEvery is how often it is measured what a pod with limits takes of the disk, as on a kubelet.
const storageEvery = 10 * time.Second

// evictionGrace is what the containers of a pod get that took too much.
const evictionGrace = time.Second

// reasonEvicted is that of a pod that took too much.
const reasonEvicted = "Evicted"

// evictionFile is where it is noted that the pod is to end, so that a crash does not make another end of it.
const evictionFile = infraMessages + "/.evicted"

// storageLimits are what a pod may take of the disk. Engines can't enforce it, so it is done as on a kubelet: by measuring, and ending
// pods that take more.
type storageLimits struct {
	// volumes are the limits of emptyDir volumes on the disk, containers those of what containers write outside of volumes.
	volumes, containers map[string]resource.Quantity
	// disk are all emptyDir volumes on the disk: what is in them counts for the pod as a whole.
	disk []string
}

func storageLimitsOf(pod *corev1.Pod) storageLimits {
	l := storageLimits{volumes: map[string]resource.Quantity{}, containers: map[string]resource.Quantity{}}
	for _, v := range pod.Spec.Volumes {
		if v.EmptyDir == nil || v.EmptyDir.Medium == corev1.StorageMediumMemory {
			continue
		}
		l.disk = append(l.disk, v.Name)
		if limit := v.EmptyDir.SizeLimit; limit != nil && !limit.IsZero() {
			l.volumes[v.Name] = *limit
		}
	}
	eachContainer(pod, func(_ string, c *corev1.Container) {
		if limit := c.Resources.Limits.StorageEphemeral(); !limit.IsZero() {
			l.containers[c.Name] = *limit
		}
	})
	return l
}

func (l *storageLimits) any() bool { return len(l.volumes) > 0 || len(l.containers) > 0 }

// exceeded says in the kubelet's words which limit the usage is above, empty for none. Usage is in bytes, by name.
func (l *storageLimits) exceeded(volumes, containers map[string]int64) string {
	for name, limit := range l.volumes {
		if volumes[name] > limit.Value() {
			return fmt.Sprintf("Usage of EmptyDir volume %q exceeds the limit %q.", name, limit.String())
		}
	}
	var all resource.Quantity
	for name, limit := range l.containers {
		if containers[name] > limit.Value() {
			return fmt.Sprintf("Container %s exceeded its local ephemeral storage limit %q.", name, limit.String())
		}
		all.Add(limit)
	}
	var used int64
	for _, bytes := range volumes {
		used += bytes
	}
	for _, bytes := range containers {
		used += bytes
	}
	if len(l.containers) > 0 && used > all.Value() {
		return fmt.Sprintf("Pod ephemeral local storage usage exceeds the total limit of containers %s.", all.String())
	}
	return ""
}

// eviction is the pod's end where it took too much of the disk, nil where it did not. It has that watched from now on.
func (b *Backend) eviction(ctx context.Context, j *job, pod *corev1.Pod, v *view) (*podlifecycle.Stop, error) {
	limits := storageLimitsOf(pod)
	if !limits.any() || v.infra == nil {
		return nil, nil
	}
	j.mu.Lock()
	watched := j.storage
	j.mu.Unlock()
	if watched == nil {
		text, err := b.readTail(ctx, v.infra.ID, evictionFile)
		if err != nil {
			return nil, err
		}
		watched = &storageWatch{}
		if err := json.Unmarshal([]byte(text), &watched.end); err != nil {
			watched.end = nil
		}
		watching, cancel := context.WithCancel(context.Background())
		watched.cancel = cancel
		j.mu.Lock()
		j.storage = watched
		j.mu.Unlock()
		go b.watchStorage(watching, j, limits)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	return watched.end, nil
}

// storageWatch is what is in memory of a pod whose use of the disk is watched.
type storageWatch struct {
	cancel context.CancelFunc
	// end is set once it took too much.
	end *podlifecycle.Stop
}

// watchStorage measures what a pod takes of the disk until it takes too much.
func (b *Backend) watchStorage(ctx context.Context, j *job, limits storageLimits) {
	ticker := time.NewTicker(storageEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		infraID, words, err := b.measure(ctx, j.token, limits)
		if err != nil || words == "" {
			continue // it is measured again soon
		}
		grace := evictionGrace
		end := &podlifecycle.Stop{Since: time.Now(), GracePeriod: &grace, Reason: reasonEvicted, Message: words}
		if text, err := json.Marshal(end); err == nil {
			err = b.upload(ctx, infraID, []tarEntry{{name: strings.TrimPrefix(evictionFile, "/"), mode: 0o600, data: text}})
			if err != nil {
				continue
			}
		}
		j.mu.Lock()
		if j.storage != nil {
			j.storage.end = end
		}
		j.mu.Unlock()
		b.jobs.changed(j.token)
		return
	}
}

// measure tells in words which limit of the disk a pod is above.
func (b *Backend) measure(ctx context.Context, token string, limits storageLimits) (infraID, words string, err error) {
	ctx, cancel := context.WithTimeout(ctx, engineTimeout)
	defer cancel()
	list, err := b.containers(ctx, token)
	if err != nil {
		return "", "", err
	}
	containers := map[string]int64{}
	for _, c := range list {
		switch {
		case c.Labels[labelRole] == roleInfra && (infraID == "" || slices.Contains(c.Names, "/"+infraName(token))):
			infraID = c.ID
		case c.Labels[labelRole] == roleContainer && c.State == container.StateRunning && len(limits.containers) > 0:
			seen, err := b.engine.ContainerInspect(ctx, c.ID, client.ContainerInspectOptions{Size: true})
			if err != nil {
				return "", "", engineError("measure a container", err)
			}
			if size := seen.Container.SizeRw; size != nil {
				containers[c.Labels[labelContainer]] = *size
			}
		}
	}
	volumes := map[string]int64{}
	if len(limits.disk) > 0 && infraID != "" {
		args := []string{"usage"}
		for _, name := range limits.disk {
			args = append(args, path.Join(infraVolumes, name))
		}
		out, err := b.inInfra(ctx, infraID, args...)
		if err != nil {
			return "", "", err
		}
		for i, line := range strings.Fields(out) {
			if n, err := strconv.ParseInt(line, 10, 64); err == nil && i < len(limits.disk) {
				volumes[limits.disk[i]] = n
			}
		}
	}
	return infraID, limits.exceeded(volumes, containers), nil
}
