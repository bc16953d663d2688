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
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"path"
	"strconv"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	corev1 "k8s.io/api/core/v1"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// created is what the engine is asked to make.
type created struct {
	name   string
	config container.Config
	host   container.HostConfig
}

// logConfig has the engine write logs byte for byte, in a form that it can read again, and bounds them as a kubelet does. What comes from
// a terminal is text in one stream without frames, which the other driver gives back better.
func logConfig(tty bool) container.LogConfig {
	l := container.LogConfig{Type: "local", Config: map[string]string{"max-size": "10m", "max-file": "5", "compress": "false"}}
	if tty {
		l.Type = "json-file"
	}
	return l
}

// infraSpec is the infra container of a pod.
func infraSpec(w *workload.Workload, image, network string) (created, error) {
	l := labels(w, roleInfra)
	l[labelSpecHash] = specHash(w.Pod)
	l[labelGeneration] = "0"
	no := false
	s := created{
		name: infraName(w.Token),
		config: container.Config{
			Image: image, Cmd: []string{"pause"}, Labels: l, Env: []string{"GOMAXPROCS=1"}, WorkingDir: "/",
		},
		host: container.HostConfig{
			NetworkMode:   container.NetworkMode(network),
			IpcMode:       container.IPCModeShareable,
			Mounts:        infraMounts(w),
			LogConfig:     container.LogConfig{Type: "none"},
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
			CapDrop:       []string{"ALL"},
			SecurityOpt:   []string{"no-new-privileges"},
			Init:          &no,
		},
	}
	if limits := storageLimitsOf(w.Pod); limits.any() {
		s.host.CapAdd = []string{"DAC_READ_SEARCH"} // to measure what others have written
	}
	flags, err := flagsOf(w)
	if err != nil {
		return s, err
	}
	applyToSandbox(flags, &s)
	err = sandboxSpec(w.Pod, &s)
	return s, err
}

// holderSpec is a container that keeps a generation of the pod's files mounted, where the infra container's has been lost.
func holderSpec(w *workload.Workload, image string, k int) created {
	l := labels(w, roleHolder)
	l[labelGeneration] = strconv.Itoa(k)
	return created{
		name:   holderName(w.Token, k),
		config: container.Config{Image: image, Cmd: []string{"pause"}, Labels: l, Env: []string{"GOMAXPROCS=1"}, WorkingDir: "/"},
		host: container.HostConfig{
			NetworkMode:   "none",
			Mounts:        []mount.Mount{filesMount(w, k)},
			LogConfig:     container.LogConfig{Type: "none"},
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
			CapDrop:       []string{"ALL"},
			SecurityOpt:   []string{"no-new-privileges"},
		},
	}
}

// containerSpec is the n-th run of a container. Its errors are about the container's configuration.
func containerSpec(w *workload.Workload, c *corev1.Container, n int32, image imageFacts, infraID string, at places, m machine) (created, error) {
	l := labels(w, roleContainer)
	l[labelContainer] = c.Name
	l[labelN] = strconv.Itoa(int(n))
	mounts, err := containerMounts(w, c, at, m)
	if err != nil {
		return created{}, err
	}
	mounts = append(mounts, messageMount(c, n, at)...)
	s := created{
		name: containerName(w.Token, c.Name, n),
		config: container.Config{
			Image:      image.reference,
			Labels:     l,
			Env:        environment(c),
			Entrypoint: c.Command,
			Cmd:        c.Args,
			WorkingDir: c.WorkingDir,
			Tty:        c.TTY,
			OpenStdin:  c.Stdin,
			StdinOnce:  c.Stdin && c.StdinOnce,
			StopSignal: stopSignal(c),
			// What the image says of its health is nothing that a kubelet looks at.
			Healthcheck: &container.HealthConfig{Test: []string{"NONE"}},
		},
		host: container.HostConfig{
			NetworkMode:   container.NetworkMode("container:" + infraID),
			IpcMode:       container.IpcMode("container:" + infraID),
			Mounts:        mounts,
			LogConfig:     logConfig(c.TTY),
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyDisabled},
			Resources:     resources(c, m),
			OomScoreAdj:   oomScore(w.Pod, c, m),
		},
	}
	switch {
	case w.Pod.Spec.HostPID:
		s.host.PidMode = "host"
	case w.Pod.Spec.ShareProcessNamespace != nil && *w.Pod.Spec.ShareProcessNamespace:
		s.host.PidMode = container.PidMode("container:" + infraID)
	}
	if w.Pod.Spec.HostIPC {
		s.host.IpcMode = container.IPCModeHost
	}
	if err := containerSecurity(w.Pod, c, image, &s); err != nil {
		return created{}, err
	}
	flags, err := flagsOf(w)
	if err != nil {
		return created{}, err
	}
	applyToContainer(flags, &s)
	return s, nil
}

// environment is what the container gets besides the image's own variables.
func environment(c *corev1.Container) []string {
	env := make([]string, 0, len(c.Env))
	for _, e := range c.Env {
		env = append(env, e.Name+"="+e.Value)
	}
	return env
}

// messageMount is the file that the container writes its termination message to. A path of its own under a mount of the pod needs none,
// since the container then writes into that volume.
func messageMount(c *corev1.Container, n int32, at places) []mount.Mount {
	if c.TerminationMessagePath == "" {
		return nil
	}
	target := path.Clean(c.TerminationMessagePath)
	for _, vm := range c.VolumeMounts {
		if path.Clean(vm.MountPath) == target {
			return nil
		}
	}
	return []mount.Mount{bind(path.Join(at.messages, messageName(c.Name, n)), target, false)}
}

// stopSignal is the container's own, empty for the image's.
func stopSignal(c *corev1.Container) string {
	if c.Lifecycle == nil || c.Lifecycle.StopSignal == nil {
		return ""
	}
	return string(*c.Lifecycle.StopSignal)
}

// specHash tells pods with different specs apart. Env does not enter, since a hash of it would help to guess what is in it.
func specHash(pod *corev1.Pod) string {
	spec := pod.Spec.DeepCopy()
	for _, list := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range list {
			list[i].Env, list[i].EnvFrom, list[i].Command, list[i].Args = nil, nil, nil, nil
			list[i].LivenessProbe, list[i].ReadinessProbe, list[i].StartupProbe, list[i].Lifecycle = nil, nil, nil, nil
		}
	}
	data, err := json.Marshal(spec)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}
