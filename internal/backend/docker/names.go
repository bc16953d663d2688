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
	"strconv"
	"strings"
	"time"

	"github.com/moby/moby/client"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// The labels of everything that is made on an engine. Their values are names and numbers, never content.
const (
	labelPrefix       = "remotejob.dev/"
	labelLedger       = labelPrefix + "ledger"
	labelBackend      = labelPrefix + "backend-uid"
	labelToken        = labelPrefix + "token"
	labelJobNamespace = labelPrefix + "job-namespace"
	labelJobName      = labelPrefix + "job-name"
	labelPodNamespace = labelPrefix + "pod-namespace"
	labelPodName      = labelPrefix + "pod-name"
	labelPodUID       = labelPrefix + "pod-uid"
	labelRole         = labelPrefix + "role"
	labelContainer    = labelPrefix + "container"
	labelN            = labelPrefix + "n"
	labelGeneration   = labelPrefix + "generation"
	labelSpecHash     = labelPrefix + "spec-hash"
	labelTime         = labelPrefix + "time"
)

// The values of labelRole.
const (
	// roleInfra is the container that holds the pod's namespaces.
	roleInfra = "infra"
	// roleHolder is a container that keeps a generation of the pod's files mounted.
	roleHolder = "holder"
	// roleContainer is one run of one of the pod's containers.
	roleContainer = "container"
	// roleHelper is a container that is there for a moment, to look at the machine or to mend a volume. Nothing of a pod's runs in it.
	roleHelper = "helper"
	// roleVolume is a volume of the pod.
	roleVolume = "volume"
	// roleMarker is the empty volume that says that the token has been cancelled.
	roleMarker = "marker"
)

// infraName is the name of a pod's infra container.
func infraName(token string) string { return token }

// asideName is the name of an infra container that has been set aside for another one.
func asideName(token, id string) string { return token + "_old_" + id[:min(len(id), 12)] }

// containerName is the name of the n-th run of a container.
func containerName(token, container string, n int32) string {
	return token + "-" + container + "-" + strconv.Itoa(int(n))
}

// holderName is the name of the container that keeps the k-th generation of the pod's files mounted, from 1 on. The infra container
// keeps the generation 0.
func holderName(token string, k int) string {
	if k == 0 {
		return infraName(token)
	}
	return token + "_g" + strconv.Itoa(k)
}

// helperName is the name of the container through which the machine's paths are looked at.
func helperName(token string) string { return token + "_h" }

// refillName is the name of the container that gives a volume its directory back.
func refillName(volume string) string { return volume + "_h" }

// filesVolume is the name of the tmpfs that holds the k-th generation of the pod's files.
func filesVolume(token string, k int) string { return token + "_f" + strconv.Itoa(k) }

// emptyDirVolume is the name of the volume that is an emptyDir of the pod.
func emptyDirVolume(token, name string) string { return token + "_v_" + name }

// messagesVolume is the name of the volume that holds the containers' termination messages.
func messagesVolume(token string) string { return token + "_t" }

// markerVolume is the name of the volume whose being there says that the token has been cancelled.
func markerVolume(token string) string { return token + "_done" }

// labels are those that everything of a job carries.
func labels(w *workload.Workload, role string) map[string]string {
	return map[string]string{
		labelLedger:       w.Ledger,
		labelBackend:      string(w.Backend),
		labelToken:        w.Token,
		labelJobNamespace: w.Job.Namespace,
		labelJobName:      w.Job.Name,
		labelPodNamespace: w.Pod.Namespace,
		labelPodName:      w.Pod.Name,
		labelPodUID:       string(w.Pod.UID),
		labelRole:         role,
	}
}

func podOf(labels map[string]string) types.NamespacedName {
	return types.NamespacedName{Namespace: labels[labelPodNamespace], Name: labels[labelPodName]}
}

func jobOf(labels map[string]string) types.NamespacedName {
	return types.NamespacedName{Namespace: labels[labelJobNamespace], Name: labels[labelJobName]}
}

// ours tells whether labels are those of this ledger's jobs on this RemoteBackend.
func (b *Backend) ours(labels map[string]string) bool {
	return labels[labelLedger] == b.opts.Ledger && labels[labelBackend] == string(b.opts.Backend)
}

// filters select what is ours and, if token is not empty, of one job.
func (b *Backend) filters(token string) client.Filters {
	f := make(client.Filters).Add("label", labelLedger+"="+b.opts.Ledger, labelBackend+"="+string(b.opts.Backend))
	if token != "" {
		f.Add("label", labelToken+"="+token)
	}
	return f
}

// number reads a label that holds a number; false where there is none.
func number(labels map[string]string, key string) (int32, bool) {
	n, err := strconv.ParseInt(labels[key], 10, 32)
	return int32(n), err == nil && n >= 0
}

// engineTime reads a time as the engine writes it. Its zero time and whatever is no time are zero.
func engineTime(s string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, strings.TrimSpace(s))
	if err != nil || t.Year() <= 1 {
		return time.Time{}
	}
	return t
}
