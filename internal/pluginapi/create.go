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

package pluginapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/remotejob-dev/remotejob-operator/api/v1alpha1"
	"github.com/remotejob-dev/remotejob-operator/internal/ledger"
	"github.com/remotejob-dev/remotejob-operator/internal/strictjson"
	"github.com/remotejob-dev/remotejob-operator/internal/tracing"
	"github.com/remotejob-dev/remotejob-operator/internal/workload"
)

// createItem is one pod that is to be run, with all that came with it: per container, as interLink sends it, or per pod, as its guide
// shows it. Names in snake_case are the Python SDK's.
type createItem struct {
	Pod        *createPod           `json:"pod"`
	Containers []retrievedContainer `json:"container"`

	JobScript      string `json:"jobScript"`
	JobScriptSnake string `json:"job_script"`
	JobScriptURL   string `json:"jobscriptURL"`

	ConfigMaps []configMap `json:"configmaps"`
	Secrets    []secret    `json:"secrets"`
	Projected  []configMap `json:"projectedvolumesmaps"`
}

// createPod is what can matter to a job of a pod: some of its metadata, all of its spec, and nothing of its status.
type createPod struct {
	Metadata struct {
		Namespace   string            `json:"namespace"`
		Name        string            `json:"name"`
		UID         string            `json:"uid"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec corev1.PodSpec `json:"spec"`
}

// retrievedContainer is what one container mounts. The same object comes once for each mount.
type retrievedContainer struct {
	ConfigMaps []configMap `json:"configMaps"`
	Secrets    []secret    `json:"secrets"`
	Projected  []configMap `json:"projectedvolumemaps"`

	ConfigMapsSnake []configMap `json:"config_maps"`
	ProjectedSnake  []configMap `json:"projected_volume_maps"`
}

type objectName struct {
	Name string `json:"name"`
}

type configMap struct {
	Metadata        objectName        `json:"metadata"`
	Data            map[string]string `json:"data"`
	BinaryData      map[string][]byte `json:"binaryData"`
	BinaryDataSnake map[string][]byte `json:"binary_data"`
}

type secret struct {
	Metadata        objectName        `json:"metadata"`
	Data            map[string][]byte `json:"data"`
	StringData      map[string]string `json:"stringData"`
	StringDataSnake map[string]string `json:"string_data"`
}

// created is the answer about one pod that is to be run.
type created struct {
	PodUID string `json:"PodUID"`
	PodJID string `json:"PodJID"`
}

// create answers POST /create, an object by an object and a list by a list.
func (h *handler) create(w http.ResponseWriter, r *http.Request) error {
	var requests []ledger.CreateRequest
	var list bool
	if err := h.readBody(w, r, func(body []byte) (err error) {
		requests, list, err = decodeCreate(body)
		return err
	}); err != nil {
		return err
	}
	for i := range requests {
		requests[i].Endpoint, requests[i].Session, requests[i].Trace = h.backend, sessionOf(r), tracing.Carry(r.Context())
		pod := requests[i].Pod
		about(r.Context(), v1alpha1.PodReference{Namespace: pod.Namespace, Name: pod.Name, UID: pod.UID})
	}
	if len(requests) == 1 {
		asksFor(r.Context(), requests[0].Pod)
	}
	jobs, err := h.Ledger.Create(r.Context(), requests)
	if err != nil {
		return err
	}
	answers := make([]created, len(jobs))
	for i, job := range jobs {
		answers[i] = created{PodUID: string(job.UID), PodJID: job.JobID}
	}
	var out any = answers
	if !list {
		out = answers[0]
	}
	body, err := json.Marshal(out)
	if err != nil {
		return err
	}
	return writeJSON(w, body)
}

// decodeCreate reads the body of a /create. Nothing that it returns is part of the body, and no error quotes from it.
func decodeCreate(body []byte) (requests []ledger.CreateRequest, list bool, err error) {
	trimmed := bytes.TrimLeft(body, " \t\r\n")
	if len(trimmed) == 0 {
		return nil, false, badRequest("Malformed", "the body is empty: it takes a pod and what comes with it")
	}
	var items []createItem
	if list = trimmed[0] == '['; list {
		err = decode(body, &items)
	} else {
		items = make([]createItem, 1)
		err = decode(body, &items[0])
	}
	if err != nil {
		return nil, list, err
	}
	if len(items) == 0 {
		return nil, list, badRequest(ledger.ReasonInvalid, "the list of pods is empty")
	}
	for i := range items {
		within := ""
		if list {
			within = fmt.Sprintf("[%d].", i)
		}
		switch item := &items[i]; {
		case item.Pod == nil:
			return nil, list, badRequest(ledger.ReasonInvalid, within+"pod is missing")
		case item.JobScriptURL != "":
			return nil, list, badRequest(workload.ReasonUnsupported, within+"jobscriptURL: this operator fetches no scripts from elsewhere; it takes the script itself, as jobScript")
		default:
			requests = append(requests, ledger.CreateRequest{Pod: item.Pod.pod(), Payload: item.payload()})
		}
	}
	return requests, list, nil
}

// decode reads JSON into out.
func decode(body []byte, out any) error {
	if err := strictjson.Check(body, out); err != nil {
		return malformed(err)
	}
	if err := json.Unmarshal(body, out); err != nil {
		return malformed(err)
	}
	return nil
}

func (p *createPod) pod() *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: p.Metadata.Namespace, Name: p.Metadata.Name, UID: types.UID(p.Metadata.UID),
			Labels: p.Metadata.Labels, Annotations: p.Metadata.Annotations,
		},
		Spec: p.Spec,
	}
}

// payload joins all that came with the pod. Of several objects of one name the first counts; interLink repeats them.
func (item *createItem) payload() workload.Payload {
	out := workload.Payload{JobScript: item.JobScript}
	if out.JobScript == "" {
		out.JobScript = item.JobScriptSnake
	}
	for i := range item.Containers {
		c := &item.Containers[i]
		addConfigMaps(&out.ConfigMaps, c.ConfigMaps, c.ConfigMapsSnake)
		addConfigMaps(&out.Projected, c.Projected, c.ProjectedSnake)
		addSecrets(&out.Secrets, c.Secrets)
	}
	addConfigMaps(&out.ConfigMaps, item.ConfigMaps)
	addConfigMaps(&out.Projected, item.Projected)
	addSecrets(&out.Secrets, item.Secrets)
	return out
}

func addConfigMaps(all *map[string]workload.FileData, lists ...[]configMap) {
	for _, list := range lists {
		for i := range list {
			c := &list[i]
			addFiles(all, c.Metadata.Name, func() workload.FileData {
				return joined(ledger.FilesOf(nil, c.BinaryDataSnake), ledger.FilesOf(c.Data, c.BinaryData))
			})
		}
	}
}

// addSecrets adds Secrets. As in Kubernetes, what stands in stringData goes before the same key in data.
func addSecrets(all *map[string]workload.FileData, list []secret) {
	for i := range list {
		s := &list[i]
		addFiles(all, s.Metadata.Name, func() workload.FileData {
			return joined(ledger.FilesOf(nil, s.Data), ledger.FilesOf(s.StringDataSnake, nil), ledger.FilesOf(s.StringData, nil))
		})
	}
}

// joined puts files together. Of several of one name the last counts.
func joined(files ...workload.FileData) workload.FileData {
	out := files[0]
	for _, more := range files[1:] {
		maps.Copy(out, more)
	}
	return out
}

func addFiles(all *map[string]workload.FileData, name string, files func() workload.FileData) {
	if _, known := (*all)[name]; known || name == "" {
		return
	}
	if *all == nil {
		*all = map[string]workload.FileData{}
	}
	(*all)[name] = files()
}
