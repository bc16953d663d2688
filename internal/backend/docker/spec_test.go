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
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
	"github.com/moby/moby/api/types/system"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/remotejob-dev/remotejob-operator/internal/backend"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// workloadOf is a workload of a pod with one container.
func workloadOf(change func(*corev1.Pod, *corev1.Container)) *workload.Workload {
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "main", Image: "image"}}}}
	pod.Name, pod.Namespace, pod.UID = "pod", "default", "uid"
	change(pod, &pod.Spec.Containers[0])
	workload.Default(pod)
	return &workload.Workload{Token: "rj-token", Ledger: "ledger", Backend: "backend", Pod: pod}
}

func specOf(t *testing.T, w *workload.Workload) created {
	t.Helper()
	s, err := containerSpec(w, &w.Pod.Spec.Containers[0], 0, imageFacts{reference: "image"}, "infra", places{}, machine{cpus: 4, memory: 1 << 33})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What the engines of the tests' machines can't do is held against the Engine API's arguments.
func TestWhatContainersAskTheEngineFor(t *testing.T) {
	yes := true
	both := corev1.MountPropagationBidirectional
	down := corev1.MountPropagationHostToContainer
	for name, test := range map[string]struct {
		change func(*corev1.Pod, *corev1.Container)
		check  func(*container.HostConfig) bool
	}{
		"GPUs become a device request": {
			func(_ *corev1.Pod, c *corev1.Container) {
				c.Resources.Limits = corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("2")}
			},
			func(h *container.HostConfig) bool {
				return reflect.DeepEqual(h.DeviceRequests, []container.DeviceRequest{{Driver: "nvidia", Count: 2, Capabilities: [][]string{{"gpu"}}}})
			},
		},
		"a container without GPUs asks for none": {
			func(*corev1.Pod, *corev1.Container) {}, func(h *container.HostConfig) bool { return len(h.DeviceRequests) == 0 },
		},
		"privileged": {
			func(_ *corev1.Pod, c *corev1.Container) {
				c.SecurityContext = &corev1.SecurityContext{Privileged: &yes}
			},
			func(h *container.HostConfig) bool { return h.Privileged },
		},
		"Bidirectional mounts are shared": {hostMount(&both), propagated(mount.PropagationRShared)},
		"HostToContainer mounts follow":   {hostMount(&down), propagated(mount.PropagationRSlave)},
		"other mounts are left to the engine": {hostMount(nil), func(h *container.HostConfig) bool {
			return slices.ContainsFunc(h.Mounts, func(m mount.Mount) bool { return m.Source == "/data" && m.BindOptions == nil })
		}},
		"options of docker run": {
			func(p *corev1.Pod, _ *corev1.Container) {
				p.Annotations = map[string]string{workload.AnnotationDockerFlags: "--gpus all --device /dev/fuse --runtime runsc --cpus 1.5 -m 1g --memory-swap 2g --storage-opt size=1G " +
					"--cap-add NET_ADMIN --init --pids-limit 7 --tmpfs /run:size=1m"}
			},
			func(h *container.HostConfig) bool {
				return h.DeviceRequests[0].Count == -1 && h.Devices[0] == container.DeviceMapping{PathOnHost: "/dev/fuse", PathInContainer: "/dev/fuse", CgroupPermissions: "rwm"} &&
					h.Runtime == "runsc" && h.NanoCPUs == 1_500_000_000 && h.Memory == 1<<30 && h.MemorySwap == 2<<30 && h.StorageOpt["size"] == "1G" &&
					h.CapAdd[0] == "NET_ADMIN" && *h.Init && *h.PidsLimit == 7 && h.Tmpfs["/run"] == "size=1m"
			},
		},
		"requests of cpu are shares, limits quota": {
			func(_ *corev1.Pod, c *corev1.Container) {
				c.Resources.Requests = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("250m")}
				c.Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("2")}
			},
			func(h *container.HostConfig) bool { return h.CPUShares == 256 && h.NanoCPUs == 2_000_000_000 },
		},
		"a limit of more cpus than there are is none": {
			func(_ *corev1.Pod, c *corev1.Container) {
				c.Resources.Limits = corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("8")}
			},
			func(h *container.HostConfig) bool { return h.NanoCPUs == 0 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			if s := specOf(t, workloadOf(test.change)); !test.check(&s.host) {
				t.Errorf("got %+v", s.host)
			}
		})
	}
}

func hostMount(mode *corev1.MountPropagationMode) func(*corev1.Pod, *corev1.Container) {
	return func(p *corev1.Pod, c *corev1.Container) {
		p.Spec.Volumes = []corev1.Volume{{Name: "data", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/data/"}}}}
		c.VolumeMounts = []corev1.VolumeMount{{Name: "data", MountPath: "/mnt", MountPropagation: mode}}
	}
}

func propagated(want mount.Propagation) func(*container.HostConfig) bool {
	return func(h *container.HostConfig) bool {
		return slices.ContainsFunc(h.Mounts, func(m mount.Mount) bool {
			return m.Source == "/data" && m.Target == "/mnt" && m.BindOptions != nil && m.BindOptions.Propagation == want
		})
	}
}

func TestWhatAnEngineCannotDoIsRejectedByTheFieldsName(t *testing.T) {
	down := corev1.MountPropagationHostToContainer
	emptyDir := func(p *corev1.Pod, mounts ...corev1.VolumeMount) {
		p.Spec.Volumes = []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}}
		p.Spec.Containers[0].VolumeMounts = mounts
	}
	for name, test := range map[string]struct {
		change func(*corev1.Pod, *corev1.Container)
		m      machine
		gpus   string
		field  string
	}{
		"GPUs of an engine that was not said to have any": {
			change: func(_ *corev1.Pod, c *corev1.Container) {
				c.Resources.Limits = corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")}
			},
			field: "spec.containers[0].resources.limits[nvidia.com/gpu]",
		},
		"GPUs of a kind that is not asked of engines": {
			change: func(_ *corev1.Pod, c *corev1.Container) {
				c.Resources.Limits = corev1.ResourceList{"amd.com/gpu": resource.MustParse("1")}
			},
			gpus: GPUsNvidia, field: "spec.containers[0].resources.limits[amd.com/gpu]",
		},
		"GPUs that it has": {
			change: func(_ *corev1.Pod, c *corev1.Container) {
				c.Resources.Limits = corev1.ResourceList{"nvidia.com/gpu": resource.MustParse("1")}
			},
			gpus: GPUsNvidia,
		},
		"mounts that follow the machine's, in an emptyDir": {
			change: func(p *corev1.Pod, _ *corev1.Container) {
				emptyDir(p, corev1.VolumeMount{Name: "v", MountPath: "/v", MountPropagation: &down})
			},
			field: "spec.containers[0].volumeMounts[0].mountPropagation",
		},
		"a part of a hostPath": {
			change: func(p *corev1.Pod, c *corev1.Container) {
				hostMount(nil)(p, c)
				c.VolumeMounts[0].SubPath = "part"
			},
			field: "spec.containers[0].volumeMounts[0].subPath",
		},
		"a part of an emptyDir below a writable mount of it": {
			change: func(p *corev1.Pod, _ *corev1.Container) {
				emptyDir(p, corev1.VolumeMount{Name: "v", MountPath: "/v"}, corev1.VolumeMount{Name: "v", MountPath: "/p", SubPath: "part"})
			},
			field: "spec.containers[0].volumeMounts[1].subPath",
		},
		"the same on an engine that knows subpaths": {
			change: func(p *corev1.Pod, _ *corev1.Container) {
				emptyDir(p, corev1.VolumeMount{Name: "v", MountPath: "/v"}, corev1.VolumeMount{Name: "v", MountPath: "/p", SubPath: "part"})
			},
			m: machine{subpath: true},
		},
		"parts of an emptyDir side by side": {
			change: func(p *corev1.Pod, _ *corev1.Container) {
				emptyDir(p, corev1.VolumeMount{Name: "v", MountPath: "/v", SubPath: "one"}, corev1.VolumeMount{Name: "v", MountPath: "/p", SubPath: "two"})
			},
		},
		"an image that is a file": {
			change: func(_ *corev1.Pod, c *corev1.Container) { c.Image = "/images/x.sif" }, field: "spec.containers[0].image",
		},
		"the machine's network, of an engine that maps users": {
			change: func(p *corev1.Pod, _ *corev1.Container) { p.Spec.HostNetwork = true },
			m:      machine{mapsUsers: true}, field: "spec.hostNetwork",
		},
		"privileged containers, of an engine that maps users": {
			change: func(_ *corev1.Pod, c *corev1.Container) {
				c.SecurityContext = &corev1.SecurityContext{Privileged: new(true)}
			},
			m: machine{mapsUsers: true}, field: "spec.containers[0].securityContext.privileged",
		},
		"a full name that no kernel takes": {
			change: func(p *corev1.Pod, _ *corev1.Container) {
				p.Spec.Hostname, p.Spec.Subdomain, p.Spec.SetHostnameAsFQDN = strings.Repeat("x", 60), "sub", new(true)
			},
			field: "spec.setHostnameAsFQDN",
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := acceptable(workloadOf(test.change).Pod, test.m, test.gpus)
			_, rejected := backend.IsRejected(err)
			switch {
			case test.field == "" && err != nil:
				t.Errorf("it is rejected: %v", err)
			case test.field != "" && (!rejected || !strings.Contains(err.Error(), test.field)):
				t.Errorf("got %v, want a rejection that names %s", err, test.field)
			}
		})
	}
}

func TestEnginesThatPodsCannotRunOnAreRefusedInWords(t *testing.T) {
	for name, test := range map[string]struct {
		info  system.Info
		words string
	}{
		"a plain engine":          {info: system.Info{OSType: "linux", SecurityOptions: []string{"name=seccomp,profile=default"}}},
		"one that maps users":     {info: system.Info{OSType: "linux", SecurityOptions: []string{"name=userns"}}},
		"one for other systems":   {info: system.Info{OSType: "windows"}, words: "windows"},
		"one that has not a root": {info: system.Info{OSType: "linux", SecurityOptions: []string{"name=seccomp,profile=default", "name=rootless"}}, words: "rootless"},
	} {
		err := usable(&test.info)
		if (err != nil) != (test.words != "") || err != nil && !strings.Contains(err.Error(), test.words) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if !hasSecurityOption(&system.Info{SecurityOptions: []string{"name=userns"}}, "userns") {
		t.Error("an engine that maps users is not known for one")
	}
}

func TestAnExitCodeThatTheEngineMayHaveMissedSaysSo(t *testing.T) {
	for code, words := range map[int32]string{0: "", 1: "", 137: "", 255: "does not know"} {
		if got := endMessage("", code); !strings.Contains(got, words) || (words == "") != (got == "") {
			t.Errorf("of %d it says %q", code, got)
		}
	}
	if got := endMessage("mine", 255); got != "mine" {
		t.Errorf("the container's own message became %q", got)
	}
}
