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
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// pong is the answer to a ping. interLink copies resources and taints onto its node.
type pong struct {
	Status    string         `json:"status"`
	Resources *pongResources `json:"resources,omitempty"`
	// Taints is nil for a node that keeps those it has, and empty for one that shall have none.
	Taints *[]pongTaint `json:"taints,omitempty"`
}

type pongResources struct {
	CPU          string            `json:"cpu"`
	Memory       string            `json:"memory"`
	Pods         string            `json:"pods"`
	Accelerators []pongAccelerator `json:"accelerators"`
}

type pongAccelerator struct {
	ResourceType string `json:"resourceType"`
	Available    int64  `json:"available"`
}

type pongTaint struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Effect string `json:"effect"`
}

// ping always answers 200: any other answer turns the node NotReady, and Kubernetes evicts its pods minutes later. While the backend is
// away there are no resources in it.
func (h *handler) ping(w http.ResponseWriter, r *http.Request) error {
	aboutNoPod(r.Context())
	body, err := json.Marshal(pongOf(h.Nodes.Node(r.Context(), h.backend)))
	if err != nil {
		return err
	}
	return writeJSON(w, body)
}

func pongOf(node Node) pong {
	out := pong{Status: "ok"}
	if node.Taints != nil {
		taints := make([]pongTaint, 0, len(node.Taints))
		for _, t := range node.Taints {
			taints = append(taints, pongTaint{Key: t.Key, Value: t.Value, Effect: string(t.Effect)})
		}
		out.Taints = &taints
	}
	if node.Capacity == nil {
		return out
	}
	out.Resources = &pongResources{
		CPU: node.Capacity.Cpu().String(), Memory: node.Capacity.Memory().String(), Pods: node.Capacity.Pods().String(),
		Accelerators: []pongAccelerator{},
	}
	for name, quantity := range node.Capacity {
		if isAccelerator(name) {
			out.Resources.Accelerators = append(out.Resources.Accelerators, pongAccelerator{ResourceType: string(name), Available: quantity.Value()})
		}
	}
	slices.SortFunc(out.Resources.Accelerators, func(a, b pongAccelerator) int { return strings.Compare(a.ResourceType, b.ResourceType) })
	return out
}

// isAccelerator tells extended resources, such as nvidia.com/gpu, from Kubernetes' own.
func isAccelerator(name corev1.ResourceName) bool {
	domain, _, qualified := strings.Cut(string(name), "/")
	return qualified && domain != "kubernetes.io" && !strings.HasSuffix(domain, ".kubernetes.io")
}
