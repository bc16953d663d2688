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

package workload

import (
	"reflect"
	"strings"
	"testing"

	"github.com/docker/go-units"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
)

func TestDockerFlagsAreReadAsDockerRunDoes(t *testing.T) {
	got, err := ParseDockerFlags(`--rm -d --cap-add NET_ADMIN --cap-add=SYS_PTRACE --cap-drop ALL -e 'A=b c' --env B= -l team=x --sysctl net.core.somaxconn=10
		--cpus 1.5 -m 512m --memory-reservation=1g --memory-swap -1 --pids-limit 100 --shm-size 1g --ulimit nofile=10:20 --device /dev/fuse
		--device /dev/a:/dev/b:r --device /dev/c:rw --gpus all --init --read-only --privileged --runtime runsc --security-opt no-new-privileges
		--tmpfs /run:size=1m --tmpfs /t --group-add 5 --storage-opt size=10G --cpuset-cpus 0-1 --cpuset-mems 0`)
	if err != nil {
		t.Fatal(err)
	}
	want := &DockerFlags{
		CapAdd: []string{"NET_ADMIN", "SYS_PTRACE"}, CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges"}, GroupAdd: []string{"5"},
		Env: []string{"A=b c", "B="}, Label: map[string]string{"team": "x"}, Sysctl: map[string]string{"net.core.somaxconn": "10"},
		StorageOpt: map[string]string{"size": "10G"}, Tmpfs: map[string]string{"/run": "size=1m", "/t": ""},
		Devices: []DockerDevice{{"/dev/fuse", "/dev/fuse", "rwm"}, {"/dev/a", "/dev/b", "r"}, {"/dev/c", "/dev/c", "rw"}},
		Ulimits: []*units.Ulimit{{Name: "nofile", Soft: 10, Hard: 20}},
		GPUs:    "all", Runtime: "runsc", NanoCPUs: 1_500_000_000, Memory: 512 << 20, MemoryReservation: 1 << 30, MemorySwap: -1, SharedMemory: 1 << 30,
		CPUSetCPUs: "0-1", CPUSetMems: "0", PidsLimit: 100, Init: true, ReadOnly: true, Privileged: true,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestDockerFlagsThatAJobCannotHaveAreRefusedByName(t *testing.T) {
	allowed := v1alpha1.BackendPolicy{AllowPrivileged: true}
	for _, test := range []struct {
		flags, words string
		policy       v1alpha1.BackendPolicy
	}{
		{flags: "--cgroup-parent x", words: "--cgroup-parent: jobs can't be given this option"},
		{flags: "-Z", words: "-Z: jobs can't be given this option"},
		{flags: "--memory", words: "memory"},
		{flags: "busybox", words: "1 words that are no options"},
		{flags: "'", words: "single quote"},
		{flags: "-v /:/host", words: "--volume: that is what spec.volumes says"},
		{flags: "--network=host", words: "--network: that is what spec.hostNetwork says"},
		{flags: "-it", words: "says"},
		{flags: "--user 0", words: "runAsUser"},
		{flags: "--memory lots", words: "--memory: \"lots\" is no size"},
		{flags: "--cpus many", words: "--cpus"},
		{flags: "--env HOME", words: "--env: a value is not of the form"},
		{flags: "--device fuse", words: "--device"},
		{flags: "--ulimit nofile", words: "--ulimit"},
		{flags: "--tmpfs /", words: "--tmpfs"},
		{flags: "--gpus some", words: "--gpus"},
		{flags: "--gpus all", words: "does not support GPUs"},
		{flags: "--label remotejob.dev/token=x", words: "--label"},
		{flags: "--memory 1g", words: "has a limit of memory of its own", policy: allowed},
		{flags: "--sysctl kernel.hostname=x", words: "--sysctl: kernel.hostname is not the pod's own", policy: allowed},
		{flags: "--privileged", words: "allowPrivileged is false"},
		{flags: "--device /dev/fuse", words: "allowPrivileged is false"},
		{flags: "--runtime nvidia", words: "allowPrivileged is false"},
		{flags: "--security-opt seccomp=unconfined", words: "allowPrivileged is false"},
		{flags: "--cap-add SYS_ADMIN", words: "allowPrivileged is false"},
		{flags: "--sysctl net.core.somaxconn=1", words: "allowPrivileged is false"},
		{flags: "--cap-add chown --pids-limit 5 --security-opt no-new-privileges --sysctl net.ipv4.tcp_syncookies=1"},
		{flags: "--privileged --device /dev/fuse --cap-add SYS_ADMIN", policy: allowed},
	} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c", Image: "i", Resources: corev1.ResourceRequirements{
			Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")},
		}}}}}
		pod.Name, pod.Namespace, pod.UID = "p", "default", "u"
		pod.Annotations = map[string]string{AnnotationDockerFlags: test.flags}
		err := Check(pod, DockerAbilities(), test.policy)
		refusal, refused := IsRefusal(err)
		switch {
		case test.words == "" && err != nil:
			t.Errorf("%s: refused: %v", test.flags, err)
		case test.words == "":
		case !refused || refusal.Field != "metadata.annotations["+AnnotationDockerFlags+"]" || !strings.Contains(refusal.Message, test.words):
			t.Errorf("%s: got %v, want words %q", test.flags, err, test.words)
		}
	}
}
