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

// Package workload is the resolved, backend-neutral job: a pod with nothing left to look up, and the checks of what a pod may ask for.
package workload

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Workload is one pod, ready to be handed to a backend.
type Workload struct {
	// Token is the job's one name on its backend, for ever: see PodToken and JobToken.
	Token string
	// Ledger is the ID of the ledger that the job is in, and Backend the UID of its RemoteBackend. Backends write both on what they
	// make, and take for theirs only what carries both.
	Ledger  string
	Backend types.UID
	// Job is the RemoteJob.
	Job types.NamespacedName
	// Pod is the pod: its namespace, name, UID, labels and annotations, and its spec with the defaults filled in, each container's env
	// literal and expanded, and command and args expanded. Spec.Volumes stand as they came; Files holds the content of those that are
	// made of files.
	Pod *corev1.Pod
	// Files are the volumes that are made of files (configMap, secret, projected, downwardAPI), by volume name.
	Files map[string]FileVolume
	// PullSecrets are the Secrets for pulling the pod's images, in order (keys .dockerconfigjson, .dockercfg).
	PullSecrets []FileData
	// JobScript is interLink's script for the job, empty where it sent none.
	JobScript string
}

// FileVolume is a volume that is made of files and read-only to containers.
type FileVolume struct {
	// Files in it, sorted by path, no path twice.
	Files []File
}

// File is one file of a FileVolume.
type File struct {
	// Path is relative to the volume, clean, with slashes, and never leads out of it.
	Path string
	// Mode holds the permission bits.
	Mode int32
	// Data is its content.
	Data []byte
	// User owns the file, where the pod names one (items' user, defaultUser); the backend's choice, usually root, where not.
	User *int64
}

// Payload is what came with a pod and may be secret. It is kept in payload Secrets, apart from the RemoteJob.
type Payload struct {
	// Env are the containers' env variables as they arrived, in order, by container name (init containers too).
	Env map[string][]corev1.EnvVar `json:"env,omitempty"`
	// ConfigMaps by name.
	ConfigMaps map[string]FileData `json:"configMaps,omitempty"`
	// Secrets by name.
	Secrets map[string]FileData `json:"secrets,omitempty"`
	// Projected is the content of projected and downwardAPI volumes that arrived resolved, by volume name; its keys are file paths.
	Projected map[string]FileData `json:"projected,omitempty"`
	// Annotations outside the allow-list of those that a RemoteJob may show.
	Annotations map[string]string `json:"annotations,omitempty"`
	// Headers are the values of the HTTP headers of probes and hooks, by container, probe or hook, and number, such as
	// web/livenessProbe/0.
	Headers map[string]string `json:"headers,omitempty"`
	// JobScript is interLink's script for the job.
	JobScript string `json:"jobScript,omitempty"`
}

// FileData is the content of a ConfigMap, a Secret or a projected volume by key.
type FileData map[string][]byte

// Empty tells whether there is nothing to keep.
func (p *Payload) Empty() bool {
	return len(p.Env) == 0 && len(p.ConfigMaps) == 0 && len(p.Secrets) == 0 && len(p.Projected) == 0 && len(p.Annotations) == 0 && len(p.Headers) == 0 && p.JobScript == ""
}
