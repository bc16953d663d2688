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

package ledger

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// Token returns the job's one name on its backend.
func (l *Ledger) Token(job *v1alpha1.RemoteJob) string {
	if ref := job.Spec.PodRef; ref != nil {
		return workload.PodToken(l.id, ref.Namespace, string(ref.UID))
	}
	return workload.JobToken(l.id, job.UID)
}

// Workload puts together what a backend needs to run a job. The RemoteJob must have been read live: the cache's has no template. A
// PayloadLostError, a workload.Refusal and a workload.ConfigError are about the job; other errors are about the API server. backend is the
// UID of the job's RemoteBackend.
func (l *Ledger) Workload(ctx context.Context, job *v1alpha1.RemoteJob, backend types.UID) (*workload.Workload, error) {
	if problem := job.Spec.Template.Problem; problem != "" {
		return nil, &workload.Refusal{Reason: workload.ReasonInvalid, Message: problem}
	}
	var payload *workload.Payload
	var err error
	if job.Spec.PodRef != nil {
		payload, err = l.Payload(ctx, job)
	} else {
		payload, err = l.collect(ctx, job)
	}
	if err != nil {
		return nil, err
	}
	return workload.Resolve(l.request(job, payload, backend))
}

// WorkloadToStop is the job as far as it takes to stop it: without env, files and scripts, which may be gone.
func (l *Ledger) WorkloadToStop(job *v1alpha1.RemoteJob, backend types.UID) *workload.Workload {
	return workload.Bare(l.request(job, &workload.Payload{}, backend))
}

// request says what a job's workload is made from. A job that was written by hand is a pod of its own namespace and name.
func (l *Ledger) request(job *v1alpha1.RemoteJob, payload *workload.Payload, backend types.UID) workload.ResolveRequest {
	req := workload.ResolveRequest{
		Template: job.Spec.Template.PodTemplateSpec, Payload: *payload,
		Namespace: job.Namespace, Name: job.Name, UID: job.UID,
		Token: l.Token(job), Ledger: l.id, Backend: backend, Job: keyOf(job),
		// A pod without a node runs on what its backend is called: virtual nodes and RemoteBackends are named alike.
		NodeName: job.Spec.BackendName,
	}
	if ref := job.Spec.PodRef; ref != nil {
		req.Namespace, req.Name, req.UID = ref.Namespace, ref.Name, ref.UID
	}
	return req
}

// collect reads what a hand-written job refers to from the job's own namespace. What is not there is left out: whether the pod can do
// without it is decided where it is used.
func (l *Ledger) collect(ctx context.Context, job *v1alpha1.RemoteJob) (*workload.Payload, error) {
	configMaps, secrets := workload.References(&job.Spec.Template.Spec)
	// Nothing can have such a name, and the client does not ask for it: it would fail again and again.
	impossible := func(name string) bool { return len(validation.IsDNS1123Subdomain(name)) > 0 }
	configMaps, secrets = slices.DeleteFunc(configMaps, impossible), slices.DeleteFunc(secrets, impossible)
	payload := &workload.Payload{ConfigMaps: map[string]workload.FileData{}, Secrets: map[string]workload.FileData{}}
	for _, name := range configMaps {
		configMap := &corev1.ConfigMap{}
		err := l.reader.Get(ctx, client.ObjectKey{Namespace: job.Namespace, Name: name}, configMap)
		if isAbsent(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the ConfigMap %s: %w", name, err)
		}
		payload.ConfigMaps[name] = FilesOf(configMap.Data, configMap.BinaryData)
	}
	for _, name := range secrets {
		secret := &corev1.Secret{}
		err := l.reader.Get(ctx, client.ObjectKey{Namespace: job.Namespace, Name: name}, secret)
		if isAbsent(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read the Secret %s: %w", name, err)
		}
		payload.Secrets[name] = secret.Data
	}
	return payload, nil
}

// FilesOf joins the two maps of a ConfigMap.
func FilesOf(data map[string]string, binary map[string][]byte) workload.FileData {
	files := make(workload.FileData, len(data)+len(binary))
	for key, value := range data {
		files[key] = []byte(value)
	}
	for key, value := range binary {
		files[key] = value
	}
	return files
}
